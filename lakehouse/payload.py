"""What a record's body is: transfer and content encodings taken off within a size limit, and its media type judged."""

import io
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

import brotli
import zstandard
from fastwarc.stream_io import ChunkedReader
from resiliparse.parse.encoding import detect_mime

HTML = ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml")
PLAIN = ("text/plain",)
# Servers send these for want of a better name; the bytes decide.
_VAGUE = (
    "",
    "application/octet-stream",
    "application/x-unknown-content-type",
    "unknown/unknown",
    "*/*",
    "no-type",
)

_HTML_TAG = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table"
    rb"|a|style|title|b|body|br|p)[ >])",
    re.IGNORECASE,
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


class Undecodable(Exception):
    """The body's encoding is broken; `error` is the short name that dead letters are counted by."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


class _Inflater(Protocol):
    def __call__(self, data: bytes, limit: int, /) -> bytes: ...


def decode(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """The body without its chunking and compression, at most `limit` bytes long.

    Many archives store a body decoded under its old headers: one that does not look encoded is taken as it is.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower() and _looks_chunked(body):
        body = _dechunk(body, limit)
    for name in reversed(headers.get("content-encoding", "").lower().split(",")):
        looks, inflate = _CODECS.get(name.strip(), (None, None))
        if looks is not None and inflate is not None and looks(body):
            body = inflate(body, limit)
    if len(body) > limit:
        raise Undecodable("too_large", f"more than {limit} bytes")
    return body


def media_type(header: str, body: bytes) -> str:
    """Media type without parameters, lower-case: the header's, or that of the bytes where the header says nothing."""
    declared = header.split(";")[0].strip().lower()
    return sniffed(body) if declared in _VAGUE else declared


def sniffed(body: bytes) -> str:
    """Media type by the first bytes: HTML and binary data as WHATWG's MIME Sniffing (section 7.1) tells them apart."""
    head = body[:1445]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head[2:].replace(b"\0", b"")
    if _HTML_TAG.match(head):
        return "text/html"
    return detect_mime(body) if _BINARY.search(head) else "text/plain"


def _looks_chunked(body: bytes) -> bool:
    size = body[:64].split(b"\n", 1)[0].split(b";")[0].strip()
    return bool(size) and all(byte in b"0123456789abcdefABCDEF" for byte in size)


def _dechunk(body: bytes, limit: int) -> bytes:
    try:
        reader = ChunkedReader(io.BytesIO(body))
        parts, total = list[bytes](), 0
        while total <= limit and (part := reader.read(1 << 16)):
            parts.append(part)
            total += len(part)
        return b"".join(parts)
    except OSError as error:
        raise Undecodable("bad_chunks", str(error)) from error


def _zlib(window: int) -> _Inflater:
    def inflate(data: bytes, limit: int) -> bytes:
        unpacker = zlib.decompressobj(window)
        try:
            text = unpacker.decompress(data, limit + 1)
        except zlib.error as error:
            raise Undecodable("bad_compression", str(error)) from error
        if not unpacker.eof and len(text) <= limit:
            raise Undecodable("bad_compression", "the compressed body is cut short")
        return text

    return inflate


def _brotli(data: bytes, limit: int) -> bytes:
    unpacker = brotli.Decompressor()
    parts, total = list[bytes](), 0
    try:
        while total <= limit and not unpacker.is_finished():
            part = unpacker.process(data, output_buffer_limit=1 << 16)  # a byte may become a million
            if not part and unpacker.can_accept_more_data():
                raise Undecodable("bad_compression", "the compressed body is cut short")
            parts.append(part)
            total += len(part)
            data = b""
    except brotli.error as error:
        raise Undecodable("bad_compression", f"brotli: {error}") from error
    return b"".join(parts)


def _zstd(data: bytes, limit: int) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    parts, total = list[bytes](), 0
    try:
        for start in range(0, len(data), 1 << 9):  # 4 bytes may become 128 KiB, and all of a step's are in memory
            parts.append(unpacker.decompress(data[start : start + (1 << 9)]))
            total += len(parts[-1])
            if total > limit or unpacker.eof:
                break
    except zstandard.ZstdError as error:
        raise Undecodable("bad_compression", f"zstd: {error}") from error
    if not unpacker.eof and total <= limit:
        raise Undecodable("bad_compression", "the compressed body is cut short")
    return b"".join(parts)


def _starts(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda body: body.startswith(magic)


def _not_markup(body: bytes) -> bool:
    """Brotli and raw deflate have no magic number: bytes that begin like text were decoded before they were stored."""
    return bool(body) and not body[:256].lstrip(b"\xef\xbb\xbf\r\n\t ").startswith((b"<", b"{", b"["))


_CODECS: dict[str, tuple[Callable[[bytes], bool], _Inflater]] = {
    "gzip": (_starts(b"\x1f\x8b"), _zlib(47)),
    "x-gzip": (_starts(b"\x1f\x8b"), _zlib(47)),
    "deflate": (_starts(b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), _zlib(47)),
    "br": (_not_markup, _brotli),
    "zstd": (_starts(b"\x28\xb5\x2f\xfd"), _zstd),
}
