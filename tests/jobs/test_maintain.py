"""A real VACUUM, that takes what nothing cites and leaves, unless told, what datasets and models were made from."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import citations, cli, maintain
from lakeloom.jobs.citations import Cited
from lakeloom.jobs.maintain import MaintainConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from tests.jobs.rows import append


def config(lake: Lakehouse, **changes: Any) -> MaintainConfig:
    shipped: MaintainConfig = cli.load("maintain")
    return replace(shipped, lakehouse=lake.cfg, models=f"{lake.cfg.root}/models", **changes)


def files(lake: Lakehouse, name: str) -> int:
    return len(list(Path(lake.cfg.root, "tables", name.replace(".", "/")).rglob("*.parquet")))


@pytest.mark.spark
def test_a_version_that_a_dataset_cites_stays_unless_told(spark: SparkSession, lake: Lakehouse) -> None:
    for corpus in ("first", "second"):
        append(lake, "gold.corpus", [{"corpus_id": corpus, "doc_id": f"{corpus}{n}"} for n in range(3)], corpus)
    about = {"source_table": "gold.corpus", "shard": "s"}
    made = [("first", 1), ("second", 2)]
    rows = [{**about, "dataset": n, "export_id": n, "corpus_id": n, "source_version": v} for n, v in made]
    append(lake, "gold.shards", rows)
    append(lake, "silver.cuts", [{"doc_id": f"d{n}", "cut_id": "c"} for n in range(3)])
    lake.remove("gold.corpus", F.col("doc_id") == "first0")
    lake.remove("silver.cuts", F.col("doc_id") == "d0")
    now = config(lake, retention_hours=0.0)
    with pytest.raises(ConfigError, match=r"gold.corpus version 1, cited by dataset first-first; say maintain.force"):
        maintain.run(spark, now)
    assert (files(lake, "gold.corpus"), files(lake, "silver.cuts")) == (3, 1)
    assert lake.read("gold.corpus", 1).where("corpus_id = 'first'").count() == 3
    assert maintain.run(spark, config(lake)).sheets == ()  # a week's versions stay, so nothing is lost
    forced = maintain.run(spark, replace(now, force=True))
    assert [sheet.rows for sheet in forced.sheets] == [(("gold.corpus", 1, "dataset first-first"),)]
    assert files(lake, "gold.corpus") == 2
    first, second = (Cited("gold.corpus", version, "", name) for name, version in made)
    assert not citations.is_readable(lake, first) and citations.is_readable(lake, second)
    assert lake.read("gold.corpus", 2).where("corpus_id = 'second'").count() == 3
    # What is lost already stops nothing; OPTIMIZE loses nothing either, as long as its VACUUM is stopped.
    with pytest.raises(ConfigError, match=r"gold.corpus version 2, cited by dataset second-second; say"):
        maintain.run(spark, replace(now, optimize=True))
    assert lake.read("gold.corpus", 2).where("corpus_id = 'second'").count() == 3


@pytest.mark.spark
def test_a_version_that_a_mix_is_of_stays_unless_told(spark: SparkSession, lake: Lakehouse) -> None:
    append(lake, "silver.documents", [{"doc_id": f"d{n}"} for n in range(3)])
    kinds = [("table", "silver.documents"), ("table", "/elsewhere/table"), ("files", "silver.documents")]
    about = {"dataset": "web", "corpus_id": "c" * 32, "source_version": 1}
    rows = [{**about, "source": f"s{n}", "kind": kind, "place": at} for n, (kind, at) in enumerate(kinds)]
    append(lake, "gold.mixes", rows)
    lake.remove("silver.documents", F.col("doc_id") == "d0")
    with pytest.raises(ConfigError, match=r"silver.documents version 1, cited by mix web-c{12}; say maintain.force"):
        maintain.run(spark, config(lake, retention_hours=0.0))
    assert lake.read("silver.documents", 1).count() == 3


@pytest.mark.spark
def test_a_vacuum_that_was_killed_is_done_again(spark: SparkSession, lake: Lakehouse, tmp_path: Path) -> None:
    append(lake, "silver.cuts", [{"doc_id": f"d{n}", "cut_id": "c"} for n in range(3)])
    lake.remove("silver.cuts", F.col("doc_id") == "d0")
    shutil.copytree(lake.cfg.root, tmp_path / "killed")
    maintain.run(spark, config(lake, retention_hours=0.0))
    assert not citations.has_old_files(lake, "silver.cuts")
    # Another with the same log but for its last entry, VACUUM END: as it is when the first file is deleted.
    log, killed = "tables/silver/cuts/_delta_log", Lakehouse(spark, LakehouseConfig(str(tmp_path / "killed"), ""))
    ended = f"{lake.version('silver.cuts'):020}.*"
    shutil.copytree(
        f"{lake.cfg.root}/{log}", tmp_path / "killed" / log, ignore=shutil.ignore_patterns(ended), dirs_exist_ok=True
    )
    assert files(killed, "silver.cuts") == 2
    maintain.run(spark, config(killed, retention_hours=0.0))
    assert files(killed, "silver.cuts") == 1


def test_wrong_settings_are_refused(lake: Lakehouse) -> None:
    with pytest.raises(ConfigError, match=r"maintain.tables: no table 'gold.corpora'; nearest: gold.corpus"):
        config(lake, tables=["gold.corpora"])
    with pytest.raises(ConfigError, match=r"maintain.retention_hours=-1"):
        config(lake, retention_hours=-1.0)
