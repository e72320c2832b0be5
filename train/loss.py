"""Cross-entropy and z-loss (PaLM, arXiv 2204.02311, section 5) as DCLM's trainer adds them.

Logits are made chunk by chunk, and their gradient at once while they are there: all that is kept is the gradient of the
hidden states and of the output matrix. A vocabulary of 50,000 never stands in memory for a whole batch, nothing is
computed twice, and on a CPU a chunk stays in the cache.
Shapes: N tokens, D width, V vocabulary.
"""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from lakeloom.train.model import Decoder

# Logits of a chunk: 4 MB of fp32 for a CPU's cache, 256 MB where launches of kernels cost more.
MAX_LOGITS = {"cpu": 2**20, "cuda": 2**26}


def chunked(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, z_loss: float, max_logits: int | None = None
) -> tuple[Tensor, Tensor]:
    """(mean cross-entropy + z_loss * mean squared log-sum-exp, mean cross-entropy); only the first has a gradient."""
    chunk = max(1, (max_logits or MAX_LOGITS[hidden_ND.device.type]) // len(weight_VD))
    return cast("tuple[Tensor, Tensor]", _Chunked.apply(hidden_ND, weight_VD, targets_N, z_loss, chunk))


class Objective(nn.Module):
    """A decoder with its training loss: sequences of T + 1 tokens -> (what is minimised, cross-entropy)."""

    def __init__(self, decoder: Decoder, z_loss: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.z_loss = z_loss

    def forward(self, sequences: Tensor) -> tuple[Tensor, Tensor]:
        hidden_ND = self.decoder.hidden(sequences[:, :-1]).flatten(0, 1)
        return chunked(hidden_ND, self.decoder.output.weight, sequences[:, 1:].flatten(), self.z_loss)


class _Saved(Protocol):
    saved_tensors: tuple[Tensor, Tensor]


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, z_loss: float, chunk: int
    ) -> tuple[Tensor, Tensor]:
        loss, square = torch.zeros(2, device=hidden_ND.device).unbind()
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
        for start in range(0, len(targets_N), chunk):
            hidden_CD, targets_C = hidden_ND[start : start + chunk], targets_N[start : start + chunk, None]
            logits_CV = (hidden_CD @ weight_VD.T).float()
            lse_C1 = logits_CV.logsumexp(dim=-1, keepdim=True)
            loss = loss + (lse_C1 - logits_CV.gather(-1, targets_C)).sum()
            square = square + lse_C1.square().sum()
            # d(lse - logit) = softmax - onehot; d(lse^2) = 2 lse softmax
            slope_CV = logits_CV.sub_(lse_C1).exp_().mul_(1 + 2 * z_loss * lse_C1)
            slope_CV.scatter_add_(-1, targets_C, torch.full_like(lse_C1, -1.0))
            slope_CV = slope_CV.to(hidden_ND.dtype)
            torch.mm(slope_CV, weight_VD, out=grad_hidden_ND[start : start + chunk])
            grad_weight_VD += slope_CV.T @ hidden_CD
        ctx.save_for_backward(grad_hidden_ND, grad_weight_VD.to(weight_VD.dtype))
        mean, mean_square = loss / len(targets_N), square / len(targets_N)
        ctx.mark_non_differentiable(mean)
        return mean + z_loss * mean_square, mean

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator makes ctx positional
        ctx: FunctionCtx, *grad_outputs: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        grad = grad_outputs[0]
        grad_hidden_ND, grad_weight_VD = cast("_Saved", ctx).saved_tensors
        scale = (grad / len(grad_hidden_ND)).to(grad_hidden_ND.dtype)
        return grad_hidden_ND * scale, grad_weight_VD * scale, None, None, None
