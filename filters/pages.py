"""The pages of a batch that are still kept: texts, addresses and other keys, and where each came from.

What DCLM's functions write on a page besides its text stands in `keys`, a dict for each page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Ints
from lakeloom.filters.steps import OPTIONAL_COLUMNS, Page
from lakeloom.filters.textindex import TextIndex

_ADDRESS = "WARC-Target-URI"


@dataclass(frozen=True)
class Pages:
    """Kept pages, and their places among the rows of the result."""

    rows: Ints
    index: TextIndex
    url: pa.StringArray
    id: pa.StringArray
    keys: list[Page]
    columns: dict[str, pa.Array]  # those of OPTIONAL_COLUMNS, nulls where the batch has none

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> Pages:
        """All pages of a batch with the column `text`, and if there, `url`, `id` or `doc_id`, `keys` (JSON)."""
        nulls = pa.nulls(batch.num_rows, pa.string())
        columns = {field.name: batch.column(place) for place, field in enumerate(batch.schema)}
        url = columns.get("url", nulls)
        names = columns.get("id", columns.get("doc_id", url))
        keys = [cast(Page, json.loads(row)) if row else {} for row in columns.get("keys", nulls).to_pylist()]
        absent = pa.nulls(batch.num_rows, pa.list_(pa.string()))
        others = {name: columns.get(name, absent) for name in OPTIONAL_COLUMNS}
        return cls(np.arange(batch.num_rows), TextIndex.of(columns["text"]), url, names, keys, others)

    def take(self, chosen: Ints) -> Pages:
        """The pages at these places."""
        places = pa.array(chosen)
        keys = [self.keys[place] for place in chosen.tolist()]
        columns = {name: column.take(places) for name, column in self.columns.items()}
        ids = self.url.take(places), self.id.take(places)
        return Pages(self.rows[chosen], self.index.take(chosen), *ids, keys, columns)

    def with_text(self, text: pa.StringArray) -> Pages:
        """The same pages with new texts."""
        return replace(self, index=self.index.edited(text))

    def page(self, place: int) -> Page:
        """One page as DCLM's functions see it; what they do to it doesn't reach this one's own keys."""
        url, text = self.url[place].as_py(), self.index.strings[place]
        page: Page = {} if text is None else {"text": text}
        if url is not None:
            page |= {"url": url, "metadata": {_ADDRESS: url}}
        return page | cast(Page, json.loads(json.dumps(self.keys[place])))

    def with_pages(self, rows: list[int], sources: list[int], made: list[Page]) -> Pages:
        """Pages made by a function, each with its row and the place of the page that it was made of."""
        texts, urls, keys = list[str | None](), list[str | None](), list[Page]()
        for place, given in zip(sources, made, strict=True):
            page = dict(given)  # a function may give the same page twice
            if page.get("metadata") == {_ADDRESS: self.url[place].as_py()} and "metadata" not in self.keys[place]:
                del page["metadata"]
            texts.append(cast("str | None", page.pop("text", None)))
            urls.append(cast("str | None", page.pop("url", None)))
            keys.append(page)
        kept = self.take(np.array(sources, np.int64))
        index = kept.index.edited(kept.index.with_strings(texts))
        return Pages(np.array(rows, np.int64), index, pa.array(urls, pa.string()), kept.id, keys, kept.columns)


def check(page: Page) -> None:
    """Refuse what can't become a row: text or address that are no Unicode strings, keys that JSON has no form for."""
    for key in ("text", "url"):
        value = page.get(key)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{key} of a page is {type(value).__name__}, not a string")
        if isinstance(value, str) and not value.isascii():
            value.encode()
    json.dumps({key: value for key, value in page.items() if key not in ("text", "url")})
