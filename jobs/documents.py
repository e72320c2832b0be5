"""The documents of pools and a recipe: what every job after curate reads, and what its results are named after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import withdrawn
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.store import Lakehouse

TABLE = "silver.documents"
_NAMED = 5  # documents or pools that an error names


@dataclass(frozen=True)
class Batch:
    """How many documents of an ingest batch are kept, and the sum of their ids' hashes: which ones they are."""

    number: int
    ids: str


@dataclass(frozen=True)
class Documents:
    """Kept documents at one version of their table, and those of each (pool, ingest batch)."""

    version: int
    kept: DataFrame
    batches: Mapping[tuple[str, str], Batch]

    @property
    def num_kept(self) -> int:
        return sum(batch.number for batch in self.batches.values())

    @property
    def identity(self) -> Json:
        """What they are told apart by: their batches, and which documents a takedown has left of each."""
        return [[*key, batch.number, batch.ids] for key, batch in sorted(self.batches.items())]


def read(lake: Lakehouse, pools: Sequence[str], recipe: Recipe) -> Documents:
    """The documents that the recipe keeps of these pools. ConfigError where it has not been run on one of them."""
    return lake.once(TABLE, (tuple(pools), recipe.hash), lambda: _read(lake, pools, recipe))


def _read(lake: Lakehouse, pools: Sequence[str], recipe: Recipe) -> Documents:
    if not lake.exists(TABLE):
        raise _nothing(pools, recipe, ())
    version = lake.version(TABLE)
    rows = lake.read(TABLE, version).where((F.col("recipe_hash") == recipe.hash) & F.col("pool").isin(list(pools)))
    is_kept = F.col("dropped_by").isNull()
    rows = withdrawn.without(lake, rows)
    batches = by_batch(rows, is_kept)
    absent = sorted(set(pools) - {pool for pool, _ in batches})
    if absent:
        there = lake.read(TABLE, version).where(F.col("recipe_hash") == recipe.hash).select("pool").distinct()
        raise _nothing(absent, recipe, [row["pool"] for row in there.orderBy("pool").limit(_NAMED).collect()])
    return Documents(version, rows.where(is_kept), batches)


def by_batch(rows: DataFrame, is_meant: Column) -> dict[tuple[str, str], Batch]:
    """Of each (pool, batch_id), a commit of ingest, the rows (with doc_id) that are meant; also where none is."""
    counted = rows.groupBy("pool", "batch_id").agg(F.count_if(is_meant).alias("n"), *sums_of_ids(is_meant))
    return {
        (row["pool"], row["batch_id"]): Batch(int(row["n"]), f"{row['one'] or 0}-{row['other'] or 0}")
        for row in counted.toLocalIterator()
    }


def sums_of_ids(is_meant: Column) -> list[Column]:
    """Aggregates `one` and `other` of the doc_ids that are meant, which tell a set of documents from others.

    By halves of their hashes: sums of whole ones would not fit in a long.
    """
    hashed = F.xxhash64("doc_id")
    halves = {"one": hashed.bitwiseAND(F.lit(0xFFFFFFFF)), "other": F.shiftrightunsigned(hashed, 32)}
    return [F.sum(F.when(is_meant, half)).alias(name) for name, half in halves.items()]


def refuse_twins(rows: DataFrame) -> int:
    """Number of the documents. BadInput where several have one doc_id: jobs join by it."""
    copies = rows.groupBy("doc_id").agg(F.count("*").alias("n"))
    row = copies.agg(F.coalesce(F.sum("n"), F.lit(0)).alias("rows"), F.max("n").alias("most")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    if (row["most"] or 0) > 1:
        twins = copies.where("n > 1").orderBy("doc_id").limit(_NAMED).collect()
        named = ", ".join(f"{twin['doc_id']} ({twin['n']} rows)" for twin in twins)
        raise BadInput(
            f"{TABLE} has several kept documents with one doc_id: {named}; which of them is meant can't be "
            "told, so nothing was published; delete the rows that are too many"
        )
    return int(row["rows"])


def _nothing(absent: Sequence[str], recipe: Recipe, there: Sequence[str]) -> ConfigError:
    others = f"; there are of {', '.join(map(repr, there))}" if there else ""
    return ConfigError(
        f"{TABLE} has no documents of pool {', '.join(map(repr, absent))} and recipe {recipe.name!r}{others}; "
        "run lakeloom curate with the same pool and recipe first"
    )
