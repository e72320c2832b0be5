"""Looks for a string in every file under a folder, also inside compressed pages, archives and tokens."""

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import zstandard

from lakeloom.lakehouse.shards import DATASET, MANIFEST
from lakeloom.lakehouse.tokens import Tokenizer


def places(root: Path, needle: str) -> list[str]:
    """Files that have the string, relative to root."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [str(path.relative_to(root)) for path in files if any(needle in text for text in _texts(path))]


def _texts(path: Path) -> Iterator[str]:
    yield path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".parquet":
        yield json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str, ensure_ascii=False)
    elif path.suffix == ".zst":
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            yield file.read()
    elif path.suffix == ".tar":
        yield from _members(path)


def _members(path: Path) -> Iterator[str]:
    folder = path.parent if (path.parent / DATASET).exists() else path.parent.parent
    facts = json.loads((folder / DATASET).read_text())
    kind = json.loads((folder / MANIFEST).read_text().splitlines()[0])["dtype"]
    tokenizer = Tokenizer.load(folder / facts["tokenizer_file"])
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            raw = content.read()
            is_json = member.name.endswith(".gz")
            ids = json.loads(gzip.decompress(raw)) if is_json else np.frombuffer(raw, kind).tolist()
            yield tokenizer.decode([one for one in ids if one < tokenizer.vocab_size])  # pads are above
