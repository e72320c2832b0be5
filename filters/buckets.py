"""Candidate pairs of LSH buckets, from rows that come sorted by bucket and name, batch by batch, in bounded memory.

The first `reach` names of a bucket are paired with each other, every later one with the first alone: a bucket of a
million costs a million pairs and not half its square. What pairs there are depends on the set of rows only.
"""

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Ints, kernel


class Pairs:
    """The pairs of a sorted stream of (bucket, name); its state is the bucket that the last batch ended in."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._bucket, self._count = 0, 0  # of the open bucket; no count: none is open
        self._leads = pa.array([], pa.string())  # its first names

    def take(self, bucket: pa.Int64Array, name: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
        """Names of the pairs that the batch adds: the later of each (the greater), and the earlier."""
        if not len(bucket):
            return name, name
        buckets = np.asarray(bucket.to_numpy())
        names = pa.concat_arrays([self._leads, name.cast(pa.string())])
        later, earlier, first, count = _pairs(buckets, self._bucket, self._count, len(self._leads), self._reach)
        self._bucket, self._count = int(buckets[-1]), int(count)
        # A copy, not a slice: that would keep the whole batch alive.
        self._leads = names.take(pa.array(np.arange(first, first + min(count, self._reach))))
        return names.take(pa.array(later)), names.take(pa.array(earlier))


@kernel
def _pairs(buckets: Ints, bucket: int, count: int, num_leads: int, reach: int) -> tuple[Ints, Ints, int, int]:
    """Places of both names of each pair among the open bucket's leads and the batch's names after them.

    And of the bucket that the batch ends in: the place of its first name, and how many it has.
    """
    later, earlier = np.empty(0, np.int64), np.empty(0, np.int64)
    num_pairs, first = 0, 0
    for is_counting in (True, False):
        if not is_counting:
            later, earlier = np.empty(num_pairs, np.int64), np.empty(num_pairs, np.int64)
        num_pairs, first, size, open_bucket = 0, 0, count, bucket
        for row in range(len(buckets)):
            if size == 0 or buckets[row] != open_bucket:
                first, size, open_bucket = num_leads + row, 0, buckets[row]
            partners = size if size < reach else 1
            if not is_counting:
                for partner in range(partners):
                    later[num_pairs + partner] = num_leads + row
                    earlier[num_pairs + partner] = first + partner
            num_pairs += partners
            size += 1
        if not is_counting:
            count = size
    return later, earlier, first, count
