"""The Spark Python data source `webdataset`: rows to tar shards, and the shards of a dataset to rows.

What a task does is in shard_rows.py, in Arrow batches bounded in bytes.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    DataSourceWriter,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.types import BinaryType, StructType

from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shard_rows import ROWS, Target, rows, written
from lakeloom.lakehouse.shard_writer import begin, reveal
from lakeloom.lakehouse.shards import MANIFEST, Shard, check_shard, listed


@dataclass
class Written(WriterCommitMessage):
    """The shards that one task wrote."""

    shards: tuple[Shard, ...]


class WebDatasetSource(DataSource):
    """`webdataset`: df.write.format("webdataset").mode("append").option("seq_len", 2049).save(folder), and
    spark.read.format("webdataset").load(folder).

    Rows have `tokens` (binary: little-endian, of dtype) and, unless their order doesn't matter, `shard` and `place`.
    Options to write: seq_len; dtype uint16, uint32; members bin, json.gz; shard_sequences; pad: an id that is counted.
    Option to read: tokens binary (as they were written) or array (an ARRAY<INT> of ids).
    """

    @classmethod
    def name(cls) -> str:
        return "webdataset"

    def schema(self) -> str:
        return ddl(ROWS[self._as()])

    def reader(self, schema: StructType) -> DataSourceReader:
        return WebDatasetReader(self.options.get("path", ""), self._as())

    def _as(self) -> str:
        if (kind := self.options.get("tokens", "binary")) not in ROWS:
            raise unknown("form of tokens", kind, ROWS, "webdataset")
        return kind

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        return WebDatasetWriter(Target.of(dict(self.options)), schema, overwrite)


@dataclass
class OneShard(InputPartition):
    """The shard that one task reads."""

    shard: Shard


class WebDatasetReader(DataSourceReader):
    """A task a shard; all of them are there, with the sizes that the manifest says, or nothing is read."""

    def __init__(self, path: str, kind: str) -> None:
        self.folder, self.kind = Path(path).absolute(), kind
        if not path or not (self.folder / MANIFEST).is_file():
            raise ConfigError(f"format('webdataset') needs load(folder) of a dataset: {path!r} has no {MANIFEST}")

    def partitions(self) -> Sequence[InputPartition]:
        shards = listed(self.folder)
        for shard in shards:
            check_shard(shard, self._path(shard))
        return [OneShard(shard) for shard in shards]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, OneShard)  # noqa: S101 (Spark gives back what partitions() made)
        yield from rows(self._path(partition.shard), partition.shard, self.kind)

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.shard}.tar"


class WebDatasetWriter(DataSourceArrowWriter):
    """Shards are written aside; the folder appears, with its manifest, when all are there."""

    def __init__(self, target: Target, schema: StructType, overwrite: bool) -> None:
        self.target, self.names = target, tuple(schema.names)
        if overwrite or target.folder.exists():
            raise ConfigError(f"{target.folder} is never overwritten; write to a new folder with mode('append')")
        if "tokens" not in self.names or not isinstance(schema["tokens"].dataType, BinaryType):
            raise ConfigError(f"format('webdataset') needs a binary column tokens; there are {', '.join(self.names)}")
        begin(target.folder, target.owner)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        task = TaskContext.get()
        part = task.partitionId() if task else 0
        return Written(tuple(written(self.target, self.names, part, iterator)))

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        shards = sorted((shard for one in messages for shard in _shards(one)), key=lambda shard: shard.number)
        twice = [one.shard for one, other in pairwise(shards) if one.number == other.number]
        if twice or not shards:
            shutil.rmtree(self.target.aside)
            said = f"{twice[0]} was written by two tasks; repartition by shard" if twice else "no row was given"
            raise Incomplete(f"{self.target.folder}: {said}; nothing was published")
        reveal(self.target.aside, self.target.folder, shards)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        shutil.rmtree(self.target.aside, ignore_errors=True)


def _shards(message: WriterCommitMessage | None) -> tuple[Shard, ...]:
    return message.shards if isinstance(message, Written) else ()
