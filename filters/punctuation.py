"""Lines that end like sentences. C4 (arXiv 1910.10683, section 2.2) keeps no others; the rule is DCLM's."""

import numpy as np
import pyarrow as pa

from lakeloom.filters.characters import Characters, characters, decode, strip
from lakeloom.filters.kernel import Bytes, Ints, kernel
from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

_ELLIPSIS, _DOT = 0x2026, 46
_STOPS = (_DOT, 33, 63, 34)  # . ! ? "


@edit(drops_empty=True)
def drop_unfinished_lines(index: TextIndex, *, remove_ellipses: bool = False) -> pa.StringArray:
    """Drop lines that don't end in . ! ? " or U+2026 before white space; blank ones too, empty ones stay.

    Curly quotes and brackets don't count as ends. With `remove_ellipses` lines ending in ... or U+2026 go as well.
    DCLM's punctuation_line_modifier; doesn't strip.
    """
    lines = index.lines()
    ends = line_ends(index.data, lines.start, lines.end, characters())
    keep = (ends == 1) | (lines.num_chars == 0)
    return index.with_lines(lines, keep if remove_ellipses else keep | (ends == 2), is_stripped=False)


@kernel
def line_ends(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Ints:
    """1 for a line that ends like a sentence, 2 for one that ends in an ellipsis, else 0."""
    found = np.zeros(len(starts), np.int64)
    for number in range(len(starts)):
        first, end = strip(data, starts[number], ends[number], table)
        if first == end:
            continue
        last = end - 1
        while last > first and data[last] & 0xC0 == 0x80:
            last -= 1
        code, _ = decode(data, last, end)
        is_dots = end - first >= 3 and data[end - 1] == _DOT and data[end - 2] == _DOT and data[end - 3] == _DOT
        found[number] = 2 if code == _ELLIPSIS or is_dots else 1 if code in _STOPS else 0
    return found
