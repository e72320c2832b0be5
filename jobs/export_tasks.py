"""What executors do in an export: tokenise documents, place sequences, write shards; on Arrow batches."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.order import permuted
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.shard_writer import shard_name, write_shard
from lakeloom.lakehouse.tokens import Tokenizer

Batches = Iterator[pa.RecordBatch]

PLACED = pa.schema([("shard", pa.int64()), ("place", pa.int64()), ("tokens", pa.binary())])
WRITTEN = pa.schema(
    [
        ("shard", pa.string()),
        ("num_sequences", pa.int64()),
        ("num_tokens", pa.int64()),
        ("num_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("seq_len", pa.int64()),
        ("dtype", pa.string()),
        ("ext", pa.string()),
    ]
)


@cache
def tokenizer(path: Path, sha: str) -> Tokenizer:
    """Loaded once a worker process; every executor must see the same file."""
    loaded = Tokenizer.load(path)
    if loaded.sha != sha:
        raise ConfigError(f"{path} has SHA-256 {loaded.sha} here, {sha} where the export started")
    return loaded


def tokenise(packing: Packing, path: Path, sha: str, batches: Batches) -> Batches:
    """Documents (doc_id, text) to rows of packing.TOKENISED."""
    for batch in batches:
        yield packing.tokenised(batch, tokenizer(path, sha))


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


def write(packing: Packing, folder: Path, batches: Batches) -> Batches:
    """Rows of PLACED, whole shards sorted by (shard, place), to tars and rows of WRITTEN."""
    for number, rows in groupby(_rows(batches), key=itemgetter(0)):
        sequences = _in_place(rows, number, packing.dtype)
        shard = write_shard(folder, number, sequences, seq_len=packing.seq_len, dtype=packing.dtype)
        yield pa.RecordBatch.from_pylist([dict(zip(WRITTEN.names, astuple(shard), strict=True))], schema=WRITTEN)


def _rows(batches: Batches) -> Iterator[tuple[int, int, bytes]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _in_place(rows: Iterator[tuple[int, int, bytes]], number: int, dtype: str) -> Iterator[npt.NDArray[np.uint32]]:
    kind = np.dtype(dtype).newbyteorder("<")
    for expected, (_, place, tokens) in enumerate(rows):
        if place != expected:
            raise Incomplete(f"{shard_name(number)}: found place {place} where {expected} was expected")
        yield np.frombuffer(tokens, kind).astype(np.uint32)
