"""Bits per byte of held-out documents: comparable between tokenizers, the least noisy score of a small model.

The documents are joined by end-of-text tokens and read in windows of the model's length, as in training. Each
token is predicted once; the end-of-text tokens themselves are not counted. Bytes are those of the UTF-8 text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lakeloom.evaluate.estimates import Item
from lakeloom.evaluate.harness import Model, Span
from lakeloom.lakehouse import holdout
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.holdout import Document, Holdout
from lakeloom.lakehouse.shard_writer import HOLDOUT


@dataclass(frozen=True)
class DocumentLoss:
    """What a model needs for one document."""

    doc_id: str
    nats: float
    num_tokens: int
    num_bytes: int

    @property
    def bits_per_byte(self) -> Item:
        """Bits, with bytes as weight."""
        return Item(self.doc_id, self.nats / math.log(2), self.num_bytes)

    @property
    def loss(self) -> Item:
        """Nats, with tokens as weight: the validation loss."""
        return Item(self.doc_id, self.nats, self.num_tokens)


def read(folder: Path, limit: int = 0) -> Holdout:
    """The held-out documents of a dataset folder, the first `limit` of them (0: all)."""
    try:
        return holdout.read(folder, limit)
    except FileNotFoundError:
        raise ConfigError(f"evaluate.holdouts: {folder} has no {HOLDOUT}; give folders of exported datasets") from None


def measure(model: Model, documents: Sequence[Document]) -> list[DocumentLoss]:
    """Losses of each document, in order."""
    stream, owner = holdout.stream(documents, model.tok_encode, model.eot_token_id)
    # Target t is token t + 1 of the stream; windows are batched by the model.
    starts = range(0, len(stream) - 1, model.seq_len)
    windows = [stream[start : start + model.seq_len + 1].tolist() for start in starts]
    measured = model.measure([Span(tuple(window), len(window) - 1) for window in windows])
    losses = np.concatenate([found.losses for found in measured]).astype(np.float64)
    is_counted = owner[1:] >= 0
    nats = np.bincount(owner[1:][is_counted], losses[is_counted], minlength=len(documents))
    tokens = np.bincount(owner[1:][is_counted], minlength=len(documents))
    return [
        DocumentLoss(document.doc_id, float(nats[i]), int(tokens[i]), document.num_bytes)
        for i, document in enumerate(documents)
    ]
