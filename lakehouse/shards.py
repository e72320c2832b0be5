"""Reading an exported dataset: a folder of tar shards, `dataset.json` (what it is) and `manifest.jsonl` (written last).

A member of a shard is one sequence of `seq_len` tokens in one of the forms of members.py; in the form `bin`, sequence i
of the dataset is a slice of a memory map. The manifest's order is the order of the sequences.
"""

import json
import re
from bisect import bisect_right
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from lakeloom.lakehouse import members, names
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import file_sha
from lakeloom.lakehouse.members import BIN, DTYPES, EXTS, Form, Tokens

MANIFEST, DATASET = "manifest.jsonl", "dataset.json"
ASIDE = ".takedown"  # within a dataset's folder, for the files that a takedown makes (rewriting.py)
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
    vocab_size: int  # ids are below: of the tokenizer, and of what fills a last sequence up
    eot: int
    seq_len: int  # tokens in a sequence: the model's context and one more
    num_sequences: int
    num_tokens: int
    seed: int
    source_table: str
    source_version: int
    pad: int = -1  # the id that fills a last sequence up; -1: there are none


@dataclass(frozen=True)
class Shard:
    """One line of manifest.jsonl: DCLM's two fields (shard, num_sequences), and what lets it be checked."""

    shard: str
    num_sequences: int
    num_tokens: int
    num_bytes: int
    sha256: str
    seq_len: int
    dtype: str
    ext: str
    num_pads: int = 0  # of the tokens
    first_offset: int = 0  # byte of the tar where the first sequence's tokens begin,
    stride: int = 0  # and bytes from there to the next one's; 0: members differ in size

    @property
    def number(self) -> int:
        """That its name and its members' names have."""
        return int(self.shard.removeprefix("shard_"))

    @property
    def form(self) -> Form:
        """Of its members."""
        return Form(self.seq_len, self.dtype, self.ext)


@dataclass(frozen=True)
class Manifest:
    """A dataset folder whose files are all there, with the sizes and counts that its manifest promises."""

    folder: Path
    dataset: DatasetFacts
    shards: tuple[Shard, ...]

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read and check; a folder that is no dataset is a ConfigError, one that contradicts itself a BadInput."""
        manifest = cls.read(folder)
        for shard in manifest.shards:
            manifest.check_facts(shard)
        manifest.check_sums()
        return manifest

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read only: what it promises, whether it is so or not."""
        for name in (DATASET, MANIFEST):
            if not (folder / name).is_file():
                raise ConfigError(_absent(folder, name))
        dataset = _record(DatasetFacts, (folder / DATASET).read_text("utf-8"), f"{folder / DATASET}")
        _check_names(dataset, f"{folder / DATASET}")
        return cls(folder, dataset, listed(folder))

    def path(self, shard: Shard) -> Path:
        """The shard's file."""
        return self.folder / f"{shard.shard}.tar"

    def verify(self) -> None:
        """Read every shard and compare its SHA-256 with the manifest's; BadInput names the first that differs."""
        for shard in self.shards:
            self.check(shard)

    def check(self, shard: Shard) -> None:
        """Read one shard and compare; BadInput where it differs."""
        found = file_sha(self.path(shard))
        if found != shard.sha256:
            raise BadInput(
                f"{self.path(shard)}: SHA-256 is {found}, the manifest says {shard.sha256}; "
                "copy the dataset again, or export it anew"
            )

    def check_facts(self, shard: Shard) -> None:
        """Compare a line with the dataset and with the file's size; BadInput where they differ."""
        if shard.seq_len != self.dataset.seq_len:
            said = f"{shard.seq_len} tokens a sequence, {DATASET} says {self.dataset.seq_len} a sequence"
            raise BadInput(f"{self.path(shard)}: {said}")
        check_shard(shard, self.path(shard))

    def check_sums(self) -> None:
        """Compare the sums of all lines with the dataset; BadInput where they differ."""
        for name in ("num_sequences", "num_tokens"):
            found = sum(cast("int", getattr(shard, name)) for shard in self.shards)
            if found != getattr(self.dataset, name):
                promised = getattr(self.dataset, name)
                raise BadInput(f"{self.folder}: {MANIFEST} sums to {found} {name}, {DATASET} says {promised}")


