"""How much of each evaluation item each document has: n-grams found by a kernel, joined with the items' by hash.

Only hits leave the Python workers, so what is shuffled is ids, hashes and places, never text.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters import overlap
from lakeloom.filters.spans import merged
from lakeloom.jobs import evalitems, spans
from lakeloom.lakehouse.session import ddl

Batches = Iterator[pa.RecordBatch]

_HIT = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("ngram", pa.int64()),
        pa.field("check", pa.int64()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
    ]
)
_KEY, _ITEM = ["ngram", "check"], ["task", "item_id"]


def hits(documents: DataFrame, table: Path, min_words: int) -> DataFrame:
    """Columns doc_id and text to a row for each n-gram of the table in `table` at each place of a text, in bytes."""
    return documents.select("doc_id", "text").mapInArrow(_search(table, min_words), ddl(_HIT))


def measured(found: DataFrame, items: DataFrame, max_documents: int) -> DataFrame:
    """Hits to a row per document and item: n-grams of the item, those found, share, places in item and document.

    N-grams in more than `max_documents` documents don't count, as if the item had none of them; 0: all count.
    """
    parts = F.inline(F.arrays_zip("ngrams", "checks", "places")).alias("ngram", "check", "place")
    ngrams = items.where("num_ngrams > 0").select(*_ITEM, "num_ngrams", parts)
    if max_documents:
        common = found.groupBy(*_KEY).agg(F.count_distinct("doc_id").alias("n")).where(F.col("n") > max_documents)
        ngrams, found = _without(ngrams, common.drop("n")), found.join(common, _KEY, how="left_anti")
    span = F.struct("start", "end").cast(spans.SPAN)
    grouped = found.join(ngrams, _KEY, how="inner").groupBy("doc_id", *_ITEM)
    rows = grouped.agg(
        F.max("num_ngrams").alias("num_ngrams"),
        F.sort_array(F.collect_set("place")).alias("matched"),
        F.sort_array(F.collect_set(span)).alias("spans"),
    )
    num_matched = F.size("matched")
    counted = [num_matched.alias("num_matched"), (num_matched / F.col("num_ngrams")).alias("share")]
    places = [F.col("spans.start").alias("starts"), F.col("spans.end").alias("ends")]
    columns = rows.select("doc_id", *_ITEM, "num_ngrams", *counted, "matched", *places)
    return columns.mapInArrow(_united, columns.schema)


def by_item(rows: DataFrame) -> DataFrame:
    """Of each item found: how many documents have a part of it, the most that one has, what all have together."""
    places = rows.select("doc_id", *_ITEM, "num_ngrams", "share", F.explode("matched").alias("place"))
    return places.groupBy(*_ITEM).agg(
        F.count_distinct("doc_id").alias("num_documents"),
        F.max("share").alias("max_share"),
        (F.count_distinct("place") / F.max("num_ngrams")).alias("share"),
    )


def _united(batches: Batches) -> Batches:
    """Rows whose spans (starts, ends) are sorted, with those that overlap or touch made one."""
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns["starts"], columns["ends"] = merged(columns["starts"], columns["ends"])
        yield pa.RecordBatch.from_pydict(columns)


def _without(ngrams: DataFrame, common: DataFrame) -> DataFrame:
    """The n-grams of items that are not common; `num_ngrams` counts those alone."""
    common = common.withColumn("is_common", F.lit(True))
    marked = ngrams.join(common, _KEY, how="left")
    num_common = marked.where("is_common").groupBy(*_ITEM).agg(F.count("*").cast("int").alias("num_common"))
    rest = marked.where("is_common IS NULL").drop("is_common").join(num_common, _ITEM, how="left")
    return rest.withColumn("num_ngrams", F.col("num_ngrams") - F.coalesce("num_common", F.lit(0))).drop("num_common")


def _search(table: Path, min_words: int) -> Callable[[Batches], Batches]:
    def search(batches: Batches) -> Batches:
        known = evalitems.load(table, min_words)
        for batch in batches:
            found = overlap.hits(batch.column("text"), known)
            columns = [
                batch.column("doc_id").take(pa.array(found.rows)),
                pa.array(found.firsts.view(np.int64)),
                pa.array(found.seconds.view(np.int64)),
                pa.array(found.starts, pa.int32()),
                pa.array(found.ends, pa.int32()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=_HIT)

    return search
