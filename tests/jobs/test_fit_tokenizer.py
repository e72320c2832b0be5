import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from lakeloom.jobs import fit_tokenizer
from lakeloom.jobs.fit_tokenizer import FitTokenizerConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import doc_id
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig

pytestmark = pytest.mark.spark

POOL = PoolConfig(name="tiny", kind="warc", path="", snapshot="", base="", files="", max_files=0, max_pages=0)
TOKENIZER = TokenizerConfig(kind="sentencepiece", path="", vocab_size=280, sample_chars=4000, seed=0)


def add_pages(lake: Lakehouse, batch: str, numbers: range, partitions: int = 1) -> None:
    """Pages of 100 characters or so, all different."""
    rows = [
        (
            doc_id("tiny", batch, number, ""),
            "tiny",
            batch,
            f"page {number} " + "the cat sat " * 7 + f"on {number * 7919 % 1000} mats",
        )
        for number in numbers
    ]
    pages = lake.spark.createDataFrame(rows, "doc_id STRING, pool STRING, batch_id STRING, text STRING")
    pages = pages.withColumn("num_chars", F.length("text")).repartition(partitions)
    lake.create("bronze.pages")
    others = [name for name in lake.read("bronze.pages").columns if name not in pages.columns]
    lake.append(pages.withColumns({name: F.lit(None) for name in others}), "bronze.pages", txn=f"ingest/{batch}")


def config(lake: Lakehouse, tokenizer: TokenizerConfig = TOKENIZER) -> FitTokenizerConfig:
    return FitTokenizerConfig(lake.cfg, POOL, tokenizer)


def test_the_same_pages_give_the_same_model_once(lake: Lakehouse, tmp_path: Path) -> None:
    add_pages(lake, "b1", range(100), partitions=1)
    report = fit_tokenizer.run(lake.spark, config(lake))
    path = fit_tokenizer.find(lake, "tiny", TOKENIZER)
    assert (report.facts["was_there"], Tokenizer.load(path).vocab_size) == (0, 280)
    files = {path.name: path.stat().st_mtime_ns for path in lake.folder("tokenizers").iterdir()}
    again = fit_tokenizer.run(lake.spark, config(lake))
    assert (again.facts["was_there"], again.facts["sha256"]) == (1, report.facts["sha256"])
    assert {path.name: path.stat().st_mtime_ns for path in lake.folder("tokenizers").iterdir()} == files

    other = Lakehouse(lake.spark, replace(lake.cfg, root=str(tmp_path / "other")))
    add_pages(other, "b1", range(99, -1, -1), partitions=7)
    assert fit_tokenizer.run(lake.spark, config(other)).facts["sha256"] == report.facts["sha256"]


def test_the_sample_is_bounded_and_follows_the_seed(lake: Lakehouse) -> None:
    add_pages(lake, "b1", range(100))
    pointers = [json.loads(path.read_text()) for path in _fitted(lake, TOKENIZER, replace(TOKENIZER, seed=1))]
    assert len({facts["sha"] for facts in pointers}) == 2
    for facts in pointers:
        assert 4000 <= facts["num_chars"] < 4000 + 120
        assert facts["num_pages"] == pytest.approx(4000 / 105, abs=2)


def _fitted(lake: Lakehouse, *tokenizers: TokenizerConfig) -> list[Path]:
    for tokenizer in tokenizers:
        fit_tokenizer.run(lake.spark, config(lake, tokenizer))
    return list(lake.folder("tokenizers").glob("*.json"))


def test_more_pages_ask_for_another_fit(lake: Lakehouse) -> None:
    add_pages(lake, "b1", range(100))
    fit_tokenizer.run(lake.spark, config(lake))
    add_pages(lake, "b2", range(100, 150))
    with pytest.raises(ConfigError, match="run lakeloom fit_tokenizer"):
        fit_tokenizer.find(lake, "tiny", TOKENIZER)


def test_a_named_file_is_used_and_not_trained(lake: Lakehouse, tmp_path: Path) -> None:
    add_pages(lake, "b1", range(100))
    fit_tokenizer.run(lake.spark, config(lake))
    copy = tmp_path / "mine.model"
    copy.write_bytes(fit_tokenizer.find(lake, "tiny", TOKENIZER).read_bytes())
    named = replace(TOKENIZER, kind="file", path=str(copy))
    report = fit_tokenizer.run(lake.spark, config(lake, named))
    assert (report.facts["tokenizer"], report.facts["was_there"]) == (str(copy), 1)
    with pytest.raises(ConfigError, match="is a sentencepiece file"):
        fit_tokenizer.find(lake, "tiny", replace(named, kind="tokenizer_json"))
    with pytest.raises(ConfigError, match="no tokenizer kind 'sentencepeice'; nearest: sentencepiece"):
        fit_tokenizer.find(lake, "tiny", replace(named, kind="sentencepeice"))


def test_what_cannot_be_fitted_is_a_config_error(lake: Lakehouse) -> None:
    with pytest.raises(ConfigError, match="give tokenizer"):
        fit_tokenizer.run(lake.spark, config(lake, replace(TOKENIZER, kind="tokenizer_json")))
    lake.create("bronze.pages")
    with pytest.raises(ConfigError, match="run lakeloom ingest"):
        fit_tokenizer.run(lake.spark, config(lake))
    add_pages(lake, "b1", range(100))
    with pytest.raises(ConfigError, match="no sentencepiece model of 30000 pieces"):
        fit_tokenizer.run(lake.spark, config(lake, replace(TOKENIZER, vocab_size=30_000)))
    assert list(lake.folder("tokenizers").iterdir()) == []
