"""Reads and appends Delta tables by name. An append happens once for each transaction name, however often it is run.

The same code serves a folder (local, s3a://) and a Unity Catalog: only the catalog's name differs.
"""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from delta import DeltaTable
from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentTransactionException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)
from delta.tables import DeltaTableBuilder
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.lakehouse.errors import ConfigError, Conflict
from lakeloom.lakehouse.session import sql_type
from lakeloom.lakehouse.tables import TABLES, table

log = logging.getLogger(__name__)

_Found = TypeVar("_Found")

_CONFLICTS = (  # Delta's Python classes of them have no common base
    ConcurrentAppendException,
    ConcurrentTransactionException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)

# What Delta says of a folder where no table is, or not yet: which of them depends on how far the other job is.
_NOT_A_TABLE = ("DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION", "DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND")
_LOG_RETENTION = "interval 3650 days"
_RETENTION_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_VACUUM = {_RETENTION_CHECK: "true", _LISTING: "10000"}  # settings that a VACUUM changes, and what they are by default
_FIRST_COMMIT_S = 10.0  # for the first commit of another job; one takes a tenth of that

# Whole statements, since names can't be bound parameters of these.
_SCHEMAS = {name: f"CREATE SCHEMA IF NOT EXISTS {name}" for name in ("bronze", "silver", "gold", "ops")}
_FORGET = {name: f"DROP TABLE IF EXISTS {name}" for name in TABLES}


@dataclass(frozen=True)
class LakehouseConfig:
    """The config group `lakehouse`: `root` holds tables and files; with `catalog` the tables live in Unity Catalog."""

    root: str
    catalog: str


@dataclass(frozen=True)
class Commit:
    """What an append left in the table's log; `is_new` is false when the transaction had been committed before."""

    table: str
    version: int
    num_rows: int
    is_new: bool
    txn: str  # with the run's name, where it had one


def newest(table: DeltaTable) -> int:
    """Number of the newest commit of any Delta table."""
    row = table.history(1).select("version").first()
    assert row is not None  # noqa: S101 (a table that exists has a commit)
    return int(row["version"])


