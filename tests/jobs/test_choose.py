from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import choose, cli, dedup
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.ids import doc_id
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table
from tests.jobs.test_cut import uncut
from tests.jobs.test_decontaminate import unset

pytestmark = pytest.mark.spark

POOL = PoolConfig(name="tiny", kind="warc", path="", snapshot="", base="", files="", max_files=0, max_pages=0)
RAW = Recipe.from_config({"name": "raw", "steps": []})
STRICT = Recipe.from_config({"name": "strict", "steps": [{"signal": "num_chars", "min": 5}]})
SHARE = 0.25


def config(lake: Lakehouse, recipe: Recipe = RAW, methods: Sequence[str] = ()) -> ChooseConfig:
    duplicates = replace(
        cli.load("dedup"), lakehouse=lake.cfg, pool=POOL, recipe=recipe, methods=list(methods), keep="smallest_id"
    )
    return ChooseConfig(
        lake.cfg, POOL, recipe, duplicates, uncut(duplicates), unset(lake, POOL, recipe), recipe.name, SHARE, 0, False
    )


def page(number: int) -> str:
    return doc_id("tiny", "file", number, "")


def is_held(number: int) -> bool:
    """The rule in other words: the share of pages whose hash is smallest."""
    return int(sha256(f"holdout/0/{page(number)}".encode()).hexdigest(), 16) < SHARE * 2**256


HELD = [number for number in range(40) if is_held(number)]
TRAINED = [number for number in range(40) if not is_held(number)]


def append(lake: Lakehouse, name: str, rows: list[dict[str, object]], txn: str) -> None:
    schema = table(name).schema
    values = [tuple(row.get(column) for column in schema.names) for row in rows]
    lake.append(lake.spark.createDataFrame(values, ddl(schema)), name, txn=txn)


def add_documents(lake: Lakehouse, texts: Mapping[int, str | None], recipe: Recipe = RAW, batch: str = "b1") -> None:
    """Documents by page number; a text of None is a dropped one."""
    facts = {"pool": "tiny", "batch_id": batch, "recipe": recipe.name, "recipe_hash": recipe.hash, "url": "http://a/"}
    rows: list[dict[str, object]] = [
        {
            "doc_id": page(number),
            "text": text,
            "dropped_by": "num_chars" if text is None else None,
            "num_chars": len(text or ""),
            **facts,
        }
        for number, text in texts.items()
    ]
    append(lake, "silver.documents", rows, f"curate/{recipe.name}/{batch}")


def add_clusters(lake: Lakehouse, cfg: ChooseConfig, *clusters: list[int]) -> None:
    """Clusters by page numbers, the first of each represents."""
    dedup_id = dedup.identify(lake, cfg.dedup)
    rows: list[dict[str, object]] = [
        {
            "doc_id": page(number),
            "dedup_id": dedup_id,
            "cluster_id": page(cluster[0]),
            "is_representative": number == cluster[0],
        }
        for cluster in clusters
        for number in cluster
    ]
    append(lake, "silver.clusters", rows, f"dedup/{dedup_id}")


def chosen(lake: Lakehouse, cfg: ChooseConfig) -> dict[str, set[int]]:
    """Page numbers of each split, after a run."""
    corpus_id = choose.run(lake.spark, cfg).facts["corpus_id"]
    numbers = {page(number): number for number in range(40)}
    rows = lake.read("gold.corpus").where(f"corpus_id = '{corpus_id}'").collect()
    return {split: {numbers[row["doc_id"]] for row in rows if row["split"] == split} for split in ("train", "holdout")}


def test_kept_documents_are_split_by_their_page_in_every_dataset(lake: Lakehouse) -> None:
    add_documents(lake, {number: f"text {number}" for number in range(40)})
    add_documents(lake, {number: f"edited {number}" if number % 3 else None for number in range(40)}, STRICT)
    raw, strict = chosen(lake, config(lake)), chosen(lake, config(lake, STRICT))
    assert raw == {"train": set(TRAINED), "holdout": set(HELD)}
    assert strict == {split: {number for number in pages if number % 3} for split, pages in raw.items()}
    assert 4 <= len(HELD) <= 16


