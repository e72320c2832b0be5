"""Our decoder as a model of lm-eval: batched losses of continuations, the same whatever the batches.

Shapes: B sequences, T positions, N scored positions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch.nn import functional as F

from lakeloom.train.model import Decoder

Losses = npt.NDArray[np.float32]

# Positions whose logits are held at once: 1,024 x 50,432 x 4 bytes are 207 MB.
_LOGIT_ROWS = 1024


class Encoder(Protocol):
    """What is needed of a tokenizer."""

    @property
    def eot(self) -> int:
        """Id of the end of a text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Text to ids."""
        ...


class Likelihood(NamedTuple):
    """What a model says of a continuation."""

    loglikelihood: float  # nats, summed over the continuation's tokens
    is_exact: bool  # each token is the likeliest one
    num_tokens: int
    num_cut: int  # tokens of the context that did not fit

    @property
    def loss(self) -> float:
        """Mean loss of a token, in nats."""
        return -self.loglikelihood / self.num_tokens


@dataclass(frozen=True)
class Span:
    """Token ids, the last num_scored of which are scored, each by what stands before it."""

    ids: tuple[int, ...]
    num_scored: int


class Measured(NamedTuple):
    """Losses in nats of a span's scored tokens, and whether each was the likeliest."""

    losses: Losses
    is_exact: bool


class Model(TemplateLM):  # type: ignore[misc]  # lm-eval is untyped
    """A decoder and its tokenizer. Parts of a prompt are tokenised apart, contexts cut on the left."""

    def __init__(self, decoder: Decoder, tokenizer: Encoder, *, batch_tokens: int, device: str = "cpu") -> None:
        super().__init__()
        self.decoder, self.encoder, self.batch_tokens = decoder, tokenizer, batch_tokens
        self.seq_len = decoder.config.seq_len
        self._device = torch.device(device)
        self.watch: Callable[[int, int], None] = lambda done, total: None

    def parts(self, requests: Sequence[Instance]) -> list[Likelihood]:
        """lm-eval's entry for requests of type "parts": the last is scored, those before it are context."""
        encode = lru_cache(maxsize=64)(self.tok_encode)  # the choices of an item share their context
        pairs = [([id_ for part in context for id_ in encode(part)], encode(end)) for *context, end in _args(requests)]
        return self._scores(pairs)

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """lm-eval's entry for its own tasks: (log-likelihood, is greedy)."""
        return [(score.loglikelihood, score.is_exact) for score in self.parts(requests)]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of whole texts, in windows of the model's length."""
        totals: list[float] = []
        for (text,) in _args(requests):
            windows = get_rolling_token_windows(self.tok_encode(text), self.eot_token_id, self.seq_len - 1, 1)
            pairs = [make_disjoint_window(window) for window in windows]
            totals.append(sum(score.loglikelihood for score in self._scores(pairs)))
        return totals

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Not there yet: tasks that need it are listed as absent before a run."""
        raise NotImplementedError("generation tasks are not supported yet")

    def measure(self, spans: Sequence[Span]) -> list[Measured]:
        """Losses of spans of at most seq_len + 1 tokens; equal spans are computed once, so ties stay ties."""
        unique = sorted(set(spans), key=lambda span: (-len(span.ids), span.ids, span.num_scored))
        found: dict[Span, Measured] = {}
        for batch in _batches(unique, self.batch_tokens):
            found.update(zip(batch, self._forward(batch), strict=True))
            self.watch(len(found), len(unique))
        return [found[span] for span in spans]

    @property
    def eot_token_id(self) -> int:
        return self.encoder.eot

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        return self.encoder.encode(string)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        scores = self._scores([(context, end) for _, context, end in requests])
        return [(score.loglikelihood, score.is_exact) for score in scores]

    def _scores(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Likelihood]:
        fitted = [self._fit(context or [self.eot_token_id], end) for context, end in pairs]
        measured = self.measure([span for span, _ in fitted])
        return [
            Likelihood(-float(losses.sum(dtype=np.float64)), is_exact, span.num_scored, num_cut)
            for (span, num_cut), (losses, is_exact) in zip(fitted, measured, strict=True)
        ]

    def _fit(self, context: list[int], end: list[int]) -> tuple[Span, int]:
        """The last seq_len tokens, as llm-foundry cuts; a longer continuation loses its own beginning."""
        ids = tuple((context + end)[-self.seq_len :])
        return Span(ids, min(len(end), len(ids) - 1)), len(context) + len(end) - len(ids)

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Span]) -> Iterator[Measured]:
        longest = len(batch[0].ids) - 1
        tokens_BT = torch.zeros(len(batch), longest, dtype=torch.long)  # causal: padding on the right is never seen
        for row, span in enumerate(batch):
            tokens_BT[row, : len(span.ids) - 1] = torch.tensor(span.ids[:-1])
        rows_N = torch.tensor([row for row, span in enumerate(batch) for _ in range(span.num_scored)])
        places_N = torch.tensor(
            [place for span in batch for place in range(len(span.ids) - 1 - span.num_scored, len(span.ids) - 1)]
        )
        targets_N = torch.tensor([id_ for span in batch for id_ in span.ids[len(span.ids) - span.num_scored :]])
        hidden_ND = self.decoder.hidden(tokens_BT.to(self._device))[rows_N.to(self._device), places_N.to(self._device)]
        losses_N, exact_N = self._judge(hidden_ND, targets_N.to(self._device))
        bounds = np.cumsum([span.num_scored for span in batch])[:-1]
        for losses, exact in zip(np.split(losses_N, bounds), np.split(exact_N, bounds), strict=True):
            yield Measured(losses, bool(exact.all()))

    def _judge(self, hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> tuple[Losses, npt.NDArray[np.bool_]]:
        losses: list[torch.Tensor] = []
        exact: list[torch.Tensor] = []
        for hidden, targets in zip(
            torch.split(hidden_ND, _LOGIT_ROWS), torch.split(targets_N, _LOGIT_ROWS), strict=True
        ):
            logits = self.decoder.output(hidden).float()
            losses.append(F.cross_entropy(logits, targets, reduction="none"))
            exact.append(logits.argmax(-1) == targets)
        return torch.cat(losses).cpu().numpy(), torch.cat(exact).cpu().numpy()


def _args(requests: Sequence[Instance]) -> Iterator[tuple[str, ...]]:
    for request in requests:
        yield request.args


def _batches(spans: Sequence[Span], batch_tokens: int) -> Iterator[list[Span]]:
    """Neighbours in order of length, so many that rows x longest stays within the budget; one at least."""
    start = 0
    while start < len(spans):
        stop = start + max(1, batch_tokens // len(spans[start].ids))
        yield list(spans[start:stop])
        start = stop
