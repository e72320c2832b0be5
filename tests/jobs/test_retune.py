"""Retune leaves the tables of a full curate, wherever it starts from, and says what it did to how many pages."""

from typing import Any

import pytest
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import curate, recipes, retune
from lakeloom.jobs.retune import RetuneConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from tests.jobs.test_dedup import config as dedup_config
from tests.jobs.test_explain import add_pages

pytestmark = pytest.mark.spark

PAGES = [
    ("http://a.example", "one"),
    ("http://[bad", "one two three"),
    ("http://b.example", "one two three"),
    ("http://c.example", "one two three four 1.2.3.4"),
    ("http://d.example", "five long words are enough"),
    ("http://e.example", "ONE TWO THREE FOUR FIVE\nsix"),
    ("http://f.example", None),
    ("http://g.example", "one two three four five six seven"),
]


def recipe(name: str, least: int, most: int = 100, *, longest: float = 9, runs: int = 2) -> Recipe:
    steps = [
        {"edit": "limit_newlines", "max_run": runs},
        {"signal": "num_tokens", "min": least, "max": most},
        {"signal": "is_listed_host", "hosts": ["bad.example"], "max": 0},
        {"edit": "drop_uppercase_lines", "max_ratio": 0.5},
        {"signal": "removed_token_ratio", "since": "num_tokens", "max": 0.5},
        {"signal": "mean_word_length", "max": longest},
    ]
    return Recipe.from_config({"name": name, "steps": steps})


OLD, NEW = recipe("old", 4), recipe("new", 3, 5, longest=4)


def config(lake: Lakehouse, wanted: Recipe, since: str | None = None) -> RetuneConfig:
    return RetuneConfig(lake.cfg, dedup_config(lake.cfg.root).pool, wanted, since)


def documents(lake: Lakehouse, made: Recipe) -> list[dict[str, Any]]:
    rows = lake.read("silver.documents").where(F.col("recipe_hash") == made.hash).orderBy("doc_id")
    return [row.asDict() for row in rows.collect()]


def funnel(lake: Lakehouse, made: Recipe) -> list[dict[str, Any]]:
    rows = lake.read("ops.funnel").where(F.col("recipe_hash") == made.hash).orderBy("step_number")
    return [row.asDict() for row in rows.drop("job", "num_bytes", "cpu_s").collect()]


def filled(lake: Lakehouse, batches: int = 2) -> Lakehouse:
    halves = (PAGES[:5], PAGES[5:])
    for number, half in enumerate(halves[:batches]):
        add_pages(lake, [(url, text, 1) for url, text in half], batch=f"b{number}")
    return lake


@pytest.mark.slow
def test_retune_leaves_what_curate_leaves(lake: Lakehouse, tmp_path: Any) -> None:
    spark, full = lake.spark, Lakehouse(lake.spark, LakehouseConfig(str(tmp_path / "full"), ""))
    filled(full)
    curate.run(spark, config(full, NEW).curate)
    filled(lake, 1)
    curate.run(spark, config(lake, OLD).curate)
    filled(lake, 2)  # the second batch was never curated
    report = retune.run(spark, config(lake, NEW, "old"))
    assert documents(lake, NEW) == documents(full, NEW)
    assert funnel(lake, NEW) == funnel(full, NEW)
    facts = {name: report.facts[name] for name in ("since", "unchanged", "decided", "rerun", "new")}
    assert facts == {"since": "old", "unchanged": 1, "decided": 2, "rerun": 2, "new": 3}
    assert report.notes == (
        "step 1 num_tokens: min 4, max 100 -> min 3, max 5",
        "step 5 mean_word_length: max 9 -> max 4",
        "5 of 8 pages were run again; 2 decided by what was measured of them",
    )
    assert (report.rows_in, report.rows_out) == (8, sum(not row["dropped_by"] for row in documents(full, NEW)))

    versions = {name: lake.version(name) for name in ("silver.documents", "ops.funnel", "ops.recipes")}
    again = retune.run(spark, config(lake, NEW, "old"))
    assert (again.facts["new_batches"], again.rows_in) == (0, 8)
    assert curate.run(spark, config(lake, NEW).curate).facts["new_batches"] == 0
    assert {name: lake.version(name) for name in versions} == versions

    with pytest.raises(ConfigError, match="pool 'p': no curated recipe 'odl'; nearest: old"):
        recipes.earlier(lake, "p", ["b0", "b1"], recipe("third", 9), "odl")
    stricter = recipe("stricter", 5)  # nearer to old, which has seen half of the pages
    assert recipes.earlier(lake, "p", ["b0", "b1"], stricter, None)[:2] == ("new", NEW.hash)
    assert recipes.earlier(lake, "p", ["b0"], stricter, None)[:2] == ("old", OLD.hash)
    assert recipes.earlier(lake, "p", ["b0", "b1"], stricter, OLD.hash[:8])[0] == "old"


@pytest.mark.parametrize("nth", range(3))
def test_it_starts_from_the_recipe_that_leaves_least_to_run(lake: Lakehouse, nth: int) -> None:
    filled(lake)
    # Recipes of as many steps alike: the old one, and some that go on after it, of which hashes must not choose.
    steps = [{step.kind: step.name, **dict(step.parameters), **dict(step.bounds)} for step in OLD.steps]
    more = [{"signal": "num_chars", "max": 10_000 + nth}, {"signal": "num_chars", "id": "again"}]
    for number, name in enumerate(("longer", "longest"), start=1):
        longer = Recipe.from_config({"name": name, "steps": [*steps, *more[:number]]})
        curate.run(lake.spark, config(lake, longer).curate)
    curate.run(lake.spark, config(lake, OLD).curate)
    report = retune.run(lake.spark, config(lake, recipe("new", 5)))
    assert (report.facts["since"], report.facts["rerun"]) == ("old", 0)


def test_without_an_earlier_recipe_it_says_what_to_run(lake: Lakehouse) -> None:
    filled(lake, 1)
    with pytest.raises(ConfigError, match="with no other recipe that ops"):
        retune.run(lake.spark, config(lake, NEW))