def listed(folder: Path) -> tuple[Shard, ...]:
    """The lines of a folder's manifest."""
    lines = (folder / MANIFEST).read_text("utf-8").splitlines()
    return tuple(_record(Shard, line, f"{folder / MANIFEST}:{n}") for n, line in enumerate(lines, 1))


def _absent(folder: Path, name: str) -> str:
    if (folder / ASIDE / MANIFEST).is_file():
        said = f"{folder} has no {name}: a takedown was stopped while it put new files in place"
        return f"{said}; run lakeloom takedown, without words, to finish it"
    return f"{folder} is no exported dataset: it has no {name}; write one by the export job"


class OpenShard:
    """`opened[i]`: the tokens of a shard's sequence i; of bin without copying them. BadInput names what is not so."""

    def __init__(self, path: Path, shard: Shard) -> None:
        self._shard, self._content = shard, np.memmap(path, np.uint8, "r")
        self._places = places(path, shard)

    def __len__(self) -> int:
        return self._shard.num_sequences

    def __getitem__(self, index: int) -> Tokens:
        start, size = self._places[index]
        part = self._content[start : start + size]
        if self._shard.ext == BIN:
            return part.view(DTYPES[self._shard.dtype])
        return members.tokens(part.tobytes(), self._shard.form, f"{self._shard.shard}, sequence {index}")


@dataclass(frozen=True)
class ShardReader:
    """`reader[i]`: the tokens of sequence i in manifest order; shards are opened when first used, bin is not copied.

    With `is_checked` their SHA-256 is compared then, too.
    """

    manifest: Manifest
    is_checked: bool = False
    _open: dict[int, OpenShard] = field(default_factory=dict, repr=False)

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
            self._open[number] = OpenShard(self.manifest.path(shard), shard)
        return self._open[number][index - self._starts[number]]

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
    types = {item.name: cast("type", item.type) for item in fields(kind)}
    values = {item.name: item.default for item in fields(kind) if item.default is not MISSING} | values
    wrong = sorted(name for name, expected in types.items() if type(values.get(name)) is not expected)
    if wrong:
        raise BadInput(f"{where}: missing or of the wrong type: {', '.join(wrong)}")
    return kind(**{name: values[name] for name in types})  # type: ignore[arg-type]  # checked above


def _check_names(dataset: DatasetFacts, where: str) -> None:
    """BadInput unless what becomes a folder or a file by these names stays within the folder that it is put into."""
    try:
        names.check(dataset.name, f"{where}: name")
        names.check(dataset.tokenizer_file, f"{where}: tokenizer_file")
    except ConfigError as error:
        raise BadInput(str(error)) from error


def check_shard(shard: Shard, path: Path) -> None:
    """BadInput unless a manifest's line agrees with itself and the file's size; content is checked when it is read."""
    if not _SHARD_NAME.fullmatch(shard.shard):
        raise BadInput(f"{path.parent / MANIFEST}: {shard.shard!r} is no shard name like 'shard_00000000'")
    if shard.dtype not in DTYPES:
        raise BadInput(f"{path}: dtype {shard.dtype!r}; choices: {', '.join(DTYPES)}")
    if shard.ext not in EXTS:
        raise BadInput(f"{path}: members {shard.ext!r}; choices: {', '.join(EXTS)}")
    if shard.stride and (shard.first_offset, shard.stride) != members.regular(shard.form):
        promised = f"sequences at {shard.first_offset} and every {shard.stride} bytes"
        raise BadInput(f"{path}: the manifest says {promised}; of this form they are at {members.regular(shard.form)}")
    if shard.seq_len < 1 or shard.num_sequences < 0 or shard.num_tokens != shard.num_sequences * shard.seq_len:
        promised = f"{shard.num_sequences} sequences of {shard.seq_len} tokens, {shard.num_tokens} in all"
        raise BadInput(f"{path}: the manifest promises {promised}")
    if not path.is_file():
        raise BadInput(f"{path} is missing; the manifest lists it")
    if path.stat().st_size != shard.num_bytes:
        raise BadInput(f"{path}: {path.stat().st_size} bytes, the manifest says {shard.num_bytes}")


def places(path: Path, shard: Shard) -> list[tuple[int, int]]:
    """Offset and size of every sequence in a tar; BadInput where a member is not what the manifest promises."""
    found = members.places(path, shard.form, shard.number, shard.num_sequences)
    if len(found) != shard.num_sequences:
        raise BadInput(f"{path}: {len(found)} sequences, the manifest says {shard.num_sequences}")
    return found
