import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lakeloom.train import plan
from lakeloom.train.config import TrainConfig
from lakeloom.train.engine import Engine, join
from lakeloom.train.loss import Objective
from lakeloom.train.model import Decoder, from_open_lm
from lakeloom.train.optim import learning_rate

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]


def test_a_run_takes_open_lms_steps(
    shared: Path, make_config: MakeConfig, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    folder = shared / "oracle" / "model"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    made, hyper, tokens = expected["config"], expected["hyperparameters"], np.load(folder / "tokens.npy")
    dataset = make_dataset(tmp_path / "oracle", tokens.astype(np.int64), made["vocab_size"])
    cfg = make_config(
        dataset=str(dataset),
        dim=made["dim"],
        num_layers=made["n_layers"],
        num_heads=made["n_heads"],
        ffn_hidden=made["ffn_hidden"],
        seq_len=made["seq_len"],
        tokens=hyper["steps"] * hyper["global_batch"] * made["seq_len"],
        global_batch=hyper["global_batch"],
        lr=hyper["lr"],
        weight_decay=hyper["wd"],
        z_loss=hyper["z_loss"],
    )
    planned = plan.make(cfg)
    decoder = Decoder(planned.model)
    decoder.load_state_dict(from_open_lm(load_file(folder / "weights.safetensors")))
    engine = Engine(Objective(decoder, hyper["z_loss"]), planned, join(planned))
    rates = {"peak": hyper["lr"], "final": hyper["cooldown_end_lr"], "warmup": hyper["warmup"]}
    for line, rows in zip(expected["training"], np.split(tokens.astype(np.int64), hyper["steps"]), strict=True):
        found = engine.step(rows, learning_rate(line["step"], num_steps=hyper["steps"], **rates))
        assert found.objective == pytest.approx(line["loss"], abs=1e-4)
        assert found.grad_norm == pytest.approx(line["grad_norm"], abs=1e-3)
    norms = {name: weight.double().norm().item() for name, weight in engine.state().weights.items()}
    for name, norm in from_open_lm(
        {key: torch.tensor(value) for key, value in expected["final_norm_and_sum"].items()}
    ).items():
        assert norms[name] == pytest.approx(norm[0].item(), rel=1e-4), name


def test_a_state_before_the_first_update_has_no_moments(make_config: MakeConfig) -> None:
    planned = plan.make(make_config())
    engine = Engine(Objective(Decoder(planned.model), 0.0), planned, join(planned))
    state = engine.state()
    assert (state.num_updates, state.moments) == (0, {})
    engine.restore(state)


@pytest.mark.parametrize("precision", ["fp32", "mixed", "bf16"])
def test_a_step_without_finite_gradients_is_skipped(make_config: MakeConfig, precision: str) -> None:
    """A token whose embedding is broken spoils the steps that have it, and no other."""
    planned = plan.make(make_config(precision=precision))
    decoder = Decoder(planned.model)
    decoder.initialize(0)
    with torch.no_grad():
        decoder.embedding.weight[7] = torch.nan
    engine = Engine(Objective(decoder, 1e-4), planned, join(planned))
    good = np.random.default_rng(0).integers(8, 64, (8, 17))
    bad = good.copy()
    bad[5, 3] = 7
    steps, states = [], []
    for batch in (good, bad, good, bad):
        steps.append(engine.step(batch, 0.01))
        states.append(engine.state())
    assert [step.is_skipped for step in steps] == [False, True, False, True]
    assert [np.isfinite(step.loss) for step in steps] == [True, False, True, False]
    assert [state.num_updates for state in states] == [1, 1, 2, 2]
    assert steps[2].loss < steps[0].loss
    for name, weight in states[0].weights.items():
        assert torch.equal(weight.nan_to_num(), states[1].weights[name].nan_to_num()), name
    assert not torch.equal(states[1].weights["output.weight"], states[2].weights["output.weight"])


@pytest.mark.parametrize(
    ("precision", "stages"),
    [("fp32", (1, 1)), ("bf16", (1, 1)), ("bf16", (2, 2)), ("bf16", (1, 2)), ("fp32", (3, 3)), ("bf16", (3, 3))],
)
def test_a_restored_engine_goes_on_bit_for_bit(
    make_config: MakeConfig, precision: str, stages: tuple[int, int]
) -> None:
    """Also where the run goes on under another stage of ZeRO, but for the rounding of gradients by bf16."""
    planned, resumed = (plan.make(make_config(precision=precision, zero_stage=stage)) for stage in stages)
    world = join(planned)
    batches = np.random.default_rng(0).integers(0, 64, (6, 8, 17))
    first = Decoder(planned.model)
    first.initialize(0)
    engine = Engine(Objective(first, 1e-4), planned, world)
    for batch in batches[:3]:
        engine.step(batch, 0.01)
    state = engine.state()
    assert state.num_updates == 3
    second = Decoder(planned.model)
    second.load_state_dict(state.weights)
    other = Engine(Objective(second, 1e-4), resumed, world)
    other.restore(state)
    for batch in batches[3:]:
        step, other_step = engine.step(batch, 0.005), other.step(batch, 0.005)
        assert step.loss == pytest.approx(other_step.loss, rel=1e-3)
        assert stages[0] != stages[1] or step == other_step
    after, other_after = engine.state(), other.state()
    assert after.num_updates == other_after.num_updates == 6
    if stages[0] != stages[1]:
        return
    assert all(torch.equal(value, other_after.weights[name]) for name, value in after.weights.items())
    assert all(torch.equal(value, other_after.moments[name]) for name, value in after.moments.items())


def test_micro_batches_change_only_the_rounding(make_config: MakeConfig) -> None:
    batches = np.random.default_rng(0).integers(0, 64, (3, 8, 17))
    losses: list[list[float]] = []
    for micro_batch in (8, 2):
        planned = plan.make(make_config(micro_batch=micro_batch))
        decoder = Decoder(planned.model)
        decoder.initialize(0)
        engine = Engine(Objective(decoder, 1e-4), planned, join(planned))
        losses.append([engine.step(batch, 0.01).loss for batch in batches])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_every_stage_of_zero_takes_the_same_steps(make_config: MakeConfig) -> None:
    """And measures the same between them: under stage 3 no process holds a whole weight."""
    batches = np.random.default_rng(0).integers(0, 64, (3, 8, 17))
    found: list[list[float]] = []
    for stage in (1, 2, 3):
        planned = plan.make(make_config(zero_stage=stage))
        decoder = Decoder(planned.model)
        decoder.initialize(0)
        engine = Engine(Objective(decoder, 1e-4), planned, join(planned))
        is_counted = np.ones((8, 16), bool)
        measured = [(engine.step(batch, 0.01).loss, engine.nats(batch, is_counted)) for batch in batches]
        found.append([value for pair in measured for value in pair])
        assert (decoder.output.weight.numel() == 0) == (stage == 3)
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert found[2] == pytest.approx(found[0], rel=1e-6)
