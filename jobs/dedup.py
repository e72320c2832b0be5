"""Kept documents of a recipe to clusters of duplicates: the same text, then nearly the same by MinHash LSH.

Duplicates stay in their table: silver.clusters says who represents them and why they match. No clusters are
published when more or less would be removed than the configuration allows.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lakeloom.filters import minhash
from lakeloom.filters.minhash import MinHashParams
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import documents, near
from lakeloom.jobs.components import components
from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

log = logging.getLogger(__name__)

_SIGNATURES, _CLUSTERS = "silver.signatures", "silver.clusters"

METHODS = ("none", "exact", "minhash")
# What decides who stays: the smallest value, then the smallest doc_id.
KEEP: dict[str, Callable[[], Column]] = {
    "longest": lambda: -F.col("num_chars"),
    "first_crawled": lambda: F.col("fetched_at"),
    "smallest_id": lambda: F.lit(0),
}
_VERSION = 1  # raise it when the same input and configuration would give other clusters
_HAS_WORD = r"[\p{L}\p{N}_]"


@dataclass(frozen=True)
class DedupConfig:
    """What counts as a duplicate and who stays; see conf/job/dedup.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    method: str
    keep: str
    jaccard: float
    verify: bool
    ngram: int
    num_hashes: int
    num_bands: int
    num_rows: int
    seed: int
    min_removed_share: float
    max_removed_share: float

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS, "dedup.method")
        if self.keep not in KEEP:
            raise unknown("keep rule", self.keep, KEEP, "dedup.keep")
        if not 0 < self.jaccard <= 1:
            raise ConfigError(f"dedup.jaccard={self.jaccard}: it must be above 0 and at most 1")
        if not 0 <= self.min_removed_share <= self.max_removed_share <= 1:
            raise ConfigError(
                f"dedup.min_removed_share={self.min_removed_share}, "
                f"max_removed_share={self.max_removed_share}: give two from 0 to 1, the smaller first"
            )
        _ = self.params  # a split that can't be is refused here, not after the documents were read

    @property
    def params(self) -> MinHashParams:
        """Hashes and bands; `num_bands` 0 asks datasketch."""
        if self.num_bands:
            return MinHashParams(self.num_hashes, self.num_bands, self.num_rows, self.ngram, self.seed)
        return minhash.optimal(self.jaccard, self.num_hashes, self.ngram, self.seed)


def run(spark: SparkSession, cfg: DedupConfig) -> Report:
    """Append signatures and clusters, once for an input and method. Incomplete if too much would go."""
    lake = Lakehouse(spark, cfg.lakehouse)
    found, version = documents.read(lake, cfg.pool, cfg.recipe)
    dedup_id = _identity(found, cfg)
    facts: dict[str, str | int | float] = {"dedup_id": dedup_id, "method": cfg.method}
    kept = found.where(F.col("dropped_by").isNull())
    if cfg.method == "none":
        num_kept = kept.count()
        return Report("dedup", num_kept, num_kept, 0, {documents.TABLE: version}, facts)
    if lake.commit(_CLUSTERS, _txn(dedup_id)) is None:
        _publish(lake, cfg, kept, dedup_id)
    else:
        facts["was_there"] = 1
    return _report(lake, dedup_id, {documents.TABLE: version}, facts)


def identify(lake: Lakehouse, cfg: DedupConfig) -> str:
    """The dedup_id of this pool, recipe and method, run or not. ConfigError without documents."""
    return _identity(documents.read(lake, cfg.pool, cfg.recipe)[0], cfg)


def _identity(found: DataFrame, cfg: DedupConfig) -> str:
    batches = documents.batches(found, cfg.pool, cfg.recipe)
    method: dict[str, Json] = {"method": cfg.method}
    if cfg.method != "none":
        method["keep"] = cfg.keep
    if cfg.method == "minhash":
        method |= {**asdict(cfg.params), "verify": cfg.verify, "jaccard": cfg.jaccard if cfg.verify else None}
    return identity("dedup", _VERSION, cfg.pool.name, cfg.recipe.hash, batches, method)


def _txn(dedup_id: str) -> str:
    return f"dedup/{dedup_id}"


def _publish(lake: Lakehouse, cfg: DedupConfig, kept: DataFrame, dedup_id: str) -> None:
    """Signatures, then clusters from the committed signatures, if their number is within bounds."""
    signed = lake.append(_signatures(kept, cfg, dedup_id), _SIGNATURES, txn=_txn(dedup_id))
    signatures = lake.read(_SIGNATURES, signed.version).where(F.col("dedup_id") == dedup_id)
    with TemporaryDirectory(prefix=f"{dedup_id}-", dir=lake.folder("scratch")) as scratch:
        members = _members(signatures, kept, cfg, Path(scratch))
        clusters = _stored(_represented(lake, cfg, kept, members), Path(scratch, "clusters"))
        _check(cfg, signatures.count(), _totals(clusters)["removed"])
        lake.append(clusters.withColumn("dedup_id", F.lit(dedup_id)), _CLUSTERS, txn=_txn(dedup_id))


def _stored(rows: DataFrame, folder: Path) -> DataFrame:
    """The same rows, computed now: later steps read them instead of computing them again."""
    rows.write.parquet(str(folder))
    return rows.sparkSession.read.parquet(str(folder))


