"""ops.funnel: how many pages each step saw, dropped and cost, by run; and the job that reads it back.

The job prints it, and writes it as a picture or as DCLM's stats files where it is told to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import choose, dclm_stats, summaries
from lakeloom.jobs import report_pictures as pictures
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table


@dataclass(frozen=True)
class Step:
    """One step of one run: `rows_in` pages came, `dropped` stayed behind, `errors` of them because measuring failed.

    `split` pages became several, `parts` more than they were.
    """

    number: int
    name: str
    rows_in: int
    dropped: int
    errors: int = 0
    parts: int = 0
    split: int = 0
    num_bytes: float | None = None
    cpu_s: float | None = None

    @property
    def rows_out(self) -> int:
        """Pages that go on."""
        return self.rows_in - self.dropped + self.parts


@dataclass(frozen=True)
class FunnelConfig:
    """The pool and recipe whose funnel is wanted, and how its documents are chosen after the last step."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    choose: choose.ChooseConfig
    export: str | None  # folder for DCLM's stats files
    picture: str | None  # file for the funnel as SVG
    overwrite: bool


def publish(
    lake: Lakehouse, batches: Sequence[str], pool: str, recipe: Recipe, steps: Sequence[Step], *, job: str
) -> None:
    """Append the steps of curating these batches, once; a recipe without steps has none."""
    if not steps:
        return
    run_id = identity("funnel", pool, recipe.hash, sorted(batches))
    about = (run_id, list(batches), job, pool, recipe.name, recipe.hash)
    rows = [
        (
            *about, step.number, step.name, step.rows_in, step.rows_out, step.dropped, step.split, step.errors,
            None if step.num_bytes is None else int(step.num_bytes), step.cpu_s,
        )
        for step in steps
    ]  # fmt: skip
    made = lake.spark.createDataFrame(rows, ddl(table("ops.funnel").schema))
    lake.append(made, "ops.funnel", txn=_txn(run_id))


def _txn(run_id: str) -> str:
    return f"funnel/{run_id}"


def _of(lake: Lakehouse, pool: str, recipe_hash: str) -> DataFrame:
    return lake.read("ops.funnel").where((F.col("pool") == pool) & (F.col("recipe_hash") == recipe_hash))


def uncovered(lake: Lakehouse, documents: DataFrame, pool: str, recipe_hash: str) -> list[str]:
    """Ids of the documents' batches that no run of the funnel has."""
    batches = documents.select("batch_id").distinct()
    if lake.exists("ops.funnel"):
        rows = _of(lake, pool, recipe_hash)
        batches = batches.join(rows.select(F.explode("batch_ids").alias("batch_id")), "batch_id", "left_anti")
    return sorted(row["batch_id"] for row in batches.toLocalIterator())


def total(lake: Lakehouse, pool: str, recipe_hash: str) -> DataFrame:
    """Sums over all runs of a pool and recipe, a row a step: the columns of the table."""
    rows = _of(lake, pool, recipe_hash)
    names = ("rows_in", "rows_out", "dropped", "split", "errors", "num_bytes", "cpu_s")
    sums = [F.sum(name).alias(name) for name in names]
    return rows.groupBy("step_number", "step").agg(*sums).orderBy("step_number")


def run(spark: SparkSession, cfg: FunnelConfig) -> Report:
    """The funnel of a pool and recipe as a sheet, and in the files that are asked for."""
    lake = Lakehouse(spark, cfg.lakehouse)
    steps = sheet(lake, cfg)
    if not steps.rows:
        raise ConfigError(
            f"no funnel for pool {cfg.pool.name!r} and recipe {cfg.recipe.name!r}; run lakeloom curate with both first"
        )
    rows_out = int(steps.rows[-1][2] or 0)
    versions = {"ops.funnel": lake.version("ops.funnel")}
    facts: dict[str, str | int | float] = {}
    picture = None if cfg.picture is None else Path(cfg.picture)
    if picture is not None and picture.exists() and not cfg.overwrite:
        raise ConfigError(f"{picture} is there already; funnel.overwrite=true replaces it")
    if cfg.export is not None:
        working_dir = f"{cfg.lakehouse.root}/tables/silver/documents"
        paths = dclm_stats.export(Path(cfg.export), _runs(lake, cfg), working_dir, overwrite=cfg.overwrite)
        facts["exported"] = f"{paths[-1]} and stats of {len(paths) - 1} runs"
    if picture is not None:
        _draw(picture, steps)
        facts["picture"] = str(picture)
    found = summaries.summaries(cfg.recipe, _documents(lake, cfg))
    sheets = (steps, *(summaries.sheet(name, summary) for name, summary in found.items()))
    dropped = sum(int(row[3] or 0) for row in steps.rows)
    # Parts of pages count as rows that came, so that in = out + dropped.
    return Report("funnel", rows_out + dropped, rows_out, dropped, versions, facts, sheets=sheets)


