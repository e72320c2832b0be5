"""Packing: documents joined by EOT, cut to sequences of equal length; what is left over is counted.

A document belongs to a cell, and has its place there, by its shuffle key alone; a cell is packed in that
order as one stream. So the sequences are the same however the corpus is partitioned, in a batch's memory.
DCLM pads the last sequence of each input file; here the remainder of each cell is dropped and reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakeloom.lakehouse.ids import shuffle_key
from lakeloom.lakehouse.tokens import Encoded, Tokenizer

Ids = npt.NDArray[np.uint32]

TOKENISED = pa.schema([("cell", pa.int32()), ("key", pa.binary()), ("num_tokens", pa.int64()), ("tokens", pa.binary())])
# A row a sequence (index in its cell); after them a row without index: the cell's remainder and totals.
PACKED = pa.schema(
    [
        ("cell", pa.int32()),
        ("index", pa.int64()),
        ("tokens", pa.binary()),
        ("num_documents", pa.int64()),
        ("tokens_in", pa.int64()),
    ]
)


def with_eot(documents: Encoded, eot: int) -> Encoded:
    """The same documents, each ended by EOT; one without tokens becomes a lone EOT."""
    values = np.insert(documents.values, documents.offsets[1:], eot)
    return Encoded(values, documents.offsets + np.arange(len(documents.offsets)))


def pack(carried: Ids, tokens: Ids, seq_len: int) -> tuple[Ids, Ids]:
    """Cut carried and new tokens: sequences (number x seq_len), and the tokens that fill none."""
    joined = np.concatenate([carried, tokens])
    whole = len(joined) // seq_len * seq_len
    return joined[:whole].reshape(-1, seq_len), joined[whole:]


@dataclass(frozen=True)
class Packing:
    """What decides the sequences, beside the documents. Ids travel as bytes of `dtype`: uint16 or uint32."""

    seq_len: int
    num_cells: int
    seed: int
    dtype: str

    @property
    def itemsize(self) -> int:
        """Bytes of a token."""
        return self._kind.itemsize

    def cell(self, key: bytes) -> int:
        """The part of the corpus that a document of this shuffle key is packed in."""
        return int.from_bytes(key[:8], "big") % self.num_cells

    @property
    def _kind(self) -> "np.dtype[np.unsignedinteger]":
        return np.dtype(self.dtype).newbyteorder("<")

    def tokenised(self, batch: pa.RecordBatch, tokenizer: Tokenizer) -> pa.RecordBatch:
        """Documents (doc_id, text) to rows of TOKENISED, in their order."""
        documents = with_eot(tokenizer.encode_batch(batch.column("text")), tokenizer.eot)
        keys = [shuffle_key(self.seed, doc_id) for doc_id in batch.column("doc_id").to_pylist()]
        cells = [self.cell(key) for key in keys]
        content, lengths = self._bytes(documents.values), np.diff(documents.offsets)
        size = self.itemsize
        tokens = [content[start * size : end * size] for start, end in pairwise(documents.offsets.tolist())]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(cells, pa.int32()),
                pa.array(keys, pa.binary()),
                pa.array(lengths),
                pa.array(tokens, pa.binary()),
            ],
            schema=TOKENISED,
        )

    def packed(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of TOKENISED, whole cells sorted by (cell, key), to rows of PACKED."""
        cell: _Cell | None = None
        for batch in batches:
            numbers = batch.column("cell").to_numpy()
            for start, end in pairwise([0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]):
                if start == end:
                    continue
                if cell is None or cell.number != numbers[start]:
                    if cell:
                        yield self._account(cell)
                    cell = _Cell(int(numbers[start]))
                yield self._extend(cell, batch.slice(start, end - start))
        if cell:
            yield self._account(cell)

    def _extend(self, cell: "_Cell", documents: pa.RecordBatch) -> pa.RecordBatch:
        tokens = np.frombuffer(b"".join(documents.column("tokens").to_pylist()), self._kind)
        sequences, cell.carried = pack(cell.carried, tokens.astype(np.uint32), self.seq_len)
        cell.num_documents += len(documents)
        cell.tokens_in += int(documents.column("num_tokens").to_numpy().sum())
        first, cell.num_sequences = cell.num_sequences, cell.num_sequences + len(sequences)
        rows = {
            "cell": [cell.number] * len(sequences),
            "index": range(first, cell.num_sequences),
            "tokens": [self._bytes(sequence) for sequence in sequences],
            "num_documents": [None] * len(sequences),
            "tokens_in": [None] * len(sequences),
        }
        return pa.RecordBatch.from_pydict(rows, schema=PACKED)

    def _account(self, cell: "_Cell") -> pa.RecordBatch:
        row = {
            "cell": cell.number,
            "index": None,
            "tokens": self._bytes(cell.carried),
            "num_documents": cell.num_documents,
            "tokens_in": cell.tokens_in,
        }
        return pa.RecordBatch.from_pylist([row], schema=PACKED)

    def _bytes(self, ids: Ids) -> bytes:
        return ids.astype(self._kind).tobytes()


@dataclass
class _Cell:
    number: int
    num_sequences: int = 0
    num_documents: int = 0
    tokens_in: int = 0
    carried: Ids = field(default_factory=lambda: np.empty(0, np.uint32))
