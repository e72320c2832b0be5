"""What Spark's workers do for jobs/cut.py: batches of documents in, spans of bytes out."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.bloom import Bloom
from lakeloom.filters.characters import characters
from lakeloom.filters.spans import compose, cut
from lakeloom.filters.substring import Substrings
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.tokens import num_tokens
from lakeloom.filters.units import units

Batches = Iterator[pa.RecordBatch]
_LONGS = pa.list_(pa.int64())
_SEEN = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("starts", _LONGS),
        pa.field("ends", _LONGS),
        pa.field("fp_rate", pa.float64()),
    ]
)


def split(kind: str, form: str, min_words: int) -> Callable[[Batches], Batches]:
    """Rows of documents to rows of their units: doc_id, is_last, rank, start, end, one, other."""

    def work(batches: Batches) -> Batches:
        for batch in batches:
            found = units(TextIndex.of(_left(batch)), kind, form, min_words)
            rows = pa.array(found.rows)
            names = ("doc_id", "is_last", "rank")
            columns = [batch.column(name).take(rows) for name in names]
            columns += [pa.array(found.starts), pa.array(found.ends)]
            columns += [pa.array(found.one.view(np.int64)), pa.array(found.other.view(np.int64))]
            yield pa.RecordBatch.from_arrays(columns, [*names, "start", "end", "one", "other"])

    return work


def read(new: Callable[[], Bloom | Substrings]) -> Callable[[Batches], Batches]:
    """Documents in the order of their groups to what each group has seen: `new` makes what a group learns.

    A group's last row has no doc_id, but its filter's rate of false positives (null for a set, which has none).
    """

    def work(batches: Batches) -> Batches:
        group: int | None = None
        state = new()
        for batch in batches:
            for part in _parts(batch):
                number = part.column("group")[0].as_py()
                if group is not None and number != group:
                    yield _end(state)
                    state = new()
                group = number
                removed = state.apply(_left(part))
                columns = [part.column("doc_id"), removed.starts, removed.ends, pa.nulls(len(part), pa.float64())]
                made = pa.RecordBatch.from_arrays(columns, schema=_SEEN)
                yield made.filter(pc.greater(pc.list_value_length(removed.starts), 0))
        if group is not None:
            yield _end(state)

    return work


def counts(batches: Batches) -> Batches:
    """Documents with their `group` to the tokens of each group of a batch."""
    for batch in batches:
        index = TextIndex.of(_left(batch))
        tokens = pa.array(num_tokens(index.data, index.starts, index.ends, characters()))
        sums = (
            pa.table({"group": batch.column("group"), "tokens": tokens})
            .group_by("group")
            .aggregate([("tokens", "sum")])
        )
        yield from sums.rename_columns(["group", "tokens"]).combine_chunks().to_batches()


def composed(batches: Batches) -> Batches:
    """Earlier and later spans of documents to one list of spans in the whole text's bytes."""
    for batch in batches:
        starts, ends = compose(*(batch.column(name) for name in ("starts", "ends", "later_starts", "later_ends")))
        columns = [batch.column("doc_id"), starts, ends, batch.column("methods")]
        yield pa.RecordBatch.from_arrays(columns, ["doc_id", "starts", "ends", "methods"])


def finished(batches: Batches) -> Batches:
    """Spans with the bytes that they take, and whether they leave white space alone."""
    for batch in batches:
        left = _left(batch)
        taken = pc.subtract(pc.binary_length(batch.column("text")), pc.binary_length(left))
        is_removed = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(left)), 0)
        names = ("doc_id", "starts", "ends", "methods")
        columns = [*(batch.column(name) for name in names), pc.cast(taken, pa.int64()), is_removed]
        yield pa.RecordBatch.from_arrays(columns, [*names, "num_bytes", "is_removed"])


def _left(batch: pa.RecordBatch) -> pa.StringArray:
    """The texts without the spans that were cut already, if there are such."""
    text = batch.column("text")
    return cut(text, batch.column("starts"), batch.column("ends")) if "starts" in batch.schema.names else text


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The runs of rows of one group."""
    groups = np.asarray(batch.column("group").to_numpy())
    edges = [0, *(np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist(), len(groups)]
    yield from (batch.slice(start, end - start) for start, end in pairwise(edges) if end > start)


def _end(state: Bloom | Substrings) -> pa.RecordBatch:
    rate = state.fp_rate if isinstance(state, Bloom) else None
    columns = [pa.nulls(1, pa.string()), pa.nulls(1, _LONGS), pa.nulls(1, _LONGS), pa.array([rate], pa.float64())]
    return pa.RecordBatch.from_arrays(columns, schema=_SEEN)
