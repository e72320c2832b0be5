"""Lines of many texts as one table, and texts put together again from the lines that stay.

Lines end at U+000A only; a text without one is one line, so an empty text has one empty line.
"""

from typing import NamedTuple

import numpy as np

from lakeloom.filters.characters import DIGIT, SPACE, UPPER, Characters, kind_at, strip
from lakeloom.filters.kernel import Bytes, Ints, Mask, kernel

_LF = 10


class LineTable(NamedTuple):
    """Lines of all texts in order, data[start:end], with counts; text i has first[i]:first[i+1]."""

    first: Ints
    start: Ints
    end: Ints
    num_chars: Ints
    num_upper: Ints  # str.isupper characters
    num_digits: Ints  # str.isdigit characters
    num_words: Ints  # pieces of str.split()


def line_table(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> LineTable:
    """Measure every line of the texts data[starts[i]:ends[i]]."""
    first = _first_lines(data, starts, ends)
    rows = np.zeros((6, first[-1]), np.int64)
    _fill(data, starts, ends, table, first, rows)
    return LineTable(first, *rows)


@kernel
def _first_lines(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """Number of lines before each text, and in all."""
    first = np.zeros(len(starts) + 1, np.int64)
    for number in range(len(starts)):
        num_lines = 1
        for place in range(starts[number], ends[number]):
            num_lines += data[place] == _LF
        first[number + 1] = first[number] + num_lines
    return first


@kernel
def _fill(data: Bytes, starts: Ints, ends: Ints, table: Characters, first: Ints, rows: Ints) -> None:
    """Write the six columns of every line."""
    for number in range(len(starts)):
        begin = starts[number]
        for line in range(first[number], first[number + 1]):
            stop = begin
            while stop < ends[number] and data[stop] != _LF:
                stop += 1
            rows[0, line], rows[1, line] = begin, stop
            _fill_line(data, begin, stop, table, rows[2:, line])
            begin = stop + 1


@kernel
def _fill_line(data: Bytes, start: int, end: int, table: Characters, row: Ints) -> None:
    """Characters, upper-case ones, digits and words of one line."""
    chars, upper, digits, words, in_word = 0, 0, 0, 0, False
    place = start
    while place < end:
        kind, width = kind_at(data, place, end, table)
        is_space = kind & SPACE != 0
        chars += 1
        upper += kind & UPPER != 0
        digits += kind & DIGIT != 0
        words += not is_space and not in_word
        in_word = not is_space
        place += width
    row[0], row[1], row[2], row[3] = chars, upper, digits, words


@kernel
def join_lines(data: Bytes, lines: LineTable, keep: Mask, is_stripped: bool, table: Characters) -> tuple[Bytes, Ints]:
    """Bytes and offsets of the texts made of the kept lines, joined by U+000A, stripped if asked."""
    num_bytes = len(keep)
    for line in range(len(keep)):
        num_bytes += lines.end[line] - lines.start[line]
    out, offsets = np.empty(num_bytes, np.uint8), np.zeros(len(lines.first), np.int64)
    place = 0
    for number in range(len(lines.first) - 1):
        begin = place
        for line in range(lines.first[number], lines.first[number + 1]):
            if keep[line]:
                length = lines.end[line] - lines.start[line]
                out[place : place + length] = data[lines.start[line] : lines.end[line]]
                out[place + length] = _LF
                place += length + 1
        place = max(begin, place - 1)  # no newline after the last line
        if is_stripped:
            first, last = strip(out, begin, place, table)
            out[begin : begin + last - first] = out[first:last].copy()
            place = begin + last - first
        offsets[number + 1] = place
    return out[:place], offsets
