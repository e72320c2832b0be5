"""Rows of a table to tar shards and back: what one task of the data source `webdataset` does, on Arrow batches.

To write: rows with `shard` and `place` come sorted by both, a shard whole in one task; their numbers are kept and
places must be 0, 1, 2 ... Rows with `tokens` alone become shards in the order in which they come.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete, unknown
from lakeloom.lakehouse.members import BIN, DTYPES, EXTS, Form, Tokens
from lakeloom.lakehouse.packing import binary, joined_values
from lakeloom.lakehouse.shard_writer import shard_name, write_shard
from lakeloom.lakehouse.shards import OpenShard, Shard

# What is read: the shard's number, the sequence's place in it, its tokens in either form.
ROWS = {
    kind: pa.schema([("shard", pa.int32()), ("place", pa.int32()), ("tokens", tokens)])
    for kind, tokens in {"binary": pa.binary(), "array": pa.list_(pa.int32())}.items()
}
_BATCH_BYTES = 4 << 20
PLACED = ("shard", "place", "tokens")
_SHARDS_A_PART = 10_000
_DEFAULT_SEQUENCES = 8192


@dataclass(frozen=True)
class Target:
    """Options of the data source, checked: the folder to appear, the form of its members, sequences in a shard."""

    folder: Path
    form: Form
    shard_sequences: int
    owner: str  # whose leftovers in the folder aside are deleted

    @classmethod
    def of(cls, options: dict[str, str]) -> "Target":
        """ConfigError names the option that is missing or wrong."""
        if not options.get("path"):
            raise ConfigError("format('webdataset') needs save(folder), a folder that isn't there yet")
        dtype, ext = options.get("dtype", "uint16"), options.get("members", BIN)
        if dtype not in DTYPES:
            raise unknown("dtype", dtype, DTYPES, "webdataset")
        if ext not in EXTS:
            raise unknown("form of members", ext, EXTS, "webdataset")
        form = Form(_number(options, "seq_len", None, 1), dtype, ext, _number(options, "pad", -1, -1))
        sequences = _number(options, "shard_sequences", _DEFAULT_SEQUENCES, 1)
        return cls(Path(options["path"]).absolute(), form, sequences, options.get("owner", "webdataset"))

    @property
    def aside(self) -> Path:
        """Where shards lie until all are there."""
        return self.folder.with_name(f".{self.folder.name}.partial")


def _number(options: dict[str, str], name: str, default: int | None, least: int) -> int:
    value = options.get(name, "" if default is None else str(default))
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least:
        raise ConfigError(f"webdataset: option {name}={value!r}; give a whole number, {least} or more")
    return number


def written(target: Target, names: tuple[str, ...], part: int, batches: Iterable[pa.RecordBatch]) -> Iterator[Shard]:
    """The shards of one task's rows, whose columns have these names; `part` is the task's number."""
    if set(PLACED) <= set(names):
        return _placed(target, (batch.select(PLACED) for batch in batches))
    return _in_turn(target, part, (batch.select(["tokens"]) for batch in batches))


def rows(path: Path, shard: Shard, kind: str) -> Iterator[pa.RecordBatch]:
    """A shard's sequences in batches of ROWS[kind]; BadInput where the tar is not what the manifest promises."""
    opened = OpenShard(path, shard)
    size = max(1, _BATCH_BYTES // (4 * shard.seq_len))
    for first in range(0, len(opened), size):
        sequences = np.stack([opened[index] for index in range(first, min(first + size, len(opened)))])
        places = np.arange(first, first + len(sequences), dtype=np.int32)
        yield pa.record_batch([np.full_like(places, shard.number), places, _column(sequences, kind)], ROWS[kind])


def _column(sequences: Tokens, kind: str) -> pa.Array:
    ends = np.arange(len(sequences) + 1, dtype=np.int64) * sequences.shape[1]
    if kind == "binary":
        return binary(sequences.reshape(-1), ends)
    if len(sequences) and int(sequences.max()) > np.iinfo(np.int32).max:
        raise BadInput(f"token id {sequences.max()} doesn't fit ARRAY<INT>; read them with option tokens=binary")
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(sequences.reshape(-1), pa.int32()))


def _placed(target: Target, batches: Iterable[pa.RecordBatch]) -> Iterator[Shard]:
    for number, rows in groupby(_rows(target.form, batches), key=itemgetter(0)):
        yield _write(target, number, _in_place(number, rows))


def _in_turn(target: Target, part: int, batches: Iterable[pa.RecordBatch]) -> Iterator[Shard]:
    sequences = (sequence for batch in batches for sequence in _sequences(target.form, batch.column(0)))
    for number in range(part * _SHARDS_A_PART, (part + 1) * _SHARDS_A_PART):
        first = next(sequences, None)
        if first is None:
            return
        yield _write(target, number, chain([first], islice(sequences, target.shard_sequences - 1)))
    if next(sequences, None) is not None:
        raise BadInput(f"more than {_SHARDS_A_PART} shards of one partition; repartition, or raise shard_sequences")


def _rows(form: Form, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, int, Tokens]]:
    for batch in batches:
        shards, places = (batch.column(at).to_pylist() for at in (0, 1))
        yield from zip(shards, places, _sequences(form, batch.column(2)), strict=True)


def _sequences(form: Form, column: pa.BinaryArray) -> Tokens:
    """The rows' tokens, one sequence a row; BadInput unless each has as many as the form says."""
    if column.null_count:
        raise BadInput("webdataset: a row has no tokens (null)")
    lengths = np.diff(np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset))
    if len(wrong := lengths[lengths != form.num_bytes]):
        said = f"{wrong[0]} bytes of tokens, expected {form.seq_len} tokens of {form.dtype}: {form.num_bytes}"
        raise BadInput(f"webdataset: a row has {said}")
    found: Tokens = joined_values(column, form.kind).reshape(-1, form.seq_len)
    return found


def _in_place(number: int, rows: Iterator[tuple[int, int, Tokens]]) -> Iterator[Tokens]:
    for expected, (_, place, sequence) in enumerate(rows):
        if place != expected:
            raise Incomplete(f"{shard_name(number)}: found place {place} where {expected} was expected")
        yield sequence


def _write(target: Target, number: int, sequences: Iterable[Tokens]) -> Shard:
    form = target.form
    return write_shard(
        target.aside, number, sequences, seq_len=form.seq_len, dtype=form.dtype, ext=form.ext, pad=form.pad
    )
