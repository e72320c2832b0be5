"""Which texts of a batch a rule can apply to at all, found in their bytes: the others need no Python string.

Each kernel here may say yes to a text that its rule then leaves alone; it never says no to one that the rule changes.
"""

from collections.abc import Iterable

import numpy as np

from lakeloom.filters.kernel import Bytes, Hashes, Ints, Mask, integer, kernel
from lakeloom.filters.ngrams import segment_hash

_DOT = ord(".")
# Characters that stand before the dot of a name in links.py's rule.
_NAME = np.isin(np.arange(256), np.frombuffer(b"-@:%._+~#=0123456789", np.uint8))
_NAME[[*range(65, 91), *range(97, 123)]] = True
_BY_FREQUENCY = b"zqxjkvbpygfwmucldrhsnioate "  # in English, rarest first; signs are rarer still
# Capitals with small letters that str.lower() makes of them, or re without case takes for them: i, s, k.
ODD_CASE = ("\u0130", "\u0131", "\u017f", "\u212a")


def hashes(words: Iterable[str]) -> Hashes:
    """Sorted FNV-1a hashes (64 bits) of ASCII words, for `has_name`."""
    encoded = [np.frombuffer(word.encode(), np.uint8) for word in words]
    return np.unique(np.array([segment_hash(word, 0, len(word))[0] for word in encoded], np.uint64))


@kernel
def has_name(data: Bytes, starts: Ints, ends: Ints, domains: Hashes) -> Mask:
    """Whether a text has a dot between a name's character and one of these top-level domains, or one not of ASCII."""
    found = np.zeros(len(starts), np.bool_)
    for number in range(len(starts)):
        for place in range(starts[number] + 1, ends[number] - 1):
            if data[place] == _DOT and _NAME[data[place - 1]] and _ends_name(data, place + 1, ends[number], domains):
                found[number] = True
                break
    return found


@kernel
def _ends_name(data: Bytes, place: int, end: int, domains: Hashes) -> bool:
    """Whether the letters, digits and _ at `place` are a domain, or something other than ASCII ends them."""
    begin = place
    while place < end and _is_word(data[place]):
        place += 1
    if place < end and data[place] >= 0x80:
        return True
    value, _ = segment_hash(data, begin, place)
    nearest = np.searchsorted(domains, value)
    return bool(nearest < len(domains) and domains[nearest] == value)


@kernel
def _is_word(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or 48 <= byte <= 57 or byte == 95


@kernel
def has_address(data: Bytes, starts: Ints, ends: Ints) -> Mask:
    """Whether a text has three dots with one to three digits between, and digits around: 10.0.0.1."""
    found = np.zeros(len(starts), np.bool_)
    for number in range(len(starts)):
        end = ends[number]
        for place in range(starts[number] + 1, end):
            if data[place] == _DOT and _is_digit(data, place - 1, end) and _has_groups(data, place, end):
                found[number] = True
                break
    return found


@kernel
def _has_groups(data: Bytes, place: int, end: int) -> bool:
    """Whether a dot, digits, a dot, digits, a dot and a digit stand at `place`."""
    for _ in range(2):
        digits = 0
        while _is_digit(data, place + 1 + digits, end):
            digits += 1
        place += 1 + digits
        if not (1 <= digits <= 3 and place < end and data[place] == _DOT):
            return False
    return _is_digit(data, place + 1, end)


@kernel
def _is_digit(data: Bytes, place: int, end: int) -> bool:
    return bool(place < end and 48 <= data[place] <= 57)


def anchor(literal: bytes) -> int:
    """Place of the literal's rarest character, by which to look for it."""
    return min(range(len(literal)), key=lambda place: _BY_FREQUENCY.find(literal[place]))


@kernel
def has_literal(data: Bytes, starts: Ints, ends: Ints, literal: Bytes, anchor: int) -> Mask:
    """Whether a text has the small ASCII letters (and other signs), in any case, or a character of ODD_CASE."""
    found = np.zeros(len(starts), np.bool_)
    calls = np.zeros(256, np.bool_)  # for a closer look
    calls[literal[anchor]] = calls[0xC4] = calls[0xC5] = calls[0xE2] = True
    if 97 <= literal[anchor] <= 122:
        calls[literal[anchor] - 32] = True
    for number in range(len(starts)):
        start, end = starts[number], ends[number]
        for place in range(start, end):
            if calls[data[place]] and (
                _is_odd(data, place, end) or _is_literal(data, place - anchor, start, end, literal)
            ):
                found[number] = True
                break
    return found


@kernel
def _is_literal(data: Bytes, place: int, start: int, end: int, literal: Bytes) -> bool:
    """Whether the literal stands at `place`, in any case."""
    if place < start or place + len(literal) > end:
        return False
    same = 0
    while same < len(literal) and _lower(data[place + same]) == literal[same]:
        same += 1
    return same == len(literal)


@kernel
def _lower(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else integer(byte)


@kernel
def _is_odd(data: Bytes, place: int, end: int) -> bool:
    """Whether a character of ODD_CASE stands at `place`."""
    if place + 1 >= end:
        return False
    first, second = data[place], data[place + 1]
    if first == 0xC4:
        return bool(second == 0xB0 or second == 0xB1)
    if first == 0xC5:
        return bool(second == 0xBF)
    return bool(first == 0xE2 and second == 0x84 and place + 2 < end and data[place + 2] == 0xAA)


@kernel
def counter_lines(data: Bytes, starts: Ints, ends: Ints) -> Mask:
    """Whether a line's first letter, digit or _ may be a digit, and its last an s, as in "3 likes"."""
    found = np.zeros(len(starts), np.bool_)
    for number in range(len(starts)):
        first, last = starts[number], ends[number] - 1
        while first <= last and data[first] < 0x80 and not _is_word(data[first]):
            first += 1
        if first > last or not (data[first] >= 0x80 or 48 <= data[first] <= 57):
            continue
        while data[last] < 0x80 and not _is_word(data[last]):
            last -= 1
        found[number] = data[last] >= 0x80 or data[last] | 32 == 115
    return found
