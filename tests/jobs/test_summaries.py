"""Summaries by Spark are those of DCLM's aggregators on all values at once, however the rows lie."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from lakeloom.filters import dclm
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import curate, funnel, summaries
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.curate import CurateConfig
from lakeloom.jobs.funnel import FunnelConfig
from lakeloom.lakehouse.store import Lakehouse
from tests.filters import summaries as expected
from tests.jobs.test_cut import uncut
from tests.jobs.test_decontaminate import unset
from tests.jobs.test_dedup import config as dedup_config
from tests.jobs.test_explain import add_pages

pytestmark = pytest.mark.spark


def counted(kind: str) -> Recipe:
    return dclm.load([{"func": "word_counter_enricher", "key": "n", "_aggregate": {"n": kind}}])


def by_spark(lake: Lakehouse, kind: str, values: list[object]) -> dict[str, float]:
    """The summary of these values, null for a page without one."""
    rows = [(None if value is None else json.dumps(value),) for value in values]
    made = lake.spark.createDataFrame(rows, "value STRING").repartition(3)
    (name,) = [aggregate.name for aggregate in counted(kind).aggregates]
    pages = F.when(F.col("value").isNotNull(), F.create_map(F.lit(name), F.col("value")))
    return summaries.summaries(counted(kind), made.select(pages.alias("aggregated")))[name]


def test_numbers_and_names_are_summarised_as_on_one_machine(lake: Lakehouse) -> None:
    chosen = random.Random(0)  # noqa: S311
    for size in (1, 2, 4, 5, 101):
        numbers: list[object] = [chosen.choice([chosen.randint(-3, 9), chosen.random()]) for _ in range(size)]
        assert by_spark(lake, "percentiles", [*numbers, None]) == pytest.approx(expected.percentiles(numbers))
        assert by_spark(lake, "histogram", numbers) == expected.histogram(numbers)
    names: list[object] = [chosen.choice(["en", "de", 'a"b', "\u00e9"]) for _ in range(50)]
    assert by_spark(lake, "histogram", names) == expected.histogram(names)
    assert by_spark(lake, "histogram", [3, 3]) == expected.histogram([3, 3])
    assert by_spark(lake, "percentiles", []) == by_spark(lake, "histogram", [None]) == {}


def test_of_very_many_names_the_most_frequent_are_told(lake: Lakehouse) -> None:
    names: list[object] = [f"name {number}" for number in range(1005)]
    found = by_spark(lake, "histogram", [*names, "name 7"])
    assert (len(found), found["name 7"], found[summaries.OTHERS]) == (1001, 2, 5)
    shown = summaries.sheet("names", found).rows
    assert (len(shown), shown[0], sum(int(row[1] or 0) for row in shown)) == (21, ("name 7", 2), 1006)


def test_a_pipelines_summaries_are_told_and_exported(lake: Lakehouse, tmp_path: Path) -> None:
    steps = [
        {"func": "word_counter_enricher", "key": "n", "model": "split", "_aggregate": {"n": "percentiles"}},
        {"func": "page_length_filter", "length_type": "char", "min_length": 4, "_aggregate": {"n": "histogram"}},
        {"func": "page_length_filter", "length_type": "char", "min_length": 9},
    ]
    recipe = dclm.load(steps, name="mine")
    ours = replace(dedup_config(lake.cfg.root), recipe=recipe)
    for nth, texts in enumerate([["a b c", "d", "e f g h i"], ["a b"]]):
        add_pages(lake, [(f"http://{nth}.org/{text[0]}", text, 1) for text in texts], batch=f"b{nth}")
        curate.run(lake.spark, CurateConfig(lake.cfg, ours.pool, recipe))
    kept = lake.read("silver.documents").where("dropped_by is null").select("text", "keys").collect()
    assert {row["text"]: json.loads(row["keys"]) for row in kept} == {"e f g h i": {"n": 5}}
    clean = unset(lake, ours.pool, recipe)
    chosen = ChooseConfig(lake.cfg, ours.pool, recipe, ours, uncut(ours), clean, "mine", 0.1, 0, False)
    cfg = FunnelConfig(
        lake.cfg, ours.pool, recipe, chosen,
        str(tmp_path / "out"), None, False,
    )  # fmt: skip
    shown = funnel.run(lake.spark, cfg).sheets[1:]
    sheets = {sheet.title: {row[0]: row[1] for row in sheet.rows} for sheet in shown}
    words, bins = sheets["word_counter_enricher/n"], sheets["page_length_filter/n"]
    assert (words["min"], words["max"], words["median"], words["mean"]) == (1, 5, 3, 2.75)
    assert sum(float(count or 0) for count in bins.values()) == 2
    records = [
        [json.loads(line) for line in path.read_text().splitlines()] for path in (tmp_path / "out" / "stats").iterdir()
    ]
    means = sorted(
        record["n"]["mean"] for run in records for record in run if record["name"] == "word_counter_enricher"
    )
    assert means == [2.0, 3.0]
    plain = [record for run in records for record in run if record["name"] == "page_length_filter_2"]
    assert all("n" not in record for record in plain)
    assert len(plain) == 2
