"""The check of known near duplicates: it holds on true pairs, and fails where they or the candidates are not true."""

import io
import json
import random
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from pyspark.sql import SparkSession
from rich.console import Console

from lakeloom.filters.minhash import MinHashParams
from lakeloom.jobs import oracle_dedup
from lakeloom.jobs.oracle_dedup import Truth
from lakeloom.lakehouse.errors import BadInput

FINEWEB = MinHashParams(112, 14, 8, 5, 1)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return {tuple(words[first : first + 5]) for first in range(max(len(words) - 4, 1))} if words else set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty texts, most of them changed copies of others, and their pairs by brute force."""
    rng = random.Random(3)  # noqa: S311 (a test's texts, no secret)
    texts = {"empty": "", "marks": "!!!"}
    for family in range(8):
        words = [f"w{rng.randrange(10**6)}" for _ in range(150)]
        for copy in range(5):
            changed = {rng.randrange(150) for _ in range(copy * 3)}
            edited = [f"x{family}{copy}{place}" if place in changed else word for place, word in enumerate(words)]
            texts[f"d{family}{copy}"] = " ".join(edited)
    sets = {name: shingles(text) for name, text in texts.items() if shingles(text)}
    likes = {(a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in combinations(sorted(sets), 2)}
    path = tmp_path_factory.mktemp("known")
    written(path / "documents.jsonl.zst", [{"id": name, "text": text} for name, text in texts.items()])
    pairs = [{"a": a, "b": b, "jaccard": round(like, 6)} for (a, b), like in likes.items() if like >= 0.2]
    written(path / "pairs.jsonl.zst", pairs)
    return path


def written(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


@pytest.mark.spark
@pytest.mark.slow
def test_it_holds_on_true_pairs_and_not_on_others(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    truth = Truth.read(folder)
    lied = truth.jaccard.copy()
    lied[int(lied.argmax())] -= 0.05
    for name, given, partitions in (("true", truth, (1, 2)), ("lie", replace(truth, jaccard=lied), ())):
        screen = io.StringIO()
        console, root = Console(file=screen, width=120), tmp_path / name
        holds = oracle_dedup.compare(spark, given, root, console, presets=["fineweb"], partitions=partitions)
        printed = screen.getvalue()
        assert holds == (name == "true"), printed
        assert ("FAIL pairs that it states" in printed) == (name == "lie")


def test_recall_off_the_curve_is_no_chance(folder: Path) -> None:
    truth = Truth.read(folder)
    assert all(tenth.is_chance for tenth in oracle_dedup.recall(truth, FINEWEB))
    unlike = replace(truth, other=np.roll(truth.other, 7))  # pairs of other texts, said to be alike
    assert not any(tenth.is_chance for tenth in oracle_dedup.recall(unlike, FINEWEB) if tenth.tenth >= 8)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no documents\.jsonl\.zst and pairs\.jsonl\.zst"):
        Truth.read(tmp_path)
    written(tmp_path / "documents.jsonl.zst", [{"id": "a", "text": "one"}])
    written(tmp_path / "pairs.jsonl.zst", [{"a": "a", "b": "b", "jaccard": 0.5}])
    with pytest.raises(BadInput, match="KeyError"):
        Truth.read(tmp_path)
    written(tmp_path / "pairs.jsonl.zst", [])
    wrong: list[tuple[dict[str, object], str]] = [
        ({"id": "b"}, "KeyError"),
        ({"id": "b", "text": 1}, "Arrow"),
        ({"id": "a", "text": "x"}, "ids"),
    ]
    for row, said in wrong:
        written(tmp_path / "documents.jsonl.zst", [{"id": "a", "text": "one"}, row])
        with pytest.raises(BadInput, match=said):
            Truth.read(tmp_path)


@pytest.mark.spark
@pytest.mark.slow
def test_shared_oracle(spark: SparkSession, shared: Path, tmp_path: Path) -> None:
    """Three presets on 6,192 documents: recall on the curve, no pair stated that is not true, any partitioning."""
    truth, screen = Truth.read(shared / "oracle" / "dedup"), io.StringIO()
    assert isinstance(truth.text, pa.StringArray) and len(truth.jaccard) == 10_805
    holds = oracle_dedup.compare(spark, truth, tmp_path, Console(file=screen, width=120), partitions=(1, 64))
    assert holds, screen.getvalue()
