"""ops.recipes: the steps of each recipe that was run, from which another can start; written before its documents."""

from pyspark.sql import Row
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.filters.retune import Retuning, records
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table

TABLE = "ops.recipes"
_MIN_HASH = 6  # hex digits that tell a hash from a name


def record(lake: Lakehouse, recipe: Recipe) -> None:
    """Keep the recipe's steps, once for each name that it is run under."""
    txn = f"recipe/{recipe.hash}/{recipe.name}"
    if lake.commit(TABLE, txn) is None:
        row = (recipe.hash, recipe.name, records(recipe))
        lake.append(lake.spark.createDataFrame([row], ddl(table(TABLE).schema)), TABLE, txn=txn)


def earlier(
    lake: Lakehouse, pool: str, batches: list[str], recipe: Recipe, since: str | None
) -> tuple[str, str, Retuning]:
    """Name and hash of the recipe to start from, and how: `since` by name or (the begin of its) hash, else any.

    Of several the one that most can be taken from: most batches seen times most steps alike, then fewest steps that
    aren't, since every page that was kept until there is run again, then fewest bounds moved.
    Which one is a matter of time, not of the result. ConfigError where the pool was curated with none such.
    """
    found = [one for one in _curated(lake, pool, batches) if one["recipe_hash"] != recipe.hash]
    if since is not None:
        names = {str(row[name]) for row in found for name in ("recipe", "recipe_hash")}
        found = [row for row in found if since == row["recipe"] or _begins(row["recipe_hash"], since)]
        if not found:
            raise unknown("curated recipe", since, names, f"retune.since, pool {pool!r}")
    if not found:
        raise ConfigError(
            f"pool {pool!r} was curated with no other recipe that {TABLE} knows; run lakeloom curate recipe=... first"
        )
    ways = [(row, Retuning(tuple(row["steps"]), recipe)) for row in found]
    best, way = min(ways, key=_order)
    return best["recipe"], best["recipe_hash"], way


def _order(way: tuple[Row, Retuning]) -> tuple[int, int, int, str]:
    row, retuning = way
    others = len(retuning.earlier) + len(retuning.recipe.steps) - 2 * retuning.num_same
    return -row["seen"] * retuning.num_same, others, len(retuning.moved), row["recipe_hash"]


def _begins(recipe_hash: str, since: str) -> bool:
    return len(since) >= _MIN_HASH and recipe_hash.startswith(since)


def _curated(lake: Lakehouse, pool: str, batches: list[str]) -> list[Row]:
    """The recipes that the pool has a funnel of, with how many of the batches they have seen; small tables."""
    if not (lake.exists(TABLE) and lake.exists("ops.funnel")):
        return []
    runs = lake.read("ops.funnel").where((F.col("pool") == pool) & (F.col("step_number") == 0))
    wanted = F.array(*map(F.lit, batches)).cast("array<string>")
    seen = runs.groupBy("recipe_hash").agg(F.sum(F.size(F.array_intersect("batch_ids", wanted))).alias("seen"))
    return lake.read(TABLE).join(seen, "recipe_hash", how="inner").orderBy("recipe", "recipe_hash").collect()
