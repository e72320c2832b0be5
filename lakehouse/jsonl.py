"""Pages that others extracted: JSON lines as DCLM reads and writes them (specification, sections 1.1 and 1.2).

Text is `text` or `content`; the URL is `url` or metadata's WARC-Target-URI. A page's offset is its line number.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import cast

import pyarrow as pa

from lakeloom.lakehouse.streams import ByteSource
from lakeloom.lakehouse.warc import BadRecord, Limits, Page, Row, host_of

_NAME = re.compile(r"\.(jsonl|ndjson)(\.(gz|zst|zstd))?$", re.IGNORECASE)


def is_jsonl(name: str) -> bool:
    """Whether a file's name says JSON lines, compressed or not."""
    return _NAME.search(name) is not None


def records(file: ByteSource, name: str, limits: Limits) -> Iterator[Row]:
    """Each line as a page or a bad record; a broken stream ends with one bad record."""
    file.seek(0)
    number = 0
    try:
        for number, line in enumerate(_lines(file, name, limits.max_bytes)):
            yield _page(line, number, limits)
    except (OSError, EOFError, zlib.error) as error:
        yield BadRecord(number, "parse", "broken_stream", f"{type(error).__name__}: {error}"[:200], 0)


class _Readable:
    """What Arrow asks of a file of Python's."""

    closed = False

    def __init__(self, file: ByteSource) -> None:
        self.read = file.read

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""


def _lines(file: ByteSource, name: str, limit: int) -> Iterator[bytes]:
    """Lines of at most limit + 1 bytes; the rest of a longer one is skipped."""
    stream, name = file, name.lower()
    if name.endswith(".gz"):
        stream = gzip.GzipFile(fileobj=file)
    elif name.endswith((".zst", ".zstd")):
        # Arrow's, since zstandard's reader takes a frame that was cut off for a whole one.
        source = pa.PythonFile(_Readable(file), mode="r")
        stream = io.BufferedReader(cast(io.RawIOBase, pa.CompressedInputStream(source, "zstd")))
    while line := stream.readline(limit + 1):
        rest = line
        while len(rest) > limit and not rest.endswith(b"\n"):
            rest = stream.readline(limit + 1)
        yield line


def _page(line: bytes, number: int, limits: Limits) -> Row:
    if len(line) > limits.max_bytes:
        return BadRecord(number, "decode", "too_large", f"more than {limits.max_bytes} bytes", len(line))
    try:
        page = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        return BadRecord(number, "parse", "bad_json", str(error)[:200], len(line))
    metadata = page.get("metadata") if isinstance(page, dict) else None
    headers = metadata if isinstance(metadata, dict) else {}
    text = (page.get("text") or page.get("content")) if isinstance(page, dict) else None
    if not isinstance(text, str):
        return BadRecord(number, "parse", "no_text", "neither text nor content is a string", len(line))
    url = str(page.get("url") or headers.get("WARC-Target-URI") or "")
    return Page(
        offset=number,
        number=number,
        url=url,
        host=host_of(url),
        fetched_at=_date(str(headers.get("WARC-Date") or "")),
        http_status=None,
        content_type="application/json",
        http_headers={},
        charset="utf-8",
        text=text,
        html_bytes=len(line),
        extractor="given",
        html=None,
        payload_digest=None,
    )


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
