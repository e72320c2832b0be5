"""What kind of character a code point is, as tables that kernels can read, and UTF-8 walked in place.

Kinds are those of Python's str methods, so of the running Python's Unicode. Word_Break and
Extended_Pictographic are those of uniseg (Unicode 16), by which DCLM splits words.
"""

from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from uniseg import db, db_lookups

from lakeloom.filters.kernel import Bytes, Ints, integer, kernel

ALNUM, ALPHA, DIGIT, SPACE, UPPER = 1, 2, 4, 8, 16
_METHODS = {
    ALNUM: str.isalnum,
    ALPHA: str.isalpha,
    DIGIT: str.isdigit,
    SPACE: str.isspace,
    UPPER: str.isupper,
}

_ASCII_KINDS = np.array([sum(bit for bit, is_kind in _METHODS.items() if is_kind(chr(code))) for code in range(128)])

# Word_Break values by number; the order lets a kernel test classes by comparison.
WORD_BREAKS = (
    *("Other", "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Regional_Indicator", "Katakana"),
    *("Hebrew_Letter", "ALetter", "Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum"),
    *("Numeric", "ExtendNumLet", "WSegSpace"),
)
WORD_BREAK, PICTOGRAPH, WORD_START = 31, 32, 64  # bits of `breaks`: class, Extended_Pictographic, isalnum

_NUM_CODE_POINTS, _BLOCK = 0x110000, 256


class Characters(NamedTuple):
    """Two-stage tables: row[block[code >> 8]][code & 255], for kinds and for word breaks."""

    kind_block: Ints
    kinds: Bytes
    break_block: Ints
    breaks: Bytes


@cache
def characters() -> Characters:
    """The tables, made once a process (about 0.1 s)."""
    kinds = _kinds()
    breaks = _breaks() | np.where(kinds & ALNUM, WORD_START, 0).astype(np.uint8)
    return Characters(*_two_stage(kinds), *_two_stage(breaks))


def _kinds() -> Bytes:
    """Kind bits of every code point; planes 4 to 13, 15 and 16 have no characters that are anything."""
    codes = list(chain(range(0x40000), range(0xE0000, 0xE1000)))
    letters = [chr(code) for code in codes]
    kinds = np.zeros(_NUM_CODE_POINTS, np.uint8)
    for bit, method in _METHODS.items():
        kinds[codes] |= np.fromiter(map(method, letters), np.bool_, len(letters)).astype(np.uint8) * np.uint8(bit)
    return kinds


def _breaks() -> Bytes:
    """Word_Break number and pictograph bit of every code point, from uniseg's own two-stage table."""
    word_break, pictograph = db.get_handle("Word_Break"), db.get_handle("Extended_Pictographic")
    rows = [
        WORD_BREAKS.index(row[word_break] or "Other") | (PICTOGRAPH if row[pictograph] else 0)
        for row in db_lookups.values
    ]
    codes, shift = np.arange(_NUM_CODE_POINTS), db_lookups.shift
    places = np.array(list(db_lookups.index1))[codes >> shift]
    values = np.array(list(db_lookups.index2))[(places << shift) + (codes & ((1 << shift) - 1))]
    flat: Bytes = np.array(rows, np.uint8)[values]
    return flat


def _two_stage(flat: Bytes) -> tuple[Ints, Bytes]:
    """Offsets of each 256-block and the distinct blocks, one after another."""
    blocks: dict[bytes, int] = {}
    places = [blocks.setdefault(block.tobytes(), len(blocks)) for block in flat.reshape(-1, _BLOCK)]
    return np.array(places, np.int64) * _BLOCK, np.frombuffer(b"".join(blocks), np.uint8)


@kernel
def decode(data: Bytes, place: int, end: int) -> tuple[int, int]:
    """Code point at `place` and its bytes; a cut sequence gives U+FFFD and one byte."""
    first = integer(data[place])
    if first < 0x80:
        return first, 1
    second = integer(data[place + 1]) & 0x3F if place + 1 < end else 0
    if first < 0xE0 and place + 1 < end:
        return (first & 0x1F) << 6 | second, 2
    third = integer(data[place + 2]) & 0x3F if place + 2 < end else 0
    if first < 0xF0 and place + 2 < end:
        return (first & 0x0F) << 12 | second << 6 | third, 3
    if place + 3 < end:
        code = (first & 0x07) << 18 | second << 12 | third << 6 | integer(data[place + 3]) & 0x3F
        return code if code < _NUM_CODE_POINTS else 0xFFFD, 4  # beyond it the tables end, and bytes may be no UTF-8
    return 0xFFFD, 1


@kernel
def kind_at(data: Bytes, place: int, end: int, table: Characters) -> tuple[int, int]:
    """Kind bits of the character at `place`, and its bytes."""
    if data[place] < 0x80:
        return _ASCII_KINDS[data[place]], 1
    code, width = decode(data, place, end)
    return integer(table.kinds[table.kind_block[code >> 8] + (code & 255)]), width


@kernel
def strip(data: Bytes, start: int, end: int, table: Characters) -> tuple[int, int]:
    """`start` and `end` moved inwards past white space, as str.strip() does."""
    while start < end:
        kind, width = kind_at(data, start, end, table)
        if not kind & 8:
            break
        start += width
    while start < end:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:
            last -= 1
        kind, _ = kind_at(data, last, end, table)
        if not kind & 8:
            break
        end = last
    return start, end


@kernel
def strip_all(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Ints:
    """Starts and ends (two rows) of the texts without the white space around them."""
    bounds = np.empty((2, len(starts)), np.int64)
    for number in range(len(starts)):
        bounds[0, number], bounds[1, number] = strip(data, starts[number], ends[number], table)
    return bounds
