import json
from pathlib import Path

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
