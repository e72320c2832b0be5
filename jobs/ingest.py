"""Pool files to bronze.pages and bronze.dead_letters: each file once, each record one row, the counts add up.

The plan (bronze.files: which file belongs to which batch) is committed before any file is read, and a batch's id is the
transaction name of its commits. So a run that is killed is simply run again: it finishes the batches it finds planned.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from lakeloom.lakehouse.errors import Incomplete
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.pools import PoolConfig, SourceFile, list_files
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.sources import WarcDataSource, file_id
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestConfig:
    """Sizes in bytes of the source files; see conf/job/ingest.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    batch_bytes: int
    partition_bytes: int
    min_partitions: int
    max_record_bytes: int
    timeout_s: float
    keep_html: bool


@dataclass(frozen=True)
class Counts:
    """Records of a pool or batch; records = pages + dead."""

    files: int
    records: int
    pages: int
    dead: int


def run(spark: SparkSession, cfg: IngestConfig) -> Report:
    """Ingest what the pool has and the tables have not. Raises Incomplete where records and rows don't add up."""
    lake = Lakehouse(spark, cfg.lakehouse)
    files = list_files(cfg.pool, Path(cfg.lakehouse.root))
    spark.dataSource.register(WarcDataSource)
    new = _plan(lake, cfg, files)
    batches = _pending(lake, cfg, files)
    for number, (batch_id, batch) in enumerate(sorted(batches.items()), start=1):
        log.info(
            "batch %s of %s: %s files, %s bytes",
            number,
            len(batches),
            len(batch),
            sum(f.num_bytes for f in batch),
        )
        _ingest(lake, cfg, batch_id, batch)
    return _report(lake, cfg, new)


def _plan(lake: Lakehouse, cfg: IngestConfig, files: Sequence[SourceFile]) -> int:
    """Commit which new file belongs to which batch; the number of new files."""
    lake.create("bronze.files")
    pool = cfg.pool.name
    listed = {file_id(pool, file.path, file.num_bytes): file for file in files}
    known = lake.read("bronze.files").where(F.col("pool") == pool).select("file_id")
    offered = lake.spark.createDataFrame([(key,) for key in listed], "file_id STRING")
    keys = [row["file_id"] for row in offered.join(known, "file_id", "left_anti").toLocalIterator()]
    new = sorted(((listed[key], key) for key in keys), key=lambda pair: pair[0].path)
    if not new:
        return 0
    rows = [
        (key, pool, file.path, file.num_bytes, batch_id)
        for batch_id, batch in _batches(new, cfg.batch_bytes)
        for file, key in batch
    ]
    planned = lake.spark.createDataFrame(
        rows, "file_id STRING, pool STRING, path STRING, num_bytes BIGINT, batch_id STRING"
    )
    columns: dict[str, str | Column] = {name: F.col(f"new.{name}") for name in planned.columns}
    columns["planned_at"] = F.current_timestamp()
    # A merge, not an append: of two ingests that plan the same file at once, Delta lets one commit.
    merge = lake.delta("bronze.files").alias("old").merge(planned.alias("new"), F.expr("old.file_id = new.file_id"))
    merge.whenNotMatchedInsert(values=columns).execute()
    return len(new)


def _batches(
    files: Sequence[tuple[SourceFile, str]], batch_bytes: int
) -> list[tuple[str, list[tuple[SourceFile, str]]]]:
    """Files in path order, cut into commits of about `batch_bytes`, each named by its files."""
    groups: list[list[tuple[SourceFile, str]]] = []
    room = 0
    for file, key in files:
        # The size of a remote file is unknown (0) until it is opened: about that of a Common Crawl WARC.
        size = file.num_bytes or 1_000_000_000
        if not groups or room < size:
            groups.append([])
            room = batch_bytes
        groups[-1].append((file, key))
        room -= size
    return [(identity("batch", *(key for _, key in group)), group) for group in groups]


def _pending(lake: Lakehouse, cfg: IngestConfig, files: Sequence[SourceFile]) -> dict[str, list[SourceFile]]:
    """Batches that were planned and not finished, this run's and earlier ones', by batch id."""
    rows = lake.read("bronze.files").where((F.col("pool") == cfg.pool.name) & F.col("ingested_at").isNull())
    address = {(file.path, file.num_bytes): file for file in files}
    batches = defaultdict[str, list[SourceFile]](list)
    for row in rows.select("path", "num_bytes", "batch_id").toLocalIterator():
        key = (row["path"], row["num_bytes"])
        # A file that left the pool after it was planned still gets its row: it can't be opened, and that is recorded.
        missing = SourceFile(row["path"], f"{cfg.pool.name}/{row['path']}", row["num_bytes"])
        batches[row["batch_id"]].append(address.get(key, missing))
    return {batch_id: sorted(batch, key=lambda file: file.path) for batch_id, batch in batches.items()}


