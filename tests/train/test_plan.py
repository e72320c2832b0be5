import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.train import plan
from lakeloom.train.config import ModelConfig, TrainConfig
from lakeloom.train.model import Decoder

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
        ({"compile": "model", "attention": "math", "loss_chunk": 7, "zero_stage": 2}, True),
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


def test_a_dataset_without_what_was_taken_down_is_another_run(make_config: MakeConfig, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(make_config().dataset, copy)
    before = plan.make(make_config(dataset=str(copy)))
    described = json.loads((copy / "dataset.json").read_text())
    described["takedowns"] = [{"doc_id": "d" * 32, "split": "train", "num_tokens": 9}]
    (copy / "dataset.json").write_text(json.dumps(described))
    after = plan.make(make_config(dataset=str(copy)))
    assert before.train_id == plan.make(make_config()).train_id != after.train_id


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
        ({"compile": "all"}, "no extent of compilation 'all'"),
        ({"attention": "flsh"}, "no attention 'flsh'; nearest: flash"),
        ({"attention": "cudnn"}, "a GPU's kernel, the device is a CPU; use auto or math"),
        ({"loss_chunk": 0}, "train.loss_chunk=0: give 1 or more"),
        ({"zero_stage": 0}, "hidden optimizer step.*use 1, 2 or 3"),
        ({"zero_stage": 3, "compile": "blocks"}, "graph breaks at every parameter; use off"),
        ({"zero_stage": 4}, "no such stage; use 1, 2 or 3"),
        ({"keep": 0}, "train.keep=0: give 1 or more"),
        ({"save_every": 4, "keep_every": 6}, "train.keep_every=6 must be a multiple of train.save_every=4"),
        ({"keep_every": 6}, "multiple of train.save_every=0, above 0"),
        ({"average": 3, "save_every": 5}, "train.average=3: 10 steps .* leave fewer checkpoints"),
        ({"average": 1, "save_every": 5}, "give 2 or more"),
        ({"name": "../tiny"}, "scale.name='../tiny': letters, digits"),
        ({"registered_model": "team/tiny"}, "train.registered_model='team/tiny': letters, digits"),
        ({"global_batch": 0}, "scale.global_batch=0: give 1 or more"),
        ({"accumulation": 0}, "scale.accumulation=0: give 1 or more"),
        ({"num_heads": 0}, "scale.num_heads=0: give 1 or more"),
        ({"num_layers": -1}, "scale.num_layers=-1: give 1 or more"),
        ({"tokens": 0}, "scale.tokens=0: give 1 or more"),
        ({"lr": float("nan")}, "scale.lr=nan: give more than 0"),
        ({"lr": 0.0}, r"scale.lr=0\.0: give more than 0"),
        ({"cooldown_lr": float("inf")}, "scale.cooldown_lr=inf: give 0 or more"),
        ({"warmup": -5}, "scale.warmup=-5: give 0 or more"),
        ({"micro_batch": -16}, "train.micro_batch=-16: give 1 or more"),
        ({"nproc": -16}, "train.nproc=-16: give 1 or more"),
        ({"threads": -1}, "train.threads=-1: give 1 or more"),
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


@pytest.mark.parametrize(
    ("max_micro", "world", "split"), [(None, 1, (8, 1)), (5, 1, (4, 2)), (3, 2, (2, 2)), (1, 1, (1, 8)), (9, 8, (1, 1))]
)
def test_micro_batches_fit_the_memory(
    make_config: MakeConfig, max_micro: int | None, world: int, split: tuple[int, int]
) -> None:
    made = replace(plan.make(make_config(accumulation=1)), max_micro=max_micro)
    assert made.split(world) == split


# GiB that torch held on an H200 with so many sequences.
@pytest.mark.parametrize(
    ("shape", "compiled", "micro", "gib"),
    [
        ((1024, 24, 8, 2816), "blocks", 16, 37.9),
        ((1024, 24, 8, 2816), "blocks", 32, 65.9),
        ((1024, 24, 8, 2816), "off", 8, 32.9),
        ((1024, 24, 8, 2816), "off", 16, 53.3),
        ((2048, 24, 16, 5632), "blocks", 16, 84.9),
    ],
)
def test_memory_is_foretold(shape: tuple[int, int, int, int], compiled: str, micro: int, gib: float) -> None:
    model = ModelConfig(50_432, 2048, *shape)
    # The rule plans with nine tenths; what was held must fit those, with no more than a tenth to spare.
    fits = [size for size in range(8, 200) if plan.largest_micro(model, size * 2**30, compiled) >= micro]
    assert gib <= 0.9 * fits[0] <= 1.1 * gib


def test_memory_is_shared_by_processes_and_taken_by_settings() -> None:
    model, room = ModelConfig(50_432, 2048, 1024, 24, 8, 2816), 80 * 2**30
    alone = plan.largest_micro(model, room, "blocks")
    assert plan.largest_micro(model, room, "blocks", 8) > alone
    assert plan.largest_micro(model, room, "blocks", chunk=1024) > alone
    assert plan.largest_micro(model, room, "blocks", chunk=2**16) < alone
    assert plan.largest_micro(model, room, "blocks", kernel="math") < alone / 2


def test_the_math_kernel_keeps_the_attentions_matrix() -> None:
    """The rule's 4 bytes a pair of positions and head: what torch's autograd holds beyond that of its own choice."""
    kept, length = dict[str, int](), 256
    for kernel in ("auto", "math"):
        decoder = Decoder(ModelConfig(96, length, dim=64, num_layers=2, num_heads=4, ffn_hidden=64)).bfloat16()
        decoder.attend_by(kernel)
        held = dict[int, Tensor]()

        def keep(value: Tensor, held: dict[int, Tensor] = held) -> Tensor:
            held[value.untyped_storage().data_ptr()] = value
            return value

        with saved_tensors_hooks(keep, lambda value: value):
            decoder.hidden(torch.zeros(1, length, dtype=torch.long))
        kept[kernel] = sum(value.untyped_storage().nbytes() for value in held.values())
    a_pair = (kept["math"] - kept["auto"]) / (2 * 4 * length**2)
    assert a_pair == pytest.approx(4.0, rel=0.1)


def test_a_small_gpu_takes_one_sequence() -> None:
    assert plan.largest_micro(ModelConfig(50_432, 2048, 4096, 32, 32, 11008), 2**33, "blocks") == 1
