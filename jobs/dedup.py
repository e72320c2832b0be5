"""Kept documents of a recipe to clusters of duplicates: one address, one text, or nearly the same text by MinHash LSH.

Duplicates stay in their table: silver.clusters says who represents them and why they match. No clusters are
published when more or less would be removed than the configuration allows. What was made for other batches, pools or
thresholds is used again, and is all a function of documents: so a crawl that comes later gives what a run over
everything would.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters import minhash
from lakeloom.filters.minhash import PRESETS, MinHashParams
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import clusters, documents, near, signatures
from lakeloom.jobs.documents import Documents
from lakeloom.jobs.near import Measure
from lakeloom.jobs.scratch import stored
from lakeloom.jobs.signatures import FORMS, Scheme
from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import compiled
from lakeloom.lakehouse.store import Commit, Lakehouse, LakehouseConfig

_CLUSTERS = "silver.clusters"

METHODS = ("url", "text", "minhash")
# What decides who stays: the smallest value, then the smallest doc_id. Null comes last.
KEEP: dict[str, Callable[[str], Column]] = {
    "longest": lambda _: -F.col("num_chars"),
    "first_crawled": lambda _: F.col("fetched_at"),
    "best_score": lambda score: -F.col("signals")[score],
    "smallest_id": lambda _: F.lit(0),
}
MOST_REACH = 1_000  # an Arrow batch of buckets may give so many times its rows in pairs
_PRESETS = (*PRESETS, "target", "own")
_COMPILED_FROM = 50_000  # documents, for which compiled plans cost less: 43 CPU seconds at 100,000, else 63
_VERSION = 4  # raise it when the same input and configuration would give other clusters


@dataclass(frozen=True)
class DedupConfig:
    """What counts as a duplicate and who stays; see conf/job/dedup.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    methods: list[str]
    with_pools: list[str]
    keep: str
    score: str
    normalize: str
    jaccard: float
    verify: bool
    ngram: int
    preset: str
    num_hashes: int
    num_bands: int
    num_rows: int
    seed: int
    reach: int
    alarm_from: int
    min_removed_share: float
    max_removed_share: float

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise unknown("method", method, METHODS, "dedup.methods")
        if self.keep not in KEEP:
            raise unknown("keep rule", self.keep, KEEP, "dedup.keep")
        if self.normalize not in FORMS:
            raise unknown("form", self.normalize, FORMS, "dedup.normalize")
        if self.preset not in _PRESETS:
            raise unknown("preset", self.preset, _PRESETS, "dedup.preset")
        self._check_score()
        if not 0 < self.jaccard <= 1:
            raise ConfigError(f"dedup.jaccard={self.jaccard}: it must be above 0 and at most 1")
        if not 1 <= self.reach <= MOST_REACH:
            raise ConfigError(f"dedup.reach={self.reach}: give 1 to {MOST_REACH:,}")
        if not 0 <= self.min_removed_share <= self.max_removed_share <= 1:
            raise ConfigError(
                f"dedup.min_removed_share={self.min_removed_share}, "
                f"max_removed_share={self.max_removed_share}: give two from 0 to 1, the smaller first"
            )
        _ = self.params  # a split that can't be is refused here, not after the documents were read

    def _check_score(self) -> None:
        signals = sorted({step.id for step in self.recipe.steps if step.kind == "signal"})
        if self.keep == "best_score" and self.score not in signals:
            raise unknown(f"signal of recipe {self.recipe.name!r}", self.score, signals, "dedup.score")
        if self.keep != "best_score" and self.score:
            raise ConfigError(f"dedup.score={self.score} decides only with dedup.keep=best_score")

    @property
    def params(self) -> MinHashParams:
        """Hashes and bands: of the preset, by datasketch for `jaccard` (target), or the user's own."""
        if self.preset == "target":
            return minhash.optimal(self.jaccard, self.num_hashes, self.ngram, self.seed)
        num_bands, num_rows = PRESETS.get(self.preset, (self.num_bands, self.num_rows))
        return MinHashParams(num_bands * num_rows, num_bands, num_rows, self.ngram, self.seed)

    @property
    def scheme(self) -> Scheme:
        """How documents are signed."""
        return Scheme(self.recipe.hash, self.normalize, self.params if "minhash" in self.methods else None)

    @property
    def pools(self) -> list[str]:
        """All pools that take part."""
        return sorted({self.pool.name, *self.with_pools})


