"""Tokens as DCLM's BFF counts them, and hashes of runs of tokens, for filters and sets of n-grams.

A token is a segment of UAX #29 (Unicode 16) that is not white space alone: punctuation too, case kept. DCLM's bff
(dedup/bff/src/main.rs), tokenize. tests/filters/test_tokens.py compares with uniseg on arbitrary text.
"""

from typing import NamedTuple

import numpy as np

from lakeloom.filters.characters import SPACE, WORD_BREAK, WORD_BREAKS, Characters, decode
from lakeloom.filters.kernel import Bytes, Hashes, Ints, integer, kernel
from lakeloom.filters.mixing import MIX2
from lakeloom.filters.words import ASK, FNV_OFFSET, FNV_PRIME, QUICK_PAIRS, REGION, is_ignored, joins_segment

_LETTER = WORD_BREAKS.index("ALetter")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # of runs: odd, so that no token's bits are shifted out


class Tokens(NamedTuple):
    """Room for the tokens of the longest of some texts: data[starts[i]:ends[i]], and a hash of each."""

    starts: Ints
    ends: Ints
    hashes: Hashes


@kernel
def room(starts: Ints, ends: Ints) -> Tokens:
    """Buffers for any one of the texts data[starts[i]:ends[i]]; a token has a byte at least."""
    longest = 0
    for number in range(len(starts)):
        longest = max(longest, ends[number] - starts[number])
    return Tokens(np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.uint64))


@kernel
def num_tokens(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Ints:
    """Tokens of each of the texts data[starts[i]:ends[i]]."""
    places, found = room(starts, ends), np.zeros(len(starts), np.int64)
    for row in range(len(starts)):
        found[row] = split_tokens(data, starts[row], ends[row], table, places.starts, places.ends)
    return found


@kernel
def split_tokens(data: Bytes, start: int, end: int, table: Characters, starts: Ints, ends: Ints) -> int:
    """Where the tokens of data[start:end] begin and end; their number. The walk is that of words.split_words."""
    count, begin, is_blank = 0, start, True
    raw, old, older, num_regions = -1, -1, -1, 0
    place = start
    while place < end:
        code, width = decode(data, place, end)
        entry = integer(table.breaks[table.break_block[code >> 8] + (code & 255)])
        kind = entry & WORD_BREAK
        joins = QUICK_PAIRS[old, kind] if raw == old and raw >= 0 else ASK
        if joins == ASK:
            joins = joins_segment(data, place + width, end, table, raw, old, older, num_regions, entry)
        if not joins:
            if not is_blank:
                starts[count], ends[count] = begin, place
                count += 1
            begin, is_blank = place, True
        is_blank = is_blank and is_white_space(code, table)
        raw = kind
        if not is_ignored(kind):
            num_regions = num_regions + 1 if kind == REGION else 0
            older, old = old, kind
        place += width
        if kind == _LETTER:  # most of a text is ASCII letters after letters, which need no tables
            while place < end and 97 <= data[place] | 32 <= 122:
                place += 1
    if not is_blank:
        starts[count], ends[count] = begin, end
        count += 1
    return count


@kernel
def is_white_space(code: int, table: Characters) -> bool:
    """Unicode's White_Space, which is str.isspace but for the four separators of ASCII."""
    kind = integer(table.kinds[table.kind_block[code >> 8] + (code & 255)])
    return kind & SPACE != 0 and not 0x1C <= code <= 0x1F


@kernel
def hash_bytes(data: Bytes, start: int, end: int) -> np.uint64:
    """FNV-1a of data[start:end]."""
    value = FNV_OFFSET
    for place in range(start, end):
        value = (value ^ np.uint64(data[place])) * FNV_PRIME
    return value


@kernel
def hash_bytes_anew(data: Bytes, start: int, end: int) -> np.uint64:
    """Another hash of the same bytes: both together have 128 bits."""
    value = np.uint64(end - start)
    for place in range(start, end):
        value = (value + np.uint64(data[place])) * MIX2
        value ^= value >> np.uint64(32)
    return value


@kernel
def hash_runs(hashes: Hashes, first: int, last: int, length: int) -> int:
    """Put the hash of `length` tokens in the place of that of their first, from `first` to `last`; how many.

    The tokens' own hashes are in it, so ("ab", "c") is not ("a", "bc").
    """
    if last - first < length:
        return 0
    state, power = np.uint64(0), np.uint64(1)
    for place in range(first, first + length):
        state = state * _FACTOR + hashes[place]
        power *= _FACTOR
    for place in range(first, last - length):
        oldest, hashes[place] = hashes[place], state
        state = state * _FACTOR + hashes[place + length] - oldest * power
    hashes[last - length] = state
    return last - length - first + 1
