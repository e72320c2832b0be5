"""The decoder of DCLM's trainer (mlfoundations/open_lm, open_lm/model.py), so that scores at its scales compare.

Pre-norm with gain-only LayerNorm, query and key norms over the whole width before the head split, rotary positions,
SwiGLU, untied embeddings, truncated-normal start scaled by depth. Norms and rotations are computed in fp32.
Shapes: B sequences, T positions, D width, H heads, K head width (D / H), F feed-forward width, V vocabulary.
"""

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lakeloom.train import attention
from lakeloom.train.config import NORM_EPS, ModelConfig

_OPEN_LM = {
    "tok_embeddings": "embedding",
    "layers": "blocks",
    "in_proj": "qkv",
    "out_proj": "out",
    "w12": "gate_up",
    "w3": "down",
    "norm": "final_norm",
}


class Gain(nn.Module):
    """LayerNorm with a gain and no bias; the result is fp32, whatever comes in."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), (x.shape[-1],), self.weight.float(), eps=NORM_EPS)


class Attention(nn.Module):
    """Causal multi-head attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.kernel = "auto"
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.q_norm = Gain(config.dim)
        self.k_norm = Gain(config.dim)

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        q_BTD, k_BTD, v_BTD = self.qkv(x_BTD).chunk(3, dim=-1)
        q_BHTK = rotate(self.heads(self.q_norm(q_BTD)), cos_TK, sin_TK).to(v_BTD.dtype)
        k_BHTK = rotate(self.heads(self.k_norm(k_BTD)), cos_TK, sin_TK).to(v_BTD.dtype)
        # Chosen here and not around the step: what is compiled is cached on disk, and its key must hold the choice.
        with attention.kernel(self.kernel):
            mixed_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHTK, self.heads(v_BTD), is_causal=True)
        return cast("Tensor", self.out(mixed_BHTK.transpose(1, 2).flatten(2)))

    def heads(self, x_BTD: Tensor) -> Tensor:
        """Split the width into heads: B T D -> B H T K."""
        return x_BTD.view(*x_BTD.shape[:-1], self.num_heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.dim, 2 * config.ffn_hidden, bias=False)
        self.down = nn.Linear(config.ffn_hidden, config.dim, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.gate_up(x_BTD).chunk(2, dim=-1)
        return cast("Tensor", self.down(F.silu(gate_BTF) * up_BTF))


class Block(nn.Module):
    """Attention and feed-forward, each added to the stream it reads through a norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = Gain(config.dim)
        self.attention = Attention(config)
        self.ffn_norm = Gain(config.dim)
        self.feed_forward = FeedForward(config)

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        normed_BTD = self.attention_norm(x_BTD).to(x_BTD.dtype)
        x_BTD = x_BTD + self.attention(normed_BTD, cos_TK, sin_TK)
        return x_BTD + cast("Tensor", self.feed_forward(self.ffn_norm(x_BTD).to(x_BTD.dtype)))


class Decoder(nn.Module):
    """The language model: tokens_BT -> logits_BTV."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = Gain(config.dim)
        self.output = nn.Linear(config.dim, config.vocab_size, bias=False)

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """The normed last stream, B T D, which `output` turns into logits."""
        x_BTD = self.embedding(tokens_BT)
        cos_TK, sin_TK = rotations(tokens_BT.shape[1], self.config.dim // self.config.num_heads, x_BTD.device)
        for block in self.blocks:
            x_BTD = block(x_BTD, cos_TK, sin_TK)
        return cast("Tensor", self.final_norm(x_BTD).to(x_BTD.dtype))

    def attend_by(self, kernel: str) -> None:
        """Use one of torch's attention kernels, by its name in train/attention.py. Raises ConfigError for another."""
        attention.check(kernel)
        for block in cast("list[Block]", list(self.blocks)):
            block.attention.kernel = kernel

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return cast("Tensor", self.output(self.hidden(tokens_BT)))

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Draw the start weights: normals of 1/sqrt(fan-in), cut at three deviations, less where depth adds up."""
        generator = torch.Generator().manual_seed(seed)
        _draw(self.embedding.weight, self.config.dim**-0.5, generator)
        for depth, block in enumerate(cast("list[Block]", list(self.blocks)), 1):
            for linear, is_way_back in (
                (block.attention.qkv, False),
                (block.attention.out, True),
                (block.feed_forward.gate_up, False),
                (block.feed_forward.down, True),
            ):
                std = linear.in_features**-0.5
                _draw(linear.weight, std / math.sqrt(2 * depth) if is_way_back else std, generator)
        _draw(self.output.weight, self.config.dim**-0.5, generator)


def rotations(length: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions (arXiv 2104.09864, base 10000), T K each, the two halves of K equal."""
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), 1.0 / (10000**steps))
    both_TK = torch.cat((angles, angles), dim=-1)
    return both_TK.cos(), both_TK.sin()


def rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Turn each pair (k, k + K/2) by its position's angle."""
    first, second = x_BHTK.chunk(2, dim=-1)
    return x_BHTK * cos_TK + torch.cat((-second, first), dim=-1) * sin_TK


def from_open_lm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under open_lm's names -> under ours; its rotary tables are left out."""
    kept = {name: value for name, value in state.items() if not name.endswith(".inv_freq")}
    return {".".join(_OPEN_LM.get(part, part) for part in name.split(".")): value for name, value in kept.items()}


def _draw(weight: Tensor, std: float, generator: torch.Generator) -> None:
    nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)
