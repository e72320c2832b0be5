"""Datasets that DCLM's tools tokenised: a folder of tars and a manifest.jsonl of {shard, num_sequences}.

Both of its writers are read: shard_00000000.tar and on (Rust), 00000001.tar and on (open_lm). Members are json.gz.
Nothing in the folder is believed: what is not a sequence of ids of the tokenizer ends the reading with a BadInput.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

from lakeloom.lakehouse import members
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import file_sha
from lakeloom.lakehouse.members import JSON, Form, Tokens
from lakeloom.lakehouse.shards import MANIFEST

_SHARD = re.compile(r"(shard_)?\d{8}")
_MOST_TOKENS = 1 << 20  # of a sequence
_OVERHEAD = 1024  # bytes that gzip may add


@dataclass(frozen=True)
class ForeignShard:
    """One line of DCLM's manifest, and the tar's file."""

    path: Path
    num_sequences: int

    @property
    def sha256(self) -> str:
        """Of the file, read now."""
        return file_sha(self.path)

    def sequences(self, form: Form, vocab_size: int) -> Iterator[Tokens]:
        """Its sequences in the tar's order; BadInput at the first that is none, or if they are not so many."""
        count = 0
        with self.path.open("rb") as file:
            for name, start, size in members.foreign_places(self.path):
                where = f"{self.path}: member {name!r}"
                found = members.tokens(_content(file.fileno(), where, start, size, form.seq_len), form, where)
                wrong = found[(found >= vocab_size) & (found != form.pad)]
                if len(wrong):
                    said = f"token {wrong[0]}, the tokenizer has {vocab_size}"
                    raise BadInput(f"{where} has {said}; name DCLM's PAD by import_dataset.pad=, if it is that")
                count += 1
                yield found
        if count != self.num_sequences:
            raise BadInput(f"{self.path}: {count} sequences, {MANIFEST} says {self.num_sequences}")

    def length(self) -> int:
        """Tokens of its first sequence; 0 where there is none."""
        with self.path.open("rb") as file:
            for name, start, size in islice(members.foreign_places(self.path), 1):
                where = f"{self.path}: member {name!r}"
                return members.count(_content(file.fileno(), where, start, size, _MOST_TOKENS), _MOST_TOKENS, where)
        return 0


def _content(file: int, where: str, start: int, size: int, seq_len: int) -> bytes:
    most = members.DIGITS * seq_len + _OVERHEAD
    if size > most:
        raise BadInput(f"{where} has {size} bytes, more than {seq_len} tokens take")
    return os.pread(file, size, start)


def listed(folder: Path) -> list[ForeignShard]:
    """The shards of a folder in its manifest's order; ConfigError where it has none, BadInput for a wrong line."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ConfigError(f"{folder} is no dataset of DCLM's: it has no {MANIFEST}")
    found = [_shard(folder, line, f"{path}:{n}") for n, line in enumerate(path.read_text("utf-8").splitlines(), 1)]
    if not found:
        raise BadInput(f"{path} lists no shard")
    if len({shard.path for shard in found}) < len(found):
        raise BadInput(f"{path} lists a shard twice")
    return found


def _shard(folder: Path, line: str, where: str) -> ForeignShard:
    try:
        row: object = json.loads(line)
    except ValueError as error:
        raise BadInput(f"{where}: not JSON: {error}") from error
    values = cast("dict[str, object]", row) if isinstance(row, dict) else {}
    name, number = values.get("shard"), values.get("num_sequences")
    if not isinstance(name, str) or type(number) is not int or number < 0:
        raise BadInput(f"{where}: expected shard (a name) and num_sequences (a whole number)")
    if not _SHARD.fullmatch(name):
        raise BadInput(f"{where}: {name!r} is no shard name like 'shard_00000000' or '00000001'")
    path = folder / f"{name}.tar"
    if path.is_symlink() or not path.is_file():
        raise BadInput(f"{where}: {path} is missing, or no plain file")
    return ForeignShard(path, number)


def form(shards: list[ForeignShard], vocab_size: int, pad: int) -> Form:
    """The form of all sequences: as long as the first; BadInput where there is none."""
    length = next((number for number in (shard.length() for shard in shards) if number), 0)
    if not length:
        raise BadInput(f"{shards[0].path.parent} has no sequence with a token in {len(shards)} shards")
    return Form(length, members.smallest(max(vocab_size - 1, pad)), JSON, pad)
