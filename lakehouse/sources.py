"""Spark Python data source `warc`: archives in, one row per record out, in Arrow batches bounded in bytes.

spark.read.format("warc").load("folder") works by itself; jobs/ingest.py passes the file list and the pool.
Row kinds: page; dead (a record that gave no page); other (a tally of sound records without pages, one a file and type);
file (one a file, last: all its records and what they cost).
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from lakeloom.lakehouse import jsonl
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.guard import Guard
from lakeloom.lakehouse.ids import doc_id, identity
from lakeloom.lakehouse.jsonl import is_jsonl
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.streams import GONE, open_stream
from lakeloom.lakehouse.tables import TABLES
from lakeloom.lakehouse.warc import BadRecord, Limits, OtherRecord, Page, Row, records

_PAGE = [
    "doc_id",
    "url",
    "host",
    "fetched_at",
    "http_status",
    "content_type",
    "http_headers",
    "charset",
    "text",
]
_PAGE += ["num_chars", "html_bytes", "extractor", "html", "warc_offset", "payload_digest"]
_DEAD = ["offset", "stage", "error", "detail", "num_records", "num_bytes"]
SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("file_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("cpu_s", pa.float64()),
        *[TABLES["bronze.pages"].schema.field(name) for name in _PAGE],
        *[TABLES["bronze.dead_letters"].schema.field(name) for name in _DEAD],
    ]
)
_BATCH_BYTES, _BATCH_ROWS = 16 << 20, 1000


def file_id(pool: str, path: str, num_bytes: int) -> str:
    """Identity of a source file: a file of another size under the same path is another file."""
    return identity("file", pool, path, num_bytes)


@dataclass
class FilePack(InputPartition):
    """The files that one task reads: (path in the pool, address, bytes)."""

    files: tuple[tuple[str, str, int], ...]


class WarcDataSource(DataSource):
    """`warc`. Options: path, or files (a JSON list of [path, address, bytes]); pool, partition_bytes, min_partitions,
    max_record_bytes, timeout_s, keep_html."""

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
        self.limits = Limits(
            max_bytes=int(options.get("max_record_bytes", Limits.max_bytes)),
            keep_html=options.get("keep_html", "false").lower() == "true",
        )

    def partitions(self) -> Sequence[InputPartition]:
        return [FilePack(tuple(files)) for files in pack(self.files, self.partition_bytes, self.min_partitions)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, FilePack)  # noqa: S101 (Spark gives back what partitions() made)
        guard = Guard(self.timeout_s)
        batch = _Batch()
        try:
            for path, address, size in partition.files:
                yield from self._read_file(batch, guard, path, address, size)
            yield batch.take()
        finally:
            guard.close()

    def _read_file(self, batch: "_Batch", guard: Guard, path: str, address: str, size: int) -> Iterator[pa.RecordBatch]:
        identifier, started = file_id(self.pool, path, size), time.process_time() + guard.cpu_s
        others, num_records, last = Counter[str](), 0, (-1, 0)
        for row in _records(address, guard, self.limits):
            if isinstance(row, OtherRecord):
                others[row.kind] += 1
            else:
                # Records of one compressed member share its offset; their count in it keeps them apart.
                last = (row.offset or 0, last[1] + 1 if row.offset == last[0] else 0)
                batch.add(_row(row, self.pool, identifier, path, last[1]))
            num_records += 1
            if batch.is_full:
                yield batch.take()
        for kind, count in sorted(others.items()):
            batch.add(_tally(identifier, path, "other", f"type_{kind}", count))
        spent = max(0.0, time.process_time() + guard.cpu_s - started)
        batch.add({**_tally(identifier, path, "file", "", num_records), "cpu_s": spent})


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
    total = sum(file[2] for file in files)
    num = min(len(files), max(min_parts, -(-total // max_bytes)))
    groups: list[list[tuple[str, str, int]]] = [[] for _ in range(num)]
    loads = [0] * num
    for file in sorted(files, key=lambda file: (-file[2], file[0])):
        lightest = loads.index(min(loads))
        groups[lightest].append(file)
        loads[lightest] += file[2]
    return [sorted(group) for group in groups]


def _records(address: str, guard: Guard, limits: Limits) -> Iterator[Row]:
    try:
        stream = open_stream(address)
    except GONE as error:
        yield BadRecord(None, "open", type(error).__name__, str(error)[:200], 0)
        return
    with stream:
        file = cast(BinaryIO, stream)
        size = file.seek(0, os.SEEK_END)
        if is_jsonl(address):
            yield from jsonl.records(file, address, limits)
        else:
            yield from records(file, size, guard.main_text, limits)


Cell = str | int | float | bytes | datetime | dict[str, str] | None


def _row(row: Page | BadRecord, pool: str, identifier: str, path: str, nth: int) -> dict[str, Cell]:
    if isinstance(row, BadRecord):
        dead = _tally(identifier, path, "dead", row.error, 1)
        return {
            **dead,
            "offset": row.offset,
            "stage": row.stage,
            "detail": row.detail,
            "num_bytes": row.num_bytes,
        }
    place = path if nth == 0 else f"{path}#{nth}"
    cells: dict[str, Cell] = {name: getattr(row, name, None) for name in _PAGE}
    cells["doc_id"] = doc_id(pool, place, row.offset, row.url)
    cells["num_chars"] = len(row.text)
    cells["warc_offset"] = row.offset
    return {**cells, "kind": "page", "file_id": identifier, "path": path}


def _tally(identifier: str, path: str, kind: str, error: str, count: int) -> dict[str, Cell]:
    return {
        "kind": kind,
        "file_id": identifier,
        "path": path,
        "stage": "select",
        "error": error,
        "num_records": count,
    }


class _Batch:
    """Rows gathered until they hold enough bytes of text (and of HTML, where it is kept)."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Cell]] = []
        self._bytes = 0

    def add(self, row: dict[str, Cell]) -> None:
        self._rows.append(row)
        text, html = row.get("text"), row.get("html")
        self._bytes += len(cast(str, text or "")) + len(cast(bytes, html or b"")) + 500

    @property
    def is_full(self) -> bool:
        return self._bytes >= _BATCH_BYTES or len(self._rows) >= _BATCH_ROWS

    def take(self) -> pa.RecordBatch:
        rows, self._rows, self._bytes = self._rows, [], 0
        columns = {name: [_clean(row.get(name)) for row in rows] for name in SCHEMA.names}
        return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def _clean(cell: Cell) -> Cell:
    """Strings that Arrow can hold: headers may bring lone surrogates."""
    if isinstance(cell, str):
        return cell if cell.isascii() else cell.encode("utf-8", "replace").decode()
    if isinstance(cell, dict):
        return {str(_clean(key)): str(_clean(value)) for key, value in cell.items()}
    return cell
