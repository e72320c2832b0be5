"""Lines that are not text: shouting, numbers, counters. RefinedWeb's line corrections
(arXiv 2306.01116, section G.2) as DCLM's line modifiers make them. A line ends at U+000A; empty ones stay.
"""

import re

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Ints, Mask
from lakeloom.filters.search import counter_lines
from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

_COUNTER = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|"
    r"downvotes|downloads|views|followers)\W*$"
)


@edit(drops_empty=True)
def drop_uppercase_lines(index: TextIndex, *, max_ratio: float) -> pa.StringArray:
    """Drop lines with a larger share of capitals; strip. DCLM's uppercase_ratio_line_modifier."""
    lines = index.lines()
    return index.with_lines(lines, _is_within(lines.num_upper, lines.num_chars, max_ratio), is_stripped=True)


@edit(drops_empty=True)
def drop_numeric_lines(index: TextIndex, *, max_ratio: float) -> pa.StringArray:
    """Drop lines with a larger share of digits (str.isdigit); strip. DCLM's numeric_ratio_line_modifier."""
    lines = index.lines()
    return index.with_lines(lines, _is_within(lines.num_digits, lines.num_chars, max_ratio), is_stripped=True)


@edit(drops_empty=True)
def drop_short_lines(index: TextIndex, *, min_words: float) -> pa.StringArray:
    """Drop lines of fewer words (str.split), blank ones too; don't strip. DCLM's line_length_modifier."""
    lines = index.lines()
    return index.with_lines(lines, (lines.num_words >= min_words) | (lines.num_chars == 0), is_stripped=False)


def _is_within(part: Ints, whole: Ints, limit: float) -> Mask:
    """Where part / whole is at most the limit, or there is nothing to divide by."""
    is_within: Mask = np.divide(part, whole, out=np.full(len(part), -np.inf), where=whole > 0) <= limit
    return is_within


@edit(drops_empty=True)
def drop_counter_lines(index: TextIndex) -> pa.StringArray:
    """Drop lines like "3 likes" or "(5k views)"; strip. DCLM's counter_line_modifier."""
    lines = index.lines()
    keep = np.full(len(lines.start), True)
    for line in np.flatnonzero(counter_lines(index.data, lines.start, lines.end)).tolist():
        text = index.data[lines.start[line] : lines.end[line]].tobytes().decode()
        keep[line] = not _COUNTER.match(text.lower())
    return index.with_lines(lines, keep, is_stripped=True)
