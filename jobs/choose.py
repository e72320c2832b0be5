"""A dataset version: kept documents of a recipe, one of each cluster; most to train, some held out.

The split is by page, not by dataset: a page is held out where the hash of (seed, doc_id) says so, and doc_id is
the same under every recipe. So the datasets of a pool hold out the same pages, as far as their recipes kept them.
A cluster with held-out pages gives one of them (of the smallest hash) to the holdout and nothing to train; any
other gives its representative to train. With or without clusters, no training document has a held-out text.
Documents without text are left out. With choose.decontaminated, contaminated ones are, too, or lose what they have of
evaluation items; a cluster whose representative is left out gives nothing to train, since its members are alike (by
address they may not be). With cut.methods, what repeats inside the training documents is cut out of them; a held-out
document that represents no cluster stays whole, as what is cut of others says nothing of it.
"""

import logging
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cut, decontaminate, dedup, documents, shares, spans
from lakeloom.jobs.cut import CutConfig
from lakeloom.jobs.decontaminate import DecontaminateConfig
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.lakehouse import names
from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Commit, Lakehouse, LakehouseConfig

log = logging.getLogger(__name__)

TRAIN, HOLDOUT = "train", "holdout"
_VERSION = 2  # raise it when the same input would give another corpus
_CORPUS = "gold.corpus"


