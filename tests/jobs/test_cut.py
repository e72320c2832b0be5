"""Lines, paragraphs, what BFF removes and long runs of tokens: what is cut of whom, within bounds."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import choose, cli, cut, dedup
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.cut import CutConfig
from lakeloom.jobs.decontaminate import DecontaminateConfig
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from tests.jobs.test_dedup import RAW, filled, page, prose
from tests.jobs.test_dedup import config as dedup_config

MENU = "home about contact login"
NOTE = "this page is part of an archive\nthat nobody reads any more"


def config(root: str, methods: Sequence[str] = (), **changes: Any) -> CutConfig:
    shipped: CutConfig = cli.load("cut")
    ours = dedup_config(root, methods=[], keep="smallest_id")
    return replace(shipped, lakehouse=ours.lakehouse, dedup=ours, **{"methods": list(methods), **changes})


def uncut(duplicates: DedupConfig) -> CutConfig:
    """Nothing is cut."""
    return replace(config(""), lakehouse=duplicates.lakehouse, dedup=duplicates)


def cuts(lake: Lakehouse, cfg: CutConfig) -> dict[str, dict[str, Any]]:
    cut.run(lake.spark, cfg)
    return {row["doc_id"]: row.asDict() for row in cut.published(lake, cfg).toLocalIterator()}


def left(texts: dict[str, str], rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The texts without their cuts, which must add up."""
    made: dict[str, str] = {}
    for name, text in texts.items():
        whole = text.encode()
        spans = list(zip(rows[name]["starts"], rows[name]["ends"], strict=True)) if name in rows else []
        bounds = [0, *(place for span in spans for place in span), len(whole)]
        assert bounds == sorted(bounds)
        made[name] = b"".join(whole[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)).decode()
        if name in rows:
            assert rows[name]["num_bytes"] == len(whole) - len(made[name].encode()) > 0
            assert rows[name]["is_removed"] == (not made[name].strip())
    return made


def texts() -> dict[str, str]:
    """Pages with a menu and a note that others have, one that is nothing else, and a passage of 60 words in two."""
    own = {f"d{number}": " ".join(prose(number, 80)) for number in range(4)}
    passage = " ".join(prose(99, 60))
    return {
        "d0": f"{MENU}\n{own['d0']}\n\n{NOTE}",
        "d1": f"{own['d1']}\n{MENU}  \nok\n\n{NOTE}\n",
        "d2": f"{MENU}\n{own['d2']} {passage} end\nok",
        "d3": f"{own['d3'][:200]} {passage} {own['d3'][200:]}",
        "d4": f"{MENU}\n\n{NOTE}\n",
        "d5": "",
    }


@pytest.mark.spark
@pytest.mark.slow
def test_what_repeats_is_cut_out_of_all_but_the_first(spark: SparkSession, lake: Lakehouse) -> None:
    given = texts()
    filled(lake, [page(name, text) for name, text in given.items()])
    by_line = left(given, cuts(lake, config(lake.cfg.root, ["line"])))
    assert by_line["d0"] == given["d0"] and by_line["d3"] == given["d3"]
    assert by_line["d1"] == given["d1"].split("\n")[0] + "\nok\n\n"  # `ok` is too short to be looked up
    assert by_line["d4"] == "\n"
    by_paragraph = left(given, cuts(lake, config(lake.cfg.root, ["paragraph"])))
    assert by_paragraph["d1"] == given["d1"].removesuffix(f"{NOTE}\n")
    assert by_paragraph["d4"] == f"{MENU}\n\n"
    both = cuts(lake, config(lake.cfg.root, ["line", "substring"], substring_length=50))
    after = left(given, both)
    assert after["d1"] == by_line["d1"] and after["d2"] == by_line["d2"]
    assert " ".join(prose(99, 60)) not in after["d3"] and after["d3"].startswith(given["d3"][:190])
    assert (both["d3"]["methods"], both["d1"]["methods"]) == (["substring"], ["line"])
    report = cut.run(spark, config(lake.cfg.root, ["line", "substring"]))
    assert (report.rows_in, report.rows_out, report.dropped, report.facts["was_there"]) == (6, 5, 1, 1)
    assert report.facts["documents_cut"] == len(both)
    assert report.facts["bytes_cut"] == sum(row["num_bytes"] for row in both.values())


