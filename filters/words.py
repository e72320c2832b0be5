"""Words by Unicode's default rules (UAX #29, Unicode 16), the words DCLM counts repetition in.

A word here is a segment whose first character is a letter or digit; blanks and punctuation are left out.
Gives hashes and lengths, never strings. tests/filters/test_words.py compares with uniseg on arbitrary text.
"""

import numpy as np

from lakeloom.filters.characters import PICTOGRAPH, WORD_BREAK, WORD_START, Characters, decode
from lakeloom.filters.kernel import Bytes, Hashes, Ints, integer, kernel

# The numbers of characters.WORD_BREAKS.
_CR, _LF, _NEWLINE, _EXTEND, _ZWJ, _FORMAT, REGION, _KATAKANA, _HEBREW, _LETTER = range(1, 11)
_SINGLE_QUOTE, _DOUBLE_QUOTE, _MID_NUM_LET, _MID_LETTER, _MID_NUM, _NUMERIC, _CONNECTOR, _BLANK = range(11, 19)
_NUM_CLASSES = 19

FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_BREAK, _JOIN, ASK = 0, 1, 2


def _pairs() -> Bytes:
    """Whether two adjacent classes stay together by themselves: WB5, WB8 to WB10, WB13 to WB13b."""
    joins = np.zeros((_NUM_CLASSES, _NUM_CLASSES), np.uint8)
    letters = [_LETTER, _HEBREW, _NUMERIC]
    joins[np.ix_(letters, letters)] = _JOIN
    joins[_KATAKANA, _KATAKANA] = _JOIN
    joins[[*letters, _KATAKANA, _CONNECTOR], _CONNECTOR] = _JOIN
    joins[_CONNECTOR, [*letters, _KATAKANA]] = _JOIN
    return joins


def _quick_pairs() -> Bytes:
    """The same with WB3 and WB3d, and ASK for the classes whose rules look further."""
    joins = _pairs()
    joins[_CR, _LF] = joins[_BLANK, _BLANK] = _JOIN
    rare = [_EXTEND, _ZWJ, _FORMAT, REGION, _HEBREW, *range(_SINGLE_QUOTE, _MID_NUM + 1)]
    joins[rare, :] = joins[:, rare] = ASK
    return joins


_PAIRS = _pairs()
QUICK_PAIRS = _quick_pairs()


@kernel
def split_words(data: Bytes, start: int, end: int, table: Characters, hashes: Hashes, offsets: Ints) -> int:
    """Words of data[start:end]: hashes, and the characters before each (one more); returns their number.

    Both buffers need room for a word a byte, and one.
    """
    num_words, num_chars, is_word, word_hash = 0, 0, False, FNV_OFFSET
    raw, old, older, num_regions = (
        -1,
        -1,
        -1,
        0,
    )  # class just before; without ignored ones; the one before that
    place = start
    offsets[0] = 0
    while place < end:
        code, width = decode(data, place, end)
        entry = integer(table.breaks[table.break_block[code >> 8] + (code & 255)])
        kind = entry & WORD_BREAK
        joins = QUICK_PAIRS[old, kind] if raw == old and raw >= 0 else ASK
        if joins == ASK:
            joins = joins_segment(data, place + width, end, table, raw, old, older, num_regions, entry)
        if not joins:
            if is_word:
                hashes[num_words] = word_hash
                num_words += 1
                offsets[num_words] = num_chars
            is_word, word_hash = entry & WORD_START != 0, FNV_OFFSET
        if is_word:
            num_chars += 1
            for near in range(place, place + width):
                word_hash = (word_hash ^ np.uint64(data[near])) * FNV_PRIME
        raw = kind
        if not is_ignored(kind):
            num_regions = num_regions + 1 if kind == REGION else 0
            older, old = old, kind
        place += width
    if is_word:
        hashes[num_words] = word_hash
        num_words += 1
        offsets[num_words] = num_chars
    return num_words


@kernel
def joins_segment(
    data: Bytes,
    after: int,
    end: int,
    table: Characters,
    raw: int,
    old: int,
    older: int,
    regions: int,
    entry: int,
) -> int:
    """Whether the character of `entry`, ending at `after`, continues the segment: all rules in order."""
    kind = entry & WORD_BREAK
    if raw < 0 or _is_newline(raw) or _is_newline(kind):  # WB1, WB3 to WB3b
        return raw == _CR and kind == _LF
    if raw == _ZWJ and entry & PICTOGRAPH:  # WB3c
        return _JOIN
    if (raw == _BLANK and kind == _BLANK) or is_ignored(kind):  # WB3d, WB4
        return _JOIN
    if old >= 0 and _PAIRS[old, kind]:
        return _JOIN
    if old == REGION and kind == REGION:  # WB15, WB16
        return regions & 1
    following = -1
    if _SINGLE_QUOTE <= kind <= _MID_NUM:
        following = _next_kind(data, after, end, table)
    return _joins_middle(older, old, kind, following)


@kernel
def _joins_middle(older: int, old: int, kind: int, following: int) -> bool:
    """WB6, WB7, WB7a to WB7c, WB11, WB12: marks inside words and numbers."""
    either = kind in (_MID_NUM_LET, _SINGLE_QUOTE)
    was_either = old in (_MID_NUM_LET, _SINGLE_QUOTE)
    if _is_letter(old) and (either or kind == _MID_LETTER) and _is_letter(following):
        return True
    if _is_letter(older) and (was_either or old == _MID_LETTER) and _is_letter(kind):
        return True
    if old == _HEBREW and (kind == _SINGLE_QUOTE or (kind == _DOUBLE_QUOTE and following == _HEBREW)):
        return True
    if older == _HEBREW and old == _DOUBLE_QUOTE and kind == _HEBREW:
        return True
    if older == _NUMERIC and (was_either or old == _MID_NUM) and kind == _NUMERIC:
        return True
    return old == _NUMERIC and (either or kind == _MID_NUM) and following == _NUMERIC


@kernel
def _next_kind(data: Bytes, place: int, end: int, table: Characters) -> int:
    """Word_Break of the next character that is not ignored, or -1."""
    while place < end:
        code, width = decode(data, place, end)
        kind = integer(table.breaks[table.break_block[code >> 8] + (code & 255)]) & WORD_BREAK
        if not is_ignored(kind):
            return kind
        place += width
    return -1


@kernel
def _is_letter(kind: int) -> bool:
    """ALetter and Hebrew_Letter."""
    return kind in (_LETTER, _HEBREW)


@kernel
def is_ignored(kind: int) -> bool:
    """Extend, ZWJ and Format belong to the character before them (WB4)."""
    return _EXTEND <= kind <= _FORMAT


@kernel
def _is_newline(kind: int) -> bool:
    """CR, LF and Newline end a segment on both sides."""
    return _CR <= kind <= _NEWLINE
