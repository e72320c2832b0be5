"""Kept documents of a recipe that have evaluation items in them: which items, how much of each, and where.

N-grams of words that are the same whatever their case, punctuation and Unicode form. GPT-3 (arXiv 2005.14165,
appendix C) took 13 words to clean its training data, and 8 at least to judge its benchmarks. There one n-gram
condemned a place; here a document is contaminated where it has a share of an item's n-grams, as in PaLM (arXiv
2204.02311, section 8), so that a quotation they have in common is none.

What was found is measured once; the threshold and what is done at it are choose's and the report's, and changing
them searches nothing again. The documents themselves stay as they are.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.evaluate.tasks import Task, choose
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import contamination, documents, evalitems, spans
from lakeloom.jobs.documents import Documents
from lakeloom.jobs.evalitems import ItemSet
from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report, Sheet
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

ACTIONS = ("drop", "mask", "none")
TABLE = "silver.contamination"
_VERSION = 1  # raise it when the same input and settings would find other items
_KEY = ["task", "item_id"]


@dataclass(frozen=True)
class DecontaminateConfig:
    """What is searched for, and what is done with a document that has it; see conf/job/decontaminate.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    data: str | None
    tasks: list[str]
    leave_out: list[str]
    ngram: int
    min_words: int
    max_documents: int
    threshold: float
    action: str
    max_removed_share: float

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise unknown("action", self.action, ACTIONS, "decontaminate.action")
        if not 1 <= self.min_words <= self.ngram:
            raise ConfigError(
                f"decontaminate.min_words={self.min_words}, ngram={self.ngram}: give two from 1, the smaller first"
            )
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"decontaminate.threshold={self.threshold}: it must be above 0 and at most 1")
        if not 0 <= self.max_removed_share <= 1:
            raise ConfigError(f"decontaminate.max_removed_share={self.max_removed_share}: it must be from 0 to 1")
        if self.max_documents < 0:
            raise ConfigError(f"decontaminate.max_documents={self.max_documents}: it must be 0 (no bound) or more")
        if not self.wanted:
            raise ConfigError(f"decontaminate.tasks={self.tasks} without leave_out={self.leave_out}: no task is left")

    @property
    def wanted(self) -> list[Task]:
        """The tasks by name; ConfigError with the nearest names where there is no such."""
        left_out = choose(self.leave_out, "decontaminate.leave_out")
        return [task for task in choose(self.tasks, "decontaminate.tasks") if task not in left_out]

    @property
    def items(self) -> ItemSet:
        """The tasks' files, read anew. ConfigError where there are none."""
        return evalitems.find(self.wanted, Path(self.data) if self.data else None, self.ngram, self.min_words)


def run(spark: SparkSession, cfg: DecontaminateConfig) -> Report:
    """Append what was found, once for documents, items and n-grams. Incomplete if too many documents would go."""
    lake = Lakehouse(spark, cfg.lakehouse).pinned(documents.TABLE)
    found = documents.read(lake, [cfg.pool.name], cfg.recipe)
    items = cfg.items
    run_id = _identity(found, cfg, items)
    was_there = lake.commit(TABLE, _txn(run_id)) is not None
    if not was_there:
        _publish(lake, cfg, items, found, run_id)
    rows, num_kept = _rows(lake, run_id), found.num_kept
    num_flagged = check(cfg, rows, num_kept)
    facts: dict[str, str | int | float] = {"decontamination_id": run_id, "was_there": int(was_there)}
    facts |= {"action": cfg.action, "contaminated": num_flagged}
    names = (evalitems.TABLE, TABLE)
    versions = {documents.TABLE: found.version} | {name: lake.version(name) for name in names}
    dropped = num_flagged if cfg.action == "drop" else 0
    sheet = _sheet(lake, cfg, items, rows)
    notes = tuple(f"{one.task} is not searched for: {one.reason}" for one in items.absent)
    return Report("decontaminate", num_kept, num_kept - dropped, dropped, versions, facts, (sheet,), notes)


def identify(lake: Lakehouse, cfg: DecontaminateConfig) -> str:
    """The decontamination_id of these documents, items and n-grams, run or not."""
    return _identity(documents.read(lake, [cfg.pool.name], cfg.recipe), cfg, cfg.items)


def read(lake: Lakehouse, cfg: DecontaminateConfig) -> DataFrame:
    """What was found: a row per document and item. ConfigError where it was not run."""
    run_id = identify(lake, cfg)
    if lake.commit(TABLE, _txn(run_id)) is None:
        raise ConfigError(
            f"pool {cfg.pool.name!r}, recipe {cfg.recipe.name!r}: not searched for these evaluation items; "
            "run lakeloom decontaminate with the same settings first, or choose with choose.decontaminated=false"
        )
    return _rows(lake, run_id)


