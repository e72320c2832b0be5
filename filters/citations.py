"""Marks of sources and of editing, as Wikipedia has them. C4 (arXiv 1910.10683, section 2.2) removes them."""

import re

import pyarrow as pa

from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

_MARK = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")


@edit(drops_empty=True)
def remove_citations(index: TextIndex) -> pa.StringArray:
    """Delete [1], [], [edit] and [citation needed], not the blanks around. DCLM's citation_removal_modifier."""
    return index.with_strings(
        [
            text if text is None or "[" not in text or not _MARK.search(text) else _MARK.sub("", text)
            for text in index.strings
        ]
    )
