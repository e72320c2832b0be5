"""The check of an export: it holds on a folder of archives, and fails where a token or a document is another."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from lakeloom.jobs import oracle_dedup, oracle_export
from lakeloom.jobs.oracle_export import Streams
from lakeloom.lakehouse.tokens import Tokenizer
from tests.lakehouse.test_warc import PROSE, archive

WORDS = (
    "tokenizer.vocab_size=300",
    "export.context=16",
    "export.shard_sequences=40",
    "export.num_cells=3",
    "export.leftovers=pad",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pool"
    path.mkdir()
    for number in range(3):
        bodies = [f"{PROSE} {number} {page} {number * 7919 + page * 104_729}".encode() for page in range(12)]
        path.joinpath(f"{number}.warc.gz").write_bytes(archive(bodies))
    return path


@pytest.mark.spark
@pytest.mark.slow
def test_it_holds_on_archives_and_not_on_other_tokens(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    source, words = oracle_export.prepare(spark, tmp_path, [f"pool={folder}", *WORDS])
    first, one = oracle_export.exports(source, tmp_path, words, [1, 3])
    tokenizer = Tokenizer.load(one.manifest.folder / one.manifest.dataset.tokenizer_file)
    streams = Streams.of(source, one.cfg, tokenizer, one.manifest.dataset.pad)
    screen = io.StringIO()
    assert oracle_dedup.show(Console(file=screen, width=200), oracle_export.checks(one, first, streams))
    assert "ok   documents packed on 3 partitions, and with text: 36 and 36" in screen.getvalue()
    changed = replace(streams, cells=tuple(np.roll(cell, 1) for cell in streams.cells))
    failed = [check.name for check in oracle_export.checks(one, one, changed) if not check.holds]
    assert failed == [name for name in failed if "are the documents' tokens" in name] != []
    lost = replace(streams, cells=(streams.cells[0][:-1], *streams.cells[1:]), num_documents=35)
    failed = [check.name for check in oracle_export.checks(one, replace(one, sha256="0"), lost) if not check.holds]
    assert len(failed) >= 4
