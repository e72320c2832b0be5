"""Small fastText models in its own format, and the library that reads them."""

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fasttext
import numpy as np

WORDS = ["</s>", "the", "loom", "\u00fcber", "a", "\u4e00\u4e8c"]


@dataclass(frozen=True)
class Kind:
    """What kind of model is made."""

    loss: int = 1
    dim: int = 6
    min_n: int = 2
    max_n: int = 4
    labels: tuple[str, ...] = ("en", "de", "fr", "pl", "zh")
    word_ngrams: int = 1
    buckets: int = 1000
    prefix: str = "__label__"
    words: tuple[str, ...] = tuple(WORDS)
    more_outputs: int = 0
    model: int = 3  # supervised


QUALITY = Kind(loss=3, min_n=0, max_n=0, labels=("hq", "cc"), word_ngrams=2)  # as DCLM's classifiers are


def model_file(path: Path, kind: Kind = Kind()) -> Path:
    """A small model of random vectors, not quantized, in fastText's own format."""
    rng, dim = np.random.default_rng(kind.dim), kind.dim
    settings = (dim, 5, 5, 1, 5, kind.word_ngrams, kind.loss, kind.model, kind.buckets, kind.min_n, kind.max_n, 100)
    packed = struct.pack("<2i12id", 793712314, 12, *settings, 1e-4)
    names = [*kind.words, *(f"{kind.prefix}{code}" for code in kind.labels)]
    packed += struct.pack("<3i2q", len(names), len(kind.words), len(kind.labels), 1000, -1)
    for number, name in enumerate(names):
        packed += name.encode() + b"\0" + struct.pack("<qb", max(1, 50 - 4 * number), number >= len(kind.words))
    for rows in (len(kind.words) + kind.buckets, len(kind.labels) + kind.more_outputs):
        numbers = rng.normal(size=(rows, dim)).astype("<f4")
        packed += b"\0" + struct.pack("<2q", rows, dim) + numbers.tobytes()
    path.write_bytes(packed)
    return path


@cache
def library(path: Path) -> Any:
    return fasttext.load_model(str(path))
