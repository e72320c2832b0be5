"""Trains the pool's sentencepiece tokenizer, once: the same pages and settings are the same model.

The sample is whole pages in the order of a keyed hash, up to a bound on its characters, so that it doesn't
depend on how the table lies in files. It passes through the driver page by page: the trainer is one process.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import ingest, shares
from lakeloom.lakehouse import wholefile
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig, train_sentencepiece

log = logging.getLogger(__name__)

KINDS = ("sentencepiece", "tokenizer_json", "file")
_VERSION = 1  # raise it when the same pages and settings would give another model


@dataclass(frozen=True)
class FitTokenizerConfig:
    """The pool and the tokenizer that is to be trained on it."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    tokenizer: TokenizerConfig


def run(spark: SparkSession, cfg: FitTokenizerConfig) -> Report:
    """Train and write the model unless it is there, or the configuration names a file."""
    lake = Lakehouse(spark, cfg.lakehouse)
    is_trained = not cfg.tokenizer.path and _pointer(lake, cfg.pool.name, cfg.tokenizer).is_file()
    num_pages = 0 if cfg.tokenizer.path or is_trained else _train(lake, cfg)
    path = find(lake, cfg.pool.name, cfg.tokenizer)
    tokenizer = Tokenizer.load(path)
    facts: dict[str, str | int | float] = {
        "tokenizer": str(path),
        "sha256": tokenizer.sha,
        "vocab_size": tokenizer.vocab_size,
        "was_there": int(not num_pages),
    }
    return Report("fit_tokenizer", num_pages, num_pages, facts=facts)


def find(lake: Lakehouse, pool: str, cfg: TokenizerConfig) -> Path:
    """The tokenizer's file: the one that the configuration names, else the one trained on the pool."""
    if cfg.path:
        return _named(cfg)
    pointer = _pointer(lake, pool, cfg)
    if not pointer.is_file():
        raise ConfigError(
            f"no tokenizer of {cfg.vocab_size} pieces was trained on pool {pool!r} as it is now; "
            "run lakeloom fit_tokenizer with the same settings first, or name a file: "
            "tokenizer=file tokenizer.path=/a/file"
        )
    return pointer.parent / str(json.loads(pointer.read_text("utf-8"))["file"])


def _named(cfg: TokenizerConfig) -> Path:
    path = Path(cfg.path).expanduser().absolute()
    if cfg.kind not in KINDS:
        raise unknown("tokenizer kind", cfg.kind, KINDS)
    found = Tokenizer.load(path).kind
    if cfg.kind not in ("file", found):
        raise ConfigError(f"tokenizer.path={path} is a {found} file, tokenizer.kind is {cfg.kind}; use tokenizer=file")
    return path


def _pointer(lake: Lakehouse, pool: str, cfg: TokenizerConfig) -> Path:
    """The file that says which model these pages and settings gave."""
    if cfg.kind != "sentencepiece":
        raise ConfigError(f"tokenizer.kind={cfg.kind} is read from a file; give tokenizer.path=/a/file")
    batches = sorted(row["batch_id"] for row in _pages(lake, pool).select("batch_id").distinct().toLocalIterator())
    if not batches:
        raise ConfigError(f"pool {pool!r} has no pages; run lakeloom ingest with the same pool first")
    made_of = identity("tokenizer", _VERSION, pool, batches, cfg.vocab_size, cfg.sample_chars, cfg.seed)
    return lake.folder("tokenizers") / f"{made_of}.json"


def _pages(lake: Lakehouse, pool: str) -> DataFrame:
    return ingest.pages(lake, pool).where(F.col("text").isNotNull())


def _train(lake: Lakehouse, cfg: FitTokenizerConfig) -> int:
    """Write the model and, last, its pointer; the number of pages in the sample."""
    sample = _Sample(_in_hash_order(_pages(lake, cfg.pool.name), cfg.tokenizer), cfg.tokenizer.sample_chars)
    model = train_sentencepiece(sample, cfg.tokenizer.vocab_size)
    sha = hashlib.sha256(model).hexdigest()
    pointer = _pointer(lake, cfg.pool.name, cfg.tokenizer)
    name = f"bpe{cfg.tokenizer.vocab_size}-{sha[:12]}.model"
    facts = {
        "file": name,
        "sha": sha,
        "pool": cfg.pool.name,
        "num_pages": sample.num_pages,
        "num_chars": sample.num_chars,
    }
    wholefile.write(pointer.parent / name, model)
    wholefile.write(pointer, json.dumps(facts, indent=1).encode() + b"\n")
    log.info("%s: trained on %s pages, %s characters", name, sample.num_pages, sample.num_chars)
    return sample.num_pages


def _in_hash_order(pages: DataFrame, cfg: TokenizerConfig) -> Iterator[str]:
    """Texts by the hash of their page. Only a little more than the sample's share of the pages is sorted."""
    total = pages.agg(F.sum("num_chars").alias("n")).first()
    share = 1.25 * cfg.sample_chars / max(1, int(total["n"] or 0)) if total else 1.0
    key = F.sha2(F.concat(F.lit(f"tokenizer/{cfg.seed}/"), "doc_id"), 256)
    chosen = pages.select("text", key.alias("key")).where(shares.is_below("key", share)).orderBy("key")
    return (row["text"] for row in chosen.select("text").toLocalIterator())


@dataclass
class _Sample:
    """The texts until they hold max_chars, and how many that were."""

    texts: Iterable[str]
    max_chars: int
    num_pages: int = 0
    num_chars: int = 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.num_pages, self.num_chars = self.num_pages + 1, self.num_chars + len(text)
            yield text
            if self.num_chars >= self.max_chars:
                return
