"""One pass over a text: every count that the simple quality rules divide.

Rules: Gopher (arXiv 2112.11446, appendix A) as DCLM's content filters count them. The kernel's plain-Python
twin is in tests/filters/test_counts.py.
"""

import numpy as np

from lakeloom.filters.characters import ALNUM, ALPHA, SPACE, Characters, kind_at
from lakeloom.filters.kernel import Bytes, Ints, integer, kernel

# Columns of a row of counts.
(
    CHARS,  # code points
    TOKENS,  # fastText tokens that begin with a letter or digit
    WORDS,  # pieces of str.split()
    WORD_CHARS,  # code points in them
    UNALPHABETIC_WORDS,  # of them, those without a letter
    STOP_WORDS,  # of them, those that are in _STOP_WORDS when lower-cased
    SYMBOLS,  # "#", "...", ". . ." and U+2026, each as str.count counts it
    LINES,  # lines that are not blank
    BULLET_LINES,  # of them, those that begin with a bullet after white space
    ELLIPSIS_LINES,  # of them, those that end in an ellipsis before white space
    BLANK_LINES,  # lines of white space only, without the empty ones
    STOP_WORD_BITS,  # one bit for each of the stop words that occurs
    NUM_COUNTS,
) = range(13)

# No other character is lower-cased to a letter of these words, so ASCII lower-casing is str.lower() here.
_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_STOP_CODES = np.array([int.from_bytes(word.encode(), "big") for word in _STOP_WORDS], np.int64)
# Where each code would stand among them: the codes differ modulo this number.
_STOP_PLACES = np.zeros(29, np.int64)
_STOP_PLACES[_STOP_CODES % len(_STOP_PLACES)] = np.arange(len(_STOP_CODES))
_LF, _SPACE, _HASH, _STAR, _DASH, _DOT = b"\n #*-."


@kernel
def count(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Ints:
    """Counts of the texts data[starts[i]:ends[i]], a row of NUM_COUNTS each."""
    rows = np.zeros((len(starts), NUM_COUNTS), np.int64)
    for number in range(len(starts)):
        _count_words(data, starts[number], ends[number], table, rows[number])
        _count_symbols(data, starts[number], ends[number], rows[number])
    return rows


@kernel
def _count_words(data: Bytes, start: int, end: int, table: Characters, row: Ints) -> None:
    """Characters, tokens, words and lines of one text."""
    # Counted in registers, and written once: a row in memory costs three times as much.
    chars, word_chars, tokens, words, unalphabetic = 0, 0, 0, 0, 0
    line, first, last, word = start, -1, start, -1  # begin of line, its outer non-spaces, begin of word
    in_token, kinds, code = False, 0, 0  # kinds of the word's characters, its first bytes in lower case
    place = start
    while place < end:
        byte = integer(data[place])
        kind, width = kind_at(data, place, end, table)
        chars += 1
        if not kind & SPACE:
            if word < 0:
                word, kinds, code = place, 0, 0
                first = place if first < 0 else first
            kinds |= kind
            code = (code & 0xFFFFFF) << 8 | byte | 32
            word_chars += 1
        elif word >= 0:
            last = place
            words += 1
            unalphabetic += not kinds & ALPHA
            if place - word <= 4:
                _count_stop_word(code, row)
            word = -1
        if _is_token_end(byte):
            in_token = False
        elif not in_token:
            in_token = True
            tokens += kind & ALNUM
        if byte == _LF:
            _close_line(data, line, place, first, last, row)
            line, first = place + 1, -1
        place += width
    if word >= 0:
        last = end
        words += 1
        unalphabetic += not kinds & ALPHA
        if end - word <= 4:
            _count_stop_word(code, row)
    _close_line(data, line, end, first, last, row)
    row[CHARS], row[TOKENS], row[WORDS] = chars, tokens, words
    row[WORD_CHARS], row[UNALPHABETIC_WORDS] = word_chars, unalphabetic


@kernel
def _is_token_end(byte: int) -> bool:
    """The seven bytes on which fastText splits: NUL, tab, LF, VT, FF, CR, space."""
    return byte == 32 or byte == 0 or 9 <= byte <= 13


@kernel
def _count_stop_word(code: int, row: Ints) -> None:
    """Count a word of at most four bytes: |32 makes letters of no other bytes than letters."""
    place = _STOP_PLACES[code % len(_STOP_PLACES)]
    if _STOP_CODES[place] == code:
        row[STOP_WORDS] += 1
        row[STOP_WORD_BITS] |= 1 << place


@kernel
def _close_line(data: Bytes, start: int, end: int, first: int, last: int, row: Ints) -> None:
    """Count the line data[start:end] whose non-spaces are data[first:last] (first < 0: it has none)."""
    if first < 0:
        row[BLANK_LINES] += end > start
        return
    row[LINES] += 1
    row[BULLET_LINES] += _is_bullet(data, first, last)
    dots = _is_dots(data, last - 3, first, last) or _is_spaced_dots(data, last - 5, first, last)
    row[ELLIPSIS_LINES] += dots or _is_ellipsis(data, last - 3, first, last)


@kernel
def _is_bullet(data: Bytes, place: int, end: int) -> bool:
    """Whether U+25CF, U+2022, * or - stands at `place`."""
    if data[place] == _STAR or data[place] == _DASH:
        return True
    if place + 3 > end or data[place] != 0xE2:
        return False
    disc = data[place + 1] == 0x97 and data[place + 2] == 0x8F
    return bool(disc or (data[place + 1] == 0x80 and data[place + 2] == 0xA2))


@kernel
def _is_dots(data: Bytes, place: int, start: int, end: int) -> bool:
    """Whether "..." stands at `place`."""
    if place < start or place + 3 > end:
        return False
    return bool(data[place] == _DOT and data[place + 1] == _DOT and data[place + 2] == _DOT)


@kernel
def _is_spaced_dots(data: Bytes, place: int, start: int, end: int) -> bool:
    """Whether ". . ." stands at `place`."""
    if place < start or place + 5 > end:
        return False
    dots = data[place] == _DOT and data[place + 2] == _DOT and data[place + 4] == _DOT
    return bool(dots and data[place + 1] == _SPACE and data[place + 3] == _SPACE)


@kernel
def _is_ellipsis(data: Bytes, place: int, start: int, end: int) -> bool:
    """Whether U+2026 stands at `place`."""
    if place < start or place + 3 > end:
        return False
    return bool(data[place] == 0xE2 and data[place + 1] == 0x80 and data[place + 2] == 0xA6)


@kernel
def _count_symbols(data: Bytes, start: int, end: int, row: Ints) -> None:
    """Hashes and ellipses of one text; occurrences of one kind don't overlap, those of two kinds may."""
    after_dots, after_spaced = start, start
    for place in range(start, end):
        byte = data[place]
        if byte == _HASH:
            row[SYMBOLS] += 1
        elif byte == _DOT:
            if place >= after_dots and _is_dots(data, place, start, end):
                row[SYMBOLS] += 1
                after_dots = place + 3
            if place >= after_spaced and _is_spaced_dots(data, place, start, end):
                row[SYMBOLS] += 1
                after_spaced = place + 5
        elif byte == 0xE2:
            row[SYMBOLS] += _is_ellipsis(data, place, start, end)
