import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.train import checkpoint
from lakeloom.train.checkpoint import State
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder

MODEL = ModelConfig(vocab_size=20, seq_len=8, dim=8, num_layers=1, num_heads=2, ffn_hidden=16)


def saved(folder: Path) -> tuple[Path, Decoder]:
    decoder = Decoder(MODEL)
    decoder.initialize(3)
    moments = {f"exp_avg.{name}": weight * 2 for name, weight in decoder.state_dict().items()}
    config = {"model": MODEL.__dict__}
    checkpoint.save(folder, State(decoder.state_dict(), moments, 7), config, {"step": 9, "train_id": "t"})
    return folder, decoder


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder, decoder = saved(tmp_path / "model")
    state = checkpoint.load(folder)
    assert state.num_updates == 7
    assert all(torch.equal(state.weights[name], weight) for name, weight in decoder.state_dict().items())
    assert all(
        torch.equal(state.moments[f"exp_avg.{name}"], weight * 2) for name, weight in decoder.state_dict().items()
    )
    tokens = torch.arange(8)[None]
    model = checkpoint.load_model(folder)
    assert torch.equal(model(tokens), decoder(tokens))
    assert not model.training


def test_the_same_state_gives_the_same_files(tmp_path: Path) -> None:
    first, _ = saved(tmp_path / "first")
    second, _ = saved(tmp_path / "second")
    names = sorted(path.name for path in first.iterdir())
    assert names == ["config.json", "manifest.json", "model.safetensors", "optimizer.safetensors"]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.MOMENTS])
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    folder, _ = saved(tmp_path / "model")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BadInput, match=name):
        checkpoint.load(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "model")
    (folder / checkpoint.CONFIG).unlink()
    with pytest.raises(BadInput, match=r"config\.json is missing"):
        checkpoint.load_model(folder)


def test_a_folder_without_manifest_is_no_model(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "model")
    (folder / checkpoint.MANIFEST).unlink()
    assert checkpoint.manifest(folder) is None
    with pytest.raises(ConfigError, match="no finished model"):
        checkpoint.load_model(folder)


def test_a_failed_write_leaves_no_manifest(tmp_path: Path) -> None:
    folder, decoder = saved(tmp_path / "model")
    state = State(decoder.state_dict(), {}, 8)
    with pytest.raises(Incomplete, match=r"model: could not be written \(.*absent.*\); make room, or give another"):
        checkpoint.save(folder, state, {}, {}, tmp_path / "absent")
    assert checkpoint.manifest(folder) is None


def test_the_manifest_names_the_weights(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "model")
    found = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert found["model_sha"] == found["files"][checkpoint.WEIGHTS]["sha256"]
    assert (found["step"], found["train_id"], found["num_updates"]) == (9, "t", 7)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda found: {name: value for name, value in found.items() if name != "files"},
        lambda found: found | {"files": {checkpoint.WEIGHTS: found["files"][checkpoint.WEIGHTS]}},
        lambda found: found | {"files": found["files"] | {checkpoint.MOMENTS: {"sha256": 1}}},
        lambda found: found | {"model_sha": "0" * 64},
        lambda found: found | {"num_updates": "7"},
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    folder, _ = saved(tmp_path / "model")
    path = folder / checkpoint.MANIFEST
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))), "utf-8")
    for read in (checkpoint.manifest, checkpoint.load, checkpoint.load_model, checkpoint.config):
        with pytest.raises(BadInput, match=r"manifest\.json: no manifest of a model or checkpoint.*delete it"):
            read(folder)


def lie(folder: Path, name: str, content: bytes) -> None:
    """Change a file, and the manifest with it."""
    (folder / name).write_bytes(content)
    path = folder / checkpoint.MANIFEST
    found = json.loads(path.read_text("utf-8"))
    found["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}
    found["model_sha"] = found["files"][checkpoint.WEIGHTS]["sha256"]
    path.write_text(json.dumps(found), "utf-8")


def test_files_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "model")
    lie(folder, checkpoint.CONFIG, (folder / checkpoint.CONFIG).read_bytes().replace(b'"dim": 8', b'"dim": 16'))
    with pytest.raises(BadInput, match=r"model\.safetensors: not the weights of the model in config\.json"):
        checkpoint.load_model(folder)
    lie(folder, checkpoint.WEIGHTS, (folder / checkpoint.WEIGHTS).read_bytes()[:-9])
    for read in (checkpoint.load, checkpoint.load_model):
        with pytest.raises(BadInput, match=r"model\.safetensors: no readable safetensors"):
            read(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "config.json", "losses.jsonl"])
def test_a_file_with_the_name_of_one_of_the_folders_own_is_refused(tmp_path: Path, name: str) -> None:
    folder, decoder = saved(tmp_path / "model")
    (tmp_path / name).write_bytes(b"tokenizer")
    with pytest.raises(ConfigError, match=f"{name} is the name of a file that a model's folder has; rename it"):
        checkpoint.save(folder, State(decoder.state_dict(), {}, 8), {}, {}, tmp_path / name)
    assert checkpoint.load(folder).num_updates == 7
