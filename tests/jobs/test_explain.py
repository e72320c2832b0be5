"""A page's way through a recipe, as the job tells it: of one page, of several crawls, of one that is not there."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cli, curate, dedup, explain
from lakeloom.jobs.explain import ExplainConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import doc_id
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.warc import host_of
from tests.jobs.test_dedup import config as dedup_config

pytestmark = pytest.mark.spark

RECIPE = Recipe.from_config(
    {
        "name": "mine",
        "steps": [
            {"signal": "num_tokens", "min": 3, "max": 1000},
            {"edit": "remove_line_phrase", "phrase": "read more", "location": "any", "max_words": 10},
            {"signal": "removed_token_ratio", "since": "num_tokens", "max": 0.3},
            {"signal": "mean_word_length", "max": 10},
        ],
    }
)
PROSE = "The loom stands in the hall\nand the cloth grows [bold]every day."
PAGES = [
    ("https://loom.example/a", f"{PROSE}\nRead more", 1),
    ("https://loom.example/a", "two words", 2),
    ("https://www.loom.example/b?x=${y}", f"{PROSE}\nRead more", 1),
    ("https://loom.example/c", "one read more two", 1),
    ("https://other.example/", None, 1),
]


def add_pages(lake: Lakehouse, pages: Sequence[tuple[str, str | None, int]], pool: str = "p", batch: str = "b") -> None:
    """Pages of (url, text, day fetched) as an ingest leaves them."""
    rows = [
        (doc_id(pool, batch, number, url), pool, batch, url, host_of(url), datetime(2024, 1, day, tzinfo=UTC), text,
         "one.warc.gz", number)
        for number, (url, text, day) in enumerate(pages)
    ]  # fmt: skip
    types = "doc_id STRING, pool STRING, batch_id STRING, url STRING, host STRING, fetched_at TIMESTAMP, text STRING"
    made = lake.spark.createDataFrame(rows, f"{types}, warc_file STRING, warc_offset LONG")
    lake.create("bronze.pages")
    others = {name: F.lit(None) for name in lake.read("bronze.pages").columns if name not in made.columns}
    lake.append(made.withColumns(others), "bronze.pages", txn=f"ingest/{batch}")


def config(lake: Lakehouse, page: str, recipe: Recipe = RECIPE, **changes: Any) -> ExplainConfig:
    given = {"crawl": 1, "context": 2, "max_lines": 40} | changes
    ours = replace(dedup_config(lake.cfg.root), recipe=recipe)
    return ExplainConfig(lake.cfg, recipe, ours, page, **given)


def curate_config(lake: Lakehouse, recipe: Recipe = RECIPE) -> curate.CurateConfig:
    return curate.CurateConfig(lake.cfg, dedup_config(lake.cfg.root).pool, recipe)


def test_one_page_of_several_crawls(lake: Lakehouse) -> None:
    add_pages(lake, PAGES)
    newest = explain.run(lake.spark, config(lake, "https://loom.example/a"))
    assert [row[0::6] for row in newest.sheets[0].rows] == [(1, "explained"), (2, "-")]
    assert newest.sheets[1].rows == (
        (0, "num_tokens", "2", "min 3, max 1,000", "dropped here"),
        (1, "remove_line_phrase", None, "edit", "not reached"),
        (2, "removed_token_ratio", None, "max 0.3", "not reached"),
        (3, "mean_word_length", None, "max 10", "not reached"),
    )
    verdict, stored = newest.notes
    assert verdict.endswith(": dropped by step 0 num_tokens: 2 against min 3, max 1,000")
    assert stored.startswith(
        f"silver.documents: not curated with recipe 'mine' ({RECIPE.hash}) yet; run lakeloom curate"
    )
    both = explain.run(lake.spark, config(lake, "https://loom.example/a", crawl=0))
    assert (both.rows_in, both.rows_out, both.dropped) == (2, 1, 1)
    [diff] = both.diffs
    assert diff.lines == (
        "@@ -1,3 +1,2 @@",
        " The loom stands in the hall",
        " and the cloth grows [bold]every day.",
        "-Read more",
    )
    assert both.sheets[2].rows[1][2:] == ("-10 characters", "edit", "passed")
    with pytest.raises(ConfigError, match="has 2 crawls; 0 explains all"):
        explain.run(lake.spark, config(lake, "https://loom.example/a", crawl=3))


def test_what_the_tables_hold_is_told(lake: Lakehouse) -> None:
    add_pages(lake, PAGES)
    curate.run(lake.spark, curate_config(lake))
    dedup.run(lake.spark, config(lake, "").dedup)
    twin = explain.run(lake.spark, config(lake, doc_id("p", "b", 2, PAGES[2][0])))
    assert twin.notes[1] == "silver.documents: the same outcome"
    assert twin.notes[2].startswith("silver.clusters: one of 2 duplicates (same text as ")
    dropped = explain.run(lake.spark, config(lake, PAGES[3][0]))
    assert dropped.notes[0].endswith("dropped by step 2 removed_token_ratio: 0.5 against max 0.3")
    assert dropped.notes[1:] == ("silver.documents: the same outcome",)


def test_a_row_of_older_filters_is_told_apart(lake: Lakehouse) -> None:
    add_pages(lake, PAGES)
    rows = lake.read("bronze.pages").where(F.col("url") == PAGES[3][0]).select("doc_id", "pool", "batch_id", "url")
    stored = {
        "recipe": F.lit("mine"), "recipe_hash": F.lit(RECIPE.hash), "text": F.lit(None), "num_chars": F.lit(None),
        "dropped_by": F.lit("num_tokens"), "dropped_at": F.lit(0), "error": F.lit(None),
        "signals": F.create_map(F.lit("num_tokens"), F.lit(1.0)), "aggregated": F.lit(None),
        "keys": F.lit(None), "part_of": F.lit(None), "split_at": F.lit(None),
    }  # fmt: skip
    lake.append(rows.withColumns(stored), "silver.documents", txn="curate/old")
    notes = explain.run(lake.spark, config(lake, PAGES[3][0])).notes
    assert notes[1] == (
        "silver.documents: dropped by num_tokens; other than here: dropped_by, dropped_at, signal num_tokens, "
        "signal removed_token_ratio; the filters have changed since it was curated"
    )


def test_an_unknown_page_is_one_line(lake: Lakehouse) -> None:
    add_pages(lake, PAGES)
    cases = {
        "https://loom.example/cc": "nearest of its host: https://loom.example/c, https://loom.example/a, https://www",
        "loom.example/b": "nearest of its host: https://loom.example/a",
        "https://nowhere.example/\x1b": "'https://nowhere.example/\\x1b'; none of host 'nowhere.example' either",
        "http://[bad": "none of host '' either",
        "f" * 32: "has no page with doc_id ffffffff",
    }
    for page, said in cases.items():
        with pytest.raises(ConfigError) as error:
            explain.run(lake.spark, config(lake, page))
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_the_command(lake: Lakehouse, capsys: pytest.CaptureFixture[str]) -> None:
    add_pages(lake, PAGES)
    where = [f"lakehouse.root={lake.cfg.root}", "recipe=refinedweb"]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["explain", PAGES[2][0], *where])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "1 in = 0 out + 1 dropped" in printed
    assert "num_tokens" in printed and "dropped here" in printed
    with pytest.raises(SystemExit, match="2"):
        cli.main(["explain"])
    assert "explain needs a page" in capsys.readouterr().err