def run(spark: SparkSession, cfg: DedupConfig) -> Report:
    """Append clusters, once for an input and configuration. Incomplete if too much would go."""
    lake = Lakehouse(spark, cfg.lakehouse)
    given = documents.read(lake, cfg.pools, cfg.recipe)
    dedup_id = _identity(given, cfg)
    facts: dict[str, str | int | float] = {"dedup_id": dedup_id, "methods": ", ".join(cfg.methods) or "none"}
    if not cfg.methods:
        return Report("dedup", given.num_kept, given.num_kept, 0, {documents.TABLE: given.version}, facts)
    commit = lake.commit(_CLUSTERS, _txn(dedup_id))
    if commit is None:
        with compiled(spark, when=given.num_kept >= _COMPILED_FROM):
            commit, totals = _publish(lake, cfg, given, dedup_id)
    else:
        facts["was_there"] = 1
        totals = _totals(lake.read(_CLUSTERS).where(F.col("dedup_id") == dedup_id))
        _check(cfg, given.num_kept, totals["removed"], "they were published under other bounds")
    removed = totals.pop("removed")
    versions = {documents.TABLE: given.version, _CLUSTERS: commit.version}
    return Report("dedup", given.num_kept, given.num_kept - removed, removed, versions, {**facts, **totals})


def identify(lake: Lakehouse, cfg: DedupConfig) -> str:
    """The dedup_id of the pools' documents, recipe and methods, run or not. ConfigError without documents."""
    return _identity(documents.read(lake, cfg.pools, cfg.recipe), cfg)


def published(lake: Lakehouse, cfg: DedupConfig) -> tuple[str, DataFrame]:
    """The dedup_id, and its rows of silver.clusters. ConfigError where they are not there yet."""
    if not cfg.methods:
        raise ConfigError("dedup.methods=[] makes no clusters; say the methods that lakeloom dedup was run with")
    dedup_id = identify(lake, cfg)
    if lake.commit(_CLUSTERS, _txn(dedup_id)) is None:
        raise ConfigError(
            f"pool {', '.join(map(repr, cfg.pools))}, recipe {cfg.recipe.name!r}: no clusters by "
            f"{', '.join(cfg.methods)}; run lakeloom dedup with the same settings first"
        )
    return dedup_id, lake.read(_CLUSTERS).where(F.col("dedup_id") == dedup_id)


def kept(lake: Lakehouse, cfg: DedupConfig) -> DataFrame:
    """The documents that take part: of all pools, kept by the recipe."""
    return documents.read(lake, cfg.pools, cfg.recipe).kept


def refuse_twins(lake: Lakehouse, cfg: DedupConfig) -> None:
    """BadInput where no method was asked for, so that no run of dedup saw that several documents have one doc_id."""
    if not cfg.methods:
        documents.refuse_twins(kept(lake, cfg))


def _txn(dedup_id: str) -> str:
    return f"dedup/{dedup_id}"


def _identity(given: Documents, cfg: DedupConfig) -> str:
    how: dict[str, Json] = {"methods": sorted(set(cfg.methods))}
    if cfg.methods:
        how |= {"keep": cfg.keep, "score": cfg.score}
    if {"text", "minhash"} & set(cfg.methods):
        how["normalize"] = cfg.normalize
    if "minhash" in cfg.methods:
        how |= {**asdict(cfg.params), "reach": cfg.reach, "verify": cfg.verify}
        how["jaccard"] = cfg.jaccard if cfg.verify else None
    return identity("dedup", _VERSION, cfg.recipe.hash, given.identity, how)


