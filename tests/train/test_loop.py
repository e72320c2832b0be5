import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lakeloom.lakehouse.errors import Incomplete
from lakeloom.train import checkpoint, journal, loop, tracking
from lakeloom.train.config import TrainConfig

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]


def test_a_model_learns_and_is_found_again(make_config: MakeConfig, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    cfg = make_config(tokens=3200, tracking_uri=uri, lr=0.03)
    result = loop.run(cfg)
    steps = journal.read(result.folder)
    assert (result.status, result.steps, result.tokens) == ("trained", 25, 3200)
    assert [line["tokens"] for line in steps] == [128 * number for number in range(1, 26)]
    assert steps[0]["loss"] == pytest.approx(4.16, abs=0.5)  # ln 64 = 4.16
    assert result.loss == steps[-1]["loss"] < steps[0]["loss"] - 1
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "config.json",
        "losses.jsonl",
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
        "toy.model",
    ]
    curve = tracking.client(uri).get_metric_history(result.run_id, "loss")
    assert [point.value for point in curve] == [line["loss"] for line in steps]
    assert loop.run(cfg) == replace(result, status="found")
    assert len(tracking.client(uri).search_runs(["1"])) == 1


def test_the_folder_describes_itself(make_config: MakeConfig) -> None:
    result = loop.run(make_config())
    config = json.loads((result.folder / "config.json").read_text("utf-8"))
    assert config["dataset"]["source_version"] == 3
    assert (config["seed"], config["tokenizer_file"], config["train_id"]) == (0, "toy.model", result.train_id)
    model = checkpoint.load_model(result.folder)
    assert model(torch.zeros(1, 16, dtype=torch.int64)).shape == (1, 16, 64)


def test_seeds_differ_and_repeat(make_config: MakeConfig, tmp_path: Path) -> None:
    first = loop.run(make_config())
    again = loop.run(make_config(models=str(tmp_path / "again")))
    other = loop.run(make_config(seed=1))
    assert first.model_sha == again.model_sha != other.model_sha
    assert [line["loss"] for line in journal.read(first.folder)] == [
        line["loss"] for line in journal.read(again.folder)
    ]


def test_checkpoints_go_when_the_model_is_there(make_config: MakeConfig) -> None:
    assert not (loop.run(make_config(save_every=4)).folder / "checkpoints").exists()


def test_a_diverged_run_publishes_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    cfg = make_config(lr=1e30, weight_decay=1e30, tracking_uri=uri)
    with pytest.raises(Incomplete, match=r"loss of step \d+ is (nan|inf)"):
        loop.run(cfg)
    assert list(Path(cfg.models).glob("*/manifest.json")) == []
    assert tracking.client(uri).search_runs(["1"])[0].info.status == "FAILED"
