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
from typing import TYPE_CHECKING

import zstandard

from lakeloom.lakehouse.streams import ByteSource
from lakeloom.lakehouse.warc import BadRecord, Limits, Page, Row, domain_of, host_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

_NAME = re.compile(r"\.(jsonl|ndjson)(\.(gz|zst|zstd))?$", re.IGNORECASE)


def is_jsonl(name: str) -> bool:
    """Whether a file's name says JSON lines, compressed or not."""
    return _NAME.search(name) is not None


def records(file: ByteSource, name: str, limits: Limits) -> Iterator[Row]:
    """Each line as a page or a bad record; a broken stream ends with one bad record."""
    file.seek(0)
    number = 0
    raw = _Raw(_chunks(file, name.lower()))
    for line in _lines(io.BufferedReader(raw, 1 << 16), limits.max_bytes):
        row = _page(line, number, limits)
        if raw.error and isinstance(row, BadRecord) and not line.endswith(b"\n"):
            break  # the line at which the stream broke
        yield row
        number += 1
    if raw.error:
        detail = f"{type(raw.error).__name__}: {raw.error}"[:200]
        yield BadRecord(number, "parse", "broken_stream", detail, 0)


def _chunks(file: ByteSource, name: str) -> Iterator[bytes]:
    """The file's bytes, unpacked, in pieces of which the largest has 64 MiB."""
    if name.endswith(".gz"):
        unpacked = gzip.GzipFile(fileobj=file)
        return iter(lambda: unpacked.read1(1 << 16), b"")
    if name.endswith((".zst", ".zstd")):
        return _unpacked(file)
    return iter(lambda: file.read(1 << 16), b"")


def _unpacked(file: ByteSource) -> Iterator[bytes]:
    """Frames of zstd. zstandard's own reader takes one that was cut off for a whole one."""
    unpacker = None
    while block := file.read(1 << 11):  # 4 bytes may become 128 KiB
        while block:
            unpacker = unpacker or zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            yield unpacker.decompress(block)
            block, unpacker = (unpacker.unused_data, None) if unpacker.eof else (b"", unpacker)
    if unpacker is not None:
        raise EOFError("the last frame is cut off")


class _Raw(io.RawIOBase):
    """Pieces as a file that ends where they fail: what was unpacked before is read, and `error` says why it ended."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.error: Exception | None = None
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        target = memoryview(buffer)
        try:
            while not (self._rest or self.error) and (chunk := next(self._chunks, None)) is not None:
                self._rest = memoryview(chunk)
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            self.error = error
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _lines(stream: io.BufferedReader, limit: int) -> Iterator[bytes]:
    """Lines of at most limit + 1 bytes; the rest of a longer one is skipped."""
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
    host = host_of(url)
    return Page(
        offset=number,
        number=number,
        url=url,
        host=host,
        domain=domain_of(host),
        fetched_at=_date(str(headers.get("WARC-Date") or "")),
        http_status=None,
        content_type="application/json",
        http_headers={},
        charset="utf-8",
        text=text,
        html_bytes=len(line),
        extractor="given",
        html=None,
        refusals=None,
        licenses=None,
        payload_digest=None,
    )


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
