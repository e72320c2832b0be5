"""Pool files to bronze.pages and bronze.dead_letters: each file once, each record one row, the counts add up.

The plan (bronze.batches: which file belongs to which batch) is committed before any file is read, and a batch's id is
the transaction name of its commits. So a run that is killed is simply run again: it finishes the batches it finds
planned. A batch's last commit, its files' counts in bronze.files, publishes it: no other job reads its pages before.
"""

import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import withdrawn
from lakeloom.lakehouse import ledger
from lakeloom.lakehouse.errors import ConfigError, Conflict, Incomplete, SourceFailed
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.pools import PoolConfig, SourceFile, list_files
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.rows import SCHEMA, file_id
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.sources import WarcDataSource
from lakeloom.lakehouse.store import Commit, Lakehouse, LakehouseConfig
from lakeloom.lakehouse.streams import GONE, open_stream
from lakeloom.lakehouse.tables import table

log = logging.getLogger(__name__)

_SOURCE = tuple(field.name for field in fields(SourceFile))
_PROBES = 8  # files that are opened to see whether any may be read


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
    keep_rights: bool


def check(cfg: IngestConfig) -> None:
    """Refuse a pool that isn't there or has no files, before anything is made. Raises ConfigError."""
    for name in ("batch_bytes", "partition_bytes", "min_partitions", "max_record_bytes", "timeout_s"):
        if getattr(cfg, name) <= 0:
            raise ConfigError(f"ingest.{name}={getattr(cfg, name)} is not above 0")
    list_files(cfg.pool, Path(cfg.lakehouse.root))


def run(spark: SparkSession, cfg: IngestConfig) -> Report:
    """Ingest what the pool has and the tables have not. Raises Incomplete where records and rows don't add up."""
    lake = Lakehouse(spark, cfg.lakehouse)
    listed = _by_id(cfg, cfg.pool)
    spark.dataSource.register(WarcDataSource)
    new, batches = _planned(lake, cfg, listed)
    if batches:
        _check_readable([file for batch in batches.values() for file in batch])
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


