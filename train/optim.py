"""AdamW and the learning rate as DCLM's trainer has them: weight decay on every parameter, gains and embeddings too."""

import math
from collections.abc import Iterable

import torch
from torch import nn

BETAS, EPS, CLIP = (0.9, 0.95), 1e-8, 1.0


def adamw(parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """One parameter group for all; fused, which a flat ZeRO partition makes one pass over memory."""
    return torch.optim.AdamW(parameters, lr=lr, betas=BETAS, eps=EPS, weight_decay=weight_decay, fused=True)


DECAYS = ("cosine", "linear")


def learning_rate(step: int, *, peak: float, final: float, warmup: int, num_steps: int, decay: str = "cosine") -> float:
    """Rate of a step counted from 0: a line up to `peak` in `warmup` steps, then half a cosine or a line to `final`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / (num_steps - warmup)
    left = 1 - progress if decay == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return final + (peak - final) * left