def _publish(lake: Lakehouse, cfg: DedupConfig, given: Documents, dedup_id: str) -> tuple[Commit, dict[str, int]]:
    """Signatures, pairs, then clusters, if they remove a number within bounds; the commit, and what is in it."""
    place = lake.folder("scratch")  # refused before the documents are signed, where there can be none
    signed = signatures.signed(lake, given, cfg.scheme)
    by_text = bool({"text", "minhash"} & set(cfg.methods))
    with TemporaryDirectory(prefix=f"{dedup_id}-", dir=place) as folder:
        scratch = Path(folder)
        found = clusters.graph(signed, by_text=by_text, by_url="url" in cfg.methods, scratch=scratch)
        alike = None
        if "minhash" in cfg.methods:
            alike = _alike(lake, cfg, given.kept, found.texts, scratch=scratch, txn=f"measure/{dedup_id}")
        members = clusters.members(found, alike, scratch)
        facts = given.kept.select("doc_id", "num_chars", "signals", "part_of")
        ranks = ranked(lake, cfg, facts).select("doc_id", "rank")
        rows = stored(clusters.represented(members, ranks), scratch / "clusters")
        totals = _totals(rows)
        _check(cfg, given.num_kept, totals["removed"], "no clusters were published")
        return lake.append(rows.withColumn("dedup_id", F.lit(dedup_id)), _CLUSTERS, txn=_txn(dedup_id)), totals


def _alike(
    lake: Lakehouse, cfg: DedupConfig, kept: DataFrame, texts: DataFrame, *, scratch: Path, txn: str
) -> DataFrame:
    """Pairs of nodes that are near duplicates; `similarity` is null if it is not measured."""
    pairs = stored(near.candidates(texts.select("node", "bands"), cfg.reach), scratch / "pairs")
    if not cfg.verify:
        return pairs.withColumn("similarity", F.lit(None).cast("double"))
    first = texts.select("node", F.col("first").alias("doc_id"))

    def bodies(nodes: DataFrame) -> DataFrame:
        wanted = nodes.join(first, "node", how="inner")
        return kept.select("doc_id", "text").join(wanted, "doc_id", how="inner").select("node", "text")

    similar = near.measured(lake, pairs, bodies, Measure(cfg.ngram, cfg.normalize), scratch=scratch, txn=txn)
    return similar.where(F.col("similarity") >= cfg.jaccard)


def ranked(lake: Lakehouse, cfg: DedupConfig, rows: DataFrame) -> DataFrame:
    """Documents with `rank`, by the keep rule: of a cluster the smallest stays; null comes last."""
    if cfg.keep == "first_crawled":
        pages = lake.read("bronze.pages").where(F.col("pool").isin(cfg.pools)).groupBy(F.col("doc_id").alias("page"))
        rows = rows.withColumn("page", F.coalesce("part_of", "doc_id"))
        rows = rows.join(pages.agg(F.min("fetched_at").alias("fetched_at")), "page", how="left")
    return rows.withColumn("rank", KEEP[cfg.keep](cfg.score))


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


def _check(cfg: DedupConfig, num_kept: int, removed: int, so: str) -> None:
    share = removed / num_kept if num_kept else 0.0
    is_suspect = removed == 0 and 0 < cfg.alarm_from <= num_kept
    if is_suspect or not cfg.min_removed_share <= share <= cfg.max_removed_share:
        several = f"some, of {cfg.alarm_from:,} documents or more (dedup.alarm_from), and " if is_suspect else ""
        raise Incomplete(
            f"dedup would remove {removed} of {num_kept} documents ({share:.2%}) of pool "
            f"{', '.join(map(repr, cfg.pools))}, recipe {cfg.recipe.name!r}; allowed: {several}"
            f"{cfg.min_removed_share:.2%} to {cfg.max_removed_share:.2%} "
            f"(dedup.min_removed_share, dedup.max_removed_share); {so}"
        )
