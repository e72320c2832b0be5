"""The comparison with open_lm: equal weights and losses pass, others don't, and a wrong folder is one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lakeloom.train import oracle
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder

pytestmark = pytest.mark.slow

MODEL = ModelConfig(vocab_size=40, seq_len=8, dim=16, num_layers=1, num_heads=2, ffn_hidden=32)
RUN = {"lr": 0.01, "cooldown_end_lr": 1e-4, "warmup": 1, "wd": 0.1, "z_loss": 1e-4, "global_batch": 2, "steps": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that our own plain run wrote."""
    folder = tmp_path_factory.mktemp("oracle")
    decoder = Decoder(MODEL)
    decoder.initialize(0)
    save_file(decoder.state_dict(), folder / "weights.safetensors")
    tokens = np.random.default_rng(0).integers(0, 40, (6, 9), dtype=np.int32)
    np.save(folder / "tokens.npy", tokens)
    with torch.no_grad():
        np.save(folder / "logits.npy", decoder(torch.from_numpy(tokens[:2, :-1].astype(np.int64))).numpy())
    names = {"dim": 16, "n_layers": 1, "n_heads": 2, "vocab_size": 40, "seq_len": 8, "ffn_hidden": 32}
    expected = {"config": names, "hyperparameters": RUN, "training": [{"loss": 0.0}] * 3}
    (folder / "expected.json").write_text(json.dumps(expected))
    expected["training"] = [{"loss": loss} for loss in oracle.by_pytorch(oracle.load(folder))]
    (folder / "expected.json").write_text(json.dumps(expected))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "oracle"))


def change(folder: Path, edit: Callable[[Any], object]) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    edit(expected)
    (folder / "expected.json").write_text(json.dumps(expected))


def zipped(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def test_open_lms_own_run(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle.main([str(shared / "oracle" / "model")]) == 0
    _, logits, plain, deepspeed = capsys.readouterr().out.splitlines()
    assert logits.split()[-1] == plain.split()[-1] == deepspeed.split()[-1] == "ok"
    assert "40 steps, plain PyTorch" in plain
    assert "40 steps, DeepSpeed" in deepspeed


def test_an_equal_run_passes_and_another_loss_does_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle.main([str(folder)]) == 0
    change(folder, lambda expected: expected["training"][2].update(loss=expected["training"][2]["loss"] + 0.002))
    assert oracle.main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[-1] for line in lines] == ["ok", "DIFFERENT", "DIFFERENT"]


def test_another_models_logits_do_not_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logits = np.load(folder / "logits.npy")
    logits[1, 3, 7] += 0.001
    np.save(folder / "logits.npy", logits)
    assert oracle.main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[-1] for line in lines] == ["DIFFERENT", "ok", "ok"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "logits.npy").unlink(), "no logits.npy; a folder of the oracle has"),
        (lambda folder: (folder / "tokens.npy").write_bytes(b"\x93NUMPY"), "tokens.npy: no array"),
        (lambda folder: np.save(folder / "tokens.npy", np.zeros((5, 9), np.int32)), "tokens.npy: expected"),
        (lambda folder: np.save(folder / "tokens.npy", np.full((6, 9), 40)), "ids below 40"),
        (lambda folder: np.save(folder / "tokens.npy", np.array([object()])), "tokens.npy: no array"),
        (lambda folder: zipped(folder / "tokens.npy"), "tokens.npy: no array of numpy, but NpzFile"),
        (lambda folder: (folder / "tokens.npy").write_bytes(b"PK\3\4" + b"x" * 40), "tokens.npy: no array"),
        (lambda folder: np.save(folder / "logits.npy", np.zeros((2, 8, 39))), "logits.npy: expected"),
        (lambda folder: np.save(folder / "logits.npy", np.zeros((0, 8, 40))), "logits.npy: expected"),
        (lambda folder: np.save(folder / "logits.npy", np.full((2, 8, 40), "x")), "logits.npy: expected"),
        (lambda folder: change(folder, lambda expected: expected["config"].update(n_heads=3)), "twice n_heads, 3"),
        (lambda folder: change(folder, lambda expected: expected["config"].update(n_heads=0)), "n_heads is 0"),
        (lambda folder: change(folder, lambda expected: expected["config"].update(dim="16")), "dim is '16'"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"x" * 20), "weights.safetensors"),
        (lambda folder: save_file({"a": torch.zeros(1)}, folder / "weights.safetensors"), "not of the model"),
        (lambda folder: (folder / "expected.json").write_text("{"), "expected.json: JSONDecodeError"),
        (lambda folder: change(folder, lambda expected: expected.pop("config")), "KeyError: 'config'"),
        (lambda folder: change(folder, lambda expected: expected["training"].pop()), "2 losses of 3 steps"),
    ],
)
def test_a_wrong_folder_is_one_line(
    folder: Path, spoil: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder)
    assert oracle.main([str(folder)]) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
