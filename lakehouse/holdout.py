"""Held-out documents of an exported dataset, and how a model reads them: for training's validation and for scores."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.ids import file_sha
from lakeloom.lakehouse.shard_writer import HOLDOUT
from lakeloom.lakehouse.shards import Manifest

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Document:
    """A held-out text."""

    doc_id: str
    text: str

    @property
    def num_bytes(self) -> int:
        """Of its UTF-8."""
        return len(self.text.encode())


@dataclass(frozen=True)
class Holdout:
    """Held-out documents of an exported dataset, and the SHA-256 of their whole file."""

    name: str  # of the dataset
    sha256: str
    documents: tuple[Document, ...]


def read(folder: Path, limit: int = 0, max_bytes: int = 0) -> Holdout:
    """The first `limit` documents of a dataset folder, until they have `max_bytes` of text (0: all).

    Raises FileNotFoundError where the dataset has none, BadInput where its file is broken or has no text.
    """
    path = folder / HOLDOUT
    sha256 = file_sha(path)
    found, documents, num_bytes = _documents(path), list[Document](), 0
    for document in islice(found, limit) if limit else found:
        documents.append(document)
        num_bytes += document.num_bytes
        if 0 < max_bytes <= num_bytes:
            break
    if not num_bytes:
        raise BadInput(f"{path}: no held-out text in {len(documents)} documents; raise choose.holdout_share")
    return Holdout(Manifest.load(folder).dataset.name, sha256, tuple(documents))


def stream(documents: Sequence[Document], encode: Callable[[str], Sequence[int]], eot: int) -> tuple[Ids, Ids]:
    """Ids of all documents, an end of text before each, and the document of each id, -1 for the ends."""
    ids, owner = list[Ids](), list[Ids]()
    for number, document in enumerate(documents):
        text = np.array(encode(document.text), np.int64)
        ids += [np.array([eot]), text]
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
