"""A pipeline of DCLM's through the job: each page has its row, each part of a split page one of its own."""

from pathlib import Path

import pytest
import yaml
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cli, curate
from lakeloom.jobs.curate import CurateConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.session import sql_type
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table

SPLIT = "def halves(page):\n    return [{**page, 'text': part} for part in page['text'].split('|')]\n"
PAGES = [("d0", "one two|three"), ("d1", "four five"), ("d2", ""), ("d3", "a|b|c d")]


def pipeline(folder: Path, *steps: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump([{"source": "cc", "steps": list(steps)}]))
    return path


def fill(lake: Lakehouse) -> None:
    rows = lake.spark.createDataFrame(PAGES, "doc_id STRING, text STRING")
    known = {"pool": F.lit("p"), "batch_id": F.lit("b"), "url": F.concat(F.lit("http://a.org/"), F.col("doc_id"))}
    absent = [field for field in table("bronze.pages").schema if field.name not in (*known, "doc_id", "text")]
    nulls = {field.name: F.lit(None).cast(sql_type(field.type)) for field in absent}
    lake.append(rows.withColumns(known | nulls), "bronze.pages", txn="ingest/test")


@pytest.mark.spark
def test_parts_of_pages_are_documents(lake: Lakehouse, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SPLIT)
    length = {"func": "page_length_filter", "length_type": "word", "min_length": 2, "ignore_punctuation": True}
    path = pipeline(tmp_path, {"func": "move_url_modifier"}, {"func": "own.halves"}, "commit", length)
    recipe = Recipe.from_config({"dclm": str(path), "allow": ["own.halves"]})
    fill(lake)
    cfg = CurateConfig(lake.cfg, PoolConfig("p", "warc", "", "", "", "", 0, 0), recipe)
    report = curate.run(lake.spark, cfg)
    assert (report.rows_in, report.rows_out) == (7, 3)
    rows = lake.read("silver.documents").collect()
    texts = sorted(row["text"] for row in rows if row["dropped_by"] is None)
    assert texts == ["c d", "four five", "one two"]
    assert {row["doc_id"] for row in rows} >= {doc_id for doc_id, _ in PAGES}
    assert len({row["doc_id"] for row in rows}) == 7
    assert {row["dropped_by"] for row in rows} == {None, "page_length_filter"}
    parts = {row["part_of"] for row in rows if row["split_at"] is not None}
    assert parts and parts <= {doc_id for doc_id, _ in PAGES}
    steps = {row["step"]: row.asDict() for row in lake.read("ops.funnel").collect()}
    counts = {name: [row[key] for key in ("rows_in", "rows_out", "dropped", "split")] for name, row in steps.items()}
    num_pages, num_parts = len(PAGES), 7 - len(PAGES)
    assert counts["move_url_modifier"] == [num_pages, num_pages, 0, 0]
    assert counts["own.halves"] == [num_pages, 7, 0, len(parts)]
    assert counts["page_length_filter"] == [7, 3, 4, 0]
    assert sum(row["split_at"] is not None for row in rows) == num_parts
    assert curate.run(lake.spark, cfg).versions == report.versions


@pytest.mark.spark
def test_a_pool_that_was_never_ingested_is_named(lake: Lakehouse) -> None:
    fill(lake)
    cfg = CurateConfig(lake.cfg, PoolConfig("q", "warc", "", "", "", "", 0, 0), Recipe("raw", ()))
    with pytest.raises(ConfigError, match="no ingested pool 'q'; choices: p"):
        curate.run(lake.spark, cfg)
    assert not lake.exists("silver.documents")


def test_a_pipeline_is_a_recipe_by_its_path(tmp_path: Path) -> None:
    path = pipeline(tmp_path, {"func": "symbol_ratio_filter"}, {"func": "exact_dedup"})
    recipe = cli.load("curate", f"recipe={path}").recipe
    assert (recipe.name, recipe.step_names, recipe.left_out) == ("mine", ["symbol_ratio_filter"], ("1 exact_dedup",))
    assert cli.load("curate", f"recipe={path}", "recipe.name=other").recipe.name == "other"
    assert cli.load("curate", "recipe.source=cc", f"recipe={path}").recipe.hash == recipe.hash


@pytest.mark.parametrize(
    ("steps", "words", "message"),
    [
        ([{"func": "symbol_ratio_filtr"}], [], "no DCLM function 'symbol_ratio_filtr'; nearest: symbol_ratio_filter"),
        ([], ["recipe.source=c4"], "no source 'c4'"),
        ([], ["recipe.sourcs=cc"], "no parameter of a DCLM recipe 'sourcs'; nearest: source"),
        ([{"func": "own.halves"}], [], r"own\.halves is not allowed; to import it, say recipe\.allow=\[own\.halves\]"),
    ],
)
def test_mistakes_in_a_pipeline_end_the_command(
    steps: list[object], words: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        cli.load("curate", f"recipe={pipeline(tmp_path, *steps)}", *words)


def test_what_may_be_imported_is_said_on_the_command_line_only(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(SPLIT)
    path = pipeline(tmp_path, {"func": "own.halves"})
    allowed = cli.load("curate", f"recipe={path}", "recipe.allow=[own.halves]").recipe
    assert allowed.step_names == ["own.halves"]
    wrapped = tmp_path / "wrapped.yaml"
    wrapped.write_text(yaml.safe_dump({"dclm": str(path), "name": "w", "allow": ["own.halves"]}))
    with pytest.raises(ConfigError, match="allow stands in no file"):
        cli.load("curate", f"recipe={wrapped}")
