"""What people see of clusters: sizes, the largest, the domains; one document's cluster with the differences."""

from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import dedup, duplicates, explain_duplicates
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.duplicates import DuplicatesConfig
from lakeloom.jobs.explain_duplicates import ExplainDuplicatesConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table
from tests.jobs.test_dedup import config, filled, page, prose

IDS = [f"{number:032x}" for number in range(6)]


@pytest.fixture
def clustered(spark: SparkSession, lake: Lakehouse) -> DedupConfig:
    """Four near copies on two domains, one page of its own and one that the recipe dropped."""
    words = prose(1, 60)
    texts = [" ".join(words), " ".join([*words, "added"]), " ".join(words).upper(), " ".join([*words, "other"])]
    texts += [" ".join(prose(2, 60)), "short"]
    urls = [f"https://{'a' if number < 3 else 'b'}.example/{number}" for number in range(6)]
    rows = [page(name, text, url=url) for name, text, url in zip(IDS, texts, urls, strict=True)]
    rows[5] |= {"dropped_by": "num_chars", "dropped_at": 0, "text": None}
    shape = table("bronze.pages").schema
    known = [
        {"doc_id": name, "pool": "p", "domain": "" if url.endswith("/4") else url[8:17], "host": url[8:17]}
        for name, url in zip(IDS, urls, strict=True)
    ]
    pages = [{field.name: row.get(field.name) for field in shape} for row in known]
    lake.append(spark.createDataFrame(pages, ddl(shape)), "bronze.pages", txn="test")
    cfg = config(filled(lake, rows).cfg.root)
    dedup.run(spark, cfg)
    return cfg


def explained(spark: SparkSession, cfg: DedupConfig, name: str, most: int = 10) -> Report:
    wanted = ExplainDuplicatesConfig(cfg.lakehouse, cfg, name, most, context=1, max_lines=20)
    return explain_duplicates.run(spark, wanted)


@pytest.mark.spark
def test_duplicates_and_one_cluster(spark: SparkSession, clustered: DedupConfig, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "sizes.svg"
    cfg = DuplicatesConfig(clustered.lakehouse, clustered, most=5, picture=str(picture), overwrite=False)
    report = duplicates.run(spark, cfg)
    assert (report.rows_in, report.rows_out, report.dropped) == (4, 1, 3)
    sizes, ways, largest, domains = report.sheets
    assert sizes.rows == (("4 to 5", 1, 4, 3),)
    assert ways.rows[0][:3] == ("minhash", 4, 3)
    assert largest.rows[0][:2] == (IDS[1], 4) and largest.rows[0][3] == "https://a.example/1"
    assert domains.rows == (("a.example", 3, 2, "66.7%"), ("b.example", 2, 1, "50.0%"))
    drawn = picture.read_text()
    assert drawn.startswith("<svg") and "4 to 5: 1 left" in drawn
    with pytest.raises(ConfigError, match=r"sizes.svg is there; say duplicates.overwrite=true"):
        duplicates.run(spark, cfg)
    with pytest.raises(ConfigError, match="no clusters by url; run lakeloom dedup"):
        duplicates.run(spark, replace(cfg, dedup=replace(clustered, methods=["url"])))


@pytest.mark.spark
def test_a_document_and_its_cluster(spark: SparkSession, clustered: DedupConfig) -> None:
    report = explained(spark, clustered, "https://a.example/0")
    [sheet] = report.sheets
    assert [row[:3] for row in sheet.rows] == [
        (IDS[1], "stays", "minhash"), (IDS[0], "removed", "minhash"), (IDS[2], "removed", "minhash"),
        (IDS[3], "removed", "minhash")]  # fmt: skip
    assert report.notes[0].startswith(f"{IDS[0]}: one of 4 duplicates (jaccard ")
    assert report.notes[0].endswith(f"{IDS[1]} stays in its place")
    assert [diff.title.split()[-1] for diff in report.diffs] == [IDS[0], IDS[2], IDS[3]]
    assert any("added" in line and line.startswith("-") for line in report.diffs[0].lines)
    few = explained(spark, replace(clustered, pool=replace(clustered.pool, name="elsewhere")), IDS[3], most=2)
    assert [row[0] for row in few.sheets[0].rows] == [IDS[1], IDS[3]]
    assert few.notes[1] == "2 more members; explain_duplicates.most=4 shows all"
    alone = explained(spark, clustered, IDS[4])
    assert alone.notes == (f"{IDS[4]} (https://b.example/4) is nobody's duplicate: it is in no cluster",)
    with pytest.raises(ConfigError, match=r"dropped by step num_chars.*lakeloom explain"):
        explained(spark, clustered, IDS[5])
    with pytest.raises(ConfigError, match=r"no document 'https://a\.example/00'.*nearest: https://a\.example/0"):
        explained(spark, clustered, "https://a.example/00")
    with pytest.raises(ConfigError, match="give its address, or another doc_id"):
        explained(spark, clustered, "f" * 32)
    with pytest.raises(ConfigError, match=r"explain_duplicates.most=0: it must be 1 or more"):
        explained(spark, clustered, IDS[0], most=0)
