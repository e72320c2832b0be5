"""Tokens of each document of a source, counted once with each tokenizer: what mixing decides by, without the texts.

A document is known by the hash of its text and address, and where several are equal by their number. So it is the same
in whatever file or partition it lies.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakeloom.jobs import mix_sources
from lakeloom.jobs.mix_sources import Opened
from lakeloom.lakehouse.errors import BadInput, Incomplete
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import Tokenizer, loaded

TABLE = "silver.lengths"
_COUNTED = pa.schema(
    [
        *[(name, pa.string()) for name in ("document", "text_sha", "origin", "split", "error")],
        ("num_tokens", pa.int64()),
    ]
)
_HEX = 32  # digits of a hash that are kept


def find(lake: Lakehouse, opened: Opened, tokenizer: Tokenizer) -> DataFrame:
    """Rows of this source and tokenizer; counted now, if they were not before.

    What was counted while the source's files changed goes again: others would take it for what they were.
    """
    about = {"source_id": opened.source_id, "tokenizer_sha": tokenizer.sha}
    txn = f"lengths/{opened.source_id}/{tokenizer.sha}"
    ours = (F.col("source_id") == opened.source_id) & (F.col("tokenizer_sha") == tokenizer.sha)
    if lake.commit(TABLE, txn) is None or lake.read(TABLE).where(ours).isEmpty():
        rows = _counted(opened.documents, tokenizer).withColumn("nth", _nth())
        named = rows.withColumns({name: F.lit(value) for name, value in about.items()})
        lake.append(named, TABLE, txn=txn, ours=ours)
        try:
            mix_sources.refuse_changed(lake, opened)
        except (BadInput, Incomplete):
            forget(lake, opened)
            raise
    return lake.read(TABLE).where(ours)


def forget(lake: Lakehouse, opened: Opened) -> None:
    """Remove what was counted of this source: it is counted again when it is asked for."""
    lake.remove(TABLE, F.col("source_id") == opened.source_id)


def identified(documents: DataFrame, *, has_equals: bool) -> DataFrame:
    """Documents with `document`, `text_sha` and `nth`, without what is none; only equals are worth a shuffle."""
    rows = documents.where(F.col("error").isNull()).withColumns(_hashes())
    return rows.withColumn("nth", _nth() if has_equals else F.lit(0))


def _hashes() -> dict[str, Column]:
    text_sha = F.sha2("text", 256)
    document = F.sha2(F.concat(text_sha, F.lit("/"), F.coalesce("url", F.lit(""))), 256)
    found = {"text_sha": F.substring(text_sha, 1, _HEX), "document": F.substring(document, 1, _HEX)}
    return {name: F.when(F.col("error").isNull(), column) for name, column in found.items()}


def _nth() -> Column:
    return F.row_number().over(Window.partitionBy("document").orderBy("origin")) - 1


def _counted(documents: DataFrame, tokenizer: Tokenizer) -> DataFrame:
    hashed = documents.withColumns(_hashes()).select(*_COUNTED.names[:-1], "text")
    return hashed.mapInArrow(partial(_count, tokenizer.path, tokenizer.sha), ddl(_COUNTED))


def _count(path: Path, sha: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The texts' numbers of tokens, each with the end of text that packing adds, in place of the texts."""
    for batch in batches:
        offsets = loaded(path, sha).encode_batch(batch.column("text")).offsets
        columns = [batch.column(name) for name in _COUNTED.names[:-1]]
        yield pa.record_batch([*columns, pa.array(np.diff(offsets) + 1)], schema=_COUNTED)
