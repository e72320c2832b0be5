import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from pyspark.sql import SparkSession

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import choose, cli, export
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.export import ExportConfig
from lakeloom.jobs.export_tasks import Placement
from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.ids import Json, doc_id, identity, shuffle_key
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig, train_sentencepiece
from tests.jobs.test_cut import uncut
from tests.jobs.test_decontaminate import unset

POOL = PoolConfig(name="tiny", kind="warc", path="", snapshot="", base="", files="", max_files=0, max_pages=0)
RAW = Recipe.from_config({"name": "raw", "steps": []})
TEXTS = {
    doc_id("tiny", "file", number, ""): f"page {number}: " + "the cat sat\n" * (number % 9) for number in range(200)
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "small.model"
    path.write_bytes(train_sentencepiece([*TEXTS.values(), *map(str, range(100))], 285))
    return Tokenizer.load(path)


def config(lake: Lakehouse, tokenizer: Tokenizer) -> ExportConfig:
    duplicates = replace(cli.load("dedup"), lakehouse=lake.cfg, pool=POOL, recipe=RAW, methods=[])
    chosen = ChooseConfig(lake.cfg, POOL, RAW, duplicates, uncut(duplicates), unset(lake, POOL), "tiny", 0.2, 0, False)
    group = TokenizerConfig(kind="file", path=str(tokenizer.path), vocab_size=0, sample_chars=0, seed=0)
    return ExportConfig(
        lake.cfg, chosen, group, context=16, seed=3, num_cells=3, shard_sequences=50, holdout_max_bytes=10**6
    )


def fill(lake: Lakehouse, texts: dict[str, str], partitions: int = 1) -> None:
    schema = table("silver.documents").schema
    facts = {"pool": "tiny", "batch_id": "b1", "recipe": "raw", "recipe_hash": RAW.hash, "url": "http://a/"}
    rows = [{"doc_id": key, "text": text, "num_chars": len(text), **facts} for key, text in texts.items()]
    values = [tuple(row.get(name) for name in schema.names) for row in rows]
    documents = lake.spark.createDataFrame(values, ddl(schema)).repartition(partitions)
    lake.append(documents, "silver.documents", txn="curate/raw")


@pytest.fixture(scope="module")
def exported_once(
    spark: SparkSession, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """Root of a lakehouse with one exported dataset, and the name of the dataset's folder."""
    root = tmp_path_factory.mktemp("exported") / "lake"
    lake = Lakehouse(spark, LakehouseConfig(root=str(root), catalog=""))
    fill(lake, TEXTS)
    cfg = config(lake, tokenizer)
    choose.run(spark, cfg.choose)
    return root, Path(str(export.run(spark, cfg).facts["folder"])).name


@pytest.fixture
def exported(lake: Lakehouse, tokenizer: Tokenizer, exported_once: tuple[Path, str]) -> tuple[ExportConfig, Path]:
    """A copy of that lakehouse, under this test's root: its configuration and the dataset's folder."""
    root, name = exported_once
    shutil.copytree(root, lake.cfg.root)
    return config(lake, tokenizer), lake.folder("shards") / name


def splits(lake: Lakehouse) -> dict[str, set[str]]:
    rows = lake.read("gold.corpus").select("doc_id", "split").collect()
    return {split: {row["doc_id"] for row in rows if row["split"] == split} for split in ("train", "holdout")}


def expected_sequences(keys: set[str], tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The rule in other words, one document after the other; sequences of 17 tokens, sorted."""
    found: list[tuple[int, ...]] = []
    for cell in range(3):
        members = [key for key in keys if int.from_bytes(shuffle_key(3, key)[:8], "big") % 3 == cell]
        stream: list[int] = []
        for key in sorted(members, key=lambda key: shuffle_key(3, key)):
            stream += [*tokenizer.encode(TEXTS[key]), tokenizer.eot]
        found += [tuple(stream[start : start + 17]) for start in range(0, len(stream) - 16, 17)]
    return sorted(found)


@pytest.mark.spark
def test_shards_hold_the_packed_documents_once(
    lake: Lakehouse, tokenizer: Tokenizer, exported: tuple[ExportConfig, Path]
) -> None:
    cfg, folder = exported
    manifest = Manifest.load(folder)
    manifest.verify()
    reader = ShardReader(manifest)
    found = [tuple(reader[number].tolist()) for number in range(len(reader))]
    expected = expected_sequences(splits(lake)["train"], tokenizer)
    assert sorted(found) == expected != found
    *whole, last = manifest.shards
    assert {shard.num_sequences for shard in whole} == {50}
    assert 0 < last.num_sequences <= 50
    report = export.run(lake.spark, cfg)
    facts = report.facts
    tokens_in = sum(len(tokenizer.encode(TEXTS[key])) + 1 for key in splits(lake)["train"])
    assert (facts["tokens_in"], facts["num_tokens"]) == (tokens_in, 17 * len(found))
    assert facts["tokens_remainder"] == tokens_in - 17 * len(found)
    assert report.rows_in == len(splits(lake)["train"])


@pytest.mark.spark
def test_a_dataset_says_where_it_comes_from(
    lake: Lakehouse, tokenizer: Tokenizer, exported: tuple[ExportConfig, Path]
) -> None:
    cfg, folder = exported
    facts = Manifest.load(folder).dataset
    assert Tokenizer.load(folder / facts.tokenizer_file).sha == facts.tokenizer_sha == tokenizer.sha
    assert (facts.name, facts.recipe, facts.recipe_hash, facts.pool) == ("tiny", "raw", RAW.hash, "tiny")
    assert (facts.vocab_size, facts.eot, facts.seq_len, facts.seed) == (285, 0, 17, 3)
    assert facts.corpus_id == choose.identify(lake, cfg.choose)
    source = lake.read(facts.source_table, facts.source_version)
    assert source.where(f"corpus_id = '{facts.corpus_id}'").count() == 200
    rows = lake.read("gold.shards").orderBy("shard").collect()
    assert [row["shard"] for row in rows] == [shard.shard for shard in Manifest.load(folder).shards]
    assert [row["sha256"] for row in rows] == [shard.sha256 for shard in Manifest.load(folder).shards]
    assert sum(row["num_tokens"] for row in rows) == facts.num_tokens
    assert all(Path(lake.cfg.root, row["path"]).is_file() for row in rows)
    with zstandard.open(folder / "holdout.jsonl.zst", "rt", encoding="utf-8", newline="\n") as file:
        held_out = [json.loads(line) for line in file]
    assert [page["doc_id"] for page in held_out] == sorted(splits(lake)["holdout"])
    assert all(page["text"] == TEXTS[page["doc_id"]] and page["url"] == "http://a/" for page in held_out)
    names = {path.name for path in folder.iterdir()} - {f"{shard.shard}.tar" for shard in Manifest.load(folder).shards}
    assert names == {"dataset.json", "manifest.jsonl", "holdout.jsonl.zst", "tokenizer.model"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.spark
@pytest.mark.slow
def test_any_partitioning_gives_the_same_bytes(lake: Lakehouse, tokenizer: Tokenizer, tmp_path: Path) -> None:
    found: list[dict[str, bytes]] = []
    before = lake.spark.conf.get("spark.sql.shuffle.partitions") or "2"
    for partitions, texts in ((1, TEXTS), (2, dict(reversed(TEXTS.items()))), (7, TEXTS)):
        own = Lakehouse(lake.spark, replace(lake.cfg, root=str(tmp_path / f"lake-{partitions}")))
        lake.spark.conf.set("spark.sql.shuffle.partitions", partitions)
        lake.spark.conf.set("spark.sql.adaptive.enabled", "false")
        try:
            fill(own, texts, partitions)
            cfg = config(own, tokenizer)
            choose.run(own.spark, cfg.choose)
            folder = Path(str(export.run(own.spark, cfg).facts["folder"]))
        finally:
            lake.spark.conf.set("spark.sql.shuffle.partitions", before)
            lake.spark.conf.unset("spark.sql.adaptive.enabled")
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(found[0]) > 5
    assert found[0] == found[1] == found[2]


@pytest.mark.spark
def test_a_second_run_does_nothing_and_restores_lost_rows(
    lake: Lakehouse, exported: tuple[ExportConfig, Path], tmp_path: Path
) -> None:
    cfg, folder = exported
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    version = lake.version("gold.shards")
    assert export.run(lake.spark, cfg).facts["was_there"] == 1
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    assert lake.version("gold.shards") == version
    (Path(lake.cfg.root) / "tables/gold/shards").rename(tmp_path / "lost")
    assert export.run(lake.spark, cfg).facts["was_there"] == 1
    assert lake.read("gold.shards").count() == len(Manifest.load(folder).shards)


@pytest.mark.spark
def test_another_seed_is_another_order_of_the_same_tokens(lake: Lakehouse, exported: tuple[ExportConfig, Path]) -> None:
    cfg, folder = exported
    other = Path(str(export.run(lake.spark, replace(cfg, seed=4)).facts["folder"]))
    first, second = (ShardReader(Manifest.load(one)) for one in (folder, other))
    assert other != folder
    assert any(not np.array_equal(first[index], second[index]) for index in range(20))


@pytest.mark.spark
def test_other_forms_are_other_datasets_of_the_same_tokens(
    lake: Lakehouse, tokenizer: Tokenizer, exported: tuple[ExportConfig, Path]
) -> None:
    cfg, folder = exported
    reader = ShardReader(Manifest.load(folder))
    sizes: dict[str, Json] = {"seq_len": 17, "num_cells": 3, "seed": 3, "dtype": "uint16"}
    named = identity("export", 1, choose.identify(lake, cfg.choose), tokenizer.sha, sizes, 50, 10**6)
    assert reader.manifest.dataset.export_id == named  # as it was before there were forms
    facts = export.run(lake.spark, replace(cfg, members="json.gz")).facts
    other = ShardReader(Manifest.load(Path(str(facts["folder"]))))
    assert other.manifest.dataset.export_id not in (named, "")
    every = range(len(reader))
    assert [other[place].tolist() for place in every] == [reader[place].tolist() for place in every]
    assert len(other) == len(reader)

    facts = export.run(lake.spark, replace(cfg, leftovers="pad")).facts
    padded = ShardReader(Manifest.load(Path(str(facts["folder"]))))
    pad = tokenizer.vocab_size + 2
    assert (padded.manifest.dataset.pad, padded.manifest.dataset.vocab_size) == (pad, pad + 1)
    found = np.stack([padded[index] for index in range(len(padded))])
    assert facts["num_pads"] == (found == pad).sum() == sum(shard.num_pads for shard in padded.manifest.shards) > 0
    assert facts["tokens_remainder"] == 0
    assert facts["tokens_in"] == (found != pad).sum()
    assert len(list(lake.folder("shards").iterdir())) == 3


@pytest.mark.spark
def test_folders_that_are_in_the_way_are_left_alone(lake: Lakehouse, exported: tuple[ExportConfig, Path]) -> None:
    cfg, folder = exported
    shard = folder / "shard_00000000.tar"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"in the way and no complete export .* bytes, the manifest says"):
        export.run(lake.spark, cfg)
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path != folder / "manifest.jsonl"}
    (folder / "manifest.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"has no manifest\.jsonl"):
        export.run(lake.spark, cfg)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


@pytest.mark.spark
def test_what_is_missing_is_named_and_nothing_published(lake: Lakehouse, tokenizer: Tokenizer) -> None:
    fill(lake, dict(list(TEXTS.items())[:1]))
    cfg = config(lake, tokenizer)
    cfg = replace(cfg, choose=replace(cfg.choose, holdout_share=0.0))
    with pytest.raises(ConfigError, match="run lakeloom choose"):
        export.run(lake.spark, cfg)
    choose.run(lake.spark, cfg.choose)
    with pytest.raises(ConfigError, match="no readable tokenizer file"):
        export.run(lake.spark, replace(cfg, tokenizer=replace(cfg.tokenizer, path="/nowhere.model")))
    with pytest.raises(Incomplete, match="fills no sequence of 100001 tokens"):
        export.run(lake.spark, replace(cfg, context=100_000))
    assert [path for path in lake.folder("shards").iterdir() if not path.name.startswith(".")] == []
    assert not lake.exists("gold.shards")


@pytest.mark.spark
def test_sizes_are_at_least_one(tokenizer: Tokenizer, lake: Lakehouse) -> None:
    cfg = config(lake, tokenizer)
    with pytest.raises(ConfigError, match=r"export\.context=0"):
        replace(cfg, context=0)
    with pytest.raises(ConfigError, match=r"export\.num_cells=0"):
        replace(cfg, num_cells=0)
    with pytest.raises(ConfigError, match=r"export\.shard_sequences=-1"):
        replace(cfg, shard_sequences=-1)
    with pytest.raises(ConfigError, match=r"export\.members: no choice 'pickle'; choices: bin, json\.gz"):
        replace(cfg, members="pickle")
    with pytest.raises(ConfigError, match=r"export\.leftovers: no choice 'keep'"):
        replace(cfg, leftovers="keep")


@pytest.mark.parametrize("counts", [(1,), (5, 0, 3), (0, 0, 100, 1)])
def test_every_sequence_has_a_position_of_its_own(counts: tuple[int, ...]) -> None:
    starts = tuple(sum(counts[:cell]) for cell in range(len(counts)))
    placement = Placement(starts, sum(counts), shard_sequences=7, seed=0)
    cells = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    index = np.concatenate([np.arange(count) for count in counts])
    found = placement.positions(cells, index)
    assert sorted(found.tolist()) == list(range(sum(counts)))
    assert np.array_equal(found[::-1], placement.positions(cells[::-1], index[::-1]))
