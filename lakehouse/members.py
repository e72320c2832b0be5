"""The two forms in which a sequence of tokens is a member of a tar shard, and what a member may be.

bin: its tokens, little-endian, of one size; read without copying. json.gz: DCLM's own, a JSON list in gzip, which its
trainer (open_lm) reads; the name ends with a hash of the content where DCLM's ends with a random uuid. Nothing in a
member is believed: names, types, sizes, numbers and what it unpacks to are checked before they are used.
"""

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakeloom.lakehouse.errors import BadInput

Tokens = npt.NDArray[np.uint16 | np.uint32]
DTYPES: dict[str, np.dtype[np.uint16] | np.dtype[np.uint32]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
BIN, JSON = "bin", "json.gz"
EXTS = (BIN, JSON)
# Of DCLM's shards: shard and index, and any name of the sample after them.
_DCLM_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}\.json\.gz")
DIGITS = 12  # bytes of JSON that an id takes at most: ten digits, a comma and a blank

# What tarfile lets through of headers with sizes and numbers that can't be, or with too many before a member.
_TARFILES = (tarfile.TarError, ValueError, OSError, OverflowError, EOFError, RecursionError)
BLOCK = tarfile.BLOCKSIZE
# Where name, size and checksum stand in a header (POSIX ustar), one without them, and what it adds to the checksum.
_NAME, _SIZE, _CHECK = slice(0, 100), slice(124, 135), slice(148, 154)
_EMPTY = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)
_END = _EMPTY[_CHECK.stop :]
_SUM = sum(_EMPTY) - sum(_EMPTY[_SIZE]) - sum(_EMPTY[_CHECK.start : _CHECK.stop + 2]) + 8 * ord(" ")


@dataclass(frozen=True)
class Form:
    """What all members of a dataset have in common; `pad` fills a last sequence up (-1: there are none)."""

    seq_len: int
    dtype: str
    ext: str = BIN
    pad: int = -1

    @property
    def kind(self) -> "np.dtype[np.uint16] | np.dtype[np.uint32]":
        """The tokens' type."""
        return DTYPES[self.dtype]

    @property
    def num_bytes(self) -> int:
        """Of a sequence's tokens."""
        return self.seq_len * self.kind.itemsize


def smallest(largest_id: int) -> str:
    """The smallest of uint16 and uint32 that holds an id; BadInput where none does."""
    for name, kind in DTYPES.items():
        if largest_id <= np.iinfo(kind).max:
            return name
    raise BadInput(f"token id {largest_id} doesn't fit uint32")


def member(form: Form, shard: int, index: int, sequence: npt.NDArray[np.unsignedinteger]) -> tuple[str, bytes]:
    """Name and content of a sequence's member; BadInput where an id doesn't fit."""
    if len(sequence) and int(sequence.max()) > np.iinfo(form.kind).max:
        raise BadInput(f"token id {sequence.max()} doesn't fit {form.dtype}")
    if form.ext == BIN:
        return f"{shard:08d}_{index:08d}.{BIN}", sequence.astype(form.kind, copy=False).tobytes()
    listed = json.dumps(sequence.tolist()).encode()
    name = hashlib.sha256(listed).hexdigest()[:32]
    return f"{shard:08d}_{index:08d}_{name}.{JSON}", gzip.compress(listed, compresslevel=6, mtime=0)


def header(name: str, num_bytes: int) -> bytes:
    """A member's block as tarfile writes it, which took three quarters of a shard's time; with no time or owner."""
    named, size = name.encode("ascii").ljust(_NAME.stop, b"\0"), f"{num_bytes:011o}".encode()
    checksum = f"{_SUM + sum(named) + sum(size):06o}".encode()
    return named + _EMPTY[_NAME.stop : _SIZE.start] + size + _EMPTY[_SIZE.stop : _CHECK.start] + checksum + _END


def places(path: Path, form: Form, shard: int, number: int) -> list[tuple[int, int]]:
    """Offset and size of each member of one of our own tars, in order; BadInput where one is not as it must be."""
    if form.ext == BIN and _is_regular(path, form, shard, number):
        first, stride = regular(form)
        return [(first + index * stride, form.num_bytes) for index in range(number)]
    return list(_found(path, form, shard))


