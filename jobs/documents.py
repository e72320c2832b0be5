"""The documents of pools and a recipe: what every job after curate reads, and what its results are named after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.store import Lakehouse

TABLE = "silver.documents"


@dataclass(frozen=True)
class Documents:
    """Kept documents at one version of their table, and how many there are of each (pool, ingest batch)."""

    version: int
    kept: DataFrame
    batches: Mapping[tuple[str, str], int]

    @property
    def num_kept(self) -> int:
        return sum(self.batches.values())

    @property
    def identity(self) -> Json:
        """What they are told apart by: batches never change, but a takedown makes the documents of one fewer."""
        return [[pool, batch, number] for (pool, batch), number in sorted(self.batches.items())]


def read(lake: Lakehouse, pools: Sequence[str], recipe: Recipe) -> Documents:
    """The documents that the recipe keeps of these pools. ConfigError where it has not been run on one of them."""
    if not lake.exists(TABLE):
        raise _nothing(pools, recipe)
    version = lake.version(TABLE)
    rows = lake.read(TABLE, version).where((F.col("recipe_hash") == recipe.hash) & F.col("pool").isin(list(pools)))
    is_kept = F.col("dropped_by").isNull()
    counts = rows.groupBy("pool", "batch_id").agg(F.count_if(is_kept).alias("n"))  # a row a commit of ingest
    batches = {(row["pool"], row["batch_id"]): int(row["n"]) for row in counts.toLocalIterator()}
    absent = sorted(set(pools) - {pool for pool, _ in batches})
    if absent:
        raise _nothing(absent, recipe)
    return Documents(version, rows.where(is_kept), batches)


def _nothing(pools: Sequence[str], recipe: Recipe) -> ConfigError:
    return ConfigError(
        f"{TABLE} has no documents of pool {', '.join(map(repr, pools))} and recipe {recipe.name!r}; "
        "run lakeloom curate with the same pool and recipe first"
    )