def _ingest(lake: Lakehouse, cfg: IngestConfig, batch_id: str, files: Sequence[SourceFile]) -> None:
    """Read a batch once, check its counts, publish its rows, and mark its files done: in this order."""
    # Kept on local disk between the count and the two tables that the rows go to: extraction is the costly part.
    rows = _read(lake.spark, cfg, files).persist(StorageLevel.DISK_ONLY)
    try:
        counts = _count(rows).persist()
        _check(counts, len(files))
        common = {"pool": F.lit(cfg.pool.name), "batch_id": F.lit(batch_id)}
        pages = rows.where("kind = 'page'").withColumns(
            {**common, "warc_file": F.col("path"), "ingested_at": F.current_timestamp()}
        )
        lake.append(pages, "bronze.pages", txn=f"ingest/{batch_id}")
        dead = rows.where("kind IN ('dead', 'other')").withColumns(
            {**common, "source": F.col("path"), "seen_at": F.current_timestamp()}
        )
        lake.append(dead, "bronze.dead_letters", txn=f"ingest/{batch_id}")
        _mark_done(lake, counts)
        counts.unpersist()
    finally:
        rows.unpersist()


def _mark_done(lake: Lakehouse, counts: DataFrame) -> None:
    done = lake.delta("bronze.files").alias("file").merge(counts.alias("n"), F.expr("file.file_id = n.file_id"))
    names = ("num_records", "num_pages", "num_dead", "cpu_s")
    values: dict[str, str | Column] = {name: F.col(f"n.{name}") for name in names}
    done.whenMatchedUpdate(set=values | {"ingested_at": F.current_timestamp()}).execute()


def _read(spark: SparkSession, cfg: IngestConfig, files: Sequence[SourceFile]) -> DataFrame:
    options = {
        "files": json.dumps([[file.path, file.address, file.num_bytes] for file in files]),
        "pool": cfg.pool.name,
        "partition_bytes": str(cfg.partition_bytes),
        "min_partitions": str(cfg.min_partitions),
        "max_record_bytes": str(cfg.max_record_bytes),
        "timeout_s": str(cfg.timeout_s),
        "keep_html": str(cfg.keep_html),
    }
    return spark.read.format("warc").options(**options).load()


def _count(rows: DataFrame) -> DataFrame:
    """Per file: the reader's own count of records beside the rows that came out."""

    def total(*kinds: str) -> Column:
        return F.coalesce(F.sum(F.when(F.col("kind").isin(*kinds), F.coalesce("num_records", F.lit(1)))), F.lit(0))

    return rows.groupBy("file_id").agg(
        total("file").alias("num_records"),
        total("page").alias("num_pages"),
        total("dead", "other").alias("num_dead"),
        F.max("cpu_s").alias("cpu_s"),
    )


def _check(counts: DataFrame, num_files: int) -> None:
    lost = F.col("num_records") != F.col("num_pages") + F.col("num_dead")
    row = counts.agg(F.count("*").alias("files"), F.count_if(lost).alias("lost")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    if row["files"] != num_files or row["lost"]:
        raise Incomplete(
            f"ingest read {row['files']} of {num_files} files, and in {row['lost']} of them records and rows differ; "
            "nothing of this batch was published"
        )


def counted(lake: Lakehouse, pool: str) -> Counts:
    """The pool's totals over all its ingests."""
    rows = lake.read("bronze.files").where(F.col("pool") == pool)
    names = ("num_records", "num_pages", "num_dead")
    row = rows.agg(
        F.count("*").alias("files"), *[F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in names]
    ).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    return Counts(row["files"], row["num_records"], row["num_pages"], row["num_dead"])


def _report(lake: Lakehouse, cfg: IngestConfig, new: int) -> Report:
    total = counted(lake, cfg.pool.name)
    names = ("bronze.files", "bronze.pages", "bronze.dead_letters")
    reasons = (
        lake.read("bronze.dead_letters")
        .where(F.col("pool") == cfg.pool.name)
        .groupBy("stage", "error")
        .agg(F.sum("num_records").alias("n"))
        .orderBy(F.desc("n"), "stage", "error")
    )
    facts: dict[str, str | int | float] = {"files": total.files, "new_files": new}
    facts |= {f"{row['stage']}/{row['error']}": row["n"] for row in reasons.toLocalIterator()}
    versions = {name: lake.version(name) for name in names}
    return Report("ingest", total.records, total.pages, total.dead, versions, facts)
