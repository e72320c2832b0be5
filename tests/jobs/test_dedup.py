"""Planted duplicates and the oracle's documents through the job: who is found, who stays, what is refused."""

import random
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cli, dedup, near
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table

RAW = Recipe.from_config({"name": "raw", "steps": []})
WORDS = [f"{first}{last}" for first in ("ba", "ko", "mi", "tu", "ze") for last in ("ran", "sol", "tig", "vex", "wim")]
Rows = list[dict[str, Any]]


def config(root: str, **changes: Any) -> DedupConfig:
    pool = PoolConfig("p", "warc", "", "", "", "", 0, 0)
    shipped: DedupConfig = cli.load("dedup")
    return replace(shipped, **{"lakehouse": LakehouseConfig(root, ""), "pool": pool, "recipe": RAW, **changes})


def page(doc_id: str, text: str | None, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "doc_id": doc_id, "pool": "p", "batch_id": "batch", "recipe": "raw", "recipe_hash": RAW.hash, "url": "",
        "text": text, "num_chars": len(text or ""), "dropped_by": None, "dropped_at": None, "error": None,
        "signals": {}, "aggregated": None, "keys": None, "part_of": None, "split_at": None,
    }  # fmt: skip
    return row | changes


def filled(lake: Lakehouse, rows: Iterable[dict[str, Any]], partitions: int = 1, txn: str = "curate/test") -> Lakehouse:
    documents = lake.spark.createDataFrame(list(rows), ddl(table("silver.documents").schema)).repartition(partitions)
    lake.append(documents, "silver.documents", txn=txn)
    return lake


def prose(seed: int, num_words: int = 200) -> list[str]:
    rng = random.Random(seed)  # noqa: S311 (a test's text, not a secret)
    return [rng.choice(WORDS) + rng.choice(WORDS) for _ in range(num_words)]


def planted() -> Rows:
    """Twelve different pages; of page 0 a copy and two near copies, of 1 a chain of near copies, of 2 two copies."""
    pages = [prose(seed) for seed in range(12)]
    rows = [page(f"d{number:02}", " ".join(words)) for number, words in enumerate(pages)]
    rows += [
        page("e00", " ".join(pages[0])),
        page("e01", " ".join([*pages[0], "more"])),
        page("e02", " ".join(pages[0]).upper()),
    ]
    cut = [page(f"f{start}", " ".join(pages[1][start * 8 :])) for start in range(1, 5)]
    rows += [*cut, page("a20", " ".join(pages[2])), page("g20", " ".join(pages[2]))]
    rows += [page(f"w{number}", text) for number, text in enumerate(["", "", "!!!", "!!!", "one", "two", "one"])]
    dropped = {"dropped_by": "num_words", "dropped_at": 0}
    return [*rows, page("z0", " ".join(pages[3]), **dropped), page("z1", " ".join(pages[4]), pool="another")]


def clusters(lake: Lakehouse, cfg: DedupConfig) -> Rows:
    mine = lake.read("silver.clusters").where(f"dedup_id = '{dedup.identify(lake, cfg)}'").orderBy("doc_id")
    return [row.asDict() for row in mine.toLocalIterator()]


def members(rows: Rows) -> list[list[str]]:
    names = sorted({row["cluster_id"] for row in rows})
    return sorted(sorted(row["doc_id"] for row in rows if row["cluster_id"] == name) for name in names)


def found(lake: Lakehouse, cfg: DedupConfig) -> Rows:
    """The job's clusters, by doc_id."""
    dedup.run(lake.spark, cfg)
    return clusters(lake, cfg)


PLANTED = [["a20", "d02", "g20"], ["d00", "e00", "e01", "e02"], ["d01", "f1", "f2", "f3", "f4"], ["w4", "w6"]]