def check(cfg: DecontaminateConfig, rows: DataFrame, num_kept: int) -> int:
    """Number of contaminated documents; Incomplete where they are a larger share than is allowed."""
    number = flagged(cfg, rows).select("doc_id").distinct().count()
    if cfg.action != "none" and number > cfg.max_removed_share * num_kept:
        raise Incomplete(
            f"decontaminate would {cfg.action} {number} of {num_kept} documents ({number / num_kept:.2%}) of pool "
            f"{cfg.pool.name!r}, recipe {cfg.recipe.name!r}; allowed: {cfg.max_removed_share:.2%} "
            "(decontaminate.max_removed_share). A larger decontaminate.threshold, or "
            "decontaminate.leave_out=[...] of tasks whose passages the pool is made of, flags fewer"
        )
    return number


def flagged(cfg: DecontaminateConfig, rows: DataFrame) -> DataFrame:
    """The rows at the threshold or above it."""
    return rows.where(F.col("share") >= cfg.threshold)


def cleaned(lake: Lakehouse, cfg: DecontaminateConfig, kept: DataFrame) -> tuple[DataFrame, list[DataFrame]]:
    """Documents that may stay, and by action mask the spans (doc_id, spans) that go out of them."""
    rows = read(lake, cfg)
    check(cfg, rows, kept.count())
    found = flagged(cfg, rows)
    if cfg.action == "drop":
        return kept.join(found.select("doc_id"), "doc_id", how="left_anti"), []
    return kept, [found.select("doc_id", spans.spans("starts", "ends"))]


def _identity(found: Documents, cfg: DecontaminateConfig, items: ItemSet) -> str:
    return identity("decontaminate", _VERSION, cfg.recipe.hash, found.identity, items.itemset_id, cfg.max_documents)


def _txn(run_id: str) -> str:
    return f"decontaminate/{run_id}"


def _rows(lake: Lakehouse, run_id: str) -> DataFrame:
    return lake.read(TABLE).where(F.col("decontamination_id") == run_id)


def _publish(lake: Lakehouse, cfg: DecontaminateConfig, items: ItemSet, found: Documents, run_id: str) -> None:
    """The items, then what of them was found, if the share of contaminated documents is within its bound."""
    with TemporaryDirectory(prefix=f"{run_id}-", dir=lake.folder("scratch")) as name:
        scratch = Path(name)
        evalitems.write(items, scratch)
        read = lake.spark.read
        _add_items(lake, items, read.parquet(str(scratch / "rows.parquet")))
        contamination.hits(found.kept, scratch, cfg.min_words).write.parquet(str(scratch / "hits"))
        ours = lake.read(evalitems.TABLE).where(F.col("itemset_id") == items.itemset_id)
        rows = contamination.measured(read.parquet(str(scratch / "hits")), ours, cfg.max_documents)
        rows.write.parquet(str(scratch / "found"))
        measured = read.parquet(str(scratch / "found"))
        check(cfg, measured, found.num_kept)
        lake.append(measured.withColumn("decontamination_id", F.lit(run_id)), TABLE, txn=_txn(run_id))


def _add_items(lake: Lakehouse, items: ItemSet, rows: DataFrame) -> None:
    """The items' rows, once: where the table has others than all of them, they replace those."""
    version, ours = lake.ensure(evalitems.TABLE), F.col("itemset_id") == items.itemset_id
    num_there = lake.read(evalitems.TABLE, version).where(ours).count() if version else 0
    num_items = rows.count()
    if num_there == num_items:
        return
    if num_there:
        lake.remove(evalitems.TABLE, ours)
    lake.append(rows, evalitems.TABLE, txn=f"items/{items.itemset_id}/{version}", since=version)


def _sheet(lake: Lakehouse, cfg: DecontaminateConfig, items: ItemSet, rows: DataFrame) -> Sheet:
    """Each task's items: too short to be searched for, found in part, in one document, and only in several together."""
    all_items = lake.read(evalitems.TABLE).where(F.col("itemset_id") == items.itemset_id)
    found = contamination.by_item(rows).withColumnRenamed("share", "together")
    joined = all_items.select(*_KEY, "num_ngrams").join(found, _KEY, how="left")
    leaked = F.col("max_share") >= cfg.threshold
    counts = joined.groupBy("task").agg(
        F.count("*").alias("items"),
        F.count_if(F.col("num_ngrams") == 0).alias("too short"),
        F.count("together").alias("in part"),
        F.count_if(leaked).alias("leaked"),
        F.count_if(~leaked & (F.col("together") >= cfg.threshold)).alias("only together"),
    )
    documents = flagged(cfg, rows).groupBy("task").agg(F.count_distinct("doc_id").alias("documents"))
    by_task = {row["task"]: row for row in counts.join(documents, "task", how="left").toLocalIterator()}
    columns = ("task", "items", "too short", "in part", "leaked", "only together", "documents")
    cells = [
        [task.name, *((by_task[task.name][name] or 0) if task.name in by_task else 0 for name in columns[1:])]
        for task, _ in items.files  # a file may have no item
    ]
    return Sheet(f"items with a share of {cfg.threshold:g} or more", columns, tuple(tuple(row) for row in cells))
