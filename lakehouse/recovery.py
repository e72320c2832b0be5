"""Where an archive begins, and where it goes on after damage."""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Protocol

import zstandard

from lakeloom.lakehouse.streams import ByteSource

_GZIP, _ZSTD, _LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
_PLAIN = b"WARC/"
_DICTIONARY = b"\x5d\x2a\x4d\x18"  # zstd's skippable frame with the dictionary of a .warc.zst (IIPC's WARC-zstd 1.0)
_BLOCK = 1 << 20
_HEAD = 1 << 18  # two of zstd's largest blocks, which are unpacked whole or not at all
_ARC = re.compile(rb"filedesc:[^\r\n ]* [^ \r\n]+ \d+ [^\r\n]*\d\r?\n")  # address, date, type, length (ARC 1 and 2)
_LZ4_FRAME = re.compile(rb"\x04\x22\x4d\x18[\x40-\x7f][\x40\x50\x60\x70].{1,40}?WARC/\d", re.DOTALL)
_MAX_TRIES = 50  # what only looks like a member is unpacked so often before it is given up
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x0c\x0e-\x1f]")


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
    head = file.read(_HEAD)
    if not head:
        return Kind(b"", error="empty_file")
    if head.startswith(_DICTIONARY) and _has_dictionary(file, head):
        return Kind(_PLAIN)
    kind = _kind(head)
    if not kind.error and (kind.magic != _PLAIN or kind.is_arc or _has_header(head.lstrip(b"\r\n"))):
        return kind
    for start, found in sorted(_first_starts(file, size), key=itemgetter(0)):
        # A hurt header is still better read than skipped, unless it only stands before compressed members.
        if kind.error or found.magic != _PLAIN:
            return replace(found, start=start)
        break
    return kind


def _first_starts(file: ByteSource, size: int) -> Iterator[tuple[int, Kind]]:
    """For each format, the first place that gives a record's beginning when unpacked."""
    searches = {_PLAIN: _has_header, _GZIP: _is_gzip, _ZSTD: _is_any, _LZ4: _is_lz4}
    for magic, is_record in searches.items():
        start = -1
        for _ in range(_MAX_TRIES):
            start = _find(file, magic, is_record, start + 1, size)
            if start >= size:
                break
            file.seek(start)
            if not (kind := _kind(file.read(_HEAD))).error:
                yield start, kind
                break


def _kind(head: bytes) -> Kind:
    if _is_lz4(head):
        return Kind(_LZ4)
    magic = next((magic for magic in (_GZIP, _ZSTD) if head.startswith(magic)), _PLAIN)
    text = _unpack(magic, head).lstrip(b"\r\n")
    if _ARC.match(text):
        return Kind(magic, is_arc=True)
    if not _begins_record(text):
        return Kind(magic, error="not_an_archive", detail=f"begins with {bytes(text[:20])!r}")
    # Some tools end header lines with a bare line feed, which FastWARC reads in its lenient mode only.
    return Kind(magic, is_quirky=not text.split(b"\n", 1)[0].endswith(b"\r"))


def _has_dictionary(file: ByteSource, head: bytes) -> bool:
    """Whether zstd's first frame comes after the skippable one; FastWARC reads the dictionary itself."""
    file.seek(8 + int.from_bytes(head[4:8], "little"))
    return file.read(4) == _ZSTD


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


def _begins_record(text: bytes) -> bool:
    """A record's first line is WARC/ and a version; a text may hold the five letters alone."""
    return text.startswith(_PLAIN) and text[5:6].isdigit() and b"\n" in text[:16]


def _has_header(text: bytes) -> bool:
    """As above, and so are the lines that follow: LZ4 and zstd leave a record's first line readable, not the rest."""
    lines = text.split(b"\n\r\n", 1)[0].split(b"\n\n", 1)[0].split(b"\n")[1:-1]
    return _begins_record(text) and bool(lines) and all(b":" in line and not _CONTROL.search(line) for line in lines)


def _is_gzip(data: bytes) -> bool:
    return _begins_record(_try_gzip(data).lstrip(b"\r\n"))


