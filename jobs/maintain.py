"""OPTIMIZE and VACUUM of the tables, but no VACUUM that takes a version which a dataset or model cites.

VACUUM deletes files, not versions: of an older version those are lost that no version since the retention's beginning
has. So a table that is only appended to loses nothing, and one that was optimized or deleted from may.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import citations
from lakeloom.jobs.citations import Cited
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.report import Report, Sheet
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import TABLES

log = logging.getLogger(__name__)

_COLUMNS = ("table", "version", "cited by")


@dataclass(frozen=True)
class MaintainConfig:
    """Which tables, and what may be lost; see conf/job/maintain.yaml."""

    lakehouse: LakehouseConfig
    vacuum: bool
    optimize: bool
    retention_hours: float
    tables: list[str]
    models: str
    force: bool

    def __post_init__(self) -> None:
        for name in self.tables:
            if name not in TABLES:
                raise unknown("table", name, TABLES, "maintain.tables")
        if self.retention_hours < 0:
            raise ConfigError(f"maintain.retention_hours={self.retention_hours}: it must be 0 or more")


def run(spark: SparkSession, cfg: MaintainConfig) -> Report:
    """Rows are tables; dropped are those whose VACUUM was refused, for which a ConfigError is raised at the end."""
    lake = Lakehouse(spark, cfg.lakehouse)
    names = [name for name in cfg.tables or TABLES if lake.exists(name)]
    for name in names if cfg.optimize else ():
        lake.optimize(name)
    if not cfg.vacuum:
        return Report("maintain", len(names), len(names), versions={name: lake.version(name) for name in names})
    cited = citations.cited(lake, Path(cfg.models))
    broken = [one for name in names for one in _breaks(lake, cfg, [one for one in cited if one.table == name])]
    refused = set() if cfg.force else {one.table for one in broken}
    for name in names:
        if name not in refused and citations.has_old_files(lake, name, cfg.retention_hours):
            lake.vacuum(name, cfg.retention_hours)
    if refused:
        raise ConfigError(_refusal(broken))
    sheet = Sheet("cited versions that can't be read any more", _COLUMNS, tuple(_row(one) for one in broken))
    versions = {name: lake.version(name) for name in names}
    return Report("maintain", len(names), len(names), versions=versions, sheets=(sheet,) if broken else ())


def _breaks(lake: Lakehouse, cfg: MaintainConfig, ours: Sequence[Cited]) -> list[Cited]:
    """Of the citations of one table those that can be read now and not after a VACUUM."""
    if not ours:
        return []
    name = ours[0].table
    oldest = _oldest_kept(lake, name, cfg.retention_hours)
    return [
        one
        for one in ours
        if one.version < oldest
        and citations.files(lake, name, one.version, one.corpus_id) - citations.files(lake, name, oldest, one.corpus_id)
        and citations.is_readable(lake, one)
    ]


def _oldest_kept(lake: Lakehouse, name: str, hours: float) -> int:
    """The version that was the newest when the retention began: its files stay, and those that came later."""
    begin = datetime.now(UTC) - timedelta(hours=hours)
    before = lake.delta(name).history().where(F.col("timestamp") <= F.lit(begin))
    row = before.agg(F.max("version").alias("version")).first()
    return int(row["version"]) if row and row["version"] is not None else 0


def _refusal(broken: Sequence[Cited]) -> str:
    named = "; ".join(f"{one.table} version {one.version}, cited by {one.by}" for one in broken)
    return (
        f"not vacuumed, since it could not be read any more: {named}; say maintain.force=true to do it all the same, "
        "or a longer maintain.retention_hours (all other tables were vacuumed)"
    )


def _row(one: Cited) -> tuple[str, int, str]:
    return one.table, one.version, one.by
