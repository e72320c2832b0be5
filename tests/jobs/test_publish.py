from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from lakeloom.evaluate import leaderboard, scores
from lakeloom.evaluate.scores import ModelFacts, Score, Scores
from lakeloom.evaluate.tasks import Absent
from lakeloom.jobs import publish
from lakeloom.jobs.publish import PublishConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.store import Lakehouse

MODEL = ModelFacts("raw-tiny-s0", "a" * 64, "train", "run", "raw", "export", "raw", "tiny", 0, 4096, 5.5, 64, "t")
COPA = Score("copa", "v", "accuracy", 0.5, 0.1, 100, 100, 0, 0, 0.0)
FOUND = Scores("e1", MODEL, 0, (COPA,), (Absent("squad", "no file"),), None, None, "21 are missing")
OTHER = replace(FOUND, evaluation_id="e2", model=replace(MODEL, model_sha="b" * 64, name="other", dataset="clean"))

pytestmark = pytest.mark.spark


def test_evaluations_are_published_once(lake: Lakehouse, tmp_path: Path) -> None:
    cfg = PublishConfig(lake.cfg, [str(tmp_path / "one"), str(tmp_path / "two")])
    scores.save(FOUND, tmp_path / "one", [])
    scores.save(OTHER, tmp_path / "two", [])
    first, second = publish.run(lake.spark, cfg), publish.run(lake.spark, cfg)
    assert (first.rows_in, first.rows_out, first.dropped) == (10, 10, 0)
    assert (second.rows_in, second.rows_out, second.dropped) == (10, 0, 10)
    assert second.versions == first.versions
    table = lake.read("gold.scores")
    assert table.count() == 10
    [copa] = table.where((F.col("task") == "copa") & (F.col("dataset") == "raw")).collect()
    assert (copa["value"], copa["stderr"], copa["num_items"], copa["model"]) == (0.5, 0.1, 100, "raw-tiny-s0")
    assert table.where((F.col("task") == "squad") & F.col("value").isNull()).count() == 2


def test_the_table_makes_the_leaderboard(lake: Lakehouse, tmp_path: Path) -> None:
    scores.save(FOUND, tmp_path / "one", [])
    publish.run(lake.spark, PublishConfig(lake.cfg, [str(tmp_path / "one")]))
    found = leaderboard.rows([row.asDict() for row in lake.read("gold.scores").collect()])
    assert leaderboard.markdown(found).splitlines()[2] == (
        "| raw | tiny | 0 | 4,096 | 5.500 | 50.0 \u00b1 10.0 | absent | absent |"
    )


def test_a_model_without_evaluations_is_a_wrong_request(lake: Lakehouse, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no evaluations; run: lakeloom evaluate"):
        publish.run(lake.spark, PublishConfig(lake.cfg, [str(tmp_path)]))
    assert not lake.exists("gold.scores")
