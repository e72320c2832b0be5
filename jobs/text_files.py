"""Documents in files, as rows: JSON lines by the reader that ingest has, Parquet by pyarrow; both on the executors.

What a line or row should be and isn't, is a row with an error. Files that can't be read as what they are called end
the job: BadInput.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial, reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.lakehouse.errors import PASSED_ON, BadInput
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.pools import SourceFile
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.sources import WarcDataSource
from lakeloom.lakehouse.streams import GONE, open_file, open_stream

Batches = Iterator[pa.RecordBatch]

# What every kind of source gives; `origin` says where a document is, `split` what its dataset made of it.
DOCUMENTS = pa.schema([(name, pa.string()) for name in ("text", "url", "origin", "split", "error")])
_FILES = pa.schema([("path", pa.string()), ("address", pa.string())])
_HASHES = pa.schema([("path", pa.string()), ("num_bytes", pa.int64()), ("sha256", pa.string())])
_MAX_TASKS = 1000
_BATCH_BYTES, _BATCH_ROWS = 16 << 20, 1000


def identity(spark: SparkSession, files: Sequence[SourceFile]) -> list[list[Json]]:
    """Path, size and SHA-256 of each file, by path: all bytes are read, on the executors."""
    rows = _tasks(spark, files).mapInArrow(_hashes, ddl(_HASHES))
    return [[row["path"], row["num_bytes"], row["sha256"]] for row in rows.orderBy("path").collect()]


def documents(spark: SparkSession, files: Sequence[SourceFile], column: str) -> DataFrame:
    """Rows of DOCUMENTS; `column` is that of Parquet files, JSON lines have `text` or `content`."""
    parquet = [file for file in files if file.path.lower().endswith(".parquet")]
    lines = [file for file in files if file not in parquet]
    parts = [_of_lines(spark, lines)] if lines else []
    if parquet:
        rows = _tasks(spark, parquet).mapInArrow(partial(_of_parquet, column), ddl(DOCUMENTS))
        # Parquet's writers may put any bytes into a string, and tokenizers end at the first that is no UTF-8.
        parts.append(rows.withColumns({name: F.make_valid_utf8(name) for name in ("text", "url")}))
    return reduce(DataFrame.unionByName, parts)


def _tasks(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    rows = [(file.path, file.address) for file in files]
    return spark.createDataFrame(rows, ddl(_FILES)).repartition(min(len(rows), _MAX_TASKS))


def _of_lines(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    spark.dataSource.register(WarcDataSource)
    listed = json.dumps([[file.path, file.address, file.num_bytes] for file in files])
    rows = spark.read.format("warc").option("files", listed).option("whole", True).load()
    line = F.coalesce("warc_offset", "offset").cast("string")
    return rows.where(F.col("kind").isin("page", "dead")).select(
        "text",
        F.nullif("url", F.lit("")).alias("url"),
        F.concat_ws(":", "path", line).alias("origin"),
        F.lit(None).cast("string").alias("split"),
        F.when(F.col("kind") == "dead", F.col("error")).alias("error"),
    )


def _hashes(batches: Batches) -> Batches:
    for path, address in _paths(batches):
        try:
            stream = open_stream(address)
        except GONE as error:
            raise BadInput(f"{address} can't be read: {type(error).__name__}: {error}") from error
        with stream:
            sha, size = hashlib.sha256(), 0
            while block := stream.read(1 << 20):
                sha.update(block)
                size += len(block)
        columns = ([path], [size], [sha.hexdigest()])
        yield pa.record_batch([pa.array(cells) for cells in columns], schema=_HASHES)


def _paths(batches: Batches) -> Iterator[tuple[str, str]]:
    for batch in batches:
        for row in batch.to_pylist():
            yield str(row["path"]), str(row["address"])


def _of_parquet(column: str, batches: Batches) -> Batches:
    for path, address in _paths(batches):
        try:
            yield from _rows(path, address, column)
        except PASSED_ON:
            raise
        except Exception as error:  # foreign bytes may raise anything
            raise BadInput(f"{address}: no readable Parquet file: {type(error).__name__}: {error}") from error


def _rows(path: str, address: str, column: str) -> Batches:
    with pq.ParquetFile(open_file(address)) as file:
        kinds = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
        if column not in kinds or not _is_text(kinds[column]):
            columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
            raise BadInput(f"{address}: no column {column!r} of texts; it has {columns}; say column: NAME")
        has_url = "url" in kinds and _is_text(kinds["url"])
        number = 0
        for batch in file.iter_batches(_rows_at_once(file), columns=[column, *(["url"] if has_url else [])]):
            text = batch.column(column).cast(pa.string())
            origin = pa.array([f"{path}:{number + nth}" for nth in range(len(batch))])
            absent = pa.nulls(len(batch), pa.string())
            url = batch.column("url").cast(pa.string()) if has_url else absent
            empty = pc.fill_null(pc.equal(pc.binary_length(text), 0), True)
            error = pc.if_else(empty, "no_text", pa.scalar(None, pa.string()))
            yield pa.record_batch([text, url, origin, absent, error], schema=DOCUMENTS)
            number += len(batch)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _rows_at_once(file: pq.ParquetFile) -> int:
    """Rows of about as many bytes as a batch may have, by the largest group's mean."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    mean = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=1)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, mean)))
