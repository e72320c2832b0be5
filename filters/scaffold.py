"""The words that a task puts around all of its items, such as an instruction before and "Answer:" after.

A copy of an item comes without them, so they are no part of what is searched for. No list of phrases: the longest
beginning, and the longest end, that an item has in common with more than a quarter of its task's items, and with
more than ten. Passages that several questions are about are shared by fewer.
"""

from itertools import count

import numpy as np

from lakeloom.filters.kernel import Hashes, Ints
from lakeloom.filters.words import FNV_PRIME

_SHARE, _NUM_ITEMS = 0.25, 10


def trimmed(hashes: Hashes, begins: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Begins and ends of the items hashes[begins[i]:ends[i]] of one task without what most of them begin or end with.

    `hashes` are those of the items' words.
    """
    limit = max(_NUM_ITEMS, _SHARE * len(begins))
    lengths = ends - begins
    first = begins + _shared(hashes, begins, lengths, 1, limit)
    last = ends - _shared(hashes, ends - 1, lengths, -1, limit)
    return first, np.maximum(first, last)


def _shared(hashes: Hashes, starts: Ints, lengths: Ints, step: int, limit: float) -> Ints:
    """How many words from `starts` on, in steps of 1 or -1, more than `limit` items have in common."""
    shared, states = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.uint64)
    active = np.arange(len(starts))
    for length in count(1):
        active = active[lengths[active] >= length]
        states[active] = states[active] * FNV_PRIME + hashes[starts[active] + step * (length - 1)]
        _, kinds, sizes = np.unique(states[active], return_inverse=True, return_counts=True)
        active = active[sizes[kinds] > limit]
        if not len(active):
            break
        shared[active] = length
    return shared
