"""bronze.pages through a recipe to silver.documents: each page keeps a row, with what was measured and what dropped it.

One pass over the text. The unit is the ingest batch: only batches that this recipe has not seen are read.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.chain import Chain
from lakeloom.filters.recipe import Recipe
from lakeloom.filters.steps import OPTIONAL_COLUMNS
from lakeloom.jobs import funnel, ingest, recipes
from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Commit, Lakehouse, LakehouseConfig

log = logging.getLogger(__name__)


OUT = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("batch_id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("text", pa.string()),
        pa.field("num_chars", pa.int32()),
        pa.field("dropped_by", pa.string()),
        pa.field("dropped_at", pa.int32()),
        pa.field("error", pa.string()),
        pa.field("signals", pa.map_(pa.string(), pa.float64())),
        pa.field("aggregated", pa.map_(pa.string(), pa.string())),
        pa.field("keys", pa.string()),
        pa.field("part_of", pa.string()),
        pa.field("split_at", pa.int32()),
        # Cost of the batch by step, on its first row alone: it leaves by an observation, not by the table.
        pa.field("step_cpu_s", pa.list_(pa.float64())),
        pa.field("step_bytes", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True)
class CurateConfig:
    """The pool whose pages are curated, and the recipe."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe


def run(spark: SparkSession, cfg: CurateConfig) -> Report:
    """Documents of the pool's batches that this recipe has not seen. Raises Incomplete if a page has no document."""
    lake = Lakehouse(spark, cfg.lakehouse)
    pages, batches = unseen(lake, cfg)
    recipes.record(lake, cfg.recipe)
    cost = commit(lake, cfg, documents(cfg.recipe, pages), pages, batches) if batches else {}
    publish_funnel(lake, cfg, cost, job="curate")
    return report(lake, cfg, len(batches))


def unseen(lake: Lakehouse, cfg: CurateConfig) -> tuple[DataFrame, list[str]]:
    """Pages and ids of the pool's ingest batches without documents of this recipe: metadata, a row a commit."""
    pages = ingest.pages(lake, cfg.pool.name)
    batches = pages.select("batch_id").distinct()
    if lake.exists("silver.documents"):
        seen = lake.read("silver.documents").where(F.col("recipe_hash") == cfg.recipe.hash)
        batches = batches.join(seen.select("batch_id").distinct(), "batch_id", "left_anti")
    found = sorted(row["batch_id"] for row in batches.toLocalIterator())
    if not found:
        _check_pool(lake, cfg.pool.name)
    return pages.where(F.col("batch_id").isin(found)), found


def _check_pool(lake: Lakehouse, pool: str) -> None:
    """Refuse a pool that was never ingested; one whose records all were dead letters is none of these."""
    table = "bronze.files" if lake.exists("bronze.files") else "bronze.pages"
    pools = sorted(row["pool"] for row in lake.read(table).select("pool").distinct().toLocalIterator())
    if pool not in pools:
        raise unknown("ingested pool", pool, pools, "say the same pool= as to ingest")