def _is_lz4(data: bytes) -> bool:
    """A frame's descriptor has a version and a block size; its first literals are a record's, never compressed."""
    return _LZ4_FRAME.match(data) is not None


def _is_any(_: bytes) -> bool:
    return True  # a block of zstd may be longer than what there is to look at, and need a dictionary


_IS_RECORD = {_PLAIN: _begins_record, _GZIP: _is_gzip, _ZSTD: _is_any, _LZ4: _is_lz4}


class Recovery:
    """Finds where an archive goes on, again and again, in one pass over the file."""

    def __init__(self, file: ByteSource, size: int, kind: Kind) -> None:
        self._file, self._size, self._kind = file, size, kind
        self._blank = b"\n\n" if kind.is_quirky else b"\r\n\r\n"
        self._searched = range(0)  # no header behind a blank line begins in it

    def after(self, start: int, last: int | None) -> Damage:
        """The damage after the last good record, at `last` (or from `start` on), to the next that may be one."""
        begin = start if last is None else _end_of_record(self._file, last, self._kind)
        if last is not None and self._kind.magic == _PLAIN and (covered := self._covered(last, begin)) < begin:
            return Damage(covered, covered)
        begin = min(begin, self._size)
        find = partial(_find, self._file, self._kind.magic, _IS_RECORD[self._kind.magic])
        found = find(begin, self._size)
        # A place that looks like a record, yet could not be read as one, is part of the damage. One that was not begun
        # at is tried: what stopped the reader there may be the record before, whose length is wrong.
        return Damage(begin, found if found > begin or begin > start else find(begin + 1, self._size))

    def _covered(self, last: int, end: int) -> int:
        """Where the next record begins that a plain record's wrong length covers; its own `end` where there is none.

        A length is right where a record's end follows, or the next record. One that goes beyond the file may be wrong,
        or the file was cut: then what the record quotes after a blank line counts as records.
        """
        if end <= self._size:
            self._file.seek(end)
            after = self._file.read(16)
            if after.startswith(self._blank) or not after.strip() or after.strip().startswith(_PLAIN):
                return end
        if last not in self._searched:
            # Strictly: the text of a page may have such lines, too.
            length = len(self._blank)
            found = _find(self._file, self._blank + _PLAIN, lambda data: _has_header(data[length:]), last, self._size)
            self._searched = range(last, found + 1)
        found = self._searched.stop - 1
        return found + len(self._blank) if found < min(end, self._size) else end


def _end_of_record(file: ByteSource, offset: int, kind: Kind) -> int:
    """First byte after the record, or after its compressed member; just after its first where that can't be told."""
    file.seek(offset)
    if kind.magic == _GZIP:
        return _end_of_member(file, offset, zlib.decompressobj(31), 1 << 16)
    if kind.magic == _ZSTD:
        # Some bytes at a time, since 4 bytes of zstd may unpack to a block of 128 KiB, and all of them at once.
        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        return _end_of_member(file, offset, unpacker, 1 << 9)
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


def _end_of_member(file: ByteSource, offset: int, unpacker: "_Unpacker", step: int) -> int:
    position = offset
    try:
        while not unpacker.eof and (block := file.read(step)):
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


def _find(file: ByteSource, magic: bytes, is_record: Callable[[bytes], bool], position: int, size: int) -> int:
    """Offset of the next place at or after `position` that begins like a record, else the file's end."""
    file.seek(position)
    carried, base = b"", position
    while block := file.read(_BLOCK):
        data = carried + block
        at = data.find(magic)
        while at >= 0 and at + 64 <= len(data):
            if is_record(data[at : at + 4096]):
                return base + at
            at = data.find(magic, at + 1)
        keep = len(data) - at if at >= 0 else min(len(magic) - 1, len(data))
        carried, base = data[len(data) - keep :], base + len(data) - keep
    at = carried.find(magic)
    end = base + len(carried)
    return base + at if at >= 0 and is_record(carried[at:]) else min(end, size)
