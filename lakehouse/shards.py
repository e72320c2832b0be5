"""Reading an exported dataset: a folder of tar shards, `dataset.json` (what it is) and `manifest.jsonl` (written last).

A member `%08d_%08d.bin` (shard, index) is one sequence of `seq_len` little-endian tokens, so that sequence i of the
dataset is a slice of a memory map. The manifest's order is the order of the sequences.
"""

import hashlib
import json
import re
import tarfile
from bisect import bisect_right
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from lakeloom.lakehouse.errors import BadInput, ConfigError

Tokens = npt.NDArray[np.uint16 | np.uint32]
DTYPES: dict[str, np.dtype[np.uint16] | np.dtype[np.uint32]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
MANIFEST, DATASET = "manifest.jsonl", "dataset.json"
_SHARD_NAME = re.compile(r"shard_\d{8}")


@dataclass(frozen=True)
class DatasetFacts:
    """Where a dataset comes from: the content of dataset.json."""

    name: str
    export_id: str
    corpus_id: str
    recipe: str
    recipe_hash: str
    pool: str
    tokenizer_sha: str
    tokenizer_file: str  # relative to the folder
    vocab_size: int
    eot: int
    seq_len: int  # tokens in a sequence: the model's context and one more
    num_sequences: int
    num_tokens: int
    seed: int
    source_table: str
    source_version: int


@dataclass(frozen=True)
class Shard:
    """One line of manifest.jsonl."""

    shard: str
    num_sequences: int
    num_tokens: int
    num_bytes: int
    sha256: str
    seq_len: int
    dtype: str
    ext: str


@dataclass(frozen=True)
class Manifest:
    """A dataset folder whose files are all there, with the sizes and counts that its manifest promises."""

    folder: Path
    dataset: DatasetFacts
    shards: tuple[Shard, ...]

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read and check; a folder that is no dataset is a ConfigError, one that contradicts itself a BadInput."""
        for name in (DATASET, MANIFEST):
            if not (folder / name).is_file():
                raise ConfigError(f"{folder} is no exported dataset: it has no {name}; write one by the export job")
        dataset = _record(DatasetFacts, (folder / DATASET).read_text("utf-8"), f"{folder / DATASET}")
        lines = (folder / MANIFEST).read_text("utf-8").splitlines()
        shards = tuple(_record(Shard, line, f"{folder / MANIFEST}:{n}") for n, line in enumerate(lines, 1))
        manifest = cls(folder, dataset, shards)
        manifest._check()
        return manifest

    def path(self, shard: Shard) -> Path:
        """The shard's file."""
        return self.folder / f"{shard.shard}.tar"

    def verify(self) -> None:
        """Read every shard and compare its SHA-256 with the manifest's; BadInput names the first that differs."""
        for shard in self.shards:
            self.check(shard)

    def check(self, shard: Shard) -> None:
        """Read one shard and compare; BadInput where it differs."""
        with self.path(shard).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != shard.sha256:
            raise BadInput(
                f"{self.path(shard)}: SHA-256 is {found}, the manifest says {shard.sha256}; "
                "copy the dataset again, or export it anew"
            )

    def _check(self) -> None:
        for shard in self.shards:
            _check_shard(shard, self.path(shard), self.dataset.seq_len)
        for name in ("num_sequences", "num_tokens"):
            found = sum(cast("int", getattr(shard, name)) for shard in self.shards)
            if found != getattr(self.dataset, name):
                promised = getattr(self.dataset, name)
                raise BadInput(f"{self.folder}: {MANIFEST} sums to {found} {name}, {DATASET} says {promised}")


@dataclass(frozen=True)
class ShardReader:
    """`reader[i]`: the tokens of sequence i in manifest order, without copying; shards are opened when first used.

    With `is_checked` their SHA-256 is compared then, too.
    """

    manifest: Manifest
    is_checked: bool = False
    _open: dict[int, tuple[npt.NDArray[np.uint8], list[int]]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.manifest.dataset.num_sequences

    def __getitem__(self, index: int) -> Tokens:
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        number = bisect_right(self._starts, index) - 1
        shard = self.manifest.shards[number]
        if number not in self._open:
            if self.is_checked:
                self.manifest.check(shard)
            path = self.manifest.path(shard)
            self._open[number] = (np.memmap(path, np.uint8, "r"), _offsets(path, shard))
        content, offsets = self._open[number]
        start, dtype = offsets[index - self._starts[number]], DTYPES[shard.dtype]
        return content[start : start + shard.seq_len * dtype.itemsize].view(dtype)

    def place(self, index: int) -> tuple[str, int]:
        """The shard that has a sequence, and its row there."""
        number = bisect_right(self._starts, index) - 1
        return self.manifest.shards[number].shard, index - self._starts[number]

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((shard.num_sequences for shard in self.manifest.shards), initial=0))[:-1]


_Record = TypeVar("_Record", DatasetFacts, Shard)


def _record(kind: type[_Record], text: str, where: str) -> _Record:
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{where}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{where}: expected a JSON object")
    values = cast("dict[str, object]", found)
    names = {item.name: cast("type", item.type) for item in fields(kind)}
    wrong = sorted(name for name, expected in names.items() if type(values.get(name)) is not expected)
    if wrong:
        raise BadInput(f"{where}: missing or of the wrong type: {', '.join(wrong)}")
    return kind(**{name: values[name] for name in names})  # type: ignore[arg-type]  # checked above


def _check_shard(shard: Shard, path: Path, seq_len: int) -> None:
    """Facts of one manifest line against the dataset and the file's size; the content is checked when it is read."""
    if not _SHARD_NAME.fullmatch(shard.shard):
        raise BadInput(f"{path.parent / MANIFEST}: {shard.shard!r} is no shard name like 'shard_00000000'")
    if shard.dtype not in DTYPES:
        raise BadInput(f"{path}: dtype {shard.dtype!r}; choices: {', '.join(DTYPES)}")
    if shard.seq_len != seq_len or shard.num_tokens != shard.num_sequences * seq_len:
        raise BadInput(
            f"{path}: {shard.num_sequences} sequences of {shard.seq_len} tokens, {shard.num_tokens} in all; "
            f"{DATASET} says {seq_len} a sequence"
        )
    if not path.is_file():
        raise BadInput(f"{path} is missing; the manifest lists it")
    if path.stat().st_size != shard.num_bytes:
        raise BadInput(f"{path}: {path.stat().st_size} bytes, the manifest says {shard.num_bytes}")


def _offsets(path: Path, shard: Shard) -> list[int]:
    """Byte offset of every sequence in a tar; BadInput where a member is not what the manifest promises."""
    num_bytes, number = shard.seq_len * DTYPES[shard.dtype].itemsize, shard.shard.removeprefix("shard_")
    offsets: list[int] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for index, member in enumerate(tar):
                expected = f"{number}_{index:08d}.{shard.ext}"
                if member.name != expected or member.size != num_bytes or not member.isreg():
                    raise BadInput(
                        f"{path}: member {member.name!r} of {member.size} bytes; expected {expected!r} of {num_bytes}"
                    )
                offsets.append(member.offset_data)
    except tarfile.TarError as error:
        raise BadInput(f"{path}: no readable tar: {error}") from error
    if len(offsets) != shard.num_sequences:
        raise BadInput(f"{path}: {len(offsets)} sequences, the manifest says {shard.num_sequences}")
    return offsets