@pytest.mark.spark
def test_planted_duplicates_are_found_once(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, planted()).cfg.root)
    report = dedup.run(spark, cfg)
    rows = clusters(lake, cfg)
    assert members(rows) == PLANTED
    assert (report.rows_in, report.rows_out, report.dropped) == (28, 18, 10)
    assert [row["doc_id"] for row in rows if row["is_representative"]] == ["a20", "d01", "e01", "w4"]
    why = {row["doc_id"]: (row["method"], row["similarity"], row["reason"]) for row in rows}
    assert why["g20"] == ("exact_text", 1.0, "same text as a20")
    assert why["e01"] == ("minhash", pytest.approx(196 / 197), "jaccard 0.994924 to d00")
    assert why["d00"] == ("exact_text", 1.0, "same text as e00; jaccard 1.000000 to e02")
    assert list(lake.folder("scratch").iterdir()) == []
    versions = {name: lake.version(name) for name in ("silver.signatures", "silver.clusters")}
    again = dedup.run(spark, replace(cfg, min_removed_share=0.3))  # bounds are no part of what is found
    assert again.facts["was_there"] == 1
    assert asdict(again) | {"facts": None} == asdict(report) | {"facts": None}
    assert versions == {name: lake.version(name) for name in versions}
    signatures = {row["doc_id"]: row for row in lake.read("silver.signatures").toLocalIterator()}
    assert len(signatures) == report.rows_in
    assert [signatures[f"w{number}"]["text_sha"] is None for number in range(7)] == [True] * 4 + [False] * 3
    assert [signatures[f"w{number}"]["bands"] is None for number in range(7)] == [True] * 4 + [False] * 3
    assert len(signatures["d00"]["bands"]) == cfg.num_bands


@pytest.mark.spark
@pytest.mark.slow
def test_partitions_and_order_change_nothing(spark: SparkSession, tmp_path: Path) -> None:
    rows, results = planted(), list[Rows]()
    kept = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        for number in (1, 7):
            lake = Lakehouse(spark, LakehouseConfig(str(tmp_path / str(number)), ""))
            shuffled = random.Random(number).sample(rows, len(rows))  # noqa: S311 (an order, not a secret)
            spark.conf.set("spark.sql.shuffle.partitions", number)
            results.append(found(filled(lake, shuffled, number), config(lake.cfg.root)))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(kept))
    assert members(results[0]) == PLANTED
    assert results[1] == results[0]


