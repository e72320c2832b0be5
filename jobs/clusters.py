"""Documents that are the same in some way, joined to clusters: who represents each, and why every member is in it.

A node is a text (the first digits of its SHA-256) or, if equal texts are to stay apart, a document. Whatever ways
are wanted, their pairs make one graph, and its connected components are the clusters: they depend on the set of
documents only, not on the order in which crawls came.
"""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakeloom.jobs import near
from lakeloom.jobs.components import components
from lakeloom.jobs.scratch import stored

NODE_DIGITS = 32  # of a text's SHA-256: 128 bits


@dataclass(frozen=True)
class Graph:
    """Signatures with a node each, the nodes' first and last documents, and the same of each address."""

    documents: DataFrame  # doc_id, node, url_key
    texts: DataFrame  # node, first, last, bands
    addresses: DataFrame | None  # url_key, node (the smallest), at_first, at_last; only of those with several documents


def graph(signatures: DataFrame, *, by_text: bool, by_url: bool, scratch: Path) -> Graph:
    """The nodes of signatures (doc_id, text_sha, url_key, bands); documents without a word are left out."""
    node = F.substring("text_sha", 1, NODE_DIGITS) if by_text else F.col("doc_id")
    documents = signatures.where(F.col("text_sha").isNotNull()).withColumn("node", node)
    first, last = F.min("doc_id").alias("first"), F.max("doc_id").alias("last")
    texts = documents.groupBy("node").agg(first, last, F.min_by("bands", "doc_id").alias("bands"))
    addresses = _addresses(documents) if by_url else None
    return Graph(
        documents.select("doc_id", "node", "url_key"),
        stored(texts, scratch / "texts"),
        None if addresses is None else stored(addresses, scratch / "addresses"),
    )


def members(found: Graph, alike: DataFrame | None, scratch: Path) -> DataFrame:
    """Documents with a duplicate: their component, and by what: columns of a row of silver.clusters but who stays.

    `alike` has pairs of nodes `a`, `b` with their similarity (null: not measured), or is None.
    """
    named = None if alike is None else stored(_named(alike, found.texts), scratch / "edges")
    edges = [rows for rows in (named, _same_address(found)) if rows is not None]
    rows = found.documents.join(found.texts.drop("bands"), "node", how="inner")
    if edges:
        both = reduce(DataFrame.union, [edge.select("a", "b") for edge in edges])
        rows = rows.join(components(both, scratch), "node", how="left")
    else:
        rows = rows.withColumn("component", F.lit(None).cast("string"))
    rows = _with_partners(rows, found, named).where("first != last OR component IS NOT NULL")
    return rows.select(
        "doc_id",
        F.coalesce("component", "node").alias("component"),
        _method().alias("method"),
        F.when(F.expr("first != last"), F.lit(1.0)).otherwise(F.col("similarity")).alias("similarity"),
        _reason().alias("reason"),
    )


def represented(rows: DataFrame, ranks: DataFrame) -> DataFrame:
    """Members with their cluster_id: of each component the doc_id of the smallest `rank` (columns doc_id, rank)."""
    best = F.struct(F.col("rank").isNull(), "rank", "doc_id")
    cluster = F.min(best).over(Window.partitionBy("component"))["doc_id"]
    return rows.join(ranks, "doc_id", how="inner").select(
        "doc_id",
        cluster.alias("cluster_id"),
        (cluster == F.col("doc_id")).alias("is_representative"),
        "method",
        "similarity",
        "reason",
    )


def _addresses(documents: DataFrame) -> DataFrame:
    groups = documents.where(F.col("url_key").isNotNull()).groupBy("url_key")
    ends = groups.agg(F.min("node").alias("lead"), F.min("doc_id").alias("at_first"), F.max("doc_id").alias("at_last"))
    return ends.where("at_first != at_last")


def _same_address(found: Graph) -> DataFrame | None:
    """Pairs of nodes with one address: each with the smallest of them."""
    if found.addresses is None:
        return None
    rows = found.documents.join(found.addresses, "url_key", how="inner").where("node != lead")
    return rows.select(F.col("node").alias("a"), F.col("lead").alias("b")).distinct()


def _named(alike: DataFrame, texts: DataFrame) -> DataFrame:
    """Pairs of nodes with the first document of each end."""
    one = texts.select(F.col("node").alias("a"), F.col("first").alias("a_doc"))
    other = texts.select(F.col("node").alias("b"), F.col("first").alias("b_doc"))
    return alike.join(one, "a", how="inner").join(other, "b", how="inner")


def _with_partners(rows: DataFrame, found: Graph, named: DataFrame | None) -> DataFrame:
    """With the document whose text is nearest (`nearest`, `similarity`), and those of the same address."""
    if named is None:
        rows = rows.withColumns({"nearest": F.lit(None).cast("string"), "similarity": F.lit(None).cast("double")})
    else:
        near_docs = near.nearest(named.select(F.col("a_doc").alias("a"), F.col("b_doc").alias("b"), "similarity"))
        rows = rows.join(near_docs.withColumnRenamed("node", "first"), "first", how="left")
    if found.addresses is None:
        nothing = F.lit(None).cast("string")
        return rows.withColumns({"at_first": nothing, "at_last": nothing})
    # A row without an address has a key of its own: all nulls would be one task's.
    own = F.coalesce("url_key", F.concat(F.lit("none "), "doc_id"))
    return rows.withColumn("url_key", own).join(found.addresses.drop("lead"), "url_key", how="left")


def _method() -> Column:
    is_copy, has_address = F.expr("first != last"), F.col("at_first").isNotNull()
    rest = F.when(has_address, F.lit("same_url")).otherwise(F.lit("minhash"))
    return F.when(is_copy, F.lit("exact_text")).otherwise(rest)


def _reason() -> Column:
    """Copies of the text, documents of the address, what the text is near to; the first copy stands for all in that."""
    is_first = F.expr("doc_id = first")
    same = F.when(F.expr("first != last"), F.concat(F.lit("same text as "), _other("first", "last")))
    address = F.when(F.col("at_first").isNotNull(), F.concat(F.lit("same address as "), _other("at_first", "at_last")))
    measured = F.format_string("jaccard %.6f to %s", "similarity", "nearest")
    near_to = F.when(F.col("similarity").isNotNull(), measured)
    near_to = near_to.otherwise(F.concat(F.lit("shares a band with "), "nearest"))
    return F.concat_ws("; ", same, address, F.when(is_first, near_to))


def _other(first: str, last: str) -> Column:
    return F.when(F.col("doc_id") == F.col(first), F.col(last)).otherwise(F.col(first))
