"""Cross-entropy and z-loss (PaLM, arXiv 2204.02311, section 5) as DCLM's trainer adds them.

Logits are made chunk by chunk, and their gradient at once while they are there: all that is kept is the gradient of the
hidden states and of the output matrix. A vocabulary of 50,000 never stands in memory for a whole batch, nothing is
computed twice, and on a CPU a chunk stays in the cache.
Shapes: N tokens, D width, V vocabulary.
"""

from collections.abc import Callable
from functools import cache
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from lakeloom.train.model import Decoder

# Logits of a chunk: 4 MB of fp32 for a CPU's cache, 1 GB of bf16 on a GPU, where short matrix products waste the chip.
MAX_LOGITS = {"cpu": 2**20, "cuda": 2**29}

_Slopes: TypeAlias = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


def chunked(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    z_loss: float,
    *,
    chunk: int | None = None,
    is_compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """(mean cross-entropy + z_loss * mean squared log-sum-exp, mean cross-entropy); only the first has a gradient.

    `chunk` is in tokens; None takes about as many as MAX_LOGITS.
    """
    chunk = chunk or _chunk(len(targets_N), MAX_LOGITS[hidden_ND.device.type] // len(weight_VD))
    slopes = _compiled() if is_compiled else _slopes
    return cast("tuple[Tensor, Tensor]", _Chunked.apply(hidden_ND, weight_VD, targets_N, z_loss, chunk, slopes))


class Objective(nn.Module):
    """A decoder with its training loss: sequences of T + 1 tokens -> (what is minimised, cross-entropy)."""

    def __init__(self, decoder: Decoder, z_loss: float, chunk: int | None = None) -> None:
        super().__init__()
        self.decoder = decoder
        self.z_loss = z_loss
        self.chunk = chunk
        self._is_compiled = False
        self._hidden = decoder.hidden

    def fuse(self, extent: str) -> None:
        """Compile the loss, and the blocks one by one or the whole model; for sequences of one length, in place."""
        self._is_compiled = True
        if extent == "model":
            self._hidden = torch.compile(self.decoder.hidden, fullgraph=True, dynamic=False)
        for block in self.decoder.blocks if extent == "blocks" else ():
            block.compile(fullgraph=True, dynamic=False)

    def forward(self, sequences: Tensor) -> tuple[Tensor, Tensor]:
        hidden_ND = self._hidden(sequences[:, :-1]).flatten(0, 1)
        weight_VD, targets_N = self.decoder.output.weight, sequences[:, 1:].flatten()
        return chunked(hidden_ND, weight_VD, targets_N, self.z_loss, chunk=self.chunk, is_compiled=self._is_compiled)

    @torch.no_grad()
    def nats(self, sequences: Tensor, is_counted: Tensor) -> Tensor:
        """Summed cross-entropy of the targets that count, B x T of B x (T + 1) tokens; fp64."""
        hidden_ND = self._hidden(sequences[:, :-1]).flatten(0, 1)
        weight_VD, targets_N, is_counted_N = (
            self.decoder.output.weight,
            sequences[:, 1:].flatten(),
            is_counted.flatten(),
        )
        chunk = self.chunk or _chunk(len(targets_N), MAX_LOGITS[hidden_ND.device.type] // len(weight_VD))
        total = torch.zeros((), dtype=torch.float64, device=hidden_ND.device)
        for start in range(0, len(targets_N), chunk):
            part = slice(start, start + chunk)
            logits_CV = (hidden_ND[part] @ weight_VD.T).float()
            losses_C = functional.cross_entropy(logits_CV, targets_N[part], reduction="none")
            total += (losses_C * is_counted_N[part]).sum(dtype=torch.float64)
        return total


class _Saved(Protocol):
    saved_tensors: tuple[Tensor, Tensor]


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        z_loss: float,
        chunk: int,
        slopes: _Slopes,
    ) -> tuple[Tensor, Tensor]:
        loss, square = torch.zeros(2, device=hidden_ND.device).unbind()
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
        for start in range(0, len(targets_N), chunk):
            hidden_CD, targets_C = hidden_ND[start : start + chunk], targets_N[start : start + chunk]
            slope_CV, chunk_loss, chunk_square = slopes(hidden_CD @ weight_VD.T, targets_C, z_loss)
            loss, square = loss + chunk_loss, square + chunk_square
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
    ) -> tuple[Tensor, Tensor, None, None, None, None]:
        grad = grad_outputs[0]
        grad_hidden_ND, grad_weight_VD = cast("_Saved", ctx).saved_tensors
        scale = (grad / len(grad_hidden_ND)).to(grad_hidden_ND.dtype)
        return grad_hidden_ND * scale, grad_weight_VD * scale, None, None, None, None


def _chunk(num_tokens: int, most: int) -> int:
    """Chunks of about one size, a multiple of 256, which tiles of a GPU divide; the last has what is left."""
    if most < 256:
        return max(1, most)
    evenly = -(-num_tokens // -(-num_tokens // most))
    return -(-evenly // 256) * 256


def _slopes(logits_CV: Tensor, targets_C: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the logits, sum of cross-entropies, sum of squared log-sum-exps; few passes, mostly in place."""
    values_CV, targets_C1 = logits_CV.float(), targets_C[:, None]
    lse_C1 = values_CV.logsumexp(dim=-1, keepdim=True)
    loss = (lse_C1 - values_CV.gather(-1, targets_C1)).sum()
    # d(lse - logit) = softmax - onehot; d(lse^2) = 2 lse softmax
    slope_CV = values_CV.sub_(lse_C1).exp_().mul_(1 + 2 * z_loss * lse_C1)
    slope_CV.scatter_add_(-1, targets_C1, torch.full_like(lse_C1, -1.0))
    return slope_CV.to(logits_CV.dtype), loss, lse_C1.square().sum()


def _slopes_fusable(logits_CV: Tensor, targets_C: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """The same for a compiler: no scatter, which would need the fp32 values in memory."""
    values_CV, targets_C1 = logits_CV.float(), targets_C[:, None]
    lse_C1 = values_CV.logsumexp(dim=-1, keepdim=True)
    loss = (lse_C1 - values_CV.gather(-1, targets_C1)).sum()
    is_target_CV = torch.arange(logits_CV.shape[-1], device=logits_CV.device) == targets_C1
    slope_CV = (values_CV - lse_C1).exp() * (1 + 2 * z_loss * lse_C1) - is_target_CV.float()
    return slope_CV.to(logits_CV.dtype), loss, lse_C1.square().sum()


@cache
def _compiled() -> _Slopes:
    return torch.compile(_slopes_fusable, fullgraph=True, dynamic=False)
