import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder, from_open_lm, rotate, rotations

TINY = ModelConfig(vocab_size=50, seq_len=12, dim=16, num_layers=2, num_heads=2, ffn_hidden=32)
# DCLM's published counts leave out the gains of the query and key norms.
PUBLISHED = {
    (1024, 24, 8, 2816): 411_616_256,
    (2048, 24, 16, 5632): 1_439_795_200,
    (2560, 32, 32, 6912): 2_795_932_160,
    (4096, 32, 32, 11008): 6_889_410_560,
}


@pytest.mark.parametrize(("shape", "published"), PUBLISHED.items())
def test_parameters_of_dclms_scales(shape: tuple[int, int, int, int], published: int) -> None:
    config = ModelConfig(50_432, 2048, *shape)
    with torch.device("meta"):
        decoder = Decoder(config)
    assert sum(weight.numel() for weight in decoder.parameters()) == published + 2 * config.num_layers * config.dim
    assert config.num_parameters == published


@pytest.fixture(scope="module")
def oracle(shared: Path) -> tuple[Decoder, dict[str, Any], Tensor, Tensor]:
    """open_lm's tiny model in ours, its expectations, tokens and logits."""
    folder = shared / "oracle" / "model"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    made = expected["config"]
    shape = (made["dim"], made["n_layers"], made["n_heads"], made["ffn_hidden"])
    decoder = Decoder(ModelConfig(made["vocab_size"], made["seq_len"], *shape))
    decoder.load_state_dict(from_open_lm(load_file(folder / "weights.safetensors")))
    tokens = torch.from_numpy(np.load(folder / "tokens.npy")).long()
    return decoder, expected, tokens, torch.from_numpy(np.load(folder / "logits.npy"))


def test_logits_are_open_lms(oracle: tuple[Decoder, dict[str, Any], Tensor, Tensor]) -> None:
    decoder, expected, tokens, logits = oracle
    with torch.no_grad():
        found = decoder(tokens[:4, :-1])
    assert sum(weight.numel() for weight in decoder.parameters()) == expected["num_parameters"]
    torch.testing.assert_close(found, logits, atol=1e-4, rtol=0)


def test_start_weights_are_scaled_by_fan_in_and_depth() -> None:
    decoder = Decoder(ModelConfig(1000, 12, 64, 2, 2, 256))
    decoder.initialize(seed=0)
    found = {name: weight.std().item() for name, weight in decoder.named_parameters() if weight.dim() == 2}
    # A normal cut at three deviations keeps 0.9866 of its deviation.
    for name, fan_in, depth in [
        ("embedding.weight", 64, None),
        ("output.weight", 64, None),
        ("blocks.0.attention.qkv.weight", 64, None),
        ("blocks.1.attention.out.weight", 64, 2),
        ("blocks.0.feed_forward.gate_up.weight", 64, None),
        ("blocks.0.feed_forward.down.weight", 256, 1),
        ("blocks.1.feed_forward.down.weight", 256, 2),
    ]:
        std = fan_in**-0.5 / (2 * depth) ** 0.5 if depth else fan_in**-0.5
        assert found[name] == pytest.approx(0.9866 * std, rel=0.05), name


def test_start_weights_depend_on_the_seed_alone() -> None:
    models = [Decoder(TINY) for _ in range(3)]
    for model, seed in zip(models, (7, 7, 8), strict=True):
        torch.manual_seed(seed * 100 + id(model) % 97)
        model.initialize(seed)
    first, same, other = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 11), st.integers(0, 49))
def test_later_tokens_dont_change_earlier_logits(position: int, token: int) -> None:
    decoder = Decoder(TINY)
    decoder.initialize(seed=1)
    before = torch.arange(12)[None]
    after = before.clone()
    after[0, position] = token
    with torch.no_grad():
        torch.testing.assert_close(decoder(after)[0, :position], decoder(before)[0, :position], atol=1e-6, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_rotated_products_depend_on_the_distance_alone(first: int, second: int, shift: int) -> None:
    cos_TK, sin_TK = rotations(64, 8, torch.device("cpu"))
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).unbind()

    def product(at_query: int, at_key: int) -> float:
        turned = rotate(query, cos_TK[at_query], sin_TK[at_query])
        return float(turned @ rotate(key, cos_TK[at_key], sin_TK[at_key]))

    assert product(first, second) == pytest.approx(product(first + shift, second + shift), abs=1e-4)
