"""Candidate pairs of LSH buckets, from rows that come sorted by bucket and name, batch by batch, in bounded memory.

The first `reach` names of a bucket are paired with each other, every later one with the last leader before it: one name
in 16 is a leader, by its hash, and is paired with the two leaders before it and with the first name, so that all are
near each other in the graph. So a bucket of a million costs a million pairs and not half its square, and a stranger
that is made to be in it parts a few names from the rest, not all. What pairs there are depends on the set of rows
only. Near copies share most of their buckets: a pair that was given lately is not given again.
"""

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Bytes, Hashes, Ints, Mask, integer, kernel
from lakeloom.filters.mixing import MIX1, finish
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.tokens import hash_bytes, hash_bytes_anew

_LEADERS = np.uint64(15)  # bits of a name's hash that a leader has not
_REMEMBERED = 1 << 21  # pairs, by hashes of 128 bits: 32 MB. Each displaces the one before in its slot, so none is lost


class Pairs:
    """The pairs of a sorted stream of (bucket, name); its state is the bucket that the last batch ended in."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._bucket, self._count = 0, 0  # of the open bucket; no count: none is open
        # Its names while they are fewer than `reach`; then the first, and its last two leaders.
        self._kept = pa.array([], pa.string())
        self._given = np.zeros((_REMEMBERED, 2), np.uint64)

    def take(self, bucket: pa.Int64Array, name: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
        """Names of the pairs that the batch adds: the later of each (the greater), and the earlier.

        Each pair is given once as long as it is remembered, and may be given again later.
        """
        if not len(bucket):
            return name, name
        buckets = np.asarray(bucket.to_numpy())
        names = pa.concat_arrays([self._kept, name.cast(pa.string())])
        index = TextIndex.of(names)
        hashes = _hashes(index.data, index.starts, index.ends)
        later, earlier, first, count, leading = _pairs(
            buckets, self._bucket, self._count, len(self._kept), self._reach, hashes, self._given
        )
        self._bucket, self._count = int(buckets[-1]), int(count)
        # A copy, not a slice: that would keep the whole batch alive.
        kept = np.arange(first, first + count) if count < self._reach else np.array([first, *leading])
        self._kept = names.take(pa.array(kept))
        return names.take(pa.array(later)), names.take(pa.array(earlier))


def leaders(names: pa.StringArray) -> Mask:
    """Which names lead, once a bucket has more than `reach`: about one in 16."""
    index = TextIndex.of(names)
    found: Mask = (_hashes(index.data, index.starts, index.ends)[:, 0] & _LEADERS) == 0
    return found


@kernel
def _hashes(data: Bytes, starts: Ints, ends: Ints) -> Hashes:
    """Two hashes of each name."""
    found = np.empty((len(starts), 2), np.uint64)
    for row in range(len(starts)):
        found[row, 0] = hash_bytes(data, starts[row], ends[row])
        found[row, 1] = hash_bytes_anew(data, starts[row], ends[row])
    return found


@kernel
def _pairs(
    buckets: Ints, bucket: int, count: int, num_kept: int, reach: int, hashes: Hashes, given: Hashes
) -> tuple[Ints, Ints, int, int, tuple[int, int]]:
    """Places of both names of each new pair among the open bucket's kept names and the batch's after them.

    And of the bucket that the batch ends in: the place of its first name, how many it has, its last two leaders.
    """
    later, earlier = np.empty(len(buckets), np.int64), np.empty(len(buckets), np.int64)
    num_pairs, first, size, open_bucket = 0, 0, count, bucket
    before, last = num_kept - 2, num_kept - 1  # leaders, once there are `reach` names
    for row in range(len(buckets)):
        name = num_kept + row
        if size == 0 or buckets[row] != open_bucket:
            first, size, open_bucket = name, 0, buckets[row]
        is_early, is_leader = size < reach, (hashes[name, 0] & _LEADERS) == 0
        for number in range(size if is_early else 3 if is_leader else 1):
            partner = first + number if is_early else (last, before, first)[number]
            is_again = not is_early and ((number > 0 and partner == last) or (number > 1 and partner == before))
            if is_again or _is_remembered(given, hashes, name, partner):
                continue
            if num_pairs == len(later):
                later, earlier = _doubled(later), _doubled(earlier)
            later[num_pairs], earlier[num_pairs] = name, partner
            num_pairs += 1
        size += 1
        if size == reach:
            before, last = max(first, name - 1), name
        elif not is_early and is_leader:
            before, last = last, name
    return later[:num_pairs], earlier[:num_pairs], first, size, (before, last)


@kernel
def _is_remembered(given: Hashes, hashes: Hashes, one: int, other: int) -> bool:
    """Whether the pair was given lately; if not, it is now."""
    left = finish(hashes[one, 0] * MIX1 + hashes[other, 0])
    right = finish(hashes[one, 1] * MIX1 + hashes[other, 1]) | np.uint64(1)  # never that of a slot without a pair
    slot = integer(left) & (len(given) - 1)
    if given[slot, 0] == left and given[slot, 1] == right:
        return True
    given[slot, 0], given[slot, 1] = left, right
    return False


@kernel
def _doubled(values: Ints) -> Ints:
    larger = np.empty(2 * len(values), np.int64)
    larger[: len(values)] = values
    return larger
