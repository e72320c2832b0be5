"""Where an archive begins, and where it goes on after damage."""

import zlib
from dataclasses import dataclass, replace
from typing import Protocol

import zstandard
from fastwarc.stream_io import Lz4Reader

from lakeloom.lakehouse.streams import ByteSource

_GZIP, _ZSTD, _LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
_PLAIN = b"WARC/"
_DICTIONARY = b"\x5d\x2a\x4d\x18"  # zstd's skippable frame with the dictionary of a .warc.zst (IIPC's WARC-zstd 1.0)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Kind:
    """How a file has to be read. `magic` begins each record (plain) or each compressed member."""

    magic: bytes
    is_quirky: bool = False
    is_arc: bool = False
    start: int = 0
    error: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Damage:
    """Bytes from `start` to `end` hold no record that can be read."""

    start: int
    end: int


def sniff(file: ByteSource, size: int) -> Kind:
    """What the first bytes say, or the first place in the file that begins like a record; else an error's name."""
    file.seek(0)
    head = file.read(1 << 16)
    if not head:
        return Kind(b"", error="empty_file")
    if head.startswith(_DICTIONARY) and _has_dictionary(file, head):
        return Kind(_PLAIN)
    if head.startswith(_LZ4) and (start := _lz4_start(file, size)) < size:
        return Kind(_LZ4, start=start)
    kind = _kind(head)
    if not kind.error:
        return kind
    begins = [_find(file, Kind(magic), 0, size) for magic in (_PLAIN, _GZIP)]
    start = min(begins)
    if start >= size:
        return kind
    file.seek(start)
    return replace(_kind(file.read(1 << 16)), start=start)


def _kind(head: bytes) -> Kind:
    magic = next((magic for magic in (_GZIP, _ZSTD) if head.startswith(magic)), _PLAIN)
    text = _unpack(magic, head).lstrip(b"\r\n")
    if text.startswith(b"filedesc:"):
        return Kind(magic, is_arc=True)
    if not text.startswith(_PLAIN):
        return Kind(magic, error="not_an_archive", detail=f"begins with {bytes(text[:20])!r}")
    # Some tools end header lines with a bare line feed, which FastWARC reads in its lenient mode only.
    return Kind(magic, is_quirky=not text.split(b"\n", 1)[0].endswith(b"\r"))


def _has_dictionary(file: ByteSource, head: bytes) -> bool:
    """Whether zstd's first frame comes after the skippable one; FastWARC reads the dictionary itself."""
    file.seek(8 + int.from_bytes(head[4:8], "little"))
    return file.read(4) == _ZSTD


def _lz4_start(file: ByteSource, size: int) -> int:
    """Offset of the first frame of LZ4 with a record in it, else the file's end."""
    start = 0
    while start < size and not _is_lz4(file, start):
        start = _find(file, Kind(_LZ4), start + 1, size)
    return start


def _is_lz4(file: ByteSource, start: int) -> bool:
    file.seek(start)
    try:
        # From the file: a block of up to 4 MB is unpacked whole, or not at all.
        return Lz4Reader(file).read(1 << 12).lstrip(b"\r\n").startswith(_PLAIN)
    except OSError:
        return False


def _unpack(magic: bytes, head: bytes) -> bytes:
    """The first decompressed bytes, as many as an undamaged beginning gives."""
    if magic == _GZIP:
        return _try_gzip(head)
    if magic == _ZSTD:
        try:
            return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(head).read(1 << 12)
        except zstandard.ZstdError:
            return b""
    return head


def _try_gzip(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, 1 << 12)
    except zlib.error:
        return b""


def next_start(file: ByteSource, size: int, start: int, last: int | None, kind: Kind) -> Damage:
    """The damage after the last good record, at `last` (or from `start` on): to the next place that may be a record."""
    begin = start if last is None else min(_end_of_record(file, last, kind), size)
    found = _find(file, kind, begin, size)
    # A place that looks like a record, yet could not be read as one, is part of the damage.
    return Damage(begin, found if found > begin else _find(file, kind, begin + 1, size))


def _end_of_record(file: ByteSource, offset: int, kind: Kind) -> int:
    """First byte after the record, or after its compressed member; just after its first where that can't be told."""
    file.seek(offset)
    if kind.magic == _GZIP:
        return _end_of_member(file, offset, zlib.decompressobj(31))
    if kind.magic == _ZSTD:
        return _end_of_member(file, offset, zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj())
    if kind.magic == _LZ4:
        return offset + 1
    length, head = 0, 0
    while line := file.readline(1 << 15):
        head += len(line)
        if not line.strip():
            break
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
    return offset + head + length


def _end_of_member(file: ByteSource, offset: int, unpacker: "_Unpacker") -> int:
    position = offset
    try:
        while not unpacker.eof and (block := file.read(1 << 16)):
            position += len(block)
            unpacker.decompress(block)
    except (zlib.error, zstandard.ZstdError):
        return offset + 1
    return position - len(unpacker.unused_data) if unpacker.eof else offset + 1


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _find(file: ByteSource, kind: Kind, position: int, size: int) -> int:
    """Offset of the next place at or after `position` that begins like a record, else the file's end."""
    file.seek(position)
    carried, base = b"", position
    while block := file.read(_BLOCK):
        data = carried + block
        at = data.find(kind.magic)
        while at >= 0 and at + 64 <= len(data):
            if _is_record(kind, data[at : at + 4096]):
                return base + at
            at = data.find(kind.magic, at + 1)
        keep = len(data) - at if at >= 0 else len(kind.magic) - 1
        carried, base = data[len(data) - keep :], base + len(data) - keep
    at = carried.find(kind.magic)
    end = base + len(carried)
    return base + at if at >= 0 and _is_record(kind, carried[at:]) else min(end, size)


def _is_record(kind: Kind, data: bytes) -> bool:
    if kind.magic == _GZIP:
        return _try_gzip(data).lstrip(b"\r\n").startswith(_PLAIN)
    if kind.magic == _PLAIN:
        return data[5:6].isdigit() and b"\n" in data[:16]
    return True
