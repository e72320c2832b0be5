"""FineWeb's own three signals of badly extracted pages (arXiv 2406.17557, section 3.6), as datatrove measures them.

Lines end at U+000A; blank ones don't count. What a line ends in is its last character: blanks are not stripped.
"""

from functools import cache, partial

import numpy as np
import pyarrow as pa
from uniseg.sentencebreak import SentenceBreak, sentence_break

from lakeloom.filters.characters import Characters, decode, strip
from lakeloom.filters.kernel import Bytes, Hashes, Ints, kernel
from lakeloom.filters.ngrams import segment_hash, slot, table_bits
from lakeloom.filters.parameters import Positive
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

# Columns of a row of line counts.
_LINES, _FINISHED, _SHORT, _CHARS, _COPIED = range(5)
_LF = 10
_SHORT_LINE = 30  # characters


@signal
def finished_line_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of lines that end in a sentence's terminal (. ! ? and those of other scripts); null without lines."""
    counts = _counts(index, _SHORT_LINE)
    return index.ratio(counts[:, _FINISHED], counts[:, _LINES])


@signal
def short_line_ratio(index: TextIndex, *, max_chars: Positive = _SHORT_LINE) -> pa.DoubleArray:
    """Share of lines of at most `max_chars` characters; null without lines."""
    counts = _counts(index, max_chars)
    return index.ratio(counts[:, _SHORT], counts[:, _LINES])


@signal
def copied_line_char_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of the text's characters (newlines left out) in second and later copies of a line; null without any."""
    counts = _counts(index, _SHORT_LINE)
    return index.ratio(counts[:, _COPIED], counts[:, _CHARS])


def _counts(index: TextIndex, max_chars: int) -> Ints:
    measure = partial(line_counts, terminals=terminals(), max_chars=max_chars)
    return index.measured(f"lines up to {max_chars}", measure).astype(np.int64, copy=False)


@cache
def terminals() -> Ints:
    """Code points of which Sentence_Break is ATerm or STerm, in order; planes 2 and up have none."""
    ends = {SentenceBreak.ATERM, SentenceBreak.STERM}
    return np.array([code for code in range(0x20000) if sentence_break(chr(code)) in ends], np.int64)


@kernel
def line_counts(data: Bytes, starts: Ints, ends: Ints, table: Characters, terminals: Ints, max_chars: int) -> Ints:
    """Lines, those that end in a terminal, short ones; characters, and those of copied lines, of each text."""
    rows = np.zeros((len(starts), 5), np.int64)
    for number in range(len(starts)):
        start, end = starts[number], ends[number]
        num_lines = 1
        for place in range(start, end):
            num_lines += data[place] == _LF
        bits = table_bits(num_lines)
        keys, copies = np.empty(1 << bits, np.uint64), np.zeros(1 << bits, np.int64)
        begin = start
        while begin <= end:
            stop = begin
            while stop < end and data[stop] != _LF:
                stop += 1
            _count_line(data, begin, stop, table, terminals, max_chars, keys, copies, bits, rows[number])
            begin = stop + 1
    return rows


@kernel
def _count_line(
    data: Bytes,
    start: int,
    end: int,
    table: Characters,
    terminals: Ints,
    max_chars: int,
    keys: Hashes,
    copies: Ints,
    bits: int,
    row: Ints,
) -> None:
    value, num_chars = segment_hash(data, start, end)
    row[_CHARS] += num_chars
    first, last = strip(data, start, end, table)
    if first == last:
        return
    row[_LINES] += 1
    row[_SHORT] += num_chars <= max_chars
    if copies[slot(value, keys, copies, bits)] > 1:
        row[_COPIED] += num_chars
    place = end - 1
    while place > start and data[place] & 0xC0 == 0x80:
        place -= 1
    code, _ = decode(data, place, end)
    nearest = np.searchsorted(terminals, code)
    row[_FINISHED] += nearest < len(terminals) and terminals[nearest] == code
