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
_DATE = "%Y_%m_%d-%H_%M_%S"


@dataclass(frozen=True)
class Kind:
    """A table of the registry, DCLM's folder for it, and the keys without which a JSON is none of it."""

    table: str
    folder: str
    keys: tuple[str, ...]


KINDS = {
    "sources": Kind("gold.sources", "datasets/raw_sources", ("name", "dataset_url", "tokenized")),
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
        if name != "datasets" and all(key in reference for key in kind.keys):
            return name
    expected = "; ".join(f"{name}: {', '.join(kind.keys)}" for name, kind in KINDS.items())
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
    """A reference JSON; BadInput where it is no JSON object."""
    try:
        found: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path}: expected a JSON object")
    return cast("dict[str, Json]", found)


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
