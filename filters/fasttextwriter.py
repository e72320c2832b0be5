"""A classifier that was trained, written as fastText 0.9.2 writes its models (version 12 of the file)."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lakeloom.filters.fasttextfile import MAGIC, SOFTMAX, SUPERVISED, VERSION, Floats
from lakeloom.filters.kernel import Ints

# What a scorer doesn't read, at fastText's defaults (args.cc).
_WS, _NEG, _LR_UPDATE_RATE, _T = 5, 5, 100, 1e-4


@dataclass(frozen=True)
class Trained:
    """What a file holds of a softmax classifier without character n-grams."""

    words: list[str]
    word_counts: Ints
    labels: list[str]  # with their prefix
    label_counts: Ints
    vectors: Floats  # words, then buckets, x dim
    outputs: Floats  # labels x dim
    epochs: int
    min_count: int
    word_ngrams: int


def write(path: Path, model: Trained) -> None:
    """Write the model as fastText 0.9.2 does, so that its library and DCLM read it; its defaults for all else."""
    dim, num_buckets = model.vectors.shape[1], len(model.vectors) - len(model.words)
    trained = [dim, _WS, model.epochs, model.min_count, _NEG, model.word_ngrams, SOFTMAX, SUPERVISED, num_buckets]
    settings = [*trained, 0, 0, _LR_UPDATE_RATE]  # no character n-grams
    sizes = [len(model.words) + len(model.labels), len(model.words), len(model.labels)]
    num_tokens = int(model.word_counts.sum() + model.label_counts.sum())
    with path.open("wb") as file:
        file.write(struct.pack("<14id", MAGIC, VERSION, *settings, _T))
        file.write(struct.pack("<3i2q", *sizes, num_tokens, -1))
        for kind, (names, counts) in enumerate([(model.words, model.word_counts), (model.labels, model.label_counts)]):
            for name, count in zip(names, counts.tolist(), strict=True):
                file.write(name.encode() + b"\0" + struct.pack("<qb", count, kind))
        for rows in (model.vectors, model.outputs):
            file.write(b"\0" + struct.pack("<2q", *rows.shape))
            file.write(np.ascontiguousarray(rows, "<f4").data)