@pytest.mark.spark
@pytest.mark.slow
def test_a_large_run_finds_the_same(spark: SparkSession, lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plans are compiled, and its texts are shuffled to find those of pairs; the session is left as it was."""
    modes, check = list[str | None](), dedup._check
    monkeypatch.setattr(dedup, "_COMPILED_FROM", 1)
    monkeypatch.setattr(near, "_FEW", 0)

    def checked(*given: Any) -> None:
        modes.append(spark.conf.get("spark.sql.codegen.factoryMode"))
        check(*given)

    monkeypatch.setattr(dedup, "_check", checked)
    before = spark.conf.get("spark.sql.codegen.factoryMode")
    assert members(found(filled(lake, planted()), config(lake.cfg.root))) == PLANTED
    assert (before, modes, spark.conf.get("spark.sql.codegen.factoryMode")) == ("NO_CODEGEN", ["FALLBACK"], before)


@pytest.mark.spark
def test_exact_finds_equal_texts_only_and_none_writes_nothing(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, planted()).cfg.root, methods=[])
    report = dedup.run(spark, cfg)
    assert (report.rows_in, report.rows_out, report.dropped) == (28, 28, 0)
    assert not lake.exists("silver.clusters") and not lake.exists("silver.signatures")
    rows = found(lake, replace(cfg, methods=["text"], keep="smallest_id"))
    assert members(rows) == [["a20", "d02", "g20"], ["d00", "e00"], ["w4", "w6"]]
    assert {row["method"] for row in rows} == {"exact_text"}
    assert [row["doc_id"] for row in rows if row["is_representative"]] == ["a20", "d00", "w4"]


@pytest.mark.spark
def test_first_crawled_stays_and_unmeasured_pairs_say_so(spark: SparkSession, lake: Lakehouse) -> None:
    texts = [" ".join(prose(1)), " ".join([*prose(1), "more"]), " ".join(["and", *prose(1)])]
    filled(lake, [page(f"d{number}", text) for number, text in enumerate(texts)])
    days = [("d0", None), ("d1", "2024-02-03"), ("d2", "2024-02-02")]
    crawled = spark.createDataFrame([(name, "p", day) for name, day in days], "doc_id STRING, pool STRING, day STRING")
    columns = [
        field.name for field in table("bronze.pages").schema if field.name not in ("doc_id", "pool", "fetched_at")
    ]
    empty = {name: F.lit(None) for name in columns}
    lake.append(crawled.withColumn("fetched_at", F.to_timestamp("day")).withColumns(empty), "bronze.pages", txn="test")
    rows = found(lake, config(lake.cfg.root, keep="first_crawled", verify=False))
    assert [(row["doc_id"], row["cluster_id"], row["is_representative"]) for row in rows] == [
        ("d0", "d2", False), ("d1", "d2", False), ("d2", "d2", True)]  # fmt: skip
    assert {(row["method"], row["similarity"]) for row in rows} == {("minhash", None)}
    assert [row["reason"] for row in rows[1:]] == ["shares a band with d0"] * 2


@pytest.mark.spark
def test_removed_share_out_of_bounds_publishes_nothing(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, planted()).cfg.root, max_removed_share=0.3)
    with pytest.raises(Incomplete, match=r"remove 10 of 28 documents \(35\.71%\) of pool 'p'.*0\.00% to 30\.00%"):
        dedup.run(spark, cfg)
    assert not lake.exists("silver.clusters")
    assert list(lake.folder("scratch").iterdir()) == []
    with pytest.raises(Incomplete, match=r"50\.00% to 95\.00%"):
        dedup.run(spark, replace(cfg, min_removed_share=0.5, max_removed_share=0.95))
    assert dedup.run(spark, replace(cfg, max_removed_share=0.36)).dropped == 10
    with pytest.raises(Incomplete, match=r"remove 10 of 28 .* they were published under other bounds"):
        dedup.run(spark, cfg)


@pytest.mark.spark
def test_identity_is_of_documents_and_method(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(lake.cfg.root)
    with pytest.raises(ConfigError, match="no documents of pool 'p' and recipe 'raw'; run lakeloom curate"):
        dedup.identify(lake, cfg)
    filled(lake, [page("d", "one"), page("e", "two", batch_id="other")], partitions=2)
    with pytest.raises(ConfigError, match="no documents of pool 'q' and recipe 'raw'; there are of 'p'; run lakeloom"):
        dedup.identify(lake, replace(cfg, with_pools=["q"]))
    exact = replace(cfg, methods=["text"])
    same = [cfg, replace(cfg, max_removed_share=0.5), replace(cfg, recipe=replace(RAW, name="renamed"))]
    others = [
        exact,
        replace(cfg, methods=[]),
        replace(cfg, seed=2),
        replace(cfg, jaccard=0.8),
        replace(cfg, keep="smallest_id"),
    ]
    assert {dedup.identify(lake, one) for one in same} == {dedup.identify(lake, cfg)}
    assert len({dedup.identify(lake, one) for one in [cfg, *others]}) == 6
    assert dedup.identify(lake, exact) == dedup.identify(lake, replace(exact, seed=2, jaccard=0.8))
    before = dedup.identify(lake, cfg)
    lake.append(
        lake.read("silver.documents").limit(1).withColumn("batch_id", F.lit("new")), "silver.documents", txn="2"
    )
    assert dedup.identify(lake, cfg) != before
    with pytest.raises(ConfigError, match="no documents of pool 'q'"):
        dedup.run(spark, replace(cfg, pool=replace(cfg.pool, name="q")))


@pytest.mark.spark
def test_one_address_is_one_page(spark: SparkSession, lake: Lakehouse) -> None:
    """By address alone, equal texts stay apart; with texts and near texts all ways make one cluster."""
    pages = [
        page("d0", "one text", url="https://loom.example/a"),
        page("d1", "a longer text", url="http://www.loom.example/a/?utm_source=x"),
        page("d2", "a longer text", url="https://loom.example/b"),
        page("d3", "another", url="https://loom.example/c"),
        page("d4", " ", url="https://loom.example/c"),
        page("d5", "no address", url=None),
        page("d6", "none, too", url=" "),
    ]
    cfg = config(filled(lake, pages).cfg.root, methods=["url"])
    rows = found(lake, cfg)
    assert [(row["doc_id"], row["cluster_id"], row["method"], row["similarity"]) for row in rows] == [
        ("d0", "d1", "same_url", None), ("d1", "d1", "same_url", None)]  # fmt: skip
    assert [row["reason"] for row in rows] == ["same address as d1", "same address as d0"]
    rows = found(lake, replace(cfg, methods=["minhash", "url", "text"]))
    assert members(rows) == [["d0", "d1", "d2"]]
    assert [row["reason"] for row in rows] == [
        "same address as d1", "same text as d2; same address as d0", "same text as d1"]  # fmt: skip


@pytest.mark.spark
def test_normal_forms_and_best_score(spark: SparkSession, lake: Lakehouse) -> None:
    recipe = Recipe.from_config({"name": "scored", "steps": [{"signal": "num_chars", "id": "score"}]})
    texts = ["Caf\u00e9 number 1", " cafe number 2 ", "tea number 3", "TEA number 3"]
    scores = [0.5, None, 0.25, 0.75]
    rows = [
        page(f"d{n}", text, recipe_hash=recipe.hash, signals={} if score is None else {"score": score})
        for n, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]
    cfg = config(filled(lake, rows).cfg.root, recipe=recipe, methods=["text"], keep="best_score", score="score")
    assert found(lake, cfg) == []
    lower, ccnet = (found(lake, replace(cfg, normalize=form)) for form in ("lower", "ccnet"))
    assert members(lower) == [["d2", "d3"]]
    assert members(ccnet) == [["d0", "d1"], ["d2", "d3"]]
    assert [row["doc_id"] for row in ccnet if row["is_representative"]] == ["d0", "d3"]


@pytest.mark.spark
@pytest.mark.slow
def test_crawls_one_by_one_give_what_all_at_once_give(spark: SparkSession, tmp_path: Path) -> None:
    """Also where the first text of a bucket or a copy comes last; documents that were signed are not read again."""
    rng = random.Random(5)  # noqa: S311 (an order, not a secret)
    pages = planted()
    pages = [row | {"batch_id": f"batch{rng.randrange(3)}"} for row in pages]
    one, all_at_once = (Lakehouse(spark, LakehouseConfig(str(tmp_path / name), "")) for name in ("one", "all"))
    cfg = config(one.cfg.root, reach=2)
    results = []
    for crawl in range(3):
        filled(one, [row for row in pages if row["batch_id"] == f"batch{crawl}"], txn=f"curate/{crawl}")
        results.append(found(one, cfg))
    filled(all_at_once, pages, 2)
    assert found(all_at_once, replace(cfg, lakehouse=all_at_once.cfg)) == results[-1]
    assert members(results[-1]) == PLANTED
    assert len(results[0]) < len(results[1]) < len(results[2])
    for name in ("silver.signatures", "silver.pairs"):
        keys = [list(row.asDict().values()) for row in one.read(name).drop("bands", "similarity").toLocalIterator()]
        assert len(keys) == len({tuple(key) for key in keys}), name
    signed = one.delta("silver.signatures").history().select("operationMetrics").collect()
    assert sum(int(row["operationMetrics"].get("numOutputRows", 0)) for row in signed) == 28


@pytest.mark.spark
def test_another_threshold_measures_nothing_again(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, planted()).cfg.root)
    found(lake, cfg)
    version = lake.version("silver.pairs"), lake.version("silver.signatures")
    strict = found(lake, replace(cfg, jaccard=0.99))
    assert version == (lake.version("silver.pairs"), lake.version("silver.signatures"))
    assert members(strict) == [["a20", "d02", "g20"], ["d00", "e00", "e01", "e02"], ["w4", "w6"]]


@pytest.mark.spark
def test_pools_dedup_together(spark: SparkSession, lake: Lakehouse) -> None:
    text = " ".join(prose(1))
    rows = [page("d0", text), page("d1", "alone"), page("d2", text + " more", pool="q"), page("d3", "q", pool="q")]
    cfg = config(filled(lake, rows).cfg.root, with_pools=["q"])
    together = found(lake, cfg)
    assert members(together) == [["d0", "d2"]] and together[0]["cluster_id"] == "d2"
    other = replace(cfg, pool=replace(cfg.pool, name="q"), with_pools=["p"])
    assert dedup.identify(lake, other) == dedup.identify(lake, cfg)
    assert found(lake, replace(cfg, with_pools=[])) == []
    with pytest.raises(ConfigError, match="no documents of pool 'r'"):
        dedup.run(spark, replace(cfg, with_pools=["q", "r"]))


@pytest.mark.spark
def test_a_takedown_elects_anew(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, planted()).cfg.root)
    before = found(lake, cfg)
    assert {row["cluster_id"] for row in before} == {"a20", "d01", "e01", "w4"}
    lake.remove("silver.documents", F.col("doc_id").isin("e01", "w6", "d05"))
    after = found(lake, cfg)
    assert members(after) == [["a20", "d02", "g20"], ["d00", "e00", "e02"], ["d01", "f1", "f2", "f3", "f4"]]
    assert {row["cluster_id"] for row in after} == {"a20", "d00", "d01"}
    signed = {row["doc_id"] for row in lake.read("silver.signatures").select("doc_id").toLocalIterator()}
    assert not signed & {"e01", "w6", "d05"}
    # Another document comes back and another goes: as many as before, and not the same.
    filled(lake, [one for one in planted() if one["doc_id"] == "e01"], txn="back")
    lake.remove("silver.documents", F.col("doc_id") == "e00")
    again = found(lake, cfg)
    assert members(again)[1] == ["d00", "e01", "e02"] and {row["cluster_id"] for row in again} == {"a20", "d01", "e01"}


@pytest.mark.spark
def test_no_duplicate_at_all_is_suspect(spark: SparkSession, lake: Lakehouse) -> None:
    rows = [page(f"d{number}", " ".join(prose(number, 9))) for number in range(5)]
    cfg = config(filled(lake, rows).cfg.root, methods=["text"], alarm_from=5)
    with pytest.raises(Incomplete, match=r"remove 0 of 5 documents.*some, of 5 documents or more \(dedup.alarm_from\)"):
        dedup.run(spark, cfg)
    assert dedup.run(spark, replace(cfg, alarm_from=6)).dropped == 0
    assert dedup.run(spark, replace(cfg, alarm_from=0)).facts["was_there"] == 1


@pytest.mark.spark
def test_two_documents_of_one_name_are_refused(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, [page("d0", "one"), page("d0", "two"), page("d1", "three")]).cfg.root)
    with pytest.raises(BadInput, match=r"one doc_id: d0 \(2 rows\).*nothing was published"):
        dedup.run(spark, cfg)
    assert not lake.exists("silver.clusters")


@pytest.mark.spark
def test_signatures_that_others_deleted_are_made_again(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, [page("d0", "one"), page("d1", "three")]).cfg.root, methods=["text"])
    dedup.run(spark, cfg)
    for deleted, methods in ((F.col("doc_id") == "d0", ["url"]), (F.lit(True), ["url", "text"])):
        lake.remove("silver.signatures", deleted)
        dedup.run(spark, replace(cfg, methods=methods))
        assert lake.read("silver.signatures").count() == 2


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize("num_words", [0, 3])
def test_a_bucket_of_nearly_everything_is_one_cluster(spark: SparkSession, lake: Lakehouse, num_words: int) -> None:
    """Copies of one page and near copies, each of a few words of its own: all found, without all pairs."""
    body, number = prose(1, 120), 2_000
    texts = [" ".join([*body, *prose(seed + 9, num_words)]) for seed in range(number)]
    others = [" ".join(prose(seed + 9_999, 120)) for seed in range(200)]
    rows = [page(f"d{place:05}", text) for place, text in enumerate(texts + others)]
    rows_found = found(filled(lake, rows), config(lake.cfg.root))
    assert members(rows_found) == [[f"d{place:05}" for place in range(number)]]
    num_pairs = lake.read("silver.pairs").count()
    assert num_pairs == 0 if num_words == 0 else num_pairs < 20 * number


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"methods": ["minhsh"]}, "no method 'minhsh'; nearest: minhash"),
        ({"normalize": "lowr"}, "no form 'lowr'; nearest: lower"),
        ({"preset": "fine-web"}, "no preset 'fine-web'; nearest: fineweb"),
        ({"keep": "best_score", "score": "quality"}, "no signal of recipe 'raw' 'quality'"),
        ({"score": "quality"}, "decides only with dedup.keep=best_score"),
        ({"reach": 0}, "dedup.reach=0: give 1 to 1,000"),
        ({"keep": "first_crawl"}, "no keep rule 'first_crawl'; nearest: first_crawled"),
        ({"jaccard": 0.0}, "above 0 and at most 1"),
        ({"min_removed_share": 0.99}, "the smaller first"),
        ({"preset": "own", "num_rows": 0}, "must be 1 or more"),
        ({"preset": "target", "num_hashes": 1}, "give 2 or more for dedup.preset=target"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config("root", **wrong)
