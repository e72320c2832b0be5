"""A document's cluster: its members, why each is in it, which one stays, and what their texts have not in common."""

import re
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import dedup
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.textdiff import unified, visible
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Diff, Report, Sheet
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

_CLUSTERS, _DOCUMENTS = "silver.clusters", "silver.documents"
_DOC_ID = re.compile("[0-9a-f]{32}")
_NEAREST = 5


@dataclass(frozen=True)
class ExplainDuplicatesConfig:
    """The document, by doc_id or URL, and by what dedup; see conf/job/explain_duplicates.yaml."""

    lakehouse: LakehouseConfig
    dedup: DedupConfig
    page: str
    most: int
    context: int
    max_lines: int

    def __post_init__(self) -> None:
        for name, value, least in (
            ("most", self.most, 1),
            ("context", self.context, 0),
            ("max_lines", self.max_lines, 0),
        ):
            if value < least:
                raise ConfigError(f"explain_duplicates.{name}={value}: it must be {least} or more")


def run(spark: SparkSession, cfg: ExplainDuplicatesConfig) -> Report:
    """The members as a sheet, and each one's text against the representative's as a diff.

    ConfigError where no document is kept under that name, with the nearest addresses, or dedup has not run.
    """
    lake = Lakehouse(spark, cfg.lakehouse)
    document = _document(lake, cfg)
    if document["pool"] not in cfg.dedup.pools:
        cfg = replace(cfg, dedup=replace(cfg.dedup, pool=replace(cfg.dedup.pool, name=document["pool"])))
    dedup_id, clusters = dedup.published(lake, cfg.dedup)
    versions = {name: lake.version(name) for name in (_DOCUMENTS, _CLUSTERS)}
    own = clusters.where(F.col("doc_id") == document["doc_id"]).first()
    if own is None:
        note = f"{document['doc_id']} ({visible(document['url'] or '-')}) is nobody's duplicate: it is in no cluster"
        return Report("explain_duplicates", 1, 1, versions=versions, facts={"dedup_id": dedup_id}, notes=(note,))
    members = clusters.where(F.col("cluster_id") == own["cluster_id"])
    size = members.count()
    shown = _shown(members, dedup.kept(lake, cfg.dedup), own, cfg.most)
    return Report(
        "explain_duplicates",
        size,
        1,
        size - 1,
        versions,
        {"dedup_id": dedup_id, "cluster_id": own["cluster_id"]},
        sheets=(_sheet(own, shown),),
        notes=_notes(own, size, len(shown)),
        diffs=tuple(_diffs(cfg, shown)),
    )


def _document(lake: Lakehouse, cfg: ExplainDuplicatesConfig) -> Row:
    """The document meant: of several of one address, the first that is kept, by doc_id; other pools' come last."""
    ours = lake.read(_DOCUMENTS).where(F.col("recipe_hash") == cfg.dedup.recipe.hash)
    column = "doc_id" if _DOC_ID.fullmatch(cfg.page) else "url"
    found = ours.where(F.col(column) == cfg.page).select("doc_id", "pool", "url", "dropped_by")
    is_ours = F.col("pool").isin(cfg.dedup.pools)
    rows = found.orderBy(~is_ours, F.col("dropped_by").isNotNull(), "doc_id").limit(1).collect()
    if not rows:
        raise _unknown(ours, cfg)
    if rows[0]["dropped_by"] is not None:
        raise ConfigError(
            f"{visible(cfg.page)} was dropped by step {rows[0]['dropped_by']} of recipe {cfg.dedup.recipe.name!r} and "
            f"so has no cluster; lakeloom explain {visible(cfg.page)} shows why"
        )
    return rows[0]


def _unknown(ours: DataFrame, cfg: ExplainDuplicatesConfig) -> ConfigError:
    said = f"{_DOCUMENTS} has no document {visible(cfg.page)!r} by recipe {cfg.dedup.recipe.name!r}"
    if _DOC_ID.fullmatch(cfg.page):
        return ConfigError(f"{said}; give its address, or another doc_id")
    kept = ours.where(F.col("dropped_by").isNull() & F.col("url").isNotNull()).select("url").distinct()
    near = kept.orderBy(F.levenshtein(F.col("url"), F.lit(cfg.page)), "url").limit(_NEAREST).collect()
    nearest = ", ".join(visible(row["url"]) for row in near) or "none is kept"
    return ConfigError(f"{said}; nearest: {nearest}")


def _shown(members: DataFrame, documents: DataFrame, own: Row, most: int) -> list[Row]:
    """The representative, the document itself, and the others by doc_id, up to `most` in all, with their texts."""
    is_own = F.col("doc_id") == own["doc_id"]
    first = members.orderBy(~F.col("is_representative"), ~is_own, "doc_id").limit(most)
    texts = documents.select("doc_id", "url", "num_chars", "text")
    return first.join(texts, "doc_id", how="inner").orderBy(~F.col("is_representative"), ~is_own, "doc_id").collect()


def _sheet(own: Row, shown: list[Row]) -> Sheet:
    columns = ("doc_id", "", "method", "similarity", "reason", "characters", "address")
    rows = tuple(
        (
            row["doc_id"],
            "stays" if row["is_representative"] else "removed",
            row["method"],
            row["similarity"],
            row["reason"],
            row["num_chars"],
            visible(row["url"] or "-"),
        )
        for row in shown
    )
    return Sheet(f"cluster of {own['doc_id']}", columns, rows)


def _notes(own: Row, size: int, num_shown: int) -> tuple[str, ...]:
    stays = "it stays" if own["is_representative"] else f"{own['cluster_id']} stays in its place"
    notes = [f"{own['doc_id']}: one of {size} duplicates ({own['reason']}); {stays}"]
    if num_shown < size:
        notes.append(f"{size - num_shown:,} more members; explain_duplicates.most={size} shows all")
    return tuple(notes)


def _diffs(cfg: ExplainDuplicatesConfig, shown: list[Row]) -> list[Diff]:
    """What each member's text has other than the text that stays, the first of the rows."""
    stays, *others = shown
    diffs: list[Diff] = []
    for row in others:
        lines = unified(stays["text"], row["text"], context=cfg.context, max_lines=cfg.max_lines)
        if lines:
            diffs.append(Diff(f"{stays['doc_id']} (stays) and {row['doc_id']}", tuple(lines)))
    return diffs