@pytest.mark.spark
@pytest.mark.slow
def test_bff_in_groups_and_what_dedup_leaves(spark: SparkSession, lake: Lakehouse) -> None:
    """A paragraph that an earlier page has goes; of removed duplicates nothing is learned, and nothing cut."""
    long = " ".join(prose(7, 30))
    given = {"d0": f"{long}\nfirst", "d1": f"second\n{long}", "d2": long, "d3": f"{long}\nfirst"}
    filled(lake, [page(name, text) for name, text in given.items()])
    plain = config(lake.cfg.root, ["bff"], bff_mode="paragraph")
    rows = cuts(lake, plain)
    assert left(given, rows) == {"d0": given["d0"], "d1": "second", "d2": "", "d3": "\nfirst"}
    ours = replace(plain.dedup, methods=["text"], keep="smallest_id")
    with pytest.raises(ConfigError, match="run lakeloom dedup with the same settings first"):
        cut.run(spark, replace(plain, dedup=ours))
    dedup.run(spark, ours)
    assert set(cuts(lake, replace(plain, dedup=ours))) == {"d1", "d2"}
    apart = cuts(lake, replace(plain, groups=64))  # nearly every page is alone in its group
    assert len(apart) < len(rows)
    with pytest.raises(ConfigError, match=r"n-grams at a rate of 0\.01"):
        cut.run(spark, replace(plain, groups=2, max_bytes=10))


def chosen_by(cfg: CutConfig) -> ChooseConfig:
    pool = cfg.dedup.pool
    unset = DecontaminateConfig(cfg.lakehouse, pool, RAW, None, ["core"], [], 13, 8, 0, 0.5, "drop", 0.2)
    return ChooseConfig(cfg.lakehouse, pool, RAW, cfg.dedup, cfg, unset, "d", 0.0, 0, False)


@pytest.mark.spark
def test_pools_that_dedup_together_are_two_datasets(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, [page("d0", "one"), page("d1", "two", pool="q")]).cfg.root)
    names = []
    for pool, other in (("p", "q"), ("q", "p")):
        ours = replace(cfg.dedup, pool=replace(cfg.dedup.pool, name=pool), with_pools=[other], methods=["text"])
        dedup.run(spark, ours)
        report = choose.run(spark, chosen_by(replace(cfg, dedup=ours)))
        names += [
            row["doc_id"]
            for row in lake.read("gold.corpus").where(F.col("corpus_id") == report.facts["corpus_id"]).toLocalIterator()
        ]
    assert names == ["d0", "d1"]


@pytest.mark.spark
def test_a_dataset_is_of_what_is_left(spark: SparkSession, lake: Lakehouse) -> None:
    given = {"d0": f"{MENU}\none", "d1": f"{MENU}\ntwo", "d2": MENU, "d3": " three \n"}
    cfg = config(filled(lake, [page(name, text) for name, text in given.items()]).cfg.root, ["line"])
    chosen = chosen_by(cfg)
    with pytest.raises(ConfigError, match="no cuts by line; run lakeloom cut"):
        choose.run(spark, chosen)
    cut.run(spark, cfg)
    report = choose.run(spark, chosen)
    rows = lake.read("gold.corpus").select("doc_id", "text", "num_chars").orderBy("doc_id").collect()
    assert [tuple(row) for row in rows] == [("d0", given["d0"], 28), ("d1", "two", 3), ("d3", " three \n", 8)]
    assert (report.rows_in, report.rows_out, report.dropped) == (4, 3, 1)
    assert choose.identify(lake, chosen) != choose.identify(lake, replace(chosen, cut=uncut(cfg.dedup)))


@pytest.mark.spark
@pytest.mark.slow
def test_partitions_and_order_change_no_cut(spark: SparkSession, tmp_path: Path) -> None:
    given = [page(name, text) for name, text in texts().items()]
    results = []
    kept = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        for number in (1, 3):
            lake = Lakehouse(spark, LakehouseConfig(str(tmp_path / str(number)), ""))
            spark.conf.set("spark.sql.shuffle.partitions", number)
            filled(lake, random.Random(number).sample(given, len(given)), number)  # noqa: S311 (an order)
            results.append(cuts(lake, config(lake.cfg.root, ["paragraph", "bff", "substring"], groups=2)))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(kept))
    assert results[0] == results[1] and results[0]