def test_a_second_run_adds_nothing_and_more_documents_make_another_version(lake: Lakehouse) -> None:
    cfg = config(lake)
    add_documents(lake, {number: f"text {number}" if number % 2 else None for number in range(20)})
    first, second = choose.run(lake.spark, cfg), choose.run(lake.spark, cfg)
    assert (first.rows_in, first.rows_out, first.dropped) == (10, 10, 0)
    assert (first.facts["was_there"], second.facts["was_there"]) == (0, 1)
    assert replace(second, facts={}) == replace(first, facts={})
    add_documents(lake, {number: f"text {number}" for number in range(20, 40)}, batch="b2")
    third = choose.run(lake.spark, cfg)
    assert third.rows_out == 30
    assert third.facts["corpus_id"] != first.facts["corpus_id"]
    assert lake.read("gold.corpus").count() == 40


def test_clusters_give_one_document_and_none_to_train_if_a_page_of_theirs_is_held_out(lake: Lakehouse) -> None:
    add_documents(lake, {number: f"text {number}" for number in range(40)})
    cfg = config(lake, methods=["text"])
    held, train = HELD, TRAINED
    add_clusters(lake, cfg, [train[0], held[0], train[1]], [train[2], train[3]], [held[1], held[2]])
    found = chosen(lake, cfg)
    stands = min(held[1:3], key=lambda number: sha256(f"holdout/0/{page(number)}".encode()).hexdigest())
    assert found["train"] == set(train) - {train[0], train[1], train[3]}
    assert found["holdout"] == set(held) - set(held[1:3]) | {stands}
    report = choose.run(lake.spark, cfg)
    assert (report.rows_in, report.rows_out, report.dropped) == (40, 36, 4)


def test_a_held_out_text_is_never_trained_on_even_with_duplicates_kept(lake: Lakehouse) -> None:
    same = {HELD[0]: "same text", TRAINED[0]: "same text", TRAINED[1]: "other", TRAINED[2]: "other"}
    add_documents(lake, same)
    assert chosen(lake, config(lake)) == {"train": set(TRAINED[1:3]), "holdout": {HELD[0]}}


def test_documents_without_text_are_left_out_and_counted(lake: Lakehouse) -> None:
    add_documents(lake, {HELD[0]: "", TRAINED[0]: "", TRAINED[1]: "text", HELD[1]: "held"})
    assert chosen(lake, config(lake)) == {"train": {TRAINED[1]}, "holdout": {HELD[1]}}
    report = choose.run(lake.spark, config(lake))
    assert (report.rows_in, report.rows_out, report.dropped, report.facts["empty"]) == (4, 2, 2, 2)


def test_what_is_missing_is_named_and_nothing_written(lake: Lakehouse) -> None:
    add_documents(lake, dict.fromkeys(range(5), None))
    with pytest.raises(Incomplete, match="keeps no text"):
        choose.run(lake.spark, config(lake))
    add_documents(lake, dict.fromkeys(range(5), "some text"), batch="b2")
    with pytest.raises(ConfigError, match="run lakeloom dedup with the same settings first"):
        choose.run(lake.spark, config(lake, methods=["text", "minhash"]))
    with pytest.raises(ConfigError, match="lakeloom curate"):
        choose.run(lake.spark, config(lake, STRICT))
    assert not lake.exists("gold.corpus") or lake.read("gold.corpus").isEmpty()


def test_odd_settings_are_config_errors(lake: Lakehouse) -> None:
    with pytest.raises(ConfigError, match="names a folder"):
        replace(config(lake), dataset="a/b")
    with pytest.raises(ConfigError, match="below 1"):
        replace(config(lake), holdout_share=1.0)
