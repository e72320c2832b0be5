"""The order of training: a pure function of seed and global index, the same for any number of processes or restarts.

Sample g of a run is sequence permuted(g mod N) of epoch g // N.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.order import permuted
from lakeloom.lakehouse.shards import ShardReader


@dataclass(frozen=True)
class Batches:
    """Batches of a dataset in the order of a seed."""

    reader: ShardReader
    seed: int
    global_batch: int

    def indices(self, step: int, rank: int = 0, world: int = 1) -> npt.NDArray[np.uint64]:
        """Sequence numbers of one process's share of a step; the shares of all ranks join to the share of one."""
        share = self.global_batch // world
        first = step * self.global_batch + rank * share
        samples = np.arange(first, first + share, dtype=np.uint64)
        size = np.uint64(len(self.reader))
        found = np.empty_like(samples)
        for epoch in np.unique(samples // size):
            is_here = samples // size == epoch
            key = f"{self.seed}/{epoch}".encode()
            found[is_here] = permuted(samples[is_here] % size, int(size), key)
        return found

    def batch(self, step: int, rank: int = 0, world: int = 1) -> npt.NDArray[np.int64]:
        """Tokens of one process's share of a step: sequences x seq_len."""
        indices = self.indices(step, rank, world)
        tokens = np.stack([self.reader[int(index)] for index in indices]).astype(np.int64)
        size = self.reader.manifest.dataset.vocab_size
        if tokens.max(initial=0) >= size:
            row = int(np.argmax(tokens.max(axis=1)))
            shard, place = self.reader.place(int(indices[row]))
            raise BadInput(
                f"{self.reader.manifest.folder}: sequence {place} of {shard} has token {tokens[row].max()}, the "
                f"vocabulary has {size}; export the dataset anew with its own tokenizer"
            )
        return tokens
