"""Lines and paragraphs counted and measured, as DCLM's line_length_filter and line_counter_enricher do."""

import numpy as np
import pyarrow as pa

from lakeloom.filters.characters import ALNUM, Characters, decode
from lakeloom.filters.counts import CHARS, LINES
from lakeloom.filters.expressions import Expression, deadline, expression
from lakeloom.filters.kernel import Bytes, Ints, integer, kernel
from lakeloom.filters.parameters import Regex
from lakeloom.filters.steps import edit, signal
from lakeloom.filters.textindex import TextIndex

# Columns of a row of line lengths.
_LETTERS, _LINES, _LINE_CHARS, _LONGEST = range(4)


@signal
def num_pieces(index: TextIndex, *, separator: Regex = "\n", remove_empty: bool = True) -> pa.DoubleArray:
    r"""Pieces between matches of a regular expression (lines; paragraphs by \n\n), without blank ones if asked."""
    if separator == "\n" and remove_empty:
        return index.doubles(index.counts[:, LINES].astype(float))
    pattern = expression("%s", separator, ignore_case=False)
    numbers = [np.nan if text is None else _num_pieces(text, pattern, remove_empty) for text in index.strings]
    return index.doubles(np.array(numbers, np.float64))


def _num_pieces(text: str, pattern: Expression, remove_empty: bool) -> int:
    pieces = pattern.split(text, deadline())
    return sum(1 for piece in pieces if piece and piece.strip()) if remove_empty else len(pieces)


@signal
def max_line_length(index: TextIndex) -> pa.DoubleArray:
    """Characters of the longest line (str.splitlines: U+2028 and others end lines too); null without lines."""
    lengths = index.measured("line_lengths", line_lengths)
    return index.doubles(np.where(lengths[:, _LINES] > 0, lengths[:, _LONGEST], np.nan))


@signal
def mean_line_length(index: TextIndex) -> pa.DoubleArray:
    """Mean characters of such lines; null without lines."""
    lengths = index.measured("line_lengths", line_lengths)
    return index.ratio(lengths[:, _LINE_CHARS], lengths[:, _LINES])


@signal
def alnum_char_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of characters that are letters or digits; null for an empty text. alphanumeric_char_ratio_filter."""
    return index.ratio(index.measured("line_lengths", line_lengths)[:, _LETTERS], index.counts[:, CHARS])


@edit(drops_empty=True)
def drop_long_lines(index: TextIndex, *, max_words: float) -> pa.StringArray:
    """Drop lines of more words (str.split); don't strip. DCLM's line_length_modifier with max_length."""
    lines = index.lines()
    return index.with_lines(lines, lines.num_words <= max_words, is_stripped=False)


@kernel
def line_lengths(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Ints:
    """Letters and digits, lines, characters of lines and of the longest line of each text."""
    rows = np.zeros((len(starts), 4), np.int64)
    for number in range(len(starts)):
        row = rows[number]
        length, is_open, previous = 0, False, 0
        place = starts[number]
        while place < ends[number]:
            code, width = decode(data, place, ends[number])
            row[_LETTERS] += integer(table.kinds[table.kind_block[code >> 8] + (code & 255)]) & ALNUM
            if code == 10 and previous == 13:  # the second half of CR LF
                pass
            elif _ends_line(code):
                _close(row, length)
                length, is_open = 0, False
            else:
                length, is_open = length + 1, True
            previous = code
            place += width
        if is_open:
            _close(row, length)
    return rows


@kernel
def _close(row: Ints, length: int) -> None:
    row[_LINES] += 1
    row[_LINE_CHARS] += length
    row[_LONGEST] = max(row[_LONGEST], length)


@kernel
def _ends_line(code: int) -> bool:
    """Characters on which str.splitlines splits."""
    return 10 <= code <= 13 or 0x1C <= code <= 0x1E or code == 0x85 or code == 0x2028 or code == 0x2029
