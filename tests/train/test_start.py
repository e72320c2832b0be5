"""Runs that begin with a model: a cool-down, and one that goes on from another trainer's weights."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.train import checkpoint, journal, loop, plan
from lakeloom.train.config import TrainConfig

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
COOL = {"warmup": 0, "decay": "linear", "seed": 1}


def test_a_cool_down_goes_on_where_the_model_ends(make_config: MakeConfig) -> None:
    base = loop.run(make_config(tokens=3200, lr=0.03, cooldown_lr=0.03))
    cooled = loop.run(make_config(start=str(base.folder), lr=0.03, **COOL))
    steps = journal.read(cooled.folder)
    assert steps[0]["loss"] == pytest.approx(base.loss, abs=0.3)
    assert steps[0]["loss"] < journal.read(base.folder)[0]["loss"] - 1
    assert [step["lr"] for step in steps] == pytest.approx([0.03 + (1e-4 - 0.03) * n / 10 for n in range(10)])
    assert {step["skipped_steps"] for step in steps} == {0}
    facts = checkpoint.manifest(cooled.folder) or {}
    assert facts["num_updates"] == 25 + 10  # which AdamW's correction of its bias goes by
    assert facts["tokens"] == 1280
    assert checkpoint.all_tokens(facts, checkpoint.config(cooled.folder)) == 3200 + 1280
    assert cooled.name == f"{base.name[:-1]}1-after-{base.model_sha[:6]}"
    twice = loop.run(make_config(start=str(cooled.folder), lr=0.03, **COOL))
    facts = checkpoint.manifest(twice.folder) or {}
    assert checkpoint.all_tokens(facts, checkpoint.config(twice.folder)) == 3200 + 1280 + 1280


def test_the_model_says_which_run_it_began_with(make_config: MakeConfig) -> None:
    base = loop.run(make_config(save_every=2, keep_every=2, average=2))
    for folder in (base.folder / "checkpoints" / "step_00000002", base.folder / "average"):
        begun, facts = loop.run(make_config(start=str(folder), **COOL)), checkpoint.manifest(folder) or {}
        said = json.loads((begun.folder / "config.json").read_text("utf-8"))["start"]
        expected = {name: facts[name] for name in ("model_sha", "train_id", "num_updates", "tokens")}
        assert said == expected | {"folder": folder.name}
        assert (facts["train_id"] == base.train_id) == (folder.name != "average")


def test_another_start_or_decay_is_another_run(make_config: MakeConfig, tmp_path: Path) -> None:
    models = [str(loop.run(make_config(seed=seed, models=str(tmp_path / "before"))).folder) for seed in (0, 1)]
    runs = [make_config(), make_config(decay="linear"), *(make_config(start=model) for model in models)]
    assert len({plan.make(cfg).train_id for cfg in runs}) == 4


@pytest.mark.parametrize("begun", ["", "average"])
def test_a_stopped_one_ends_as_if_it_had_not_been(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, begun: str
) -> None:
    """With a mean AdamW begins anew, so its correction of the bias counts from there."""
    base = str(loop.run(make_config(save_every=4, average=3)).folder / begun)
    whole = loop.run(make_config(start=base, models=str(tmp_path / "whole"), **COOL))
    cfg = make_config(start=base, save_every=4, **COOL)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_finish", lambda *_: pytest.fail("a machine that dies at the end"))
        with pytest.raises(pytest.fail.Exception):
            loop.run(cfg)
    assert loop.run(cfg).model_sha == whole.model_sha
    assert {step["skipped_steps"] for step in journal.read(whole.folder)} == {0}


def test_weights_without_an_optimizer_are_enough(make_config: MakeConfig, tmp_path: Path) -> None:
    base = loop.run(make_config())
    bare = tmp_path / "imported"
    made = plan.make(make_config())
    config: Json = {"model": asdict(made.model), "tokenizer_sha": made.manifest.dataset.tokenizer_sha}
    checkpoint.save(bare, checkpoint.State(checkpoint.load(base.folder).weights, {}, 0), config, {"name": "imported"})
    result = loop.run(make_config(start=str(bare), **COOL))
    assert journal.read(result.folder)[0]["loss"] == pytest.approx(base.loss, abs=0.3)
    assert math.isfinite(result.loss)


def test_what_does_not_fit_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.start=.* is no finished model or checkpoint.*import-model"):
        plan.make(make_config(start=str(tmp_path)))
    base = loop.run(make_config())
    with pytest.raises(ConfigError, match=r"another shape: dim 16 there, 32 here; give the scale="):
        plan.make(make_config(start=str(base.folder), dim=32))
    config: dict[str, Json] = {**checkpoint.config(base.folder), "tokenizer_sha": "00"}
    checkpoint.save(tmp_path / "other", checkpoint.load(base.folder), config, {"name": "other"})
    with pytest.raises(ConfigError, match=r"another tokenizer \(00\) than the dataset's"):
        plan.make(make_config(start=str(tmp_path / "other")))
    (tmp_path / "other" / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config\.json: size or SHA-256 differs from the manifest's"):
        plan.make(make_config(start=str(tmp_path / "other")))
    with pytest.raises(ConfigError, match=r"no decay 'linea'; nearest: linear"):
        plan.make(make_config(decay="linea"))
