"""What a lakehouse knows of a pool and recipe, for a plan for more of the same: counts, bytes, tokens, shares."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import dedup, documents, fit_tokenizer
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig, loaded

_TABLES = ("bronze.pages", "silver.documents", "silver.signatures", "gold.corpus")


@dataclass(frozen=True)
class Measured:
    """A pool under a recipe: what came in, what stays, and how many tokens that is."""

    archive_bytes: int
    num_pages: int
    page_bytes: int  # of text
    num_kept: int
    kept_bytes: int
    duplicate_share: float  # of the kept documents' bytes; 0 where dedup was not run
    is_deduplicated: bool
    tokens_a_byte: float  # of kept text, EOT of each document included
    token_bytes: int  # of a token in a shard
    vocab_size: int
    row_bytes: dict[str, float]  # of a row of each table, as it lies on disk

    @property
    def num_tokens(self) -> float:
        """Tokens of the dataset that the pool gives."""
        return self.kept_bytes * (1 - self.duplicate_share) * self.tokens_a_byte


def measure(
    lake: Lakehouse, pool: str, recipe: Recipe, dedup_cfg: DedupConfig, tokenizer: TokenizerConfig, sample: int
) -> Measured:
    """Read it from the tables. ConfigError where the pool is not ingested or the recipe was not run on it."""
    kept = documents.read(lake, [pool], recipe).kept
    archives, pages, page_bytes = _pages(lake, pool)
    num_kept, kept_bytes = _texts(kept)
    if not kept_bytes:
        raise ConfigError(f"recipe {recipe.name!r} keeps no text of pool {pool!r}: there is nothing to plan with")
    removed = _removed(lake, dedup_cfg, kept)
    chosen = Tokenizer.load(fit_tokenizer.find(lake, pool, tokenizer))
    return Measured(
        archive_bytes=archives,
        num_pages=pages,
        page_bytes=page_bytes,
        num_kept=num_kept,
        kept_bytes=kept_bytes,
        duplicate_share=(removed or 0) / kept_bytes,
        is_deduplicated=removed is not None,
        tokens_a_byte=_tokens_a_byte(kept, chosen, sample),
        token_bytes=np.dtype(chosen.dtype).itemsize,
        vocab_size=chosen.vocab_size,
        row_bytes={name: _row_bytes(lake, name) for name in _TABLES},
    )


def _pages(lake: Lakehouse, pool: str) -> tuple[int, int, int]:
    files = lake.read("bronze.files").where(F.col("pool") == pool).agg(F.sum("num_bytes").alias("n")).first()
    num_pages, num_bytes = _texts(lake.read("bronze.pages").where(F.col("pool") == pool))
    return int(files["n"] or 0) if files else 0, num_pages, num_bytes


def _texts(rows: DataFrame) -> tuple[int, int]:
    row = rows.agg(F.count("*").alias("n"), F.sum(F.octet_length("text")).alias("bytes")).first()
    return (int(row["n"]), int(row["bytes"] or 0)) if row else (0, 0)


def _removed(lake: Lakehouse, cfg: DedupConfig, kept: DataFrame) -> int | None:
    """Bytes of these documents that dedup takes out, by the clusters that there are; None where it has not been run.

    Clusters are of all pools that dedup was run with, so most that they take out may be other pools'.
    """
    if not cfg.methods:
        return 0
    try:
        _, clusters = dedup.published(lake, cfg)
    except ConfigError:
        return None
    return _texts(kept.join(clusters.where(~F.col("is_representative")), "doc_id", how="left_semi"))[1]


def _tokens_a_byte(kept: DataFrame, tokenizer: Tokenizer, sample: int) -> float:
    """Of so many documents, the first by the hash of their names; each has an EOT."""
    chosen = kept.where("num_chars > 0").orderBy(F.xxhash64("doc_id"), "doc_id").limit(sample).select("text")

    path, sha = tokenizer.path, tokenizer.sha

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        own = loaded(path, sha)
        for batch in batches:
            text = batch.column("text")
            encoded = own.encode_batch(text)
            tokens, size = len(encoded.values) + len(text), pc.sum(pc.binary_length(text)).as_py()
            yield pa.RecordBatch.from_pylist([{"tokens": tokens, "size": size or 0}])

    row = chosen.mapInArrow(count, "tokens LONG, size LONG").agg(F.sum("tokens").alias("t"), F.sum("size").alias("n"))
    found = row.first()
    assert found is not None  # noqa: S101 (an aggregate without groups has one row)
    return int(found["t"]) / max(1, int(found["n"]))


def _row_bytes(lake: Lakehouse, name: str) -> float:
    """Bytes on disk of the table's current files for each of its rows; 0 where there is none."""
    if not lake.exists(name):
        return 0.0
    detail = lake.delta(name).detail().select("sizeInBytes").first()
    return int(detail["sizeInBytes"]) / max(1, lake.read(name).count()) if detail else 0.0
