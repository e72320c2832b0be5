from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lakeloom.jobs import bench_export
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.members import Form
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.shard_writer import write_shard
from lakeloom.lakehouse.tokens import Encoded, Tokenizer
from tests.jobs.bounded_export import text, tokenizer

TEXTS = [text(number, 2000) for number in range(40)]


class Off:
    """Ids that are one too large."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def encode(self, texts: list[str]) -> Encoded:
        raise NotImplementedError

    def encode_arrow(self, texts: object) -> Encoded:
        values, offsets = self.tokenizer.encode_batch(texts)
        return Encoded((values + 1) % self.tokenizer.vocab_size, offsets)

    def decode(self, ids: list[int]) -> str:
        raise NotImplementedError


def test_the_reference_is_timed_and_its_ids_are_ours(tmp_path: Path) -> None:
    ours = tokenizer(tmp_path)
    rate, line = bench_export.reference(ours, TEXTS, 0.2)
    assert rate > 0
    assert "the same ids on all of" in line.value
    with pytest.raises(BadInput, match="other ids than those of tokenizers"):
        bench_export.reference(replace(ours, _backend=Off(ours)), TEXTS, 0.2)


def test_ids_and_batches_have_a_rate(tmp_path: Path) -> None:
    assert "MB/s a core" in bench_export.kernel(tokenizer(tmp_path), Packing(9, 2, 0, "uint16"), TEXTS).value
    sequences = np.arange(500 * 9, dtype=np.uint16).reshape(500, 9)
    shards = [write_shard(tmp_path, number, sequences, seq_len=9, dtype="uint16") for number in range(2)]
    line = bench_export.loader(tmp_path, Form(9, "uint16"), shards, 5000)
    assert line.value.startswith("92,160 tokens in random order")
