"""Spans of bytes that go out of documents' texts, whoever found them: cut in one pass, in the whole text's bytes."""

from collections.abc import Iterator, Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakeloom.filters.spans import cut, merged

SPAN = "STRUCT<start: BIGINT, end: BIGINT>"
SPANS = f"ARRAY<{SPAN}>"


def spans(starts: str, ends: str) -> Column:
    """Two arrays of numbers as one of spans."""
    return F.arrays_zip(F.col(starts).alias("start"), F.col(ends).alias("end")).cast(SPANS).alias("spans")


def without(rows: DataFrame, found: Sequence[DataFrame]) -> DataFrame:
    """Documents (doc_id, text, num_chars and others) without their spans (doc_id, spans); a blank rest is empty."""
    if not found:
        return rows
    several = reduce(DataFrame.union, [one.select("doc_id", "spans") for one in found])
    by_document = several.groupBy("doc_id").agg(F.sort_array(F.flatten(F.collect_list("spans"))).alias("spans"))
    joined = rows.join(by_document, "doc_id", how="left").select(*rows.columns, "spans.start", "spans.end")
    return joined.mapInArrow(_cut, rows.schema)


def _cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        text = cut(batch.column("text"), *merged(batch.column("start"), batch.column("end")))
        is_blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0)
        is_cut = pc.greater(pc.fill_null(pc.list_value_length(batch.column("start")), 0), 0)
        text = pc.if_else(pc.and_(is_blank, is_cut), "", text)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns |= {"text": text, "num_chars": pc.cast(pc.utf8_length(text), pa.int32())}
        yield pa.RecordBatch.from_pydict({name: columns[name] for name in batch.schema.names[:-2]})