def regular(form: Form) -> tuple[int, int]:
    """Byte of a tar where the first sequence's tokens begin, and bytes to the next one's; 0, 0: sizes differ."""
    return (BLOCK, _stride(form)) if form.ext == BIN else (0, 0)


def _stride(form: Form) -> int:
    return BLOCK + form.num_bytes + -form.num_bytes % BLOCK


def _is_regular(path: Path, form: Form, shard: int, number: int) -> bool:
    """Whether a tar is byte by byte what we write around so many sequences: five times as fast as tarfile."""
    end = number * _stride(form)
    if path.stat().st_size != end + 2 * BLOCK + -(end + 2 * BLOCK) % tarfile.RECORDSIZE:
        return False
    content = np.memmap(path, np.uint8, "r")
    headers = content[:end].reshape(number, _stride(form))[:, :BLOCK]
    expected = (header(f"{shard:08d}_{index:08d}.{BIN}", form.num_bytes) for index in range(number))
    return headers.tobytes() == b"".join(expected) and not content[end:].any()


def _found(path: Path, form: Form, shard: int) -> Iterator[tuple[int, int]]:
    for index, one in enumerate(_members(path)):
        if form.ext == BIN:
            expected = f"{shard:08d}_{index:08d}.{BIN}"
            if one.name != expected or one.size != form.num_bytes or not one.isreg():
                said = f"expected {expected!r} of {form.num_bytes}"
                raise BadInput(f"{path}: member {one.name!r} of {one.size} bytes; {said}")
        elif not re.fullmatch(rf"{shard:08d}_{index:08d}_[0-9a-f]{{32}}\.json\.gz", one.name) or not one.isreg():
            raise BadInput(f"{path}: member {one.name!r}; expected '{shard:08d}_{index:08d}_<hash>.{JSON}'")
        yield one.offset_data, one.size


def foreign_places(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each member of a tar that DCLM made; BadInput where it is anything but a sequence."""
    for one in _members(path):
        if not one.isreg():
            raise BadInput(f"{path}: member {one.name!r} is no file but a link, a device or a folder; refused")
        if not _DCLM_NAME.fullmatch(one.name):
            raise BadInput(f"{path}: member {one.name!r} is no sequence of DCLM's like '00000000_00000000_x.{JSON}'")
        yield one.name, one.offset_data, one.size


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    try:
        with tarfile.open(path, "r:") as tar:
            for one in tar:
                if one.size < 0 or one.issparse():  # tarfile takes both for regular files
                    kind = "sparse" if one.issparse() else f"of {one.size} bytes"
                    raise BadInput(f"{path}: member {one.name!r} is {kind}; refused")
                yield one
    except _TARFILES as error:
        raise BadInput(f"{path}: no readable tar: {type(error).__name__}: {error}") from error


def tokens(content: bytes, form: Form, where: str) -> Tokens:
    """The sequence of a json.gz member; BadInput unless it is a JSON list of seq_len ids that the dtype holds."""
    found = _listed(content, form.seq_len, where)
    if len(found) != form.seq_len:
        raise BadInput(f"{where}: {len(found)} tokens, expected {form.seq_len}")
    if found and not 0 <= min(found) <= max(found) <= int(np.iinfo(form.kind).max):
        raise BadInput(f"{where}: token ids from {min(found)} to {max(found)} don't fit {form.dtype}")
    return np.array(found, form.kind)


def count(content: bytes, most: int, where: str) -> int:
    """Tokens of a json.gz member, at most so many; BadInput unless it is a JSON list of whole numbers."""
    return len(_listed(content, most, where))


def _listed(content: bytes, most: int, where: str) -> list[int]:
    """The numbers of a JSON list in gzip that has so many at most: no more than they can take is unpacked."""
    unpacker, most_bytes = zlib.decompressobj(31), DIGITS * most + 2
    try:
        found: object = json.loads(unpacker.decompress(content, most_bytes))
    except (zlib.error, ValueError, RecursionError) as error:
        raise BadInput(f"{where}: no JSON list in gzip: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise BadInput(f"{where}: more than {most_bytes} bytes of JSON, or something behind them")
    if not isinstance(found, list) or any(type(one) is not int for one in found):
        raise BadInput(f"{where}: not a list of whole numbers")
    return found
