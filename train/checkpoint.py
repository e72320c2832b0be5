"""Weights and optimizer state on disk: safetensors and JSON, never pickle.

A folder counts only when its manifest.json is there: every other file is written aside, synced and renamed first, and
the manifest, with their SHA-256, last. State is kept as whole tensors a parameter, so that it doesn't depend on how
many processes wrote it.
"""

import json
import os
import re
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
from lakeloom.train import journal
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder

MANIFEST, WEIGHTS, MOMENTS, CONFIG = "manifest.json", "model.safetensors", "optimizer.safetensors", "config.json"
_SHA = re.compile(r"[0-9a-f]{64}")


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
    for path in extra:
        check_extra(path)
    try:
        return _save(folder, state, config, facts, *extra)
    except (OSError, SafetensorError) as error:
        for partial in folder.glob(".*.partial"):
            partial.unlink(missing_ok=True)
        raise Incomplete(
            f"{folder}: could not be written ({error}); make room, or give another train.models; "
            "the same command then goes on from the newest checkpoint"
        ) from error


def check_extra(path: Path) -> None:
    """ConfigError where a file has the name of one of the folder's own, and would be written over it."""
    if path.name in (MANIFEST, WEIGHTS, MOMENTS, CONFIG, journal.NAME):
        raise ConfigError(f"{path}: {path.name} is the name of a file that a model's folder has; rename it")


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
    """The manifest of a folder, or None where there is none: an unfinished or foreign folder. BadInput if broken."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        found: object = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    if not _is_manifest(found):
        raise BadInput(
            f"{path}: no manifest of a model or checkpoint, or the model_sha is not that of its {WEIGHTS}; copy the "
            "folder again, or delete it"
        )
    return cast("dict[str, Json]", found)


def _is_manifest(found: object) -> bool:
    """Whether it has what all manifests have: the files with their hashes, the weights' again, the updates."""
    if not isinstance(found, dict) or not isinstance(files := found.get("files"), dict):
        return False
    listed = cast("dict[str, object]", files)
    if not {WEIGHTS, MOMENTS, CONFIG} <= listed.keys() or not all(_is_description(one) for one in listed.values()):
        return False
    return found.get("model_sha") == files[WEIGHTS]["sha256"] and type(found.get("num_updates")) is int


def _is_description(found: object) -> bool:
    """Whether it is what _described says of a file."""
    if not isinstance(found, dict):
        return False
    return bool(_SHA.fullmatch(str(found.get("sha256")))) and type(found.get("num_bytes")) is int


def config(folder: Path) -> dict[str, Json]:
    """The config.json of a finished folder: shape, scale, data, tokenizer. BadInput where it is not the manifest's."""
    _verified(folder, CONFIG)
    return cast("dict[str, Json]", json.loads((folder / CONFIG).read_text("utf-8")))


def all_tokens(manifest: Mapping[str, Json], config: Mapping[str, Json]) -> int:
    """Tokens that a model was trained on, with those of the model that it began with."""
    begun = config.get("start")
    before = begun.get("tokens", 0) if isinstance(begun, dict) else 0
    return cast("int", manifest.get("tokens", 0)) + cast("int", before)


def load(folder: Path) -> State:
    """Read a state back; BadInput where a file differs from the manifest."""
    found = _verified(folder, WEIGHTS, MOMENTS)
    return State(_tensors(folder / WEIGHTS), _tensors(folder / MOMENTS), cast("int", found["num_updates"]))


def load_model(folder: Path, device: str = "cpu") -> Decoder:
    """The finished model of a folder, in fp32 and eval mode."""
    _verified(folder, WEIGHTS)
    shape = cast("dict[str, int]", config(folder)["model"])
    with torch.device("meta"):
        decoder = Decoder(ModelConfig(**shape))
    try:
        decoder.load_state_dict(_tensors(folder / WEIGHTS, device), assign=True)
    except RuntimeError as error:  # names and shapes of what differs, a line each
        raise BadInput(f"{folder / WEIGHTS}: not the weights of the model in {CONFIG}: {error}") from error
    return decoder.eval()


def _tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    try:
        return load_file(path, device=device)
    except SafetensorError as error:
        raise BadInput(f"{path}: no readable safetensors: {error}") from error


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
