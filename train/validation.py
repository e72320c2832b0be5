"""Held-out documents of the dataset, as a model in training is measured by: bits per byte, as evaluate has them.

Bits per byte don't depend on the tokenizer. Each token is predicted once, in windows of the model's length over all
documents joined by end-of-text tokens; those themselves are not counted.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakeloom.lakehouse import holdout

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """Windows of N x (T + 1) tokens, filled up with ends of text, and which of their N x T targets count."""

    windows: npt.NDArray[np.int64]
    is_counted: npt.NDArray[np.bool_]
    num_bytes: int
    sha256: str  # of the documents' file

    def bits_per_byte(self, nats: float) -> float:
        """Of the sum of the counted targets' losses."""
        return nats / math.log(2) / self.num_bytes


def load(folder: Path, tokenizer_file: str, seq_len: int, max_bytes: int) -> Validation | None:
    """The first held-out documents, of max_bytes or more together; None where the dataset has none.

    BadInput where its file is broken.
    """
    from lakeloom.lakehouse.tokens import Tokenizer  # brings tokenizers' libraries, which a GPU bench does without

    try:
        found = holdout.read(folder, max_bytes=max_bytes)
    except FileNotFoundError:
        log.warning("%s has no held-out documents: no bits per byte while training", folder)
        return None
    tokenizer = Tokenizer.load(folder / tokenizer_file)
    ids, owner = holdout.stream(found.documents, tokenizer.encode, tokenizer.eot)
    num_windows = -(-(len(ids) - 1) // seq_len)
    padding = num_windows * seq_len + 1 - len(ids)
    ids, owner = (
        np.pad(ids, (0, padding), constant_values=tokenizer.eot),
        np.pad(owner, (0, padding), "constant", constant_values=-1),
    )
    windows = np.lib.stride_tricks.sliding_window_view(ids, seq_len + 1)[::seq_len]
    num_bytes = sum(document.num_bytes for document in found.documents)
    return Validation(windows, owner[1:].reshape(num_windows, seq_len) >= 0, num_bytes, found.sha256)


def steps(num_steps: int, number: int) -> frozenset[int]:
    """After which steps to measure, counted from 1: so many times at even distances, the last at the end."""
    return frozenset(-(-num_steps * part // number) for part in range(1, number + 1))