def _check_readable(files: Sequence[SourceFile]) -> None:
    """SourceFailed where the pool refuses all of a few files: a whole pool of dead letters is nobody's wish.

    It is asked now, since a file of the dead letters is done and would not be read again with better credentials.
    """
    refused = list[str]()
    for file in files[:: max(1, -(-len(files) // _PROBES))]:
        try:
            open_stream(file.address).close()
        except PermissionError as error:
            refused.append(f"{file.address}: {error}")
            continue
        except GONE:  # a row of the dead letters
            continue
        return
    if refused:
        raise SourceFailed(
            f"none of {len(files)} files may be read, of those that were tried ({refused[0]}); nothing was ingested: "
            "see to the permissions and run the job again"
        )


def _planned(
    lake: Lakehouse, cfg: IngestConfig, listed: Mapping[str, SourceFile]
) -> tuple[int, dict[str, list[SourceFile]]]:
    """How many files are new, and the batches to do by batch id: theirs, and those that earlier runs did not finish."""
    if lake.exists("bronze.files") and not lake.exists("bronze.batches"):
        raise ConfigError(
            f"lakehouse {cfg.lakehouse.root}: an earlier version made its bronze.files without a plan (bronze.batches) "
            "that tells which files are done; choose another lakehouse.root"
        )
    is_empty = lake.create("bronze.batches")
    lake.create("bronze.files")
    new, batches, last = [(file, key) for key, file in listed.items()], dict[str, list[SourceFile]](), 0
    if not is_empty:
        last = _last_plan(lake, cfg.pool.name)  # before the files: what is planned after this look is a conflict
        new, batches = _unknown(lake, cfg, listed)
    made = _batches(sorted(new, key=lambda pair: pair[0].path), cfg.batch_bytes)
    if new:
        _plan(lake, cfg.pool.name, made, last + 1)
    batches |= {batch_id: [file for file, _ in batch] for batch_id, batch in made}
    return len(new), {batch_id: sorted(batch, key=lambda file: file.path) for batch_id, batch in batches.items()}


def _last_plan(lake: Lakehouse, pool: str) -> int:
    row = lake.read("bronze.batches").where(F.col("pool") == pool).agg(F.max("plan").alias("last")).first()
    return int(row["last"] or 0) if row is not None else 0


def _unknown(
    lake: Lakehouse, cfg: IngestConfig, listed: Mapping[str, SourceFile]
) -> tuple[list[tuple[SourceFile, str]], dict[str, list[SourceFile]]]:
    """Of the files by id: those never planned, and those planned and not finished, by batch id.

    Raises ConfigError for a file that was planned with another size: its pages have the doc_ids of the earlier ones.
    """
    planned = lake.read("bronze.batches").where(F.col("pool") == cfg.pool.name)
    done = lake.read("bronze.files").where(F.col("pool") == cfg.pool.name).select("file_id", "ingested_at")
    known = planned.join(done, "file_id", "left")
    # From Arrow: a list of tuples would start Python workers to turn it into rows.
    offered = pa.table({"path": [file.path for file in listed.values()], "offered_id": list(listed)})
    rows = lake.spark.createDataFrame(offered).join(known, "path", "full")
    rows = rows.where("batch_id IS NULL OR ingested_at IS NULL OR offered_id <> file_id")
    new, batches = list[tuple[SourceFile, str]](), defaultdict[str, list[SourceFile]](list)
    unlisted = list[tuple[str, str, SourceFile]]()
    for row in rows.select("offered_id", "file_id", *_SOURCE, "batch_id").toLocalIterator():
        here, planned_id = row["offered_id"], row["file_id"]
        if planned_id is None:
            new.append((listed[here], here))
        elif here is not None and here != planned_id:
            raise _changed(cfg, row["path"], row["num_bytes"], listed[here].num_bytes)
        elif here is not None:
            batches[row["batch_id"]].append(listed[here])
        else:
            unlisted.append((row["batch_id"], planned_id, SourceFile(*(row[name] for name in _SOURCE))))
    # Of another slice of the pool, or gone since, which gets its row. The pool may have moved: its list goes first.
    whole = _by_id(cfg, replace(cfg.pool, files="", max_files=0)) if unlisted else {}
    for batch_id, planned_id, file in unlisted:
        batches[batch_id].append(whole.get(planned_id, file))
    return new, batches


def _by_id(cfg: IngestConfig, pool: PoolConfig) -> dict[str, SourceFile]:
    files = list_files(pool, Path(cfg.lakehouse.root))
    return {file_id(pool.name, file.path, file.num_bytes): file for file in files}


def _changed(cfg: IngestConfig, path: str, before: int, now: int) -> ConfigError:
    return ConfigError(
        f"pool {cfg.pool.name!r}: {path} has {now} bytes, and had {before} when it was planned; its pages could be "
        "there twice. Put the earlier file back, or read the pool under another name (pool.name=...) or into another "
        "lakehouse (lakehouse.root=...)"
    )


def _plan(lake: Lakehouse, pool: str, batches: Sequence[tuple[str, list[tuple[SourceFile, str]]]], number: int) -> None:
    """Commit which new file belongs to which batch. Raises Conflict where another ingest has planned meanwhile."""
    rows = [
        {"file_id": key, **asdict(file), "batch_id": batch_id} for batch_id, batch in batches for file, key in batch
    ]
    schema = pa.schema([table("bronze.batches").schema.field(name) for name in rows[0]])
    planned = lake.spark.createDataFrame(pa.Table.from_pylist(rows, schema))
    about = {"pool": F.lit(pool), "plan": F.lit(number), "planned_at": F.current_timestamp()}
    # Of two ingests that plan at once, both as one link of the chain, Delta lets one commit; the name tells which.
    txn = f"plan/{pool}/{number}/{uuid4().hex}"
    lake.write(planned.withColumns(about), "bronze.batches", txn=txn, chain=f"plan/{pool}", link=number)
    if lake.commit("bronze.batches", txn) is None:
        raise Conflict(f"pool {pool!r}: another ingest planned its files at the same time; run this one again")


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


def _ingest(lake: Lakehouse, cfg: IngestConfig, batch_id: str, files: Sequence[SourceFile]) -> None:
    """Do a batch once. Raises Conflict where another ingest did it at the same time, and took the ledgers away."""
    staging = lake.folder(f"staging/ingest/{batch_id}")
    try:
        _publish_once(lake, cfg, batch_id, files, staging)
    except (OSError, PySparkException, Py4JJavaError, Incomplete) as error:
        if staging.exists():
            raise
        raise Conflict(f"batch {batch_id}: another ingest did it at the same time; run this one again") from error
    shutil.rmtree(staging, ignore_errors=True)


def _publish_once(
    lake: Lakehouse, cfg: IngestConfig, batch_id: str, files: Sequence[SourceFile], staging: Path
) -> None:
    """Read a batch, check its counts, and mark its files done: only then do other jobs see its pages."""
    published, entries = _pages(lake, cfg, batch_id, files, staging)
    counts = ledger.counts(entries)
    try:
        _check(counts, len(files), published.num_rows)
    except Incomplete:
        shutil.rmtree(entries)  # the next run reads again
        raise
    rows = lake.spark.read.schema(ddl(SCHEMA)).parquet(str(entries)).where("kind IN ('dead', 'other')")
    about = {"pool": F.lit(cfg.pool.name), "batch_id": F.lit(batch_id)}
    dead = rows.withColumns({**about, "source": F.col("path"), "seen_at": F.current_timestamp()})
    lake.write(dead, "bronze.dead_letters", txn=f"ingest/{batch_id}")
    _publish(lake, cfg.pool.name, batch_id, files, counts)


def _publish(lake: Lakehouse, pool: str, batch_id: str, files: Sequence[SourceFile], counts: pa.Table) -> None:
    read = {file_id(pool, file.path, file.num_bytes): file for file in files}
    ours = [read[key] for key in counts["file_id"].to_pylist()]
    counts = counts.append_column("path", pa.array([file.path for file in ours], pa.string()))
    counts = counts.append_column("num_bytes", pa.array([file.num_bytes for file in ours], pa.int64()))
    about = {"pool": F.lit(pool), "batch_id": F.lit(batch_id), "ingested_at": F.current_timestamp()}
    lake.write(lake.spark.createDataFrame(counts).withColumns(about), "bronze.files", txn=f"ingest/{batch_id}")


def _pages(
    lake: Lakehouse, cfg: IngestConfig, batch_id: str, files: Sequence[SourceFile], staging: Path
) -> tuple[Commit, Path]:
    """The commit of the batch's pages, this run's or that of a killed one, and the whole ledger of that very run.

    Each run has a ledger of its own: another may be at the same batch, and a page may take too long in one of them.
    """
    txn, run = f"ingest/{batch_id}", uuid4().hex
    if any(staging.iterdir()) and (found := lake.commit("bronze.pages", txn)) is not None:
        entries = staging / found.txn.rpartition("/")[2]
        if ledger.num_files(entries) == len(files):
            return found, entries
    entries = staging / run
    entries.mkdir()
    pages = _read(lake.spark, cfg, files, entries).withColumns(
        {
            "pool": F.lit(cfg.pool.name),
            "batch_id": F.lit(batch_id),
            "warc_file": F.col("path"),
            "ingested_at": F.current_timestamp(),
        }
    )
    commit = lake.append(pages, "bronze.pages", txn=txn, run=run)
    if ledger.num_files(entries) < len(files):  # the pages were there, their ledger is lost: read for that alone
        pages.write.format("noop").mode("append").save()
    return commit, entries


def _read(spark: SparkSession, cfg: IngestConfig, files: Sequence[SourceFile], entries: Path) -> DataFrame:
    options = {
        "files": json.dumps([[file.path, file.address, file.num_bytes] for file in files]),
        "pool": cfg.pool.name,
        "partition_bytes": str(cfg.partition_bytes),
        "min_partitions": str(cfg.min_partitions),
        "max_record_bytes": str(cfg.max_record_bytes),
        "timeout_s": str(cfg.timeout_s),
        "keep_html": str(cfg.keep_html),
        "keep_rights": str(cfg.keep_rights),
        "ledger": str(entries),
    }
    return spark.read.format("warc").options(**options).load()


def _check(counts: pa.Table, num_files: int, num_rows: int) -> None:
    num_pages = sum(counts["num_pages"].to_pylist())
    if counts.num_rows != num_files or num_pages != num_rows:
        raise Incomplete(
            f"ingest read {counts.num_rows} of {num_files} files; they hold {num_pages} pages, and bronze.pages got "
            f"{num_rows} rows; the batch stays unpublished: no other job reads its pages"
        )


def pages(lake: Lakehouse, pool: str) -> DataFrame:
    """The pool's pages that other jobs may read: of batches that are whole and checked, but those taken down."""
    found = withdrawn.without(lake, lake.read("bronze.pages").where(F.col("pool") == pool), by_text=True)
    if not lake.exists("bronze.files"):
        return found
    whole = lake.read("bronze.files").where(F.col("pool") == pool).select("batch_id").distinct()
    return found.join(F.broadcast(whole), "batch_id", how="left_semi")


def _report(lake: Lakehouse, cfg: IngestConfig, new: int) -> Report:
    """The totals of the pool, and its dead letters by reason, over all its ingests: one query of a small table."""
    files = lake.read("bronze.files").where(F.col("pool") == cfg.pool.name).coalesce(1)  # and so without a shuffle
    entries = F.transform(F.map_entries("dead_letters"), _entry)
    whole = F.array(F.struct(F.lit("").alias("reason"), "num_records", "num_pages", "num_dead"))
    each = files.select(F.inline(F.concat(whole, entries)))
    names = ("num_records", "num_pages", "num_dead")
    sums = each.groupBy("reason").agg(F.count("*").alias("rows"), *[F.sum(name).alias(name) for name in names])
    by_reason = {row["reason"]: row for row in sums.collect()}
    total = by_reason.pop("")  # a pool without a file was refused
    dead = {reason: row["num_dead"] for reason, row in by_reason.items()}
    facts: dict[str, str | int | float] = {"files": total["rows"], "new_files": new}
    facts |= dict(sorted(dead.items(), key=lambda item: (-item[1], item[0])))
    versions = {name: lake.version(name) for name in ("bronze.files", "bronze.pages", "bronze.dead_letters")}
    return Report("ingest", total["num_records"], total["num_pages"], total["num_dead"], versions, facts)


def _entry(entry: Column) -> Column:
    none = F.lit(0).cast("long")
    names = (entry["key"].alias("reason"), none.alias("num_records"), none.alias("num_pages"))
    return F.struct(*names, entry["value"].alias("num_dead"))
