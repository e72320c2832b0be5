"""The filters are timed against plain Python that must say the same, and a difference ends the measurement."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakeloom.filters.chain import Chain
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import bench_filters, cli, curate, plain_filters
from lakeloom.lakehouse.errors import BadInput, ConfigError
from tests.lakehouse.test_warc import PROSE, archive

SENTENCES = [
    "The loom weaves cloth of wool and of linen, and that is what looms do.",
    "Shuttles run to and fro with the thread, have a look at www.loom.example/shuttles and come back.",
    "A warp has two thousand ends; to tie them takes weavers a day with good light...",
]
ODD_LINES = [
    *("", " ", "3 likes", "(5k views)", "LOUD LINE OF LETTERS", "2024", "Items in cart 3", "go on Read more...x"),
    *(
        "Sign-in here",
        "* a bullet",
        "- one",
        "x",
        "#tag # # #",
        "\u2026",
        "\n\n",
        "1.2.3.4/x",
        "\u00e9t\u00e9 \u4e00\u4e8c",
    ),
]
PAGES = st.lists(st.sampled_from(SENTENCES * 3 + ODD_LINES) | st.text(max_size=20), max_size=40).map("\n".join)


@cache
def chain() -> Recipe:
    cfg: curate.CurateConfig = cli.load("curate", "pool=sample")
    return bench_filters.parts(cfg.recipe)[0]


def batch(texts: list[str]) -> pa.RecordBatch:
    names = [f"http://loom.example/{number}" for number in range(len(texts))]
    return pa.RecordBatch.from_pydict({"doc_id": names, "url": names, "text": texts})


@settings(deadline=None)  # the first example compiles the kernels
@given(st.lists(PAGES, min_size=1, max_size=4))
def test_the_whole_recipe_says_what_plain_python_says(texts: list[str]) -> None:
    recipe = chain()
    result = Chain(recipe).apply(batch(texts))
    columns = (result.text.to_pylist(), result.dropped_by.to_pylist(), map(dict, result.signals.to_pylist()))
    assert [plain_filters.apply(recipe, text) for text in texts] == [
        plain_filters.Outcome(*row) for row in zip(*columns, strict=True)
    ]


def test_a_difference_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(SENTENCES * 4)]
    assert bench_filters.plain(chain(), [batch(texts)]) > 0
    monkeypatch.setitem(plain_filters._SIGNALS, "num_tokens", lambda text: 60.0)
    with pytest.raises(BadInput, match="differ on the page that begins 'The loom"):
        bench_filters.plain(chain(), [batch(texts)])


def test_a_step_without_a_plain_twin_is_named() -> None:
    recipe = Recipe.from_config({"name": "r", "steps": [{"signal": "language_score", "language": "en"}]})
    with pytest.raises(ConfigError, match="no plain signal 'language_score'"):
        plain_filters.apply(recipe, "text")


def test_turns_are_the_same_work_under_other_hashes() -> None:
    recipe = chain()
    others = [bench_filters.unseen(recipe, turn) for turn in range(2)]
    assert len({one.hash for one in (recipe, *others)}) == 3
    assert [replace(other.steps[-1], id="") for other in others] == [replace(recipe.steps[-1], id="")] * 2


def test_a_folder_without_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.warc or \.jsonl files"):
        bench_filters.sources(tmp_path)


@pytest.mark.spark
@pytest.mark.parametrize("name", ["made.warc.gz", "made.jsonl"])
def test_every_measurement_has_its_line(spark: SparkSession, tmp_path: Path, name: str) -> None:
    texts = ["\n\n".join([PROSE, *SENTENCES, str(number)]) for number in range(3)]
    pages = [f"<html><body><p>{text}</p></body></html>".replace("\n\n", "</p><p>").encode() for text in texts]
    rows = [json.dumps({"text": text, "url": f"https://loom.example/{text[-1]}"}) + "\n" for text in texts]
    made = tmp_path / name
    made.write_bytes(archive(pages) if "warc" in name else "".join(rows).encode())
    lines = bench_filters.measured(spark, [made], tmp_path, num_pages=3, turns=1)
    names = ["pages", "language id", "kernels", "plain Python", "Spark, first", "through Spark"]
    assert [line.name for line in lines] == names
    assert [line.is_enough is None for line in lines] == [True, False, False, True, True, False]
    assert lines[-1].is_enough is False  # three pages are nothing beside the fixed cost
