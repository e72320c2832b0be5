"""The Spark Python data source `warc`: archives as rows, in Arrow batches bounded in bytes.

spark.read.format("warc").load("folder") works by itself; jobs/ingest.py passes the file list and the pool.
The kinds of rows are those of rows.py.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from lakeloom.lakehouse import guard, ledger
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.reader import Task
from lakeloom.lakehouse.rows import SCHEMA
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.warc import Limits

_LOST = ("broken_stream", "unreadable")  # errors after which no more of a file is read
_UNKNOWN_BYTES = 1_000_000_000  # a remote file of unknown size is taken for a Common Crawl archive


@dataclass
class FilePack(InputPartition):
    """The files that one task reads: (path in the pool, address, bytes)."""

    files: tuple[tuple[str, str, int], ...]


class WarcDataSource(DataSource):
    """`warc`. Options: path, or files (a JSON list of [path, address, bytes]); pool, partition_bytes, min_partitions,
    max_record_bytes, timeout_s, keep_html, keep_rights; ledger: a folder for the rows that are no pages; whole: true
    ends the reading with a BadInput where a file can't be read to its end.
    """

    @classmethod
    def name(cls) -> str:
        return "warc"

    def schema(self) -> str:
        return ddl(SCHEMA)

    def reader(self, schema: StructType) -> DataSourceReader:
        return WarcReader(dict(self.options))


class WarcReader(DataSourceReader):
    """Packs small files into few tasks, and reads each task's files in order."""

    def __init__(self, options: dict[str, str]) -> None:
        self.pool = options.get("pool", "")
        self.files = _files(options)
        self.partition_bytes = int(options.get("partition_bytes", 256 << 20))
        self.min_partitions = int(options.get("min_partitions", 2))
        self.timeout_s = float(options.get("timeout_s", 20))
        self.ledger = options.get("ledger", "")
        self.whole = options.get("whole", "false").lower() == "true"
        self.limits = Limits(
            max_bytes=int(options.get("max_record_bytes", Limits.max_bytes)),
            keep_html=options.get("keep_html", "false").lower() == "true",
            keep_rights=options.get("keep_rights", "false").lower() == "true",
        )

    def partitions(self) -> Sequence[InputPartition]:
        return [FilePack(tuple(files)) for files in pack(self.files, self.partition_bytes, self.min_partitions)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, FilePack)  # noqa: S101 (Spark gives back what partitions() made)
        found = guard.batches(Task(self.pool, list(partition.files), self.limits, self.timeout_s))
        if self.whole:
            found = _unbroken(found, {path: address for path, address, _ in partition.files})
        if not self.ledger:
            yield from found
            return
        name = identity("ledger", self.pool, partition.files)
        with ledger.writer(self.ledger, name) as others:
            for batch in found:
                is_page = pc.equal(batch["kind"], "page")
                others.write_batch(batch.filter(pc.invert(is_page)))
                yield batch.filter(is_page)


def _unbroken(batches: Iterator[pa.RecordBatch], addresses: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """The same batches; BadInput at the first row which says that the rest of a file, or all of it, is lost."""
    for batch in batches:
        is_lost = pc.or_(pc.equal(batch["stage"], "open"), pc.is_in(batch["error"], pa.array(_LOST)))
        for row in batch.filter(pc.and_(pc.equal(batch["kind"], "dead"), is_lost)).to_pylist():
            line = "" if row["offset"] is None else f", line {row['offset'] + 1}"
            raise BadInput(
                f"{addresses[row['path']]}{line}: {row['error']}: {row['detail']}; the file must be whole, and packed "
                "as its name says"
            )
        yield batch


def _files(options: dict[str, str]) -> list[tuple[str, str, int]]:
    if "files" in options:
        listed = cast(list[tuple[str, str, int]], json.loads(options["files"]))
        return [(path, address, size) for path, address, size in listed]
    root = Path(options.get("path", ""))
    if not options.get("path") or not root.exists():
        raise ConfigError(f"format('warc') needs load(folder or file) that exists, not {options.get('path')!r}")
    found = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    base = root.parent if root.is_file() else root
    return [(str(path.relative_to(base)), str(path), path.stat().st_size) for path in found]


def pack(files: Sequence[tuple[str, str, int]], max_bytes: int, min_parts: int) -> list[list[tuple[str, str, int]]]:
    """Files in groups of about equal bytes, none above `max_bytes` but single files; `min_parts` if possible."""
    sizes = {file: file[2] or _UNKNOWN_BYTES for file in files}
    total = sum(sizes.values())
    num = min(len(files), max(min_parts, -(-total // max_bytes)))
    groups: list[list[tuple[str, str, int]]] = [[] for _ in range(num)]
    loads = [0] * num
    for file in sorted(files, key=lambda file: (-sizes[file], file[0])):
        lightest = loads.index(min(loads))
        groups[lightest].append(file)
        loads[lightest] += sizes[file]
    return [sorted(group) for group in groups]
