"""What executors do in an export before shards are written: tokenise documents, place sequences; on Arrow batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.lakehouse.order import permuted
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.tokens import loaded

_PART_BYTES = 8 << 20

Batches = Iterator[pa.RecordBatch]

PLACED = pa.schema([("shard", pa.int64()), ("place", pa.int64()), ("tokens", pa.binary())])


def tokenise(packing: Packing, tokenizer: Path, sha: str, batches: Batches) -> Batches:
    """Documents (doc_id, text) to rows of packing.TOKENISED."""
    for batch in batches:
        for part in _parts(batch):
            yield packing.in_parts(packing.tokenised(part, loaded(tokenizer, sha)))


def _parts(batch: pa.RecordBatch) -> Batches:
    """A batch in parts of some _PART_BYTES of text: ids and their copies take several times the text's memory."""
    sizes = pc.fill_null(pc.binary_length(batch.column("text")), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(sizes, dtype=np.int64) // _PART_BYTES
    for start, end in pairwise([0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(batch)]):
        yield batch.slice(start, end - start)


@dataclass(frozen=True)
class Placement:
    """The global shuffle: sequence i of a cell is number starts[cell] + i, whose image is its position."""

    starts: tuple[int, ...]
    num_sequences: int
    shard_sequences: int
    seed: int

    def positions(self, cells: npt.NDArray[np.int32], index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Position of each sequence among all."""
        numbers = np.array(self.starts, np.int64)[cells] + index
        key = f"shards/{self.seed}".encode()
        return permuted(numbers.astype(np.uint64), self.num_sequences, key).astype(np.int64)

    def place(self, batches: Batches) -> Batches:
        """Sequences (cell, index, tokens) to rows of PLACED."""
        for batch in batches:
            found = self.positions(batch.column("cell").to_numpy(), batch.column("index").to_numpy())
            shard, place = np.divmod(found, self.shard_sequences)
            columns = [pa.array(shard), pa.array(place), batch.column("tokens")]
            yield pa.RecordBatch.from_arrays(columns, schema=PLACED)
