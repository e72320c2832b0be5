"""ops.funnel: how many pages each step saw, dropped and cost, by run; and the job that reads it back."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import choose
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table


@dataclass(frozen=True)
class Step:
    """One step of one run: `rows_in` pages came, `dropped` stayed behind, `errors` of them because measuring failed."""

    number: int
    name: str
    rows_in: int
    dropped: int
    errors: int = 0
    num_bytes: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True)
class FunnelConfig:
    """The pool and recipe whose funnel is wanted, and how its documents are chosen after the last step."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    choose: choose.ChooseConfig


def publish(lake: Lakehouse, batches: Sequence[str], pool: str, recipe: Recipe, steps: Sequence[Step]) -> None:
    """Append the steps of curating these batches, once; a recipe without steps has none."""
    if not steps:
        return
    run_id = identity("funnel", pool, recipe.hash, sorted(batches))
    about = (run_id, list(batches), "curate", pool, recipe.name, recipe.hash)
    rows = [
        (
            *about, step.number, step.name, step.rows_in, step.rows_in - step.dropped, step.dropped, step.errors,
            None if step.num_bytes is None else int(step.num_bytes), step.cpu_s,
        )
        for step in steps
    ]  # fmt: skip
    made = lake.spark.createDataFrame(rows, ddl(table("ops.funnel").schema))
    lake.append(made, "ops.funnel", txn=f"funnel/{run_id}")


def uncovered(lake: Lakehouse, documents: DataFrame, pool: str, recipe_hash: str) -> list[str]:
    """Ids of the documents' batches that no run of the funnel has."""
    batches = documents.select("batch_id").distinct()
    if lake.exists("ops.funnel"):
        rows = lake.read("ops.funnel").where((F.col("pool") == pool) & (F.col("recipe_hash") == recipe_hash))
        batches = batches.join(rows.select(F.explode("batch_ids").alias("batch_id")), "batch_id", "left_anti")
    return sorted(row["batch_id"] for row in batches.toLocalIterator())


def total(lake: Lakehouse, pool: str, recipe_hash: str) -> DataFrame:
    """Sums over all runs of a pool and recipe, a row a step: rows_in, rows_out, dropped, errors, num_bytes, cpu_s."""
    rows = lake.read("ops.funnel").where((F.col("pool") == pool) & (F.col("recipe_hash") == recipe_hash))
    sums = [F.sum(name).alias(name) for name in ("rows_in", "rows_out", "dropped", "errors", "num_bytes", "cpu_s")]
    return rows.groupBy("step_number", "step").agg(*sums).orderBy("step_number")


def run(spark: SparkSession, cfg: FunnelConfig) -> Report:
    """The funnel of a pool and recipe as a sheet."""
    lake = Lakehouse(spark, cfg.lakehouse)
    steps = sheet(lake, cfg)
    if not steps.rows:
        raise ConfigError(
            f"no funnel for pool {cfg.pool.name!r} and recipe {cfg.recipe.name!r}; run lakeloom curate with both first"
        )
    rows_in, rows_out = int(steps.rows[0][1] or 0), int(steps.rows[-1][2] or 0)
    versions = {"ops.funnel": lake.version("ops.funnel")}
    return Report("funnel", rows_in, rows_out, rows_in - rows_out, versions, sheets=(steps,))


def sheet(lake: Lakehouse, cfg: FunnelConfig) -> Sheet:
    """Step, in, out, dropped, share of what came in, errors, CPU seconds; last, the choice of one of each cluster."""
    rows = list[tuple[Value, ...]]()
    if lake.exists("ops.funnel"):
        for row in total(lake, cfg.pool.name, cfg.recipe.hash).toLocalIterator():
            counts = _counts(row["rows_in"], row["rows_out"])
            cpu_s = None if row["cpu_s"] is None else round(row["cpu_s"], 2)
            rows.append((row["step"], *counts, row["errors"], cpu_s))
    chosen = choose.find(lake, choose.identify(lake, cfg.choose)) if rows else None
    if chosen is not None:
        name = {"none": "with text", "exact": "one of each text"}.get(cfg.choose.dedup.method, "one of each cluster")
        rows.append((name, *_counts(int(rows[-1][2] or 0), chosen.num_rows), 0, None))
    columns = ("step", "in", "out", "dropped", "share", "errors", "cpu s")
    return Sheet(f"funnel of {cfg.recipe.name}", columns, tuple(rows))


def _counts(rows_in: int, rows_out: int) -> tuple[Value, ...]:
    dropped = rows_in - rows_out
    return rows_in, rows_out, dropped, f"{dropped / rows_in:.1%}" if rows_in else "-"
