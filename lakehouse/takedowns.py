"""What a takedown asks for, and what a dataset's folder says of those that it went through."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.shards import DATASET

KINDS = ("url", "doc_id", "text_sha")
_DOC_ID, _SHA = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Request:
    """One page or text that is to go. A URL is known by its SHA-256: the list of takedowns must not keep the name."""

    said: str
    kind: str
    sha: str  # of a URL its SHA-256, of a doc_id itself

    @property
    def key(self) -> str:
        """Kind and hash in one word."""
        return f"{self.kind}/{self.sha}"


@dataclass(frozen=True)
class Taken:
    """A document that an exported dataset no longer has, and the place that its tokens had in the packing."""

    doc_id: str
    split: str
    num_tokens: int  # with its EOT; 0 of a held-out document


def request(word: str) -> Request:
    """A URL as it was crawled, a doc_id (32 hex digits) or the SHA-256 of a text (64); else a ConfigError."""
    said = word.strip()
    if _DOC_ID.fullmatch(said):
        return Request(said, "doc_id", said)
    if _SHA.fullmatch(said):
        return Request(said, "text_sha", said)
    if "://" not in said or any(character.isspace() for character in said):
        raise ConfigError(
            f"{said!r} is no URL (https://...), no doc_id (32 hex digits), no SHA-256 of a text (64) and no file of "
            "such lines; nothing was taken down"
        )
    return Request(said, "url", hashlib.sha256(said.encode()).hexdigest())


def parse(words: Iterable[str]) -> list[Request]:
    """Requests, each once, from words and from files of them, a line each; empty lines and # comments are skipped."""
    found = dict[str, Request]()
    for word in words:
        lines = Path(word).read_text("utf-8").splitlines() if _is_file(word) else [word]
        for line in lines:
            if line.strip() and not line.lstrip().startswith("#"):
                one = request(line)
                found.setdefault(one.key, one)
    return list(found.values())


def of_dataset(folder: Path) -> list[Taken]:
    """Documents that were taken out of an exported dataset; BadInput where its dataset.json is broken."""
    described = describe(folder)
    try:
        rows = cast("list[dict[str, Json]]", described.get("takedowns", []))
        return [Taken(str(row["doc_id"]), str(row["split"]), int(cast("int", row["num_tokens"]))) for row in rows]
    except (TypeError, KeyError, ValueError) as error:
        raise BadInput(f"{folder / DATASET}: takedowns are not as lakeloom writes them: {error}") from error


def describe(folder: Path) -> dict[str, Json]:
    """Everything that dataset.json says."""
    try:
        return cast("dict[str, Json]", json.loads((folder / DATASET).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder / DATASET}: not readable: {error}") from error


def _is_file(word: str) -> bool:
    return "://" not in word and Path(word).is_file()
