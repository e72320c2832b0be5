import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch._dynamo.utils import counters
from torch.nn import functional as F

from lakeloom.train.config import ModelConfig
from lakeloom.train.loss import Objective, chunked
from lakeloom.train.model import Decoder, from_open_lm


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.none() | st.integers(1, 50), st.sampled_from([0.0, 1e-4, 0.1]), st.floats(0.25, 4.0))
def test_loss_and_gradients_equal_torchs_own(num_tokens: int, chunk: int | None, z_loss: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(num_tokens)
    hidden = torch.randn(num_tokens, 8, generator=generator, requires_grad=True)
    weight = torch.randn(30, 8, generator=generator, requires_grad=True)
    targets = torch.randint(0, 30, (num_tokens,), generator=generator)
    objective, loss = chunked(hidden, weight, targets, z_loss, chunk=chunk)
    found = torch.autograd.grad(objective * scale, (hidden, weight))

    logits = hidden @ weight.T
    expected_loss = F.cross_entropy(logits, targets)
    expected = expected_loss + z_loss * logits.logsumexp(-1).square().mean()
    torch.testing.assert_close((objective, loss), (expected, expected_loss))
    torch.testing.assert_close(found, torch.autograd.grad(expected * scale, (hidden, weight)), atol=1e-5, rtol=1e-4)
    assert not loss.requires_grad


def test_extreme_logits_stay_finite() -> None:
    hidden = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0]])
    objective, _ = chunked(hidden, weight, torch.tensor([0, 0]), 0.0)
    objective.backward()  # type: ignore[no-untyped-call]  # torch
    assert objective.item() == pytest.approx(1e4)
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def test_losses_are_open_lms(shared: Path) -> None:
    folder = shared / "oracle" / "model"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    made = expected["config"]
    shape = (made["dim"], made["n_layers"], made["n_heads"], made["ffn_hidden"])
    decoder = Decoder(ModelConfig(made["vocab_size"], made["seq_len"], *shape))
    decoder.load_state_dict(from_open_lm(load_file(folder / "weights.safetensors")))
    rows = torch.from_numpy(np.load(folder / "tokens.npy"))[: expected["forward"]["rows"]].long()
    objective, loss = Objective(decoder, expected["hyperparameters"]["z_loss"])(rows)
    assert loss.item() == pytest.approx(expected["forward"]["cross_entropy"], abs=1e-5)
    assert objective.item() == pytest.approx(expected["forward"]["loss_with_z"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("extent", "least"), [("blocks", 3), ("model", 2)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning")  # torch's compiler
def test_compiled_equals_eager(extent: str, least: int) -> None:
    """Two blocks and the loss, or the model and the loss, in chunks of which the last is smaller."""
    torch.compiler.reset()
    counters.clear()
    sequences = torch.randint(0, 96, (3, 17), generator=torch.Generator().manual_seed(0))
    found = list[tuple[float, dict[str, torch.Tensor]]]()
    for is_compiled in (False, True):
        decoder = Decoder(ModelConfig(vocab_size=96, seq_len=16, dim=32, num_layers=2, num_heads=2, ffn_hidden=64))
        decoder.initialize(0)
        objective = Objective(decoder, 0.1, chunk=20)
        if is_compiled:
            objective.fuse(extent)
        loss, _ = objective(sequences)
        loss.backward()
        gradients = {name: value.grad for name, value in decoder.named_parameters() if value.grad is not None}
        found.append((loss.item(), gradients))
    (loss, gradients), (compiled_loss, compiled_gradients) = found
    assert counters["stats"]["unique_graphs"] >= least
    assert compiled_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(compiled_gradients, gradients, atol=1e-6, rtol=1e-4)