class Lakehouse:
    """The tables and files of one project, seen through one session."""

    def __init__(self, spark: SparkSession, cfg: LakehouseConfig) -> None:
        self.spark, self.cfg = spark, cfg
        self._pins = dict[str, int]()
        self._found = dict[Hashable, Any]()

    def pinned(self, *names: str) -> "Lakehouse":
        """The same, in which these tables stay at the version that they have now, whatever others write."""
        made = Lakehouse(self.spark, self.cfg)
        made._pins = self._pins | {name: self.version(name) for name in names if self.exists(name)}
        return made

    def once(self, name: str, key: Hashable, find: Callable[[], _Found]) -> _Found:
        """What `find` found in a table, looked for once for each key as long as the table is pinned."""
        if name not in self._pins:
            return find()
        if (name, key) not in self._found:
            self._found[name, key] = find()
        found: _Found = self._found[name, key]
        return found

    def delta(self, name: str) -> DeltaTable:
        """The table for merges and its log; it must exist."""
        # SQL would need the name formatted in: Delta 4.4.0's parser takes no IDENTIFIER(:name) (tried on Spark 4.2).
        if self.cfg.catalog:
            return DeltaTable.forName(self.spark, self._name(name))
        return DeltaTable.forPath(self.spark, self._path(name))

    def folder(self, name: str) -> Path:
        """A folder beside the tables, for shards, models, reports. ConfigError where the root is no file system's."""
        if "://" in self.cfg.root:
            raise ConfigError(
                f"lakehouse.root={self.cfg.root}: {name} needs a folder that all machines have mounted; give its path "
                "(such as /Volumes/...), and lakehouse.catalog for tables elsewhere"
            )
        path = Path(self.cfg.root, name).absolute()
        path.mkdir(parents=True, exist_ok=True)
        return path

    def exists(self, name: str) -> bool:
        """Whether the table was ever created."""
        if self.cfg.catalog:
            return self.spark.catalog.tableExists(self._name(name))
        return DeltaTable.isDeltaTable(self.spark, self._path(name))

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """The table, or one version of it. A table without a commit is a ConfigError that names the job to run."""
        if not self.exists(name):
            raise ConfigError(
                f"table {name} of {self.cfg.root} is empty; run the job that fills it first (lakeloom lists them)"
            )
        version = self._pins.get(name) if version is None else version
        reader = self.spark.read.format("delta")
        reader = reader if version is None else reader.option("versionAsOf", version)
        found = reader.table(self._name(name)) if self.cfg.catalog else reader.load(self._path(name))
        absent = [field for field in table(name).schema if field.name not in found.columns]  # new since it was made
        return found.withColumns({field.name: F.lit(None).cast(sql_type(field.type)) for field in absent})

    def version(self, name: str) -> int:
        """Number of the newest commit, or of the one that the table is pinned to."""
        return self._pins[name] if name in self._pins else newest(self.delta(name))

    def append(
        self,
        rows: DataFrame,
        name: str,
        *,
        txn: str,
        run: str = "",
        since: int | None = None,
        ours: Column | None = None,
    ) -> Commit:
        """Append once: a transaction name that is in the table's log already writes nothing.

        `run` tells which of several that tried the transaction the commit is of (its `txn` is then txn/run). Commits
        after version `since` are new (by default after the newest; to look it up costs a quarter of a second). `ours`
        is the transaction's rows: where they were removed, it is written again.
        """
        before = self.ensure(name) if since is None else since
        is_removed = ours is not None and self.read(name).where(ours).isEmpty()
        link = len(self._commits(name, txn)) if is_removed else 0
        self.write(rows, name, txn=f"{txn}/{run}" if run else txn, chain=txn, link=link)
        found = self.commit(name, txn)
        if found is None:  # the log entry is older than the table's log retention
            return Commit(name, before, 0, is_new=False, txn=txn)
        commit = replace(found, is_new=found.version > before)
        log.info(
            "%s: %s rows in version %s%s",
            name,
            commit.num_rows,
            commit.version,
            "" if commit.is_new else " (was there)",
        )
        return commit

    def write(self, rows: DataFrame, name: str, *, txn: str, chain: str = "", link: int = 0) -> None:
        """Append once, as above, and don't look at what it became: that costs a fifth of a second each time.

        Appends of one `chain` are numbered by `link`, and one whose number is not above the last in the log writes
        nothing; `commit` tells whether it did. Raises Conflict where another job wrote at the same time.
        """
        self.create(name)
        shape = table(name).schema
        typed = rows.select(*[F.col(field.name).cast(sql_type(field.type)).alias(field.name) for field in shape])
        writer = typed.write.format("delta").mode("append").option("userMetadata", txn)
        writer = writer.option("txnAppId", chain or txn).option("txnVersion", link)
        writer = writer.option("mergeSchema", "true")  # a column that is new in tables.py joins an older table
        try:
            if self.cfg.catalog:
                writer.saveAsTable(self._name(name))
            else:
                writer.save(self._path(name))
        except _CONFLICTS as error:
            raise _conflict(name, error) from error

    def remove(self, name: str, rows: Column) -> None:
        """Delete the rows of a condition. Raises Conflict where another job wrote at the same time."""
        try:
            self.delta(name).delete(rows)
        except _CONFLICTS as error:
            raise _conflict(name, error) from error

    def erase(self, name: str, keys: DataFrame, found: Column) -> int:
        """Delete the rows for which a row of `keys` (alias k; the table is t) is found; how many those were.

        Unlike the condition of a delete, the keys don't stay in the table's log. Raises Conflict as above.
        """
        try:
            merge = self.delta(name).alias("t").merge(keys.alias("k"), found).whenMatchedDelete().execute()
        except _CONFLICTS as error:
            raise _conflict(name, error) from error
        row = merge.first()
        return int(row["num_deleted_rows"]) if row else 0

    def update(self, name: str, rows: DataFrame, keys: tuple[str, ...]) -> None:
        """Give the rows of these keys the other values of `rows`. Raises Conflict as above."""
        found = F.expr(" and ".join(f"t.{key} = k.{key}" for key in keys))
        values: dict[str, str | Column] = {
            column: F.col(f"k.{column}") for column in rows.columns if column not in keys
        }
        try:
            self.delta(name).alias("t").merge(rows.alias("k"), found).whenMatchedUpdate(set=values).execute()
        except _CONFLICTS as error:
            raise _conflict(name, error) from error

    def optimize(self, name: str) -> None:
        """Merge small files, in the order of the columns that the table is clustered by."""
        try:
            self.delta(name).optimize().executeCompaction()
        except _CONFLICTS as error:
            raise _conflict(name, error) from error

    def vacuum(self, name: str, hours: float) -> None:
        """Delete the files of versions that ended so many hours ago. Below 168 only where no other job is running."""
        # Files are listed by that many tasks, 10,000 as it comes: a minute on two cores, for a table of one file.
        partitions = str(self.spark.conf.get("spark.sql.shuffle.partitions"))
        wanted = {_RETENTION_CHECK: "false", _LISTING: partitions}
        before = {key: str(self.spark.conf.get(key, default)) for key, default in _VACUUM.items()}
        for key, value in wanted.items():
            self.spark.conf.set(key, value)
        try:
            self.delta(name).vacuum(hours)
        finally:
            for key, value in before.items():
                self.spark.conf.set(key, value)

    def commit(self, name: str, txn: str) -> Commit | None:
        """The newest commit that carries this transaction name, or a run's of it, if there is one."""
        return max(self._commits(name, txn), key=lambda one: one.version, default=None)

    def _commits(self, name: str, txn: str) -> list[Commit]:
        """All that carry it: several, where rows of the earlier ones were removed."""
        if not self.exists(name):
            return []
        carried = F.col("userMetadata")
        log_entries = self.delta(name).history().where((carried == txn) | carried.startswith(f"{txn}/"))
        # The log is a local relation: without an order or a limit Spark answers from it without starting a job.
        number = F.col("operationMetrics")["numOutputRows"].alias("n")
        rows = log_entries.select("version", number, carried.alias("txn")).collect()
        return [Commit(name, int(row["version"]), int(row["n"] or 0), is_new=False, txn=row["txn"]) for row in rows]

    def ensure(self, name: str) -> int:
        """Number of the newest commit of the table, which is made if it isn't there."""
        return 0 if self.create(name) else self.version(name)

    def create(self, name: str) -> bool:
        """Make the table from its schema if it isn't there; whether it was made."""
        if self.exists(name):
            return False
        spec = table(name)
        builder = DeltaTable.createIfNotExists(self.spark).comment(spec.about)
        builder = builder.tableName(self._name(name)) if self.cfg.catalog else builder.location(self._path(name))
        for field in spec.schema:
            builder = builder.addColumn(field.name, sql_type(field.type))
        builder = builder.property("delta.dataSkippingStatsColumns", ",".join(spec.skip_by))
        # A commit's log entry tells that a result is there: it must be kept as long as the result is.
        builder = builder.property("delta.logRetentionDuration", _LOG_RETENTION)
        # Rows that are deleted leave the files, and with VACUUM the disk.
        builder = builder.property("delta.enableDeletionVectors", "false")
        if spec.cluster_by:
            builder = builder.clusterBy(*spec.cluster_by)
        try:
            return self._execute(builder, name)
        except _CONFLICTS as error:
            if not self.exists(name):
                raise _conflict(name, error) from error
            return False  # two first jobs at once, and the other made it

    def _execute(self, builder: DeltaTableBuilder, name: str) -> bool:
        """Make the table; whether it took one try. One that another job is making has a folder before it is a table."""
        until, is_first = time.monotonic() + _FIRST_COMMIT_S, True
        while True:
            try:
                builder.execute()
                return is_first
            except AnalysisException as error:
                if error.getCondition() not in _NOT_A_TABLE:
                    raise
                if time.monotonic() > until:
                    raise ConfigError(
                        f"{self._path(name)} is not empty and no Delta table; empty it, or give another lakehouse.root"
                    ) from error
            is_first = False
            time.sleep(0.1)

    def publish_names(self) -> None:
        """Give this session's catalog the names of the tables that exist, for SQL typed by people."""
        if self.cfg.catalog:
            self.spark.catalog.setCurrentCatalog(self.cfg.catalog)
            return
        for statement in _SCHEMAS.values():
            self.spark.sql(statement)
        for name in TABLES:
            if self.exists(name):
                self.spark.sql(_FORGET[name])
                self.spark.catalog.createTable(name, path=self._path(name), source="delta")

    def _name(self, name: str) -> str:
        return f"{self.cfg.catalog}.{table(name).name}"

    def _path(self, name: str) -> str:
        root = self.cfg.root if "://" in self.cfg.root else str(Path(self.cfg.root).absolute())
        return f"{root}/tables/{table(name).name.replace('.', '/')}"


def _conflict(name: str, error: Exception) -> Conflict:
    what = f"{type(error).__name__}: {str(error)[:200]}"
    return Conflict(f"table {name}: another job wrote to it ({what}); run this one again")
