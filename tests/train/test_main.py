from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloom.train import config
from lakeloom.train.__main__ import main
from lakeloom.train.config import TrainConfig


@pytest.mark.parametrize(
    ("arguments", "change", "said"),
    [
        ([], {}, "usage: python -m lakeloom.train CONFIG.json"),
        (["absent.json"], {}, "ConfigError: no readable JSON configuration absent.json"),
        (["train.json"], {"dataset": "nowhere"}, "ConfigError: nowhere is no exported dataset"),
        (["train.json", "--deepspeed", "--deepspeed_config", "x.json"], {}, "usage: python -m lakeloom.train"),
        (["train.json"], {"seeds": 3}, "ConfigError: train.json: seeds=3, but these processes train one model"),
        (["train.json"], {"device": "gpu"}, "ConfigError: train.device: no device 'gpu'"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    change: dict[str, object],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    config.save(make_config(**change), tmp_path / "train.json")
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[0].startswith(said)


@pytest.mark.slow
def test_a_run_says_where_its_model_is(
    make_config: Callable[..., TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.save(make_config(), tmp_path / "train.json")
    assert main(["--local_rank=0", str(tmp_path / "train.json")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"trained {make_config().models}/toy-tiny-s0-")
    assert "10 steps, 1280 tokens, loss" in said