def _documents(lake: Lakehouse, cfg: FunnelConfig) -> DataFrame:
    rows = lake.read("silver.documents")
    return rows.where((F.col("pool") == cfg.pool.name) & (F.col("recipe_hash") == cfg.recipe.hash))


def _runs(lake: Lakehouse, cfg: FunnelConfig) -> list[dclm_stats.Run]:
    """Each run's steps, and when it ended as far as the table's log goes back."""
    names = ("run_id", "batch_ids", "step", "rows_in", "rows_out", "dropped", "split", "errors", "cpu_s")
    rows = _of(lake, cfg.pool.name, cfg.recipe.hash).orderBy("run_id", "step_number").select(*names).collect()
    steps: dict[str, list[dict[str, Json]]] = {}
    batches: dict[str, list[str]] = {}
    for row in rows:
        batches[row["run_id"]] = row["batch_ids"]
        steps.setdefault(row["run_id"], []).append(row.asDict())
    log = lake.delta("ops.funnel").history().where(F.col("userMetadata").isin([_txn(run_id) for run_id in steps]))
    ended = {row["userMetadata"]: row["timestamp"] for row in log.select("userMetadata", "timestamp").collect()}
    return [
        dclm_stats.Run(
            run_id, cfg.pool.name, tuple(found), ended.get(_txn(run_id)), _summaries(lake, cfg, batches[run_id])
        )
        for run_id, found in steps.items()
    ]


def _summaries(lake: Lakehouse, cfg: FunnelConfig, batches: list[str]) -> dict[str, dict[str, Json]]:
    """What the recipe summarises of the documents of these batches, by step and key."""
    if not cfg.recipe.aggregates:
        return {}
    found = summaries.summaries(cfg.recipe, _documents(lake, cfg).where(F.col("batch_id").isin(batches)))
    by_step: dict[str, dict[str, Json]] = {}
    for aggregate in cfg.recipe.aggregates:
        by_step.setdefault(aggregate.step, {})[aggregate.key] = found[aggregate.name]
    return by_step


def _draw(path: Path, steps: Sheet) -> None:
    """The picture of the report, as a file: the steps that dropped pages."""
    bars = [pictures.Bar("pages", int(steps.rows[0][1] or 0), 0)]
    bars += [pictures.Bar(str(row[0]), int(row[2] or 0), int(row[3] or 0)) for row in steps.rows if row[3]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pictures.standalone(pictures.funnel(steps.title, bars)), "utf-8")


def sheet(lake: Lakehouse, cfg: FunnelConfig) -> Sheet:
    """Step, in, out, dropped, share of what came in, errors, CPU seconds, and if pages were split, how many.

    Last, the choice of one of each cluster.
    """
    rows = list[tuple[Value, ...]]()
    if lake.exists("ops.funnel"):
        for row in total(lake, cfg.pool.name, cfg.recipe.hash).toLocalIterator():
            counts = _counts(row["rows_in"], row["rows_out"], row["dropped"])
            cpu_s = None if row["cpu_s"] is None else round(row["cpu_s"], 2)
            rows.append((row["step"], *counts, row["errors"], cpu_s, row["split"] or 0))
    chosen = choose.find(lake, choose.identify(lake, cfg.choose)) if rows else None
    if chosen is not None:
        name = "one of each cluster" if cfg.choose.dedup.methods else "with text"
        came = int(rows[-1][2] or 0)
        rows.append((name, *_counts(came, chosen.num_rows, came - chosen.num_rows), 0, None, 0))
    columns: tuple[str, ...] = ("step", "in", "out", "dropped", "share", "errors", "cpu s", "split")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Sheet(f"funnel of {cfg.recipe.name}", columns, tuple(rows))


def _counts(rows_in: int, rows_out: int, dropped: int) -> tuple[Value, ...]:
    return rows_in, rows_out, dropped, f"{dropped / rows_in:.1%}" if rows_in else "-"