def documents(recipe: Recipe, pages: DataFrame) -> DataFrame:
    """The pages through the recipe: rows of OUT."""
    chain = Chain(recipe)

    def apply(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            yield _documents(chain, part)

    return pages.select(*inputs(recipe)).mapInArrow(apply, ddl(OUT))


def inputs(recipe: Recipe) -> list[str]:
    """Columns of bronze.pages that the recipe's chain is given."""
    read = {name for step in recipe.steps for name in step.step.inputs}
    return ["doc_id", "batch_id", "url", "text", *(name for name in OPTIONAL_COLUMNS if name in read)]


def commit(
    lake: Lakehouse, cfg: CurateConfig, rows: DataFrame, pages: DataFrame, batches: list[str]
) -> dict[str, float]:
    """Commit rows of OUT as the documents of these batches, once; CPU seconds and bytes of each step."""
    recipe = cfg.recipe
    run_id = identity("curate", cfg.pool.name, recipe.hash, batches)
    observation = Observation(f"cost {run_id}")
    steps = range(len(recipe.step_names))
    costs = [F.sum(F.get("step_cpu_s", F.lit(step))).alias(f"cpu_{step}") for step in steps]
    costs += [F.sum(F.get("step_bytes", F.lit(step))).alias(f"bytes_{step}") for step in steps]
    costs.append(F.count("split_at").alias("parts"))
    observed = rows.observe(observation, F.count("*").alias("rows"), *costs).withColumns(
        {"pool": F.lit(cfg.pool.name), "recipe": F.lit(recipe.name), "recipe_hash": F.lit(recipe.hash)}
    )
    made = lake.append(observed, "silver.documents", txn=f"curate/{run_id}")
    if not made.is_new:
        return {}
    cost: dict[str, float] = observation.get
    _check(pages, made, int(cost["parts"]))
    return cost


def _documents(chain: Chain, pages: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of a batch of pages, in their order."""
    done = chain.apply(pages)
    num_rows, num_parts = pages.num_rows, len(done.origin) - pages.num_rows
    first_only = [row == 0 for row in range(len(done.origin))]
    pages = pages.take(done.origin)
    doc_ids = _part_ids(pages["doc_id"], num_rows) if num_parts else pages["doc_id"]
    columns = {
        "doc_id": doc_ids,
        "batch_id": pages["batch_id"],
        "url": pages["url"],
        "text": done.text,
        "num_chars": pc.utf8_length(done.text),
        "dropped_by": done.dropped_by,
        "dropped_at": done.dropped_at,
        "error": done.error,
        "signals": done.signals,
        "aggregated": done.aggregated,
        "keys": done.keys,
        "part_of": pc.if_else(done.split_at.is_valid(), doc_ids.take(done.parent), pa.scalar(None, pa.string())),
        "split_at": done.split_at,
        "step_cpu_s": pa.array([done.cpu_s if first else None for first in first_only], pa.list_(pa.float64())),
        "step_bytes": pa.array([done.num_bytes if first else None for first in first_only], pa.list_(pa.int64())),
    }
    return pa.RecordBatch.from_pydict(columns, schema=OUT)


def _part_ids(doc_ids: pa.StringArray, num_rows: int) -> pa.StringArray:
    """Ids of a batch's pages, and of the parts after them: those of their page and their number."""
    names, seen = doc_ids.to_pylist(), Counter[str]()
    for row in range(num_rows, len(names)):
        seen[names[row]] += 1
        names[row] = identity("part", names[row], seen[names[row]])
    return pa.array(names, pa.string())


def _check(pages: DataFrame, commit: Commit, num_parts: int) -> None:
    expected = pages.count() + num_parts
    if commit.num_rows != expected:
        raise Incomplete(
            f"{expected} pages gave {commit.num_rows} documents (version {commit.version} of {commit.table})"
        )


def publish_funnel(lake: Lakehouse, cfg: CurateConfig, cost: dict[str, float], *, job: str) -> None:
    """A row a step for the batches that have documents and no funnel yet: this run's, and those of a killed one.

    Counts come from the documents themselves; the cost is known for what this run did.
    """
    recipe = cfg.recipe
    documents = lake.read("silver.documents").where(
        (F.col("recipe_hash") == recipe.hash) & (F.col("pool") == cfg.pool.name)
    )
    batches = funnel.uncovered(lake, documents, cfg.pool.name, recipe.hash)
    if not batches:
        return
    documents = documents.where(F.col("batch_id").isin(batches))
    groups = documents.groupBy("dropped_at").agg(F.count("*").alias("n"), F.count("error").alias("errors"))
    dropped = {row["dropped_at"]: (row["n"], row["errors"]) for row in groups.toLocalIterator()}
    parts = _parts(recipe, documents)
    rows, rows_in = list[funnel.Step](), sum(count for count, _ in dropped.values())
    rows_in -= sum(num_parts for num_parts, _ in parts.values())
    for number, name in enumerate(recipe.step_names):
        (num_dropped, errors), (num_parts, split) = dropped.get(number, (0, 0)), parts.get(number, (0, 0))
        step = funnel.Step(
            number, name, rows_in, num_dropped, errors, parts=num_parts, split=split,
            num_bytes=cost.get(f"bytes_{number}"), cpu_s=cost.get(f"cpu_{number}"),
        )  # fmt: skip
        rows.append(step)
        rows_in = step.rows_out
    funnel.publish(lake, batches, cfg.pool.name, recipe, rows, job=job)


def _parts(recipe: Recipe, documents: DataFrame) -> dict[int, tuple[int, int]]:
    """By step, the parts that it split off, and the pages that it split."""
    if all(step.kind != "mapper" for step in recipe.steps):
        return {}
    parts = documents.where(F.col("split_at").isNotNull()).groupBy("split_at")
    groups = parts.agg(F.count("*").alias("n"), F.count_distinct("part_of").alias("pages"))
    return {row["split_at"]: (row["n"], row["pages"]) for row in groups.toLocalIterator()}


def report(lake: Lakehouse, cfg: CurateConfig, new: int) -> Report:
    """All documents of the pool and recipe; `new` batches of them are this run's."""
    recipe = cfg.recipe
    if not lake.exists("silver.documents"):
        raise ConfigError(f"pool {cfg.pool.name!r} has no pages; run lakeloom ingest pool=... first")
    rows = lake.read("silver.documents").where((F.col("recipe_hash") == recipe.hash) & (F.col("pool") == cfg.pool.name))
    row = rows.agg(F.count("*").alias("n"), F.count("dropped_by").alias("dropped")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    facts: dict[str, str | int | float] = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "new_batches": new,
    }
    if recipe.left_out:
        facts["left_out"] = f"{', '.join(recipe.left_out)} (over all pages: lakeloom dedup)"
    versions = {
        "bronze.pages": lake.version("bronze.pages"),
        "silver.documents": lake.version("silver.documents"),
    }
    return Report("curate", row["n"], row["n"] - row["dropped"], row["dropped"], versions, facts)
