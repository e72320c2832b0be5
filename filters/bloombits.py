"""The bits of a Bloom filter: 64-bit hashes of n-grams put in and looked up, by double hashing.

A hash h has the bit h mod m of m = 32 W, that is bit h mod 32 of word h / 32 mod W, as in DCLM's
dedup/bff/src/main.rs, insert_hashes; where that has a hash function for each of the k bits, here two give all.
"""

from typing import NamedTuple

import numpy as np

from lakeloom.filters.kernel import Hashes, Ints, Words32, kernel
from lakeloom.filters.mixing import MIX1, finish

SET_BITS, INSERTED = 0, 1  # of Filter.counts
_5, _31 = np.uint64(5), np.uint64(31)


class Filter(NamedTuple):
    """The bits, how many of them an n-gram sets, and counts: bits set, n-grams that set one."""

    bits: Words32
    num_hashers: int
    counts: Ints


@kernel
def contains(bits: Words32, num_hashers: int, ngram: np.uint64) -> bool:
    """Whether all bits of an n-gram are set."""
    size = np.uint64(len(bits)) << _5
    place, step = finish(ngram) % size, finish(ngram ^ MIX1) % size
    for nth in range(num_hashers):
        if not np.uint64(bits[place >> _5]) >> (place & _31) & np.uint64(1):
            return False
        place, step = _next(place, step, nth, size)
    return True


@kernel
def insert(bits: Words32, num_hashers: int, counts: Ints, ngram: np.uint64) -> None:
    """Set all bits of an n-gram."""
    size = np.uint64(len(bits)) << _5
    place, step = finish(ngram) % size, finish(ngram ^ MIX1) % size
    num_new = 0
    for nth in range(num_hashers):
        old = bits[place >> _5]
        new = old | np.uint32(np.uint64(1) << (place & _31))
        bits[place >> _5] = new
        num_new += new != old
        place, step = _next(place, step, nth, size)
    counts[SET_BITS] += num_new
    counts[INSERTED] += num_new > 0


@kernel
def _next(place: np.uint64, step: np.uint64, nth: int, size: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The next bit of an n-gram, modulo `size`. The step grows, so that even a step of 0 leaves its bit."""
    place += step
    step += np.uint64(nth + 1)
    return min(place, place - size), min(step, step - size)  # below 0 is above all: no branch to guess wrong


@kernel
def contained_of(bloom: Filter, hashes: Hashes, first: int, count: int) -> int:
    """How many of hashes[first : first + count] are contained."""
    bits, num_hashers = bloom.bits, bloom.num_hashers
    num = 0
    for place in range(first, first + count):
        num += contains(bits, num_hashers, hashes[place])
    return num


@kernel
def insert_all(bloom: Filter, hashes: Hashes, first: int, count: int) -> None:
    """Set the bits of hashes[first : first + count]."""
    bits, num_hashers, counts = bloom.bits, bloom.num_hashers, bloom.counts
    for place in range(first, first + count):
        insert(bits, num_hashers, counts, hashes[place])
