"""Lines of many texts as one table, and texts put together again from the lines that stay.

Lines end at U+000A only; a text without one is one line, so an empty text has one empty line.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Lines:
    """A table, and which of its texts are those of an index: `row` (-1: none), which began at `base`."""

    table: LineTable
    row: Ints
    base: Ints

    def take(self, rows: Ints) -> Lines:
        """Of the texts at `rows`."""
        return Lines(self.table, self.row[rows], self.base[rows])

    def without(self, is_changed: Mask) -> Lines:
        """Of texts of which some are not the same any more."""
        return Lines(self.table, np.where(is_changed, -1, self.row), self.base)

    def is_of(self, starts: Ints) -> bool:
        """Whether the table is that of the texts that begin at `starts`."""
        num_texts = len(self.table.first) - 1
        same = num_texts == len(starts) and np.array_equal(self.row, np.arange(num_texts))
        return same and np.array_equal(self.base, starts)


def line_table(data: Bytes, starts: Ints, ends: Ints, table: Characters, known: Lines | None = None) -> LineTable:
    """Measure every line of the texts data[starts[i]:ends[i]]; those of known texts are taken over."""
    if known is None:
        nothing = np.zeros(0, np.int64)
        known = Lines(LineTable(np.zeros(1, np.int64), *[nothing] * 6), np.full(len(starts), -1), nothing)
    first = _first_lines(data, starts, ends, known.row, known.table.first)
    rows = np.zeros((6, first[-1]), np.int64)
    fresh = np.flatnonzero(known.row < 0)
    _fill(data, starts, ends, table, first, fresh, rows)
    old = np.flatnonzero(known.row >= 0)
    if len(old):
        counts = first[old + 1] - first[old]
        into = _ranges(first[old], counts)
        rows[:, into] = np.stack(known.table[1:])[:, _ranges(known.table.first[known.row[old]], counts)]
        rows[:2, into] += np.repeat(starts[old] - known.base[old], counts)
    return LineTable(first, *rows)


def _ranges(firsts: Ints, counts: Ints) -> Ints:
    """The numbers firsts[i] to firsts[i] + counts[i], of all i, one after another."""
    before = np.cumsum(counts) - counts
    numbers: Ints = np.arange(counts.sum()) + np.repeat(firsts - before, counts)
    return numbers


@kernel
def _first_lines(data: Bytes, starts: Ints, ends: Ints, row: Ints, known: Ints) -> Ints:
    """Number of lines before each text, and in all; known[row[i]:] has those of the texts with a row."""
    first = np.zeros(len(starts) + 1, np.int64)
    for number in range(len(starts)):
        if row[number] >= 0:
            num_lines = known[row[number] + 1] - known[row[number]]
        else:
            num_lines = 1
            for place in range(starts[number], ends[number]):
                num_lines += data[place] == _LF
        first[number + 1] = first[number] + num_lines
    return first


@kernel
def _fill(data: Bytes, starts: Ints, ends: Ints, table: Characters, first: Ints, texts: Ints, rows: Ints) -> None:
    """Write the six columns of every line of these texts."""
    for number in texts:
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
def is_touched(
    data: Bytes, starts: Ints, ends: Ints, lines: LineTable, keep: Mask, is_stripped: bool, table: Characters
) -> Mask:
    """Whether a text loses a line, or white space at its begin or end."""
    touched = np.zeros(len(starts), np.bool_)
    for number in range(len(starts)):
        for line in range(lines.first[number], lines.first[number + 1]):
            if not keep[line]:
                touched[number] = True
                break
        if is_stripped and not touched[number]:
            first, last = strip(data, starts[number], ends[number], table)
            touched[number] = first != starts[number] or last != ends[number]
    return touched


@kernel
def join_lines(
    data: Bytes, lines: LineTable, texts: Ints, keep: Mask, is_stripped: bool, table: Characters
) -> tuple[Bytes, Ints]:
    """Bytes and offsets of these texts made of the kept lines, joined by U+000A, stripped if asked."""
    num_bytes = 0
    for number in texts:
        for line in range(lines.first[number], lines.first[number + 1]):
            num_bytes += lines.end[line] - lines.start[line] + 1
    out, offsets = np.empty(num_bytes, np.uint8), np.zeros(len(texts) + 1, np.int64)
    place = 0
    for nth, number in enumerate(texts):
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
        offsets[nth + 1] = place
    return out[:place], offsets


@kernel
def spliced(data: Bytes, starts: Ints, ends: Ints, rows: Ints, new: Bytes, new_offsets: Ints) -> tuple[Bytes, Ints]:
    """Bytes and offsets of the texts data[starts[i]:ends[i]], with new ones at `rows` (ascending)."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    nth = 0
    for number in range(len(starts)):
        size = ends[number] - starts[number]
        if nth < len(rows) and rows[nth] == number:
            size = new_offsets[nth + 1] - new_offsets[nth]
            nth += 1
        offsets[number + 1] = offsets[number] + size
    out = np.empty(offsets[-1], np.uint8)
    nth = 0
    for number in range(len(starts)):
        begin, stop = offsets[number], offsets[number + 1]
        if nth < len(rows) and rows[nth] == number:
            out[begin:stop] = new[new_offsets[nth] : new_offsets[nth + 1]]
            nth += 1
        else:
            out[begin:stop] = data[starts[number] : ends[number]]
    return out, offsets
