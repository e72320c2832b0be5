"""Removal of passages that occurred before, by an exact set of windows of tokens: one set for a group of texts.

A window of `length` tokens is a duplicate where an earlier text has it, or the same text at a window that ends
before this one begins; so a long run of one token keeps its first `length` tokens. Every window is learned,
cut or not. What goes is the union of the duplicate windows, from the first byte of their first token to the last
of their last. Windows are told apart by two hashes of 64 bits. Tokens: tokens.py.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lakeloom.filters.characters import Characters, characters
from lakeloom.filters.kernel import Bytes, Hashes, Ints, integer, kernel
from lakeloom.filters.mixing import finish
from lakeloom.filters.spans import Found, Removed, add_span, is_blank_without
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.tokens import hash_bytes, hash_bytes_anew, hash_runs, room, split_tokens
from lakeloom.lakehouse.errors import ConfigError

_NUM_SLOTS, _SLOT_BYTES = 1024, 16


class _Windows(NamedTuple):
    """An open table of 2**n slots, two hashes in each, (0, 0) where it is free; and how many are taken."""

    slots: Hashes
    size: int


class Substrings:
    """The windows of the texts so far. How they are cut into batches changes nothing.

    `max_bytes` bounds the set, the moment of its growth included, in which there are two: a window takes 21 to 43
    bytes, half as much again while it grows.
    """

    def __init__(self, length: int = 50, *, max_bytes: int) -> None:
        if length < 1:
            raise ConfigError(f"cut.substring_length={length}: it must be 1 or more")
        if max_bytes < _NUM_SLOTS * _SLOT_BYTES:
            raise ConfigError(f"cut.max_bytes={max_bytes}: it must be {_NUM_SLOTS * _SLOT_BYTES} or more")
        self._length, self._max_bytes = length, max_bytes
        self._windows = _Windows(np.zeros((_NUM_SLOTS, 2), np.uint64), 0)

    def apply(self, text: pa.StringArray) -> Removed:
        """What goes of each text, given those before it. `num_ngrams` and `num_contained` count windows."""
        index = TextIndex.of(text)
        found, self._windows, is_full = _remove(
            index.data, index.starts, index.ends, characters(), self._windows, self._length, self._max_bytes
        )
        if is_full:
            raise ConfigError(
                f"cut.max_bytes={self._max_bytes}: too few for more than {self._windows.size} windows of "
                f"{self._length} tokens in one group; raise it, or make more cut.groups"
            )
        return Removed.of(found)


@kernel
def _remove(
    data: Bytes, starts: Ints, ends: Ints, table: Characters, windows: _Windows, length: int, max_bytes: int
) -> tuple[Found, _Windows, bool]:
    """What goes of the texts data[starts[i]:ends[i]]; the set; whether there was no room for more."""
    offsets, is_emptied = np.zeros(len(starts) + 1, np.int64), np.zeros(len(starts), np.bool_)
    num_ngrams, num_contained = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    tokens = room(starts, ends)
    others = np.empty_like(tokens.hashes)
    spans, count, is_full = np.empty((16, 2), np.int64), 0, False
    for row in range(len(starts)):
        first, start = count, starts[row]
        num_tokens = split_tokens(data, start, ends[row], table, tokens.starts, tokens.ends)
        for token in range(num_tokens):
            tokens.hashes[token] = hash_bytes(data, tokens.starts[token], tokens.ends[token])
            others[token] = hash_bytes_anew(data, tokens.starts[token], tokens.ends[token])
        total = hash_runs(tokens.hashes, 0, num_tokens, length)
        hash_runs(others, 0, num_tokens, length)
        windows, is_full = _with_room(windows, total, max_bytes)
        if is_full:
            break
        slots, num_windows = windows.slots, windows.size
        for place in range(total):
            if place >= length:
                num_windows += _insert(slots, tokens.hashes[place - length], others[place - length])
            if _is_in(slots, tokens.hashes[place], others[place]):
                num_contained[row] += 1
                begin, stop = tokens.starts[place] - start, tokens.ends[place + length - 1] - start
                spans, count = add_span(spans, first, count, begin, stop)
        for place in range(max(0, total - length), total):
            num_windows += _insert(slots, tokens.hashes[place], others[place])
        windows = _Windows(slots, num_windows)
        num_ngrams[row], offsets[row + 1] = total, count
        is_emptied[row] = is_blank_without(tokens.starts, num_tokens, start, spans[first:count])
    found = Found(offsets, spans[:count, 0].copy(), spans[:count, 1].copy(), is_emptied, num_ngrams, num_contained)
    return found, windows, is_full


@kernel
def _with_room(windows: _Windows, num_more: int, max_bytes: int) -> tuple[_Windows, bool]:
    """The set with slots for as many more windows, at most three quarters of all taken; or that they are too many."""
    slots = windows.slots
    while 4 * (windows.size + num_more) > 3 * len(slots):
        if 3 * len(slots) * _SLOT_BYTES > max_bytes:
            return windows, True
        larger = np.zeros((2 * len(slots), 2), np.uint64)
        for slot in range(len(slots)):
            if slots[slot, 0] or slots[slot, 1]:
                _insert(larger, slots[slot, 0], slots[slot, 1])
        slots = larger
    return _Windows(slots, windows.size), False


@kernel
def _is_in(slots: Hashes, one: np.uint64, other: np.uint64) -> bool:
    slot = _slot(slots, one, other)
    return bool(slots[slot, 0] or slots[slot, 1])


@kernel
def _insert(slots: Hashes, one: np.uint64, other: np.uint64) -> bool:
    """Put a window into its slot; whether it was not there."""
    slot = _slot(slots, one, other)
    if slots[slot, 0] or slots[slot, 1]:
        return False
    slots[slot, 0], slots[slot, 1] = one, other
    return True


@kernel
def _slot(slots: Hashes, one: np.uint64, other: np.uint64) -> int:
    """The slot of a window, or the free one for it. Only a hash of (0, 0) is never there: one window in 2**128."""
    last = len(slots) - 1
    slot = integer(finish(one)) & last
    while (slots[slot, 0] or slots[slot, 1]) and (slots[slot, 0] != one or slots[slot, 1] != other):
        slot = (slot + 1) & last
    return slot
