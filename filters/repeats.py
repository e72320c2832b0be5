"""Pieces of a page that it has already: DCLM's within_page_dedup, C4's rule of three sentences made lines."""

from typing import Literal

import pyarrow as pa

from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

_SEPARATORS = {"line": "\n", "paragraph": "\n\n"}


@edit(drops_empty=False)
def drop_repeated_pieces(
    index: TextIndex, *, granularity: Literal["line", "paragraph"] = "line", normalize: bool = True
) -> pa.StringArray:
    """Keep the first of equal lines or paragraphs, compared stripped and lower-cased if asked; empty ones all stay."""
    separator = _SEPARATORS[granularity]
    return index.with_strings(
        [None if text is None else _without_repeats(text, separator, normalize) for text in index.strings]
    )


def _without_repeats(text: str, separator: str, normalize: bool) -> str:
    pieces = text.split(separator)
    seen, kept = set[str](), list[str]()
    for piece in pieces:
        key = piece.strip().lower() if normalize else piece
        if key not in seen:
            kept.append(piece)
        if key:
            seen.add(key)
    return text if len(kept) == len(pieces) else separator.join(kept)
