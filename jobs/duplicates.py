"""What dedup found, to look at: how large clusters are, the largest of them, and the domains that repeat most."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import dedup
from lakeloom.jobs import report_pictures as pictures
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.report_pictures import Bar
from lakeloom.jobs.textdiff import visible
from lakeloom.lakehouse import wholefile
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report, Sheet
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

_CLUSTERS, _DOCUMENTS, _PAGES = "silver.clusters", "silver.documents", "bronze.pages"
# Classes of cluster sizes by their smallest.
_SIZES = (2, 3, 4, 6, 11, 21, 101, 1_001, 10_001, 100_001)
_CHARS = 60  # of a text, to tell what it is


@dataclass(frozen=True)
class DuplicatesConfig:
    """The pool, recipe and methods whose clusters are wanted; see conf/job/duplicates.yaml."""

    lakehouse: LakehouseConfig
    dedup: DedupConfig
    most: int
    picture: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ConfigError(f"duplicates.most={self.most}: give 1 or more")


def run(spark: SparkSession, cfg: DuplicatesConfig) -> Report:
    """Sizes, largest clusters and most repeated domains as sheets; sizes as a picture. ConfigError before dedup."""
    lake = Lakehouse(spark, cfg.lakehouse)
    dedup_id, clusters = dedup.published(lake, cfg.dedup)
    documents = dedup.kept(lake, cfg.dedup)
    pages = lake.read(_PAGES).where(F.col("pool").isin(cfg.dedup.pools))
    sizes = sizes_of(clusters)
    members = sum(bar.left + bar.dropped for bar in sizes)
    stay = sum(bar.left for bar in sizes)
    facts: dict[str, str | int | float] = {"dedup_id": dedup_id, "clusters": stay}
    if cfg.picture is not None:
        facts["picture"] = str(_draw(cfg, Path(cfg.picture), sizes))
    return Report(
        "duplicates",
        members,
        stay,
        members - stay,
        {name: lake.version(name) for name in (_CLUSTERS, _DOCUMENTS)},
        facts,
        sheets=(
            size_sheet(sizes),
            ways(clusters),
            largest(documents, clusters, cfg.most),
            domains(documents, pages, clusters, cfg.most),
        ),
    )


def sizes_of(clusters: DataFrame) -> list[Bar]:
    """Classes of cluster sizes: documents that stay (one a cluster), and that a representative stands for."""
    size = clusters.groupBy("cluster_id").agg(F.count("*").alias("size"))
    smallest = F.greatest(*[F.when(F.col("size") >= least, F.lit(least)).otherwise(F.lit(0)) for least in _SIZES])
    counted = size.groupBy(smallest.alias("least")).agg(F.count("*").alias("stay"), F.sum("size").alias("members"))
    found = {row["least"]: row for row in counted.toLocalIterator()}
    return [
        Bar(_class(number), int(found[least]["stay"]), int(found[least]["members"] - found[least]["stay"]))
        for number, least in enumerate(_SIZES)
        if least in found
    ]


def size_sheet(sizes: list[Bar]) -> Sheet:
    """Classes of cluster sizes with their clusters and documents."""
    rows = tuple((bar.label, bar.left, bar.left + bar.dropped, bar.dropped) for bar in sizes)
    return Sheet("clusters by size", ("documents in one", "clusters", "documents", "removed"), rows)


def ways(clusters: DataFrame) -> Sheet:
    """By what documents were joined to their cluster."""
    similarity = F.round(F.avg("similarity"), 4).alias("similarity")
    removed = F.count_if(~F.col("is_representative")).alias("removed")
    found = clusters.groupBy("method").agg(F.count("*").alias("members"), removed, similarity).orderBy("method")
    rows = tuple((row["method"], row["members"], row["removed"], row["similarity"]) for row in found.toLocalIterator())
    return Sheet("by method", ("method", "documents", "removed", "mean similarity"), rows)


def largest(documents: DataFrame, clusters: DataFrame, most: int) -> Sheet:
    """The largest clusters with their representative's address and the beginning of its text."""
    size = clusters.groupBy("cluster_id").agg(F.count("*").alias("size"), F.min("similarity").alias("least"))
    first = size.orderBy(F.desc("size"), "cluster_id").limit(most)
    documents = documents.select(
        F.col("doc_id").alias("cluster_id"), "url", F.substring("text", 1, _CHARS).alias("begin")
    )
    found = first.join(documents, "cluster_id", how="left").orderBy(F.desc("size"), "cluster_id")
    rows = tuple(
        (row["cluster_id"], row["size"], row["least"], visible(row["url"] or "-"), visible(row["begin"] or "-"))
        for row in found.toLocalIterator()
    )
    return Sheet("largest clusters", ("stays", "documents", "least similarity", "address", "begins"), rows)


def domains(documents: DataFrame, pages: DataFrame, clusters: DataFrame, most: int) -> Sheet:
    """Domains with the most removed documents, and what share that is of their kept ones."""
    ids = documents.select("doc_id", F.coalesce("part_of", "doc_id").alias("page"))
    hosts = pages.select(
        F.col("doc_id").alias("page"), F.coalesce(F.nullif("domain", F.lit("")), "host").alias("domain")
    )
    members = clusters.select("doc_id", "is_representative")
    placed = ids.join(hosts, "page", how="inner").join(members, "doc_id", how="left")
    removed = F.count_if(~F.col("is_representative")).alias("removed")
    by_domain = placed.groupBy("domain").agg(F.count("*").alias("kept"), removed).where("removed > 0")
    found = by_domain.orderBy(F.desc("removed"), "domain").limit(most)
    rows = tuple(
        (visible(row["domain"] or "-"), row["kept"], row["removed"], f"{row['removed'] / row['kept']:.1%}")
        for row in found.toLocalIterator()
    )
    return Sheet("most duplicated domains", ("domain", "documents", "removed", "share"), rows)


def _class(number: int) -> str:
    least = _SIZES[number]
    if number + 1 == len(_SIZES):
        return f"{least:,} and more"
    most = _SIZES[number + 1] - 1
    return f"{least:,}" if most == least else f"{least:,} to {most:,}"


def _draw(cfg: DuplicatesConfig, path: Path, sizes: list[Bar]) -> Path:
    if path.exists() and not cfg.overwrite:
        raise ConfigError(f"duplicates.picture={path} is there; say duplicates.overwrite=true, or give another file")
    wholefile.write(path, pictures.standalone(pictures.clusters(cfg.dedup.recipe.name, sizes)).encode())
    return path.absolute()
