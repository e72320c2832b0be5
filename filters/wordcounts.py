"""How many words a text has, for each way of DCLM's to split and to choose them; and how long the longest is.

fasttext: tokens between NUL, tab, LF, VT, FF, CR and space, and a token "</s>" for every LF. split: str.split().
uniseg: all segments of UAX #29, blanks and punctuation too. Plain-Python twin: tests/filters/test_wordcounts.py.
"""

from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa

from lakeloom.filters.characters import ALNUM, SPACE, WORD_BREAK, Characters, characters, decode
from lakeloom.filters.kernel import Bytes, Ints, integer, kernel
from lakeloom.filters.linetable import LineTable
from lakeloom.filters.steps import edit, signal
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.words import ASK, QUICK_PAIRS, REGION, is_ignored, joins_segment

Model = Literal["fasttext", "uniseg", "split"]
_MODELS: tuple[Model, ...] = ("fasttext", "uniseg", "split")
_FASTTEXT, _UNISEG = 0, 1

# Which words a column is of: those that begin with a letter or digit; those or blanks; those not blank; all.
_ALNUM_FIRST, _ALNUM_OR_SPACE_FIRST, _NOT_BLANK, _ALL = range(4)
_END_OF_LINE = 4  # characters of "</s>"
_LF = 10


@signal
def num_words(
    index: TextIndex, *, model: Model, ignore_punctuation: bool = False, ignore_whitespace: bool = True
) -> pa.DoubleArray:
    """Words as DCLM's split_words gives them; without punctuation, its first character decides.

    fasttext with punctuation counts a token at every U+000A too.
    """
    counts = index.measured(f"words {model}", partial(_measure, model=model))
    return index.doubles(counts[:, column(ignore_punctuation, ignore_whitespace)].astype(float))


@edit(drops_empty=True)
def drop_long_word_lines(
    index: TextIndex,
    *,
    max_length: float,
    model: Model = "fasttext",
    ignore_punctuation: bool = False,
    ignore_whitespace: bool = True,
) -> pa.StringArray:
    """Drop lines with a word of more characters; don't strip. DCLM's word_length_modifier, C4's rule."""
    lines: LineTable = index.lines()
    longest = count_words(index.data, lines.start, lines.end, characters(), _MODELS.index(model))
    is_short = longest[:, 4 + column(ignore_punctuation, ignore_whitespace)] <= max_length
    return index.with_lines(lines, is_short, is_stripped=False)


def column(ignore_punctuation: bool, ignore_whitespace: bool) -> int:
    """Which of the first four columns of `count_words` counts the words that are not ignored."""
    if ignore_punctuation:
        return _ALNUM_FIRST if ignore_whitespace else _ALNUM_OR_SPACE_FIRST
    return _NOT_BLANK if ignore_whitespace else _ALL


def _measure(data: Bytes, starts: Ints, ends: Ints, table: Characters, *, model: Model) -> Ints:
    return count_words(data, starts, ends, table, _MODELS.index(model))


@kernel
def count_words(data: Bytes, starts: Ints, ends: Ints, table: Characters, model: int) -> Ints:
    """For each text four counts, then the characters of the longest word of each of the four."""
    rows = np.zeros((len(starts), 8), np.int64)
    for number in range(len(starts)):
        if model == _UNISEG:
            _count_segments(data, starts[number], ends[number], table, rows[number])
        else:
            _count_tokens(data, starts[number], ends[number], table, model == _FASTTEXT, rows[number])
    return rows


@kernel
def _count_tokens(data: Bytes, start: int, end: int, table: Characters, is_fasttext: bool, row: Ints) -> None:
    """Words between separators."""
    num_chars, first, is_blank = 0, 0, True
    place = start
    while place < end:
        code, width = decode(data, place, end)
        kind = integer(table.kinds[table.kind_block[code >> 8] + (code & 255)])
        is_separator = code == 32 or code == 0 or 9 <= code <= 13 if is_fasttext else kind & SPACE != 0
        if not is_separator:
            first = first if num_chars else kind
            is_blank = is_blank and kind & SPACE != 0
            num_chars += 1
        elif num_chars:
            _close(num_chars, first, is_blank, row)
            num_chars, is_blank = 0, True
        if is_fasttext and code == _LF:
            _close(_END_OF_LINE, 0, False, row)
        place += width
    if num_chars:
        _close(num_chars, first, is_blank, row)


@kernel
def _count_segments(data: Bytes, start: int, end: int, table: Characters, row: Ints) -> None:
    """Segments between word boundaries; the walk is that of words.split_words."""
    num_chars, first, is_blank = 0, 0, True
    raw, old, older, num_regions = -1, -1, -1, 0
    place = start
    while place < end:
        code, width = decode(data, place, end)
        entry = integer(table.breaks[table.break_block[code >> 8] + (code & 255)])
        kind = entry & WORD_BREAK
        joins = QUICK_PAIRS[old, kind] if raw == old and raw >= 0 else ASK
        if joins == ASK:
            joins = joins_segment(data, place + width, end, table, raw, old, older, num_regions, entry)
        if not joins and num_chars:
            _close(num_chars, first, is_blank, row)
            num_chars, is_blank = 0, True
        bits = integer(table.kinds[table.kind_block[code >> 8] + (code & 255)])
        first = first if num_chars else bits
        is_blank = is_blank and bits & SPACE != 0
        num_chars += 1
        raw = kind
        if not is_ignored(kind):
            num_regions = num_regions + 1 if kind == REGION else 0
            older, old = old, kind
        place += width
    if num_chars:
        _close(num_chars, first, is_blank, row)


@kernel
def _close(num_chars: int, first: int, is_blank: bool, row: Ints) -> None:
    """Count one word whose first character is of the kinds `first`."""
    is_alnum, is_space = first & ALNUM != 0, first & SPACE != 0
    for place in range(4):
        counts = (
            is_alnum if place == 0 else is_alnum or is_space if place == 1 else not is_blank if place == 2 else True
        )
        if counts:
            row[place] += 1
            row[4 + place] = max(row[4 + place], num_chars)
