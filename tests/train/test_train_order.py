"""The listed order is what training reads, found by hand in the shards' tar files."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lakeloom.jobs import cli
from lakeloom.jobs.train_order import TrainOrderConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.train.config import TrainConfig
from lakeloom.train.data import Batches

MakeConfig = Callable[..., TrainConfig]


def member(folder: Path, shard: str, row: int) -> list[int]:
    with tarfile.open(next(folder.glob(f"{shard}*.tar"))) as tar:
        file = tar.extractfile(tar.getmembers()[row])
        assert file is not None
        return [int(token) for token in np.frombuffer(file.read(), "<u2")]


@pytest.mark.parametrize("world", [1, 4])
def test_a_step_sees_what_is_listed(make_config: MakeConfig, toy: Path, world: int) -> None:
    cfg = make_config(seed=3, allow_repeats=True)
    report = cli.run("train_order", None, TrainOrderConfig(cfg, first=24, last=27))  # step 25 ends the first epoch
    [sheet] = report.sheets
    assert (report.rows_out, report.facts["sequences_an_epoch"], report.facts["epochs"]) == (32, 200, 1.08)
    assert [row[:3] for row in sheet.rows] == [
        (step, place, int(step > 25)) for step in range(24, 28) for place in range(8)
    ]
    batches = Batches(ShardReader(Manifest.load(toy)), 3, 8)
    seen = np.concatenate([batches.batch(step - 1, rank, world) for step in range(24, 28) for rank in range(world)])
    assert [member(toy, str(row[4]), int(row[5] or 0)) for row in sheet.rows] == seen.tolist()


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(0, None, "counted from 1"), (3, 2, "not after the last"), (1, 2_000, "16,000 sequences, more than 10,000")],
)
def test_wrong_steps_are_refused(make_config: MakeConfig, first: int, last: int | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainOrderConfig(make_config(), first, last)


def test_the_command_takes_the_words_of_train() -> None:
    cfg = cli.load("train_order", "train.dataset=/data/set", "train.seed=5", "scale=test", "train_order.last=9")
    assert (cfg.train.dataset, cfg.train.seed, cfg.train.scale.name, cfg.first, cfg.end) == (
        "/data/set",
        5,
        "test",
        1,
        9,
    )