@pytest.mark.spark
def test_a_filter_holds_texts_of_short_tokens(spark: SparkSession, lake: Lakehouse) -> None:
    rng = random.Random(1)  # noqa: S311 (a text, not a secret)
    texts = [" ".join(rng.choices("abcdefgh+-=", k=2_000)) for _ in range(3)]
    cfg = config(filled(lake, [page(f"d{n}", text) for n, text in enumerate([*texts, texts[1]])]).cfg.root, ["bff"])
    assert set(cuts(lake, cfg)) == {"d3"}


@pytest.mark.spark
def test_identity_is_of_what_matters(spark: SparkSession, lake: Lakehouse) -> None:
    cfg = config(filled(lake, [page("d0", "one")]).cfg.root, ["line"])
    same = [replace(cfg, max_bytes=10**6), replace(cfg, bff_fp_rate=0.1, groups=7), replace(cfg, max_cut_share=0.5)]
    others = [replace(cfg, min_words=1), replace(cfg, methods=["paragraph"]), replace(cfg, form="words")]
    others += [replace(cfg, dedup=replace(cfg.dedup, keep="longest"))]
    assert {cut.identify(lake, one) for one in [cfg, *same]} == {cut.identify(lake, cfg)}
    assert len({cut.identify(lake, one) for one in [cfg, *others]}) == 5


@pytest.mark.spark
def test_too_much_is_not_published(spark: SparkSession, lake: Lakehouse) -> None:
    rows = [page(f"d{number}", "the same line everywhere\n") for number in range(10)]
    cfg = config(filled(lake, rows).cfg.root, ["line"], max_cut_share=0.5)
    with pytest.raises(
        Incomplete, match=r"225 of 250 bytes \(90\.00%\) in 9 documents, and 9 of them whole; allowed: 50"
    ):
        cut.run(spark, cfg)
    assert not lake.exists("silver.cuts")
    nothing = cut.run(spark, replace(cfg, methods=[]))
    assert (nothing.rows_in, nothing.rows_out) == (10, 10)
    with pytest.raises(ConfigError, match="no cuts by line; run lakeloom cut"):
        cut.published(lake, cfg)
    assert cut.run(spark, replace(cfg, max_cut_share=0.9)).dropped == 9
    with pytest.raises(Incomplete, match="they were published under another bound"):
        cut.run(spark, cfg)


@pytest.mark.spark
def test_two_documents_of_one_name_are_refused(spark: SparkSession, lake: Lakehouse) -> None:
    """Also where no run of dedup has looked at them."""
    cfg = config(filled(lake, [page("d0", "one"), page("d0", "two"), page("d1", "three")]).cfg.root, ["line"])
    with pytest.raises(BadInput, match=r"one doc_id: d0 \(2 rows\)"):
        cut.run(spark, cfg)
    with pytest.raises(BadInput, match=r"one doc_id: d0 \(2 rows\)"):
        choose.run(spark, chosen_by(replace(cfg, methods=[])))
    assert not lake.exists("silver.cuts") and not lake.exists("gold.corpus")


@pytest.mark.parametrize(("shortest", "expected"), [(None, (20, 20)), (5, (5, 20))])
def test_the_shortest_ngram_is_the_longest_unless_said(shortest: int | None, expected: tuple[int, int]) -> None:
    bloom = config("root", ["bff"], bff_ngram=20, bff_min_ngram=shortest).bloom(1)
    assert (bloom.min_ngram, bloom.max_ngram) == expected


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"methods": ["lines"]}, "no method 'lines'; nearest: line"),
        ({"form": "byte"}, "no form 'byte'; nearest: bytes"),
        ({"bff_mode": "old"}, "no mode 'old'"),
        ({"groups": 0}, r"cut\.groups=0: give 1 or more"),
        ({"substring_length": 0}, r"cut\.substring_length=0: give 1 or more tokens"),
        ({"bff_mode": "substring"}, r"say cut\.methods=\[substring\]"),
        ({"max_cut_share": 0.0}, "above 0 and at most 1"),
        ({"bff_min_ngram": 14}, r"cut\.bff_min_ngram=14, cut\.bff_ngram=13: .* the first not above the second"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config("root", **{"methods": ["line"], **wrong})
