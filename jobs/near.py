"""Near-duplicate pairs: bands of every text, pairs that share one, and how alike they really are.

Shuffled are ids and hashes, and the texts of candidate pairs. The members of a bucket are linked to its
smallest id alone: n-1 pairs, not n*n/2. The price: two texts that are like each other but not like that one
are found only if another band joins them.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakeloom.filters import minhash
from lakeloom.filters.minhash import MinHashParams

Batches = Iterator[pa.RecordBatch]


def banded(rows: DataFrame, params: MinHashParams) -> DataFrame:
    """Columns doc_id, text_sha and text to doc_id, text_sha and bands (null for a text without a word)."""
    return rows.mapInArrow(_band(params), "doc_id STRING, text_sha STRING, bands ARRAY<BIGINT>")


def candidates(rows: DataFrame) -> DataFrame:
    """Columns doc_id and bands to pairs `a` > `b` of doc_ids, `b` the smallest of a bucket with `a` in it."""
    buckets = rows.select(F.col("doc_id").alias("a"), F.explode("bands").alias("bucket"))
    lead = F.min("a").over(Window.partitionBy("bucket")).alias("b")
    return buckets.select("a", lead).where("a != b").distinct()


def measured(pairs: DataFrame, texts: DataFrame, ngram: int) -> DataFrame:
    """The pairs with their `similarity`, the Jaccard of their n-grams; `texts` has doc_id and text."""
    left = texts.select(F.col("doc_id").alias("a"), F.col("text").alias("text_a"))
    right = texts.select(F.col("doc_id").alias("b"), F.col("text").alias("text_b"))
    # `b` comes last: the text of one that leads many is then moved once, not once for each.
    joined = pairs.join(left, "a", how="inner").join(right, "b", how="inner")
    return joined.mapInArrow(_measure(ngram), "a STRING, b STRING, similarity DOUBLE")


def nearest(edges: DataFrame) -> DataFrame:
    """Of each end the other end most like it (of equals the smallest): doc_id, nearest, similarity."""
    one = edges.select(F.col("a").alias("doc_id"), "similarity", F.col("b").alias("nearest"))
    other = edges.select(F.col("b").alias("doc_id"), "similarity", F.col("a").alias("nearest"))
    best = F.min(F.struct((-F.col("similarity")).alias("distance"), "nearest")).alias("best")
    chosen = one.union(other).groupBy("doc_id").agg(best)
    return chosen.select("doc_id", "best.nearest", (-F.col("best.distance")).alias("similarity"))


def _band(params: MinHashParams) -> Callable[[Batches], Batches]:
    def band(batches: Batches) -> Batches:
        for batch in batches:
            signed = minhash.signatures(batch.column("text"), params)
            columns = [batch.column("doc_id"), batch.column("text_sha"), minhash.bands(signed, params)]
            yield pa.RecordBatch.from_arrays(columns, ["doc_id", "text_sha", "bands"])

    return band


def _measure(ngram: int) -> Callable[[Batches], Batches]:
    def measure(batches: Batches) -> Batches:
        for batch in batches:
            similarity = minhash.jaccard(batch.column("text_a"), batch.column("text_b"), ngram)
            columns = [batch.column("a"), batch.column("b"), similarity]
            yield pa.RecordBatch.from_arrays(columns, ["a", "b", "similarity"])

    return measure
