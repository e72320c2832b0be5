"""Rows of the `warc` source: what a record becomes, gathered into Arrow batches bounded in bytes.

Row kinds: page; dead (a record that gave no page); other (a tally of sound records without pages, one a file and type);
file (one a file, last: all its records and what they cost).
"""

from datetime import datetime
from typing import cast

import pyarrow as pa

from lakeloom.lakehouse.ids import doc_id, identity
from lakeloom.lakehouse.tables import TABLES
from lakeloom.lakehouse.warc import BadRecord, Page

_PAGE = [
    *(
        "doc_id",
        "url",
        "host",
        "domain",
        "fetched_at",
        "http_status",
        "content_type",
        "http_headers",
        "charset",
        "text",
    ),
    *("num_chars", "html_bytes", "extractor", "html", "refusals", "licenses", "warc_offset", "payload_digest"),
]
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
_MAX = (1 << 63) - 1  # a header may claim more

Cell = str | int | float | bytes | datetime | dict[str, str] | list[str] | None


def file_id(pool: str, path: str, num_bytes: int) -> str:
    """Identity of a source file; one of another size under the same path is told by it (jobs/ingest.py)."""
    return identity("file", pool, path, num_bytes)


def record_row(row: Page | BadRecord, pool: str, identifier: str, path: str, nth: int) -> dict[str, Cell]:
    """A page's or a dead letter's row; `nth` tells records of one offset (of one compressed member) apart."""
    if isinstance(row, BadRecord):
        dead = tally(identifier, path, "dead", row.error, 1)
        return {
            **dead,
            "offset": row.offset,
            "stage": row.stage,
            "detail": row.detail,
            "num_bytes": min(row.num_bytes, _MAX),
        }
    place = path if nth == 0 else f"{path}#{nth}"
    cells: dict[str, Cell] = {name: getattr(row, name, None) for name in _PAGE}
    cells["doc_id"] = doc_id(pool, place, row.offset, row.url)
    cells["num_chars"] = len(row.text)
    cells["warc_offset"] = row.offset
    return {**cells, "kind": "page", "file_id": identifier, "path": path}


def tally(identifier: str, path: str, kind: str, error: str, count: int) -> dict[str, Cell]:
    """A row that stands for `count` records of a file."""
    return {
        "kind": kind,
        "file_id": identifier,
        "path": path,
        "stage": "select",
        "error": error,
        "num_records": count,
    }


class Batch:
    """Rows gathered until they hold enough bytes of text (and of HTML, where it is kept)."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Cell]] = []
        self._bytes = 0

    def add(self, row: dict[str, Cell]) -> None:
        """Take one more row."""
        self._rows.append(row)
        text, html = row.get("text"), row.get("html")
        self._bytes += len(cast(str, text or "")) + len(cast(bytes, html or b"")) + 500

    @property
    def is_full(self) -> bool:
        """Whether it is time to take it."""
        return self._bytes >= _BATCH_BYTES or len(self._rows) >= _BATCH_ROWS

    def take(self) -> pa.RecordBatch:
        """The rows so far, which it then forgets."""
        rows, self._rows, self._bytes = self._rows, [], 0
        return pa.record_batch([_array([row.get(field.name) for row in rows], field) for field in SCHEMA], SCHEMA)


def _array(cells: list[Cell], field: pa.Field) -> pa.Array:
    try:
        return pa.array(cells, field.type)
    except UnicodeEncodeError:  # headers may bring lone surrogates, which Arrow can't hold
        return pa.array([_clean(cell) for cell in cells], field.type)


def _clean(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return cell.encode("utf-8", "replace").decode()
    if isinstance(cell, list):
        return [str(_clean(item)) for item in cell]
    if isinstance(cell, dict):
        return {str(_clean(key)): str(_clean(value)) for key, value in cell.items()}
    return cell
