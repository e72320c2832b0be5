"""What a DCLM pipeline's `_aggregate` summarises, over documents: its percentiles and histograms, by Spark.

Percentiles are exact: one task sorts the distinct values of a step, so a key with a value of its own on each of very
many pages takes as long as sorting them does.
"""

import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from lakeloom.filters.aggregates import NUM_BINS, PERCENTILES, Summary
from lakeloom.filters.recipe import Aggregate, Recipe
from lakeloom.lakehouse.report import Sheet

_MAX_NAMES, _MAX_SHOWN = 1000, 20  # strings that are counted by themselves, and shown
OTHERS = "(others)"  # what the rest are counted under


def summaries(recipe: Recipe, documents: DataFrame) -> dict[str, Summary]:
    """By the aggregate's name, of documents of this recipe; {} where no page has the key."""
    found: dict[str, Summary] = {}
    for aggregate in recipe.aggregates:
        values = documents.select(F.element_at("aggregated", F.lit(aggregate.name)).alias("value"))
        found[aggregate.name] = _summary(values.where(F.col("value").isNotNull()), aggregate)
    return found


def sheet(name: str, summary: Summary) -> Sheet:
    """A summary for the screen."""
    rows = list(summary.items())
    if len(rows) > _MAX_SHOWN:
        rows = [*rows[:_MAX_SHOWN], (OTHERS, sum(count for _, count in rows[_MAX_SHOWN:]))]
    return Sheet(name, ("value", "pages or number"), tuple(rows))


def _summary(values: DataFrame, aggregate: Aggregate) -> Summary:
    if aggregate.kind == "histogram" and values.where(F.startswith("value", F.lit('"'))).first() is not None:
        return _by_name(values)
    numbers = values.select(_number(F.col("value")).alias("number")).where(F.col("number").isNotNull())
    extent = numbers.agg(F.count("*").alias("n"), F.min("number").alias("low"), F.max("number").alias("high")).first()
    if extent is None or not extent["n"]:
        return {}
    return (_bins if aggregate.kind == "histogram" else _percentiles)(numbers, extent)


def _number(value: Column) -> Column:
    """JSON's number or truth value as a double."""
    return F.when(value == "true", 1.0).when(value == "false", 0.0).otherwise(value.try_cast("double"))


def _by_name(values: DataFrame) -> Summary:
    """Pages by string, the most frequent first."""
    counts = values.groupBy("value").agg(F.count("*").alias("n"))
    first = counts.orderBy(F.desc("n"), "value").limit(_MAX_NAMES).collect()
    found: Summary = {str(json.loads(row["value"])): float(row["n"]) for row in first}
    if len(first) == _MAX_NAMES:
        total = counts.agg(F.sum("n").alias("n")).first()
        rest = float(total["n"] if total else 0) - sum(found.values())
        found |= {OTHERS: rest} if rest else {}
    return found


def _bins(numbers: DataFrame, extent: Row) -> Summary:
    """Pages in ten equal bins, by their left edges; the last takes its right edge, too."""
    edges: Sequence[float] = np.histogram_bin_edges([extent["low"], extent["high"]], bins=NUM_BINS).tolist()
    number = F.col("number")
    inside = [
        F.count_if((number >= low) & ((number <= high) if nth == NUM_BINS - 1 else (number < high))).alias(str(nth))
        for nth, (low, high) in enumerate(pairwise(edges))
    ]
    counts = numbers.agg(*inside).first()
    return {str(edge): float(counts[nth] if counts else 0) for nth, edge in enumerate(edges[:-1])}


def _percentiles(numbers: DataFrame, extent: Row) -> Summary:
    """By nearest rank, the even one of two, and the mean."""
    ranks = {name: round((extent["n"] - 1) * (percent / 100)) for name, percent in PERCENTILES.items()}
    counts = numbers.groupBy("number").agg(F.count("*").alias("n"))
    upto = F.sum("n").over(Window.orderBy("number").rowsBetween(Window.unboundedPreceding, Window.currentRow))
    ranked = counts.withColumns({"upto": upto})
    wanted = [F.min(F.when(F.col("upto") > rank, F.col("number"))).alias(name) for name, rank in ranks.items()]
    row = ranked.agg(*wanted, (F.sum(F.col("number") * F.col("n")) / F.sum("n")).alias("mean")).first()
    return {name: float(row[name]) for name in [*ranks, "mean"]} if row else {}
