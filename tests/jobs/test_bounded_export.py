"""A corpus of ten times the memory, and a document of 50 MB, go through the shuffles of an export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.bounded_export import DOCUMENT, LONG, NUM_DOCUMENTS, text, tokenizer

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.spark
@pytest.mark.slow
def test_memory_is_bounded_and_no_token_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.bounded_export", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "SPARK_LOCAL_DIRS": str(tmp_path / "shuffle")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    loaded = tokenizer(tmp_path)
    expected = sum(len(loaded.encode(text(number, DOCUMENT))) + 1 for number in range(NUM_DOCUMENTS))
    corpus, long = found["corpus"], found["long"]
    assert (corpus["documents"], corpus["tokens_in"]) == (NUM_DOCUMENTS, expected)
    assert corpus["in_shards"] == corpus["sequences"] >= expected // 2049 - 4
    tokens = len(loaded.encode(text(1, LONG))) + len(loaded.encode("short")) + 2
    assert (long["documents"], long["tokens_in"], long["in_shards"]) == (2, tokens, long["sequences"])
    assert max(found["peaks"]) < 600  # MB, of which 170 are what a worker imports
    assert max(found["after"]) < 900
