"""Candidate pairs of LSH buckets, from rows that come sorted by bucket and name, batch by batch, in bounded memory.

The first `reach` names of a bucket are paired with each other, every later one with the first and with the one before
it: a bucket of a million costs two million pairs and not half its square, and a stranger that is first in it cuts no
chain. What pairs there are depends on the set of rows only. Near copies share most of their buckets: a pair that was
given lately is not given again.
"""

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Bytes, Hashes, Ints, integer, kernel
from lakeloom.filters.mixing import MIX1, finish
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.tokens import hash_bytes, hash_bytes_anew

_REMEMBERED = 1 << 21  # pairs, by hashes of 128 bits: 32 MB. Each displaces the one before in its slot, so none is lost


class Pairs:
    """The pairs of a sorted stream of (bucket, name); its state is the bucket that the last batch ended in."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._bucket, self._count = 0, 0  # of the open bucket; no count: none is open
        self._kept = pa.array([], pa.string())  # its first names, and its last where that is none of them
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
        later, earlier, first, count = _pairs(
            buckets, self._bucket, self._count, len(self._kept), self._reach, hashes, self._given
        )
        self._bucket, self._count = int(buckets[-1]), int(count)
        # A copy, not a slice: that would keep the whole batch alive.
        kept = [*range(first, first + min(count, self._reach)), *([len(names) - 1] if count > self._reach else [])]
        self._kept = names.take(pa.array(kept))
        return names.take(pa.array(later)), names.take(pa.array(earlier))


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
) -> tuple[Ints, Ints, int, int]:
    """Places of both names of each new pair among the open bucket's kept names and the batch's after them.

    And of the bucket that the batch ends in: the place of its first name, and how many it has.
    """
    later, earlier = np.empty(len(buckets), np.int64), np.empty(len(buckets), np.int64)
    num_pairs, first, size, open_bucket = 0, 0, count, bucket
    for row in range(len(buckets)):
        name = num_kept + row  # the one before it, of whatever bucket, is name - 1
        if size == 0 or buckets[row] != open_bucket:
            first, size, open_bucket = name, 0, buckets[row]
        for number in range(min(size, reach if size < reach else 2)):
            partner = first + number if size < reach or number == 0 else name - 1
            if (number and partner == first) or _is_remembered(given, hashes, name, partner):
                continue
            if num_pairs == len(later):
                later, earlier = _doubled(later), _doubled(earlier)
            later[num_pairs], earlier[num_pairs] = name, partner
            num_pairs += 1
        size += 1
    return later[:num_pairs], earlier[:num_pairs], first, size


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
