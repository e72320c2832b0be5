"""Bits per byte of held-out documents: comparable between tokenizers, the least noisy score of a small model.

The documents are joined by end-of-text tokens and read in windows of the model's length, as in training. Each
token is predicted once; the end-of-text tokens themselves are not counted. Bytes are those of the UTF-8 text.
"""

import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakeloom.evaluate.estimates import Item
from lakeloom.evaluate.harness import Model, Span
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.shards import Manifest

HOLDOUT = "holdout.jsonl.zst"


@dataclass(frozen=True)
class Document:
    """A held-out text."""

    doc_id: str
    text: str

    @property
    def num_bytes(self) -> int:
        return len(self.text.encode())


@dataclass(frozen=True)
class Holdout:
    """Held-out documents of an exported dataset, and the SHA-256 of their whole file."""

    name: str  # of the dataset
    sha256: str
    documents: tuple[Document, ...]


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
    path = folder / HOLDOUT
    if not path.is_file():
        raise ConfigError(f"evaluate.holdouts: {folder} has no {HOLDOUT}; give folders of exported datasets")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found = _documents(path)
    documents = tuple(islice(found, limit) if limit else found)
    if not any(document.num_bytes for document in documents):
        raise BadInput(f"{path}: no held-out text in {len(documents)} documents; raise choose.holdout_share")
    return Holdout(Manifest.load(folder).dataset.name, sha256, documents)


def measure(model: Model, documents: Sequence[Document]) -> list[DocumentLoss]:
    """Losses of each document, in order."""
    stream, owner = _stream(model, documents)
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


def _stream(model: Model, documents: Sequence[Document]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ids of all documents, an end of text before each, and the document of each id, -1 for the ends."""
    ids: list[npt.NDArray[np.int64]] = []
    owner: list[npt.NDArray[np.int64]] = []
    for number, document in enumerate(documents):
        text = np.array(model.tok_encode(document.text), np.int64)
        ids += [np.array([model.eot_token_id]), text]
        owner += [np.array([-1]), np.full(len(text), number)]
    return np.concatenate(ids), np.concatenate(owner)


def _documents(path: Path) -> Iterator[Document]:
    try:
        with pa.input_stream(path, compression="zstd") as raw:  # zstandard's takes a cut file for a whole one
            for line in io.TextIOWrapper(raw, "utf-8", newline="\n"):
                row = cast("dict[str, str]", json.loads(line))
                yield Document(row["doc_id"], row["text"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: no held-out documents (JSON lines with doc_id and text): {error!r}") from error
