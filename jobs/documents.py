"""The documents of a pool and recipe: what every job after curate reads, and what its results are named after."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.store import Lakehouse

TABLE = "silver.documents"


def read(lake: Lakehouse, pool: PoolConfig, recipe: Recipe) -> tuple[DataFrame, int]:
    """Kept and dropped ones, and the version of the table. ConfigError where no recipe was ever run."""
    if not lake.exists(TABLE):
        raise _nothing(pool, recipe)
    version = lake.version(TABLE)
    is_ours = (F.col("pool") == pool.name) & (F.col("recipe_hash") == recipe.hash)
    return lake.read(TABLE, version).where(is_ours), version


def batches(documents: DataFrame, pool: PoolConfig, recipe: Recipe) -> list[str]:
    """The ingest batches that they are from, sorted. ConfigError where there are none."""
    row = documents.agg(F.array_sort(F.collect_set("batch_id")).alias("batches")).first()
    found: list[str] = row["batches"] if row is not None else []
    if not found:
        raise _nothing(pool, recipe)
    return found


def _nothing(pool: PoolConfig, recipe: Recipe) -> ConfigError:
    return ConfigError(
        f"{TABLE} has no documents of pool {pool.name!r} and recipe {recipe.name!r}; "
        "run lakeloom curate with the same pool and recipe first"
    )