def _signatures(kept: DataFrame, cfg: DedupConfig, dedup_id: str) -> DataFrame:
    """A row per kept document. Null text_sha and bands: no word in it, so it is nobody's duplicate."""
    text_sha = F.when(F.col("text").rlike(_HAS_WORD), F.sha2("text", 256)).alias("text_sha")
    rows = kept.select("doc_id", text_sha, "text")
    # Every copy of a text is signed: to sign the first alone would take a shuffle of ids before the scan, and
    # that costs more than it saves (the kernel does over 200 MB/s a core).
    is_near = cfg.method == "minhash"
    rows = near.banded(rows, cfg.params) if is_near else rows.withColumn("bands", F.lit(None))
    return rows.withColumn("dedup_id", F.lit(dedup_id))


def _members(signatures: DataFrame, kept: DataFrame, cfg: DedupConfig, scratch: Path) -> DataFrame:
    """Documents with a duplicate: component, first and last copy of the text, what the text is nearest to."""
    copies = signatures.where(F.col("text_sha").isNotNull()).groupBy("text_sha")
    first, last = F.min("doc_id").alias("first"), F.max("doc_id").alias("last")
    texts = _stored(copies.agg(first, last, F.min_by("bands", "doc_id").alias("bands")), scratch / "texts")
    edges = _stored(_edges(texts, kept, cfg), scratch / "edges")
    labels = components(edges.select("a", "b"), scratch).withColumnRenamed("node", "first")
    nearest = near.nearest(edges).withColumnRenamed("doc_id", "first")
    rows = signatures.select("doc_id", "text_sha").join(texts.drop("bands"), "text_sha", how="inner")
    rows = rows.join(labels, "first", how="left").join(nearest, "first", how="left")
    rows = rows.where("first != last OR component IS NOT NULL")
    return rows.withColumn("component", F.coalesce("component", "first"))


def _edges(texts: DataFrame, kept: DataFrame, cfg: DedupConfig) -> DataFrame:
    """Pairs of near-duplicate texts, named by their first copies; `similarity` is null if not measured."""
    pairs = near.candidates(texts.select(F.col("first").alias("doc_id"), "bands"))
    if not cfg.verify:
        return pairs.withColumn("similarity", F.lit(None).cast("double"))
    return near.measured(pairs, kept, cfg.ngram).where(F.col("similarity") >= cfg.jaccard)


def _represented(lake: Lakehouse, cfg: DedupConfig, kept: DataFrame, members: DataFrame) -> DataFrame:
    """Rows of silver.clusters but the dedup_id: who represents each component, why each member is in it."""
    facts = kept.select("doc_id", "num_chars")
    if cfg.keep == "first_crawled":
        pages = lake.read("bronze.pages").where(F.col("pool") == cfg.pool.name)
        facts = facts.join(pages.select("doc_id", "fetched_at"), "doc_id", how="left")
    order = KEEP[cfg.keep]()
    rank = F.struct(order.isNull(), order, "doc_id")
    cluster = F.min(rank).over(Window.partitionBy("component"))["doc_id"]
    is_copy = F.expr("first != last")
    return members.join(facts, "doc_id", how="inner").select(
        "doc_id",
        cluster.alias("cluster_id"),
        (cluster == F.col("doc_id")).alias("is_representative"),
        F.when(is_copy, F.lit("exact_text")).otherwise(F.lit("minhash")).alias("method"),
        F.when(is_copy, F.lit(1.0)).otherwise(F.col("similarity")).alias("similarity"),
        _reason().alias("reason"),
    )


def _reason() -> Column:
    """A copy of the text, and what the text is near to; the first copy stands for all in the near search."""
    copy = F.when(F.expr("doc_id = first"), F.col("last")).otherwise(F.col("first"))
    same = F.when(F.expr("first != last"), F.concat(F.lit("same text as "), copy))
    measured = F.format_string("jaccard %.6f to %s", "similarity", "nearest")
    alike = F.when(F.col("similarity").isNotNull(), measured)
    alike = alike.otherwise(F.concat(F.lit("shares a band with "), "nearest"))
    return F.concat_ws("; ", same, F.when(F.expr("doc_id = first"), alike))


def _totals(clusters: DataFrame) -> dict[str, int]:
    """Clusters, their members, and those of them that don't represent."""
    row = clusters.agg(
        F.count("*").alias("members"),
        F.count_if(~F.col("is_representative")).alias("removed"),
        F.count_distinct("cluster_id").alias("clusters"),
        F.count_if(F.col("method") == "exact_text").alias("exact_members"),
    ).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    return {name: int(value) for name, value in row.asDict().items()}


def _check(cfg: DedupConfig, num_kept: int, removed: int) -> None:
    share = removed / num_kept if num_kept else 0.0
    if not cfg.min_removed_share <= share <= cfg.max_removed_share:
        raise Incomplete(
            f"dedup would remove {removed} of {num_kept} documents ({share:.2%}) of pool "
            f"{cfg.pool.name!r}, recipe {cfg.recipe.name!r}; allowed: "
            f"{cfg.min_removed_share:.2%} to {cfg.max_removed_share:.2%} "
            "(dedup.min_removed_share, dedup.max_removed_share); no clusters were published"
        )


def _report(lake: Lakehouse, dedup_id: str, versions: dict[str, int], facts: dict[str, str | int | float]) -> Report:
    ours = F.col("dedup_id") == dedup_id
    num_kept = lake.read(_SIGNATURES).where(ours).count()
    totals = _totals(lake.read(_CLUSTERS).where(ours))
    removed = totals.pop("removed")
    versions = versions | {name: lake.version(name) for name in (_SIGNATURES, _CLUSTERS)}
    return Report("dedup", num_kept, num_kept - removed, removed, versions, {**facts, **totals})
