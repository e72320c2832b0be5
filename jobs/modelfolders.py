"""Models as their folders describe them, without torch: what lineage needs to know."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lakeloom.lakehouse.errors import BadInput

CONFIG, MANIFEST, WEIGHTS = "config.json", "manifest.json", "model.safetensors"


@dataclass(frozen=True)
class ModelFolder:
    """A model's config.json and manifest.json."""

    folder: Path
    config: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """As it was trained."""
        return str(self.manifest.get("name", self.folder.name))

    @property
    def model_sha(self) -> str:
        """SHA-256 of its weights."""
        return str(self.manifest["model_sha"])

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each of its files, its weights' at least."""
        files = cast("dict[str, dict[str, Any]]", self.manifest.get("files") or {})
        return {name: str(facts["sha256"]) for name, facts in files.items()} | {WEIGHTS: self.model_sha}

    @property
    def train_id(self) -> str:
        """Of the run that made it."""
        return str(self.manifest.get("train_id", ""))

    @property
    def dataset(self) -> str:
        """Name of what it was trained on."""
        return str(self._dataset.get("name", ""))

    @property
    def export_id(self) -> str:
        """Of the dataset that it was trained on; "" where it was trained elsewhere."""
        return str(self._dataset.get("export_id", ""))

    @property
    def num_takedowns(self) -> int:
        """Documents that the dataset had lost when training began."""
        return int(self.config.get("num_takedowns", 0))

    @property
    def start_sha(self) -> str | None:
        """Weights that training began with."""
        start = self.config.get("start")
        return str(start["model_sha"]) if isinstance(start, dict) else None

    @property
    def start_train_id(self) -> str | None:
        """Of the run whose model, checkpoint or mean training began with; null where the model doesn't say it."""
        start = self.config.get("start")
        return (str(start.get("train_id", "")) or None) if isinstance(start, dict) else None

    @property
    def _dataset(self) -> dict[str, Any]:
        found = self.config.get("dataset")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def find(models: Path) -> list[ModelFolder]:
    """The finished models under a folder, and the means beside them, by name; BadInput where one's JSON is broken."""
    found = (path.parent for pattern in ("*", "*/average") for path in models.glob(f"{pattern}/{MANIFEST}"))
    return [load(folder) for folder in sorted(found) if (folder / CONFIG).is_file()]


def unfinished(models: Path) -> list[ModelFolder]:
    """The newest checkpoint of each run that has no model yet: others may have begun with it."""
    newest = {path.parents[2]: path.parent for path in sorted(models.glob(f"*/checkpoints/*/{MANIFEST}"))}
    return [load(checkpoint) for run, checkpoint in newest.items() if not (run / MANIFEST).is_file()]


def load(folder: Path) -> ModelFolder:
    """One of them; BadInput where its JSON is broken."""
    try:
        config, manifest = (json.loads((folder / name).read_text("utf-8")) for name in (CONFIG, MANIFEST))
        return ModelFolder(folder, dict(config), {**manifest, "model_sha": manifest["model_sha"]})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: no model of lakeloom train, though it has a manifest.json: {error!r}") from error
