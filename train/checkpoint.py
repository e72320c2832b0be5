"""Weights and optimizer state on disk: safetensors and JSON, never pickle.

A folder counts only when its manifest.json is there: every other file is written aside, synced and renamed first, and
the manifest, with their SHA-256, last. State is kept as whole tensors a parameter, so that it doesn't depend on how
many processes wrote it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.ids import Json, file_sha
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder

MANIFEST, WEIGHTS, MOMENTS, CONFIG = "manifest.json", "model.safetensors", "optimizer.safetensors", "config.json"


@dataclass(frozen=True)
class State:
    """Training state after a number of steps; moments are AdamW's: exp_avg.<parameter>, exp_avg_sq.<parameter>."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    num_updates: int  # optimizer steps taken; less than steps where gradients overflowed


def save(folder: Path, state: State, config: Json, facts: Mapping[str, Json], *extra: Path) -> str:
    """Write a folder of a state and copies of extra files; facts go into its manifest. Returns the weights' SHA-256.

    Raises Incomplete, with what was half written removed, where the disk is full or fails.
    """
    try:
        return _save(folder, state, config, facts, *extra)
    except (OSError, SafetensorError) as error:
        for partial in folder.glob(".*.partial"):
            partial.unlink(missing_ok=True)
        raise Incomplete(
            f"{folder}: could not be written ({error}); make room, or give another train.models; "
            "the same command then goes on from the newest checkpoint"
        ) from error


def _save(folder: Path, state: State, config: Json, facts: Mapping[str, Json], *extra: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    _publish(folder / WEIGHTS, lambda path: save_file(state.weights, path))
    _publish(folder / MOMENTS, lambda path: save_file(state.moments, path))
    _publish(folder / CONFIG, lambda path: _write_json(path, config))
    for source in extra:
        _publish(folder / source.name, partial(_copy, source))
    files = {name: _described(folder / name) for name in (WEIGHTS, MOMENTS, CONFIG, *(path.name for path in extra))}
    model_sha = str(files[WEIGHTS]["sha256"])
    manifest = {"num_updates": state.num_updates, "model_sha": model_sha, **facts, "files": files}
    _publish(folder / MANIFEST, lambda path: _write_json(path, manifest))
    return model_sha


def mean(weights: Mapping[str, Tensor], folders: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of these weights and those of other states, one tensor at a time. BadInput as in load."""
    for folder in folders:
        _verified(folder, WEIGHTS)
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(folder / WEIGHTS, framework="pt")) for folder in folders]
        return {
            name: torch.stack([own, *(file.get_tensor(name) for file in files)]).double().mean(dim=0).to(own.dtype)
            for name, own in weights.items()
        }


def manifest(folder: Path) -> dict[str, Json] | None:
    """The manifest of a folder, or None where there is none: an unfinished or foreign folder."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return cast("dict[str, Json]", json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error


def load(folder: Path) -> State:
    """Read a state back; BadInput where a file differs from the manifest."""
    found = _verified(folder, WEIGHTS, MOMENTS)
    return State(load_file(folder / WEIGHTS), load_file(folder / MOMENTS), cast("int", found["num_updates"]))


def load_model(folder: Path, device: str = "cpu") -> Decoder:
    """The finished model of a folder, in fp32 and eval mode."""
    _verified(folder, WEIGHTS, CONFIG)
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    with torch.device("meta"):
        decoder = Decoder(ModelConfig(**config["model"]))
    decoder.load_state_dict(load_file(folder / WEIGHTS, device=device), assign=True)
    return decoder.eval()


def _verified(folder: Path, *names: str) -> dict[str, Json]:
    found = manifest(folder)
    if found is None:
        raise ConfigError(f"{folder} is no finished model or checkpoint: it has no {MANIFEST}")
    files = cast("dict[str, dict[str, Json]]", found["files"])
    for name in names:
        if not (folder / name).is_file():
            raise BadInput(f"{folder / name} is missing; the manifest lists it")
        if _described(folder / name) != files[name]:
            raise BadInput(f"{folder / name}: size or SHA-256 differs from the manifest's")
    return found


def _publish(path: Path, write: Callable[[Path], None]) -> None:
    aside = path.with_name(f".{path.name}.partial")
    write(aside)
    _sync(aside)
    aside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_json(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


def _described(path: Path) -> dict[str, Json]:
    return {"sha256": file_sha(path), "num_bytes": path.stat().st_size}
