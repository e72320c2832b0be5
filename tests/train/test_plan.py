import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.train import plan
from lakeloom.train.config import TrainConfig

MakeConfig = Callable[..., TrainConfig]


def test_a_plan_counts_steps_and_names_its_folder(make_config: MakeConfig) -> None:
    made = plan.make(make_config(tokens=1999))
    assert (made.num_steps, made.tokens_per_step) == (15, 128)
    assert made.folder == Path(make_config().models, f"toy-tiny-s0-{made.train_id[:12]}")
    assert (made.model.vocab_size, made.device, made.precision) == (64, "cpu", "fp32")


def test_tokens_follow_from_parameters(make_config: MakeConfig) -> None:
    made = plan.make(make_config(tokens=None, multiplier=0.02))
    assert made.num_steps == int(0.4 * made.model.num_parameters) // (8 * 16)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"nproc": 2, "threads": 2, "micro_batch": 1, "save_every": 3, "experiment": "other"}, True),
        ({"seed": 1}, False),
        ({"lr": 0.02}, False),
        ({"dim": 32}, False),
        ({"tokens": 2560}, False),
        ({"precision": "bf16"}, False),
    ],
)
def test_identity_is_what_decides_the_weights(
    make_config: MakeConfig, change: dict[str, object], is_same: bool
) -> None:
    assert (plan.make(make_config(**change)).train_id == plan.make(make_config()).train_id) is is_same


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "/nowhere"}, "/nowhere is no exported dataset"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"precision": "fp8"}, "no precision 'fp8'"),
        ({"seq_len": 32}, "sequences of 17 tokens.*32 needs 33"),
        ({"vocab_size": 32}, "vocabulary of 64, the model's is 32"),
        ({"num_heads": 3}, "scale.dim=16.*scale.num_heads=3"),
        ({"tokens": 300}, "2 steps.*warm-up of 3"),
        ({"tokens": 6400}, r"needs 6400 tokens, the dataset toy has 3200: 2.00 epochs; pass train.allow_repeats=true"),
        ({"nproc": 3}, "8 sequences does not divide among 3 processes"),
        ({"micro_batch": 3}, "micro-batches of 3"),
    ],
)
def test_wrong_requests_are_one_line(make_config: MakeConfig, change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan.make(make_config(**change))
    assert not Path(make_config().models).exists()


def test_repeats_can_be_allowed(make_config: MakeConfig) -> None:
    assert plan.make(make_config(tokens=6400, allow_repeats=True)).num_steps == 50


def test_a_missing_tokenizer_is_found_before_training(make_config: MakeConfig, toy: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(toy, tmp_path / "copy")
    (copy / "toy.model").unlink()
    with pytest.raises(BadInput, match=r"toy\.model is missing"):
        plan.make(make_config(dataset=str(copy)))


@pytest.mark.parametrize(
    ("change", "world", "split"),
    [({}, 1, (4, 2)), ({}, 4, (1, 2)), ({"micro_batch": 2}, 1, (2, 4)), ({}, 8, (1, 1))],
)
def test_batches_split(make_config: MakeConfig, change: dict[str, object], world: int, split: tuple[int, int]) -> None:
    assert plan.make(make_config(**change)).split(world) == split
