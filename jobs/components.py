"""Connected components of an edge table by alternating large-star and small-star, in DataFrames only.

Kiveris et al., "Connected Components in MapReduce and Beyond" (SoCC 2014). Every round moves nodes towards
the smallest one of their component and keeps components whole; the end, a forest of stars, is recognised as
such. The driver gets one number a round.
"""

import logging
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakeloom.jobs.scratch import stored
from lakeloom.lakehouse.errors import Incomplete

log = logging.getLogger(__name__)

MAX_ROUNDS = 50  # rounds grow with the logarithm of the longest path: a chain of 50 takes 6 at most


def components(edges: DataFrame, scratch: Path) -> DataFrame:
    """Columns `node`, `component` (its smallest node) for each node of the edges `a`, `b`; loops don't count.

    The result lies in `scratch`, as does each round: a plan that grew with every round would not end.
    """
    ordered = edges.select(F.greatest("a", "b").alias("a"), F.least("a", "b").alias("b")).where("a != b")
    current = ordered.distinct()
    for number in range(MAX_ROUNDS):
        current = stored(current, scratch / f"round-{number}")
        unsettled = _unsettled(current)
        log.info("components, round %s: %s nodes not settled", number, unsettled)
        if not unsettled:
            return _labels(current)
        current = _small_star(_large_star(current))
    raise Incomplete(f"components: nodes not settled after {MAX_ROUNDS} rounds; nothing was published")


def _unsettled(edges: DataFrame) -> int:
    """Nodes with two smaller neighbours, or with a smaller and a greater one: none in a forest of stars."""
    ends = edges.select(F.explode(F.array(_end("a", is_child=True), _end("b", is_child=False))).alias("end"))
    nodes = ends.groupBy("end.node").agg(
        F.sum("end.child").alias("smaller"), F.max(F.lit(1) - F.col("end.child")).alias("is_root")
    )
    return nodes.where("smaller + is_root > 1").count()


def _end(column: str, *, is_child: bool) -> Column:
    return F.struct(F.col(column).alias("node"), F.lit(int(is_child)).alias("child"))


def _large_star(edges: DataFrame) -> DataFrame:
    """Each node's greater neighbours are linked to the smallest of it and its neighbours."""
    smallest = edges.groupBy("a").agg(F.min("b").alias("least")).withColumnRenamed("a", "b")
    linked = edges.join(smallest, "b", how="left")
    # Null: the node has no smaller neighbour, so it is the smallest itself.
    return linked.select("a", F.coalesce("least", "b").alias("b")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Each node and its smaller neighbours are linked to the smallest of them."""
    smallest = edges.groupBy("a").agg(F.min("b").alias("least"))
    linked = edges.join(smallest, "a", how="inner").where("b != least").select(F.col("b").alias("a"), "least")
    return linked.union(smallest).select("a", F.col("least").alias("b")).distinct()


def _labels(stars: DataFrame) -> DataFrame:
    children = stars.select(F.col("a").alias("node"), F.col("b").alias("component"))
    roots = stars.select("b").distinct().select(F.col("b").alias("node"), F.col("b").alias("component"))
    return children.union(roots)
