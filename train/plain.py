"""A training step as a PyTorch tutorial would write it: what the trainer is compared with, in losses and in speed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lakeloom.train import optim
from lakeloom.train.model import Decoder


def step(decoder: Decoder, optimizer: torch.optim.Optimizer, sequences: Tensor, micro: int, z_loss: float) -> float:
    """One step on B x (T + 1) tokens, `micro` sequences at a time. Gives the loss, z-loss included."""
    optimizer.zero_grad()
    total = 0.0
    for part in torch.split(sequences, micro):
        logits_NV, targets_N = decoder(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten()
        loss = F.cross_entropy(logits_NV, targets_N) + z_loss * logits_NV.logsumexp(-1).square().mean()
        loss = loss * (len(part) / len(sequences))
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(decoder.parameters(), optim.CLIP)
    optimizer.step()
    return total
