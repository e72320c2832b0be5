"""Packing: documents joined by EOT, cut to sequences of equal length; what is left over is counted, or filled up.

A document belongs to a cell, and has its place there, by its shuffle key alone; a cell is packed in that
order as one stream. So the sequences are the same however the corpus is partitioned, in a batch's memory.
DCLM pads the last sequence of each input file; here the remainder of each cell is dropped and reported, or with a `pad`
padded. Tokens stay Arrow buffers from the tokenizer to the shard: no Python object a document or a sequence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.ids import shuffle_key
from lakeloom.lakehouse.tokens import Encoded, Tokenizer

Ids = npt.NDArray[np.unsignedinteger]

# In the shuffle a long document is several rows, so that none is larger than 4 MB; the first has part 0.
TOKENISED = pa.schema(
    [("cell", pa.int32()), ("key", pa.binary()), ("part", pa.int32()), ("num_tokens", pa.int64()),
     ("tokens", pa.binary())]
)  # fmt: skip
# A row a sequence (index in its cell); after them a row without index: the cell's remainder and totals.
PACKED = pa.schema(
    [
        ("cell", pa.int32()),
        ("index", pa.int64()),
        ("tokens", pa.binary()),
        ("num_documents", pa.int64()),
        ("tokens_in", pa.int64()),
        ("num_pads", pa.int64()),
    ]
)
_PART = 1 << 20
_MOST = np.iinfo(np.int32).max  # bytes that Arrow's binary holds in one array


def with_eot(documents: Encoded, eot: int) -> Encoded:
    """The same documents, each ended by EOT; one without tokens becomes a lone EOT."""
    values = np.insert(documents.values, documents.offsets[1:], eot)
    return Encoded(values, documents.offsets + np.arange(len(documents.offsets)))


def pack(carried: Ids, tokens: Ids, seq_len: int) -> tuple[Ids, Ids]:
    """Cut carried and new tokens: sequences (number x seq_len), and the tokens that fill none."""
    joined = np.concatenate([carried, tokens])
    whole = len(joined) // seq_len * seq_len
    return joined[:whole].reshape(-1, seq_len), joined[whole:]


def binary(values: Ids, offsets: npt.NDArray[np.int64]) -> pa.BinaryArray:
    """Values i from offsets[i] to offsets[i + 1] as bytes, without copying them."""
    ends = offsets * values.itemsize
    if ends[-1] > _MOST:
        raise BadInput(f"{ends[-1]} bytes of tokens in one batch; lower spark.sql.execution.arrow.maxBytesPerBatch")
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def joined_values(column: pa.BinaryArray, kind: "np.dtype[np.unsignedinteger]") -> Ids:
    """All values of a column, one behind the other, without copying them. No row may be null."""
    if not len(column):
        return np.empty(0, kind)
    _, ends, content = column.buffers()
    offsets = np.frombuffer(ends, np.int32, len(column) + 1, 4 * column.offset)
    start, end = int(offsets[0]), int(offsets[-1])
    return np.frombuffer(content, np.uint8, end - start, start).view(kind) if end > start else np.empty(0, kind)


@dataclass(frozen=True)
class Packing:
    """What decides the sequences, beside the documents. Ids travel as bytes of `dtype`: uint16 or uint32."""

    seq_len: int
    num_cells: int
    seed: int
    dtype: str
    pad: int = -1  # fills a cell's last sequence up; -1: what fills none is left over

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
        largest = int(documents.values.max(initial=0))
        if largest > np.iinfo(self._kind).max:
            raise BadInput(f"token id {largest} doesn't fit {self.dtype}; nothing can be packed")
        keys = [shuffle_key(self.seed, doc_id) for doc_id in batch.column("doc_id").to_pylist()]
        cells = np.array([self.cell(key) for key in keys], np.int32)
        return pa.RecordBatch.from_arrays(
            [
                pa.array(cells),
                pa.array(keys, pa.binary()),
                pa.array(np.zeros(len(keys), np.int32)),
                pa.array(np.diff(documents.offsets)),
                binary(documents.values.astype(self._kind), documents.offsets),
            ],
            schema=TOKENISED,
        )

    def in_parts(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of TOKENISED, long documents in parts of _PART tokens."""
        lengths = documents.column("num_tokens").to_numpy()
        if lengths.max(initial=0) <= _PART:
            return documents
        owner, part, offsets = _parts(np.append(0, np.cumsum(lengths)))
        return pa.RecordBatch.from_arrays(
            [
                documents.column("cell").take(pa.array(owner)),
                documents.column("key").take(pa.array(owner)),
                pa.array(part),
                pa.array(np.diff(offsets)),
                binary(joined_values(documents.column("tokens"), self._kind), offsets),
            ],
            schema=TOKENISED,
        )

    def packed(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of TOKENISED, whole cells sorted by (cell, key, part), to rows of PACKED."""
        cell: _Cell | None = None
        for batch in batches:
            numbers = batch.column("cell").to_numpy()
            for start, end in pairwise([0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]):
                if start == end:
                    continue
                if cell is None or cell.number != numbers[start]:
                    if cell:
                        yield from self._end(cell)
                    cell = _Cell(int(numbers[start]), np.empty(0, self._kind))
                yield self._extend(cell, batch.slice(start, end - start))
        if cell:
            yield from self._end(cell)

    def _extend(self, cell: "_Cell", documents: pa.RecordBatch) -> pa.RecordBatch:
        tokens = joined_values(documents.column("tokens"), self._kind)
        sequences, cell.carried = pack(cell.carried, tokens, self.seq_len)
        cell.num_documents += int(np.count_nonzero(documents.column("part").to_numpy() == 0))
        cell.tokens_in += int(documents.column("num_tokens").to_numpy().sum())
        return self._rows(cell, sequences)

    def _rows(self, cell: "_Cell", sequences: Ids) -> pa.RecordBatch:
        first, number = cell.num_sequences, len(sequences)
        cell.num_sequences += number
        columns = [
            pa.array(np.full(number, cell.number, np.int32)),
            pa.array(np.arange(first, first + number)),
            binary(sequences.reshape(-1), np.arange(number + 1) * self.seq_len),
            *[pa.nulls(number, pa.int64())] * 3,
        ]
        return pa.RecordBatch.from_arrays(columns, schema=PACKED)

    def _end(self, cell: "_Cell") -> Iterator[pa.RecordBatch]:
        """The last sequence, filled up, if that is asked for and there is something in it; and the cell's account."""
        num_pads = self.seq_len - len(cell.carried) if self.pad >= 0 and len(cell.carried) else 0
        if num_pads:
            pads = np.full(num_pads, self.pad, self._kind)
            sequences, cell.carried = pack(cell.carried, pads, self.seq_len)
            yield self._rows(cell, sequences)
        row = {
            "cell": cell.number,
            "index": None,
            "tokens": cell.carried.tobytes(),
            "num_documents": cell.num_documents,
            "tokens_in": cell.tokens_in,
            "num_pads": num_pads,
        }
        yield pa.RecordBatch.from_pylist([row], schema=PACKED)


def _parts(
    offsets: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Documents cut to parts of _PART tokens: of each part its document and its number there; the parts' offsets."""
    lengths = np.diff(offsets)
    counts = -(-lengths // _PART)
    owner = np.repeat(np.arange(len(lengths)), counts)
    part = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = offsets[:-1][owner] + part * _PART
    return owner, part.astype(np.int32), np.append(starts, offsets[-1])


@dataclass
class _Cell:
    number: int
    carried: Ids = field(repr=False)
    num_sequences: int = 0
    num_documents: int = 0
    tokens_in: int = 0
