"""DCLM's reference JSONs (its exp_data/): raw sources, datasets, models, evaluations, field by field.

A tokenised dataset's is read by DCLM's trainer as the arguments of a class: a key that it doesn't know ends the
training, and so does one that is missing. All others are open, and are kept as they came.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import UUID, uuid5

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.ids import Json

Reference = Mapping[str, Json]

REQUIRED = (
    "name", "sources", "tokenized", "num_tokens", "size", "dataset_url", "manifest_url", "dcnlp_commit_hash",
    "dcnlp_diff", "sampling_yaml",
)  # fmt: skip
OPTIONAL = ("uuid", "creation_date", "tokenizer", "data_key", "note", "mirrors")
_NAMESPACE = UUID("6c616b65-6c6f-5f6d-8000-646174617365")  # of uuids made from content; RFC 9562, version 5
_SHOWN = 60  # characters of a wrong value
_DATE = "%Y_%m_%d-%H_%M_%S"


PLACES = ("dataset_url", "dataset_urls", "json_path")  # of a raw source: a folder, archives, or a list of them


@dataclass(frozen=True)
class Kind:
    """A table of the registry, DCLM's folder for it, and the keys without which a JSON is none of it."""

    table: str
    folder: str
    keys: tuple[str, ...]
    one_of: tuple[str, ...] = ()

    def has(self, reference: Reference) -> bool:
        """Whether a JSON has these keys."""
        return all(key in reference for key in self.keys) and any(key in reference for key in self.one_of or self.keys)

    def __str__(self) -> str:
        either = f" and one of {', '.join(self.one_of)}" if self.one_of else ""
        return ", ".join(self.keys) + either


KINDS = {
    "sources": Kind("gold.sources", "datasets/raw_sources", ("name", "tokenized"), PLACES),
    "datasets": Kind("gold.datasets", "datasets/tokenized", REQUIRED),
    "models": Kind("gold.models", "models", ("name", "dataset_uuid", "hyperparameters", "checkpoint_url")),
    "evaluations": Kind("gold.evaluations", "evals", ("model", "eval_metrics")),
}


def kind_of(reference: Reference, where: str) -> str:
    """Which of KINDS a JSON is, by its keys. BadInput where it is none, or a tokenised one has other keys."""
    if reference.get("tokenized") is True:
        check_tokenized(reference, where)
        return "datasets"
    for name, kind in KINDS.items():
        if name != "datasets" and kind.has(reference):
            return name
    expected = "; ".join(f"{name}: {kind}" for name, kind in KINDS.items())
    raise BadInput(f"{where}: no reference JSON of DCLM's; each kind has these keys: {expected}")


def folder_of(kind: str, reference: Reference) -> str:
    """DCLM's folder for a reference, below exp_data."""
    if kind == "sources" and isinstance(reference.get("sources"), list) and reference["sources"]:
        return "datasets/untokenized"
    return "failed_models" if kind == "models" and reference.get("failed") is True else KINDS[kind].folder


def check_tokenized(reference: Reference, where: str) -> None:
    """BadInput where DCLM's trainer would refuse it: a key that is missing, or one that it doesn't know."""
    missing = [key for key in REQUIRED if key not in reference]
    other = sorted(set(reference) - {*REQUIRED, *OPTIONAL})
    if missing or other:
        said = [f"no {', '.join(missing)}"] if missing else []
        said += [f"keys that DCLM's trainer refuses: {', '.join(other)}"] if other else []
        raise BadInput(f"{where}: a tokenised reference with {' and '.join(said)}")


def load(path: Path) -> dict[str, Json]:
    """A reference JSON; BadInput where it is no JSON object, or has what no table can hold."""
    try:
        found: object = json.loads(path.read_text("utf-8"))
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{path}: no text: half of a surrogate pair, {error.object[error.start]!a}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path}: expected a JSON object")
    return cast("dict[str, Json]", found)


def text_of(reference: Reference, key: str, where: str) -> str | None:
    """A uuid or a hash; BadInput where it is no text."""
    found = reference.get(key)
    if found is None or isinstance(found, str):
        return found
    raise BadInput(f"{where}: {key} is {json.dumps(found)[:_SHOWN]}; expected a string")


def seed_of(reference: Reference, where: str) -> int | None:
    """The seed, a model's among its hyperparameters; BadInput where it is no whole number of 64 bits."""
    parameters = reference.get("hyperparameters")
    found = parameters.get("seed") if isinstance(parameters, dict) else reference.get("seed")
    if found is None or (type(found) is int and -(1 << 63) <= found < 1 << 63):
        return found
    raise BadInput(f"{where}: seed is {json.dumps(found)[:_SHOWN]}; expected a whole number of 64 bits")


def dump(reference: Reference) -> str:
    """The text of a reference JSON."""
    return json.dumps(reference, indent=4, ensure_ascii=False) + "\n"


def content_sha(reference: Reference) -> str:
    """SHA-256 of its canonical JSON."""
    canonical = json.dumps(reference, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def uuid_of(kind: str, content: str) -> str:
    """The uuid of what has none: always the same for the same content."""
    return str(uuid5(_NAMESPACE, f"{kind}/{content}"))


def date_of(path: Path) -> str:
    """When a file was written, in UTC, as DCLM writes dates."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime(_DATE)
