"""Near-duplicate pairs of texts: candidates that share a band, and how alike they really are (silver.pairs).

What was measured once is looked up, so another threshold measures nothing again, and a new crawl what is new. Shuffled
are hashes and names, and texts of new pairs; where those are many, all texts are, once, to find them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters import minhash
from lakeloom.filters.buckets import Pairs
from lakeloom.jobs.scratch import stored
from lakeloom.jobs.signatures import normalized
from lakeloom.lakehouse.errors import Incomplete
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.store import Lakehouse

TABLE = "silver.pairs"
_VERSION = 1  # raise it when the same two texts would get another similarity
_SLICE = 100_000  # pairs in an Arrow batch: 7 MB
_FEW = 400_000  # nodes whose names a broadcast may hold: 40 MB
Batches = Iterator[pa.RecordBatch]


def candidates(texts: DataFrame, reach: int) -> DataFrame:
    """Columns node and bands to pairs `a` > `b` of nodes that share a band, each once.

    The first `reach` nodes of a bucket are paired with each other, later ones with the leaders before them.
    """
    buckets = texts.select(F.explode("bands").alias("bucket"), "node")
    ordered = buckets.repartition("bucket").sortWithinPartitions("bucket", "node")
    return ordered.mapInArrow(_pair(reach), "a STRING, b STRING").where("a != b").distinct()


@dataclass(frozen=True)
class Measure:
    """What is measured: the Jaccard of word n-grams, of texts in a normal form (signatures.FORMS)."""

    ngram: int
    form: str

    @property
    def measure_id(self) -> str:
        return identity("jaccard", _VERSION, self.ngram, self.form)


def measured(
    lake: Lakehouse,
    pairs: DataFrame,
    bodies: Callable[[DataFrame], DataFrame],
    measure: Measure,
    *,
    scratch: Path,
    txn: str,
) -> DataFrame:
    """The pairs with their `similarity`; those that silver.pairs has not are measured and added to it.

    `bodies` gives the texts (node, text) of the nodes in a column.
    """
    ours = F.col("measure_id") == measure.measure_id
    new = pairs
    version = at = lake.ensure(TABLE)
    if version:
        known = lake.read(TABLE, version).where(ours).select("a", "b")
        new = stored(pairs.join(known, ["a", "b"], how="left_anti"), scratch / "new_pairs")
    if num_new := new.count():
        nodes = stored(new.select(F.explode(F.array("a", "b")).alias("node")).distinct(), scratch / "new_nodes")
        # Broadcast where it can be: else every text would be moved, to find those that have a candidate.
        texts = stored(bodies(F.broadcast(nodes) if nodes.count() <= _FEW else nodes), scratch / "new_texts")
        left = texts.select(F.col("node").alias("a"), F.col("text").alias("text_a"))
        right = texts.select(F.col("node").alias("b"), F.col("text").alias("text_b"))
        # `b` comes last: the text of one that leads many is then moved once, not once for each.
        joined = new.join(left, "a", how="inner").join(right, "b", how="inner")
        alike = joined.mapInArrow(_measure(measure), "a STRING, b STRING, similarity DOUBLE")
        # With the version: what is missing at one is added once, also where others deleted it before.
        rows = alike.withColumn("measure_id", F.lit(measure.measure_id))
        made = lake.append(rows, TABLE, txn=f"{txn}/{version}", since=version)
        if made.num_rows != num_new:
            raise Incomplete(
                f"{TABLE}: {num_new} pairs were to be measured and {made.num_rows} were (version {made.version}); "
                "if another job changes the tables, wait for its end, and run again"
            )
        at = made.version
    # Distinct: two jobs at once may have measured the same pair.
    similar = lake.read(TABLE, at).where(ours).select("a", "b", "similarity").distinct()
    return pairs.join(similar, ["a", "b"], how="inner")


def nearest(edges: DataFrame) -> DataFrame:
    """Of each end the other end most like it (of equals the smallest): node, nearest, similarity."""
    one = edges.select(F.col("a").alias("node"), "similarity", F.col("b").alias("nearest"))
    other = edges.select(F.col("b").alias("node"), "similarity", F.col("a").alias("nearest"))
    best = F.min(F.struct((-F.col("similarity")).alias("distance"), "nearest")).alias("best")
    chosen = one.union(other).groupBy("node").agg(best)
    return chosen.select("node", "best.nearest", (-F.col("best.distance")).alias("similarity"))


def _pair(reach: int) -> Callable[[Batches], Batches]:
    def pair(batches: Batches) -> Batches:
        found = Pairs(reach)
        for batch in batches:
            later, earlier = found.take(batch.column("bucket"), batch.column("node"))
            made = pa.RecordBatch.from_arrays([later, earlier], ["a", "b"])
            yield from (made.slice(start, _SLICE) for start in range(0, made.num_rows, _SLICE))

    return pair


def _measure(measure: Measure) -> Callable[[Batches], Batches]:
    def compare(batches: Batches) -> Batches:
        for batch in batches:
            one, other = (normalized(batch.column(name), measure.form) for name in ("text_a", "text_b"))
            columns = [batch.column("a"), batch.column("b"), minhash.jaccard(one, other, measure.ngram)]
            yield pa.RecordBatch.from_arrays(columns, ["a", "b", "similarity"])

    return compare
