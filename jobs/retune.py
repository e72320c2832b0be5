"""A recipe with other thresholds, from what an earlier one measured: the documents of a full curate, few pages run.

Pages whose outcome the stored signals decide get their row from them; only those that go further than before are read
and run again. The commit and the funnel are curate's own, so that curate finds these batches done.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.filters.retune import FATES, RERUN, Retuning
from lakeloom.jobs import curate, recipes
from lakeloom.jobs.curate import OUT, CurateConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

Facts = dict[str, str | int | float]

_NEW = "new"  # pages of batches that the earlier recipe has not seen
_COSTS = ("step_cpu_s", "step_bytes")  # for the run itself, no columns of the table
_STORED = [field for field in OUT if field.name not in _COSTS]
_FATE = ("doc_id", "dropped_at", "error", "signals")
# A join by shuffle would move the text of all pages; so many ids (of 32 characters) fit beside every task instead.
_MAX_BROADCAST = 500_000


@dataclass(frozen=True)
class RetuneConfig:
    """The pool, the recipe wanted, and the one that the pool was curated with; see conf/job/retune.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    since: str | None  # name or hash; null: the nearest

    @property
    def curate(self) -> CurateConfig:
        """The full run that this one equals."""
        return CurateConfig(self.lakehouse, self.pool, self.recipe)


def run(spark: SparkSession, cfg: RetuneConfig) -> Report:
    """Documents of the pool's batches that this recipe has not seen; facts count the pages by what was done to them."""
    lake = Lakehouse(spark, cfg.lakehouse)
    if mappers := [step.id for step in cfg.recipe.steps if step.kind == "mapper"]:
        raise ConfigError(
            f"recipe {cfg.recipe.name!r} has mappers ({', '.join(mappers)}), whose parts of pages can't be taken over; "
            "use lakeloom curate"
        )
    pages, batches = curate.unseen(lake, cfg.curate)
    if not batches:
        curate.publish_funnel(lake, cfg.curate, {}, job="retune")
        return _report(lake, cfg, [], {}, ("all batches have documents of this recipe: nothing to do",))
    name, since, retuning = recipes.earlier(lake, cfg.pool.name, batches, cfg.recipe, cfg.since)
    stored = lake.read("silver.documents").where(F.col("recipe_hash") == since).where(F.col("batch_id").isin(batches))
    known = sorted(row["batch_id"] for row in stored.select("batch_id").distinct().toLocalIterator())
    counts = _fates(stored, retuning)
    fresh = pages.where(~F.col("batch_id").isin(known))
    counts[_NEW] = fresh.count() if len(known) < len(batches) else 0
    recipes.record(lake, cfg.recipe)
    again = _again(
        pages.where(F.col("batch_id").isin(known)).select(*curate.inputs(cfg.recipe)), stored, retuning, counts[RERUN]
    )
    rows = _decided(stored, retuning)
    if counts[RERUN] or counts[_NEW]:
        rows = rows.unionByName(
            curate.documents(cfg.recipe, again.unionByName(fresh.select(*curate.inputs(cfg.recipe))))
        )
    cost = curate.commit(lake, cfg.curate, rows, pages, batches)
    curate.publish_funnel(lake, cfg.curate, cost, job="retune")
    facts: Facts = {"since": name, "since_hash": since, **counts}
    return _report(lake, cfg, batches, facts, (*retuning.described(), _touched(counts)))


def _fates(stored: DataFrame, retuning: Retuning) -> dict[str, int]:
    """How many stored rows are unchanged, decided by what they hold, or to be run again; reads no text."""

    def fates(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            yield pa.record_batch({"fate": retuning.fates(part)})

    found = stored.select(*_FATE).mapInArrow(fates, "fate STRING").groupBy("fate").count()
    counts = {row["fate"]: int(row["count"]) for row in found.toLocalIterator()}
    return {fate: counts.get(fate, 0) for fate in FATES}


def _again(pages: DataFrame, stored: DataFrame, retuning: Retuning, num_rerun: int) -> DataFrame:
    """The pages that must be run again."""

    def ids(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            chosen = pc.equal(retuning.fates(part), RERUN)
            yield pa.record_batch({"doc_id": part.column("doc_id").filter(chosen)})

    found = stored.select(*_FATE).mapInArrow(ids, "doc_id STRING")
    if num_rerun <= _MAX_BROADCAST:
        found = F.broadcast(found)
    return pages.join(found, "doc_id", how="left_semi")


def _decided(stored: DataFrame, retuning: Retuning) -> DataFrame:
    """Rows of OUT for all that needs no page; they cost no step anything."""

    def rows(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            done = retuning.rows(part)
            columns = {name: done.column(name) for name in done.schema.names}
            columns |= {name: pa.nulls(done.num_rows, OUT.field(name).type) for name in _COSTS}
            yield pa.RecordBatch.from_pydict(columns, schema=OUT)

    return stored.select(*[field.name for field in _STORED]).mapInArrow(rows, ddl(OUT))


def _touched(counts: dict[str, int]) -> str:
    run = counts[RERUN] + counts[_NEW]
    total = sum(counts.values())
    return f"{run:,} of {total:,} pages were run again; {counts['decided']:,} decided by what was measured of them"


def _report(lake: Lakehouse, cfg: RetuneConfig, batches: list[str], facts: Facts, notes: tuple[str, ...]) -> Report:
    whole = curate.report(lake, cfg.curate, len(batches))
    return replace(whole, job="retune", facts={**whole.facts, **facts}, notes=notes)
