import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lakeloom.train.config import ModelConfig
from lakeloom.train.flops import flops_per_token, peak_flops
from lakeloom.train.loss import Objective
from lakeloom.train.model import Decoder


def test_count_equals_torchs_own() -> None:
    config = ModelConfig(vocab_size=96, seq_len=32, dim=64, num_layers=2, num_heads=2, ffn_hidden=128)
    sequences = torch.zeros(4, 33, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        Objective(Decoder(config), 1e-4)(sequences)[0].backward()
    # PaLM counts four products of attention backward; torch counts a fifth where flash attention recomputes one.
    attention = 4 * config.num_layers * config.dim * config.seq_len
    per_token = counter.get_total_flops() / (4 * 32)
    assert per_token in (flops_per_token(config), flops_per_token(config) + attention // 2)


@pytest.mark.parametrize(
    ("name", "peak"), [("NVIDIA H100 80GB HBM3", 989.4e12), ("NVIDIA H100 PCIe", 756e12), ("Tesla T4", None)]
)
def test_peaks(name: str, peak: float | None) -> None:
    assert peak_flops(name) == peak