@dataclass(frozen=True)
class ChooseConfig:
    """Which documents, whose duplicates, and how many are held out; see conf/job/choose.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    dedup: DedupConfig
    cut: CutConfig
    decontaminate: DecontaminateConfig
    dataset: str
    holdout_share: float
    seed: int
    decontaminated: bool

    def __post_init__(self) -> None:
        if self.decontaminated and self.decontaminate.action == "none":
            raise ConfigError("choose.decontaminated=true: say decontaminate.action=drop or mask, not none")
        if not 0 <= self.holdout_share < 1:
            raise ConfigError(f"choose.holdout_share={self.holdout_share}: it must be from 0 to below 1")
        names.check(self.dataset, "choose.dataset")


def run(spark: SparkSession, cfg: ChooseConfig) -> Report:
    """Append the documents of this dataset version once, with their split."""
    lake = Lakehouse(spark, cfg.lakehouse).pinned(documents.TABLE)  # what is read is what the corpus_id says
    corpus_id = identify(lake, cfg)
    num_kept, num_empty = _counts(_kept(lake, cfg))
    if num_kept == num_empty:
        raise Incomplete(f"recipe {cfg.recipe.name!r} keeps no text of pool {cfg.pool.name!r}; nothing was written")
    commit = find(lake, corpus_id)
    if commit is None:
        dedup.refuse_twins(lake, cfg.dedup)
        commit = lake.append(_chosen(lake, cfg, corpus_id), _CORPUS, txn=_txn(corpus_id))
    report = _report(lake, corpus_id, commit, num_kept, num_empty, cfg.holdout_share)
    if cfg.decontaminated:
        ours = cfg.decontaminate
        report.facts["contaminated"] = decontaminate.check(ours, decontaminate.read(lake, ours), num_kept)
    return report


def identify(lake: Lakehouse, cfg: ChooseConfig) -> str:
    """The corpus_id of this configuration and the documents that there are, whether it was run or not."""
    found = dedup.identify(lake, cfg.dedup)  # covers recipe, methods and the documents of all pools that take part
    parts: list[Json] = [cfg.pool.name, found, cfg.dataset, cfg.holdout_share, cfg.seed]
    if cfg.decontaminated:
        ours = cfg.decontaminate
        parts += [decontaminate.identify(lake, ours), ours.threshold, ours.action]
    if cfg.cut.methods:
        parts.append(cut.identify(lake, cfg.cut))
    return identity("choose", _VERSION, *parts)


def find(lake: Lakehouse, corpus_id: str) -> Commit | None:
    """The commit of gold.corpus that holds this corpus."""
    return lake.commit(_CORPUS, _txn(corpus_id))


def _txn(corpus_id: str) -> str:
    return f"choose/{corpus_id}"


def _kept(lake: Lakehouse, cfg: ChooseConfig) -> DataFrame:
    return documents.read(lake, [cfg.pool.name], cfg.recipe).kept


def _counts(kept: DataFrame) -> tuple[int, int]:
    """Documents, and those without text."""
    row = kept.agg(F.count("*").alias("kept"), F.count_if(F.col("num_chars") == 0).alias("empty")).first()
    return (int(row["kept"]), int(row["empty"])) if row else (0, 0)


def _chosen(lake: Lakehouse, cfg: ChooseConfig, corpus_id: str) -> DataFrame:
    rows = _clustered(lake, cfg).select("doc_id", "url", "text", "num_chars", "cluster", "is_representative")
    found: list[DataFrame] = []
    if cfg.decontaminated:
        rows, found = decontaminate.cleaned(lake, cfg.decontaminate, rows)
    if cfg.cut.methods:
        found.append(cut.published(lake, cfg.cut).select("doc_id", spans.spans("starts", "ends")))
    rows = spans.without(rows, found).where("num_chars > 0").withColumn("key", _key(cfg))
    is_held = shares.is_below("key", cfg.holdout_share)
    stands = rows.where(is_held).groupBy("cluster").agg(F.min_by("doc_id", "key").alias("doc_id"))
    holdout = rows.join(stands.select("doc_id"), "doc_id", how="left_semi")
    train = rows.where("is_representative").join(stands.select("cluster"), "cluster", how="left_anti")
    train = train.withColumn("text_sha", F.sha2("text", 256))
    train = train.join(holdout.select(F.sha2("text", 256).alias("text_sha")), "text_sha", how="left_anti")
    columns = ("doc_id", "url", "text", "num_chars")
    both = train.select(*columns, F.lit(TRAIN).alias("split")).union(holdout.select(*columns, F.lit(HOLDOUT)))
    dedup_id = dedup.identify(lake, cfg.dedup) if cfg.dedup.methods else None
    about: dict[str, str | None] = {"corpus_id": corpus_id, "dataset": cfg.dataset, "dedup_id": dedup_id}
    about |= dict.fromkeys(("source", "origin", "copy"))  # of mixes
    return both.withColumns({name: F.lit(value) for name, value in about.items()})


def _clustered(lake: Lakehouse, cfg: ChooseConfig) -> DataFrame:
    """Kept documents with `cluster` (nobody's duplicate: its own doc_id) and `is_representative`."""
    kept = _kept(lake, cfg)
    if not cfg.dedup.methods:
        return kept.withColumns({"cluster": F.col("doc_id"), "is_representative": F.lit(True)})
    _, clusters = dedup.published(lake, cfg.dedup)
    joined = kept.join(clusters.select("doc_id", "cluster_id", "is_representative"), "doc_id", how="left")
    alone = {
        "cluster": F.coalesce("cluster_id", "doc_id"),
        "is_representative": F.coalesce("is_representative", F.lit(True)),
    }
    return joined.withColumns(alone)


def _key(cfg: ChooseConfig) -> Column:
    """A number of 256 bits for each page, as hex digits; the same under every recipe."""
    return F.sha2(F.concat(F.lit(f"holdout/{cfg.seed}/"), "doc_id"), 256)


def _report(lake: Lakehouse, corpus_id: str, commit: Commit, num_kept: int, num_empty: int, share: float) -> Report:
    corpus = lake.read(_CORPUS).where(F.col("corpus_id") == corpus_id)  # an old version may have lost its files
    counts = {row["split"]: row["n"] for row in corpus.groupBy("split").agg(F.count("*").alias("n")).collect()}
    num_train, num_holdout = counts.get(TRAIN, 0), counts.get(HOLDOUT, 0)
    num_chosen = num_train + num_holdout
    if not num_holdout and share > 0:
        log.warning(
            f"none of {num_chosen} documents is held out; a larger choose.holdout_share than {share} gives some"
        )
    facts: dict[str, str | int | float] = {
        "corpus_id": corpus_id,
        "train": num_train,
        "holdout": num_holdout,
        "empty": num_empty,
        "was_there": int(not commit.is_new),
    }
    versions = {documents.TABLE: lake.version(documents.TABLE), _CORPUS: commit.version}
    return Report("choose", num_kept, num_chosen, num_kept - num_chosen, versions, facts)
