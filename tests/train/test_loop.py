import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.train import checkpoint, journal, launch, loop, plan, registration, saves, tracking
from lakeloom.train.config import TrainConfig
from lakeloom.train.engine import Engine, Step
from lakeloom.train.model import Decoder
from lakeloom.train.result import TrainResult

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


def steps_saved(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step_")) for path in (folder / "checkpoints").glob("step_*"))


@pytest.mark.parametrize(
    ("keep", "keep_every", "while_training", "after"),
    [(1, 0, [8], []), (2, 0, [6, 8], []), (1, 4, [4, 8], [4, 8]), (3, 4, [4, 6, 8], [4, 8])],
)
def test_checkpoints_are_kept_as_wished(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    keep: int,
    keep_every: int,
    while_training: list[int],
    after: list[int],
) -> None:
    cfg = make_config(save_every=2, keep=keep, keep_every=keep_every)
    folder = plan.make(cfg).folder
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_finish", lambda *_: pytest.fail("a machine that dies at the end"))
        with pytest.raises(pytest.fail.Exception):
            loop.run(cfg)
    assert steps_saved(folder) == while_training
    loop.run(cfg)
    assert steps_saved(folder) == after


def test_the_mean_of_the_last_checkpoints_is_a_model(make_config: MakeConfig) -> None:
    result = loop.run(make_config(save_every=4, keep_every=4, average=3))
    mean = checkpoint.load_model(result.folder / "average").state_dict()
    parts = [checkpoint.load(result.folder / "checkpoints" / f"step_{step:08d}").weights for step in (4, 8)]
    parts.append(checkpoint.load(result.folder).weights)
    for name, weight in mean.items():
        assert torch.allclose(weight, torch.stack([part[name] for part in parts]).mean(dim=0), atol=1e-7), name
    facts = checkpoint.manifest(result.folder / "average") or {}
    assert facts["name"] == f"{result.name}-average3"
    assert facts["train_id"] != result.train_id
    assert facts["model_sha"] != result.model_sha
    assert json.loads((result.folder / "average" / "config.json").read_text("utf-8"))["average_of_steps"] == [4, 8, 10]
    assert (result.folder / "average" / "toy.model").is_file()
    assert loop.run(make_config(save_every=4, keep_every=4, average=3)) == replace(result, status="found")
    with pytest.raises(ConfigError, match=r"was trained without train\.average, and its checkpoints are gone"):
        loop.run(make_config(seed=1, save_every=4, average=loop.run(make_config(seed=1)).steps // 5))


@pytest.mark.parametrize("average", [2, 3, 4, 5])
def test_a_mean_has_its_checkpoints_however_few_are_kept(make_config: MakeConfig, average: int) -> None:
    found = loop.run(make_config(save_every=2, keep=1, average=average))
    config = json.loads((found.folder / "average" / "config.json").read_text("utf-8"))
    assert config["average_of_steps"] == [*range(10 - 2 * (average - 1), 10, 2), 10]
    facts = checkpoint.manifest(found.folder / "average") or {}
    assert (facts["run_id"], facts["loss"], facts["num_updates"]) == ("", None, 0)


def test_a_run_that_was_begun_without_its_mean_is_refused_at_once(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_finish", lambda *_: pytest.fail("a machine that dies at the end"))
        with pytest.raises(pytest.fail.Exception):
            loop.run(make_config(save_every=2))
    monkeypatch.setattr(Engine, "step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(Incomplete, match=r"average=4, but steps \[4, 6\] are not saved.*Say train.average=0"):
        loop.run(make_config(save_every=2, average=4))


def test_a_stop_changes_no_mean(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is saved because the run was stopped is no part of it."""
    whole = loop.run(make_config(save_every=3, average=3, models=str(tmp_path / "whole")))
    cfg = make_config(save_every=3, average=3)
    steps, stepped = list[int](), Engine.step

    def step(self: Engine, *given: Any) -> Step:
        steps.append(len(steps) + 1)
        if steps[-1] in (4, 8):
            os.kill(os.getpid(), signal.SIGTERM)
        return stepped(self, *given)

    monkeypatch.setattr(Engine, "step", step)
    assert [loop.run(cfg).status for _ in range(3)] == ["stopped", "stopped", "trained"]
    found = loop.run(cfg)
    means = [checkpoint.manifest(one.folder / "average") or {} for one in (found, whole)]
    assert means[0]["model_sha"] == means[1]["model_sha"]
    assert found.model_sha == whole.model_sha


def test_skipped_steps_are_counted_and_too_many_stop_the_run(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token whose embedding is broken spoils the steps that have it."""
    drawn = Decoder.initialize

    def broken(self: Decoder, seed: int) -> None:
        drawn(self, seed)
        with torch.no_grad():
            self.embedding.weight[7] = torch.nan

    monkeypatch.setattr(Decoder, "initialize", broken)
    half = {"global_batch": 2, "accumulation": 1, "tokens": 10 * 2 * 16}  # of the batches have the token, or so
    with pytest.raises(Incomplete, match=r"steps \d to \d had gradients that are not finite .* \(train.max_skipped=0"):
        loop.run(make_config(**half, max_skipped=0))
    lines = journal.read(loop.run(make_config(**half, max_skipped=10)).folder)
    skipped = [line["skipped_steps"] for line in lines]
    assert 0 < skipped[-1] < 10
    assert [later - earlier for earlier, later in pairwise([0, *skipped])] == ["loss" not in line for line in lines]


def test_a_shard_that_was_changed_is_named(make_config: MakeConfig, toy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy, copy)
    shard = bytearray((copy / "shard_00000001.tar").read_bytes())
    shard[600] ^= 1
    (copy / "shard_00000001.tar").write_bytes(shard)
    with pytest.raises(BadInput, match=r"shard_00000001\.tar: SHA-256 is .*; copy the dataset again"):
        loop.run(make_config(dataset=str(copy)))
    assert loop.run(make_config(dataset=str(copy), verify=False)).status == "trained"


def test_another_tokenizer_is_refused(make_config: MakeConfig, toy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy, copy)
    (copy / "toy.model").write_bytes(b"another")
    with pytest.raises(BadInput, match=r"toy\.model is not the tokenizer that the dataset was made with"):
        loop.run(make_config(dataset=str(copy)))


def test_a_full_disk_costs_nothing_that_was_saved(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole, cfg = loop.run(make_config(models=str(tmp_path / "whole"))), make_config(save_every=4)
    folder, written = plan.make(cfg).folder, list[Path]()

    def full(values: dict[str, torch.Tensor], path: Path) -> None:
        written.append(path)
        if len(written) == 4:  # moments of the second checkpoint
            path.write_bytes(b"half")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save_file(values, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(Incomplete, match=r"step_00000008: could not be written \(.*No space left.*same command"):
            loop.run(cfg)
    assert not list(folder.rglob("*.partial"))
    newest = saves.newest(plan.make(cfg))
    assert newest is not None
    assert newest.name == "step_00000004"
    assert loop.run(cfg).model_sha == whole.model_sha


def test_a_checkpoint_that_was_damaged_is_named_with_the_way_on(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole, cfg = loop.run(make_config(models=str(tmp_path / "whole"))), make_config(save_every=4, keep=2)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_finish", lambda *_: pytest.fail("a machine that dies at the end"))
        with pytest.raises(pytest.fail.Exception):
            loop.run(cfg)
    newest = saves.place(plan.make(cfg), 8)
    weights = bytearray((newest / checkpoint.WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (newest / checkpoint.WEIGHTS).write_bytes(weights)
    with pytest.raises(BadInput, match=r"SHA-256 differs from the manifest's; delete .*step_00000008: .*before it"):
        loop.run(cfg)
    shutil.rmtree(newest)
    assert loop.run(cfg).model_sha == whole.model_sha


def test_a_model_is_a_version_that_cites_its_data(make_config: MakeConfig, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    results = [loop.run(make_config(seed=seed, tracking_uri=uri, registered_model="lakeloom-tiny")) for seed in (0, 1)]
    loop.run(make_config(seed=1, tracking_uri=uri, registered_model="lakeloom-tiny"))  # found: no third version
    store = tracking.client(uri)
    versions = sorted(store.search_model_versions("name='lakeloom-tiny'"), key=lambda one: int(one.version))
    assert [one.run_id for one in versions] == [result.run_id for result in results]
    for one, result, seed in zip(versions, results, "01", strict=True):
        cited = {name: one.tags[name] for name in ("model_sha", "folder", "dataset", "seed", "scale")}
        found = {"model_sha": result.model_sha, "folder": str(result.folder), "dataset": "toy", "seed": seed}
        assert cited == found | {"scale": "tiny"}
        assert one.tags["corpus"].startswith("gold.corpus@3/")
        listed = [file.path for file in store.list_artifacts(result.run_id, "model")]
        assert listed == ["model/config.json", "model/manifest.json"]


@pytest.mark.parametrize("run", [loop.run, launch.run])
def test_a_run_killed_before_its_version_was_made_gets_it_when_it_is_found(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    run: Callable[[TrainConfig], TrainResult],
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    cfg = make_config(tracking_uri=uri, registered_model="lakeloom-tiny")
    with monkeypatch.context() as patch:
        patch.setattr(registration, "register", lambda *_: pytest.fail("a machine that dies at the end"))
        with pytest.raises(pytest.fail.Exception):
            loop.run(cfg)
    store = tracking.client(uri)
    assert not store.search_model_versions("name='lakeloom-tiny'")
    found = run(cfg)
    assert run(cfg) == found
    assert (found.status, store.get_run(found.run_id).info.status) == ("found", "FINISHED")
    [version] = store.search_model_versions("name='lakeloom-tiny'")
    assert (version.run_id, version.tags["model_sha"]) == (found.run_id, found.model_sha)
    assert run(replace(cfg, tracking_uri=f"sqlite:///{tmp_path}/other.db")).status == "found"


def test_a_diverged_run_publishes_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    cfg = make_config(lr=1e30, weight_decay=1e30, tracking_uri=uri)
    with pytest.raises(Incomplete, match=r"loss of step \d+ is (nan|inf)"):
        loop.run(cfg)
    assert list(Path(cfg.models).glob("*/manifest.json")) == []
    assert tracking.client(uri).search_runs(["1"])[0].info.status == "FAILED"
