"""Labelled samples of two tables, as lines for fastText's trainer: in the order of a keyed hash of the text.

So neither the order of a table nor how it lies in files matters. A text counts once; where both tables have it, it
has the first label.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from delta import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakeloom.filters.fasttextfile import LABEL
from lakeloom.filters.quality import one_line
from lakeloom.jobs import shares
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.store import Lakehouse, newest
from lakeloom.lakehouse.tables import TABLES

_LABEL_LIKE = rf"(^|[\x00\t-\r ]){LABEL}[^\x00\t-\r ]*"
_SPARE = 1.25  # times max_pages are sorted, since equal and blank texts fall out


@dataclass(frozen=True)
class Source:
    """Rows of one version of a table: a table of the lakehouse by name, or any Delta table by its folder."""

    table: str
    version: int
    where: str
    column: str

    def identity(self) -> Json:
        """What the sample is a function of, with its size and seed."""
        return [self.table, self.version, self.where, self.column]


def source(lake: Lakehouse, table: str, where: str, column: str, setting: str) -> Source:
    """The source that `table` names, as NAME or NAME@VERSION; the newest version is the one of now."""
    name, at, version = table.rpartition("@")
    if not at or not version.isdigit():
        name, version = table, ""
    if name in TABLES:
        lake.read(name)  # an empty one is refused
        latest = lake.version(name)
    elif "/" in name:
        name = name if "://" in name else str(Path(name).expanduser().absolute())
        if not DeltaTable.isDeltaTable(lake.spark, name):
            raise ConfigError(f"{setting}: no Delta table in {name}")
        latest = newest(DeltaTable.forPath(lake.spark, name))
    else:
        raise unknown("table", name, TABLES, f"{setting}; or give the folder of a Delta table, with a slash in it")
    chosen = int(version) if version else latest
    if chosen > latest:
        raise ConfigError(f"{setting}: {name} has no version {chosen}, its newest is {latest}")
    found = Source(name, chosen, where, column)
    try:
        _ = _rows(lake, found).schema  # on a cluster elsewhere nothing is looked at before
    except PySparkException as error:
        raise ConfigError(f"{setting}_where: {str(error).strip().splitlines()[0]}") from error
    except ConfigError as error:
        raise ConfigError(f"{setting}: {error}") from error
    return found


def _rows(lake: Lakehouse, one: Source) -> DataFrame:
    """The source's texts."""
    if one.table in TABLES:
        rows = lake.read(one.table, one.version)
    else:
        rows = lake.spark.read.format("delta").option("versionAsOf", one.version).load(one.table)
    if one.column not in rows.columns:
        raise unknown("column", one.column, rows.columns, one.table)
    rows = rows.where(one.where) if one.where else rows
    return rows.select(F.make_valid_utf8(F.col(one.column).cast("string")).alias("text")).where(
        F.col("text").isNotNull()
    )


def lines(lake: Lakehouse, sources: Mapping[str, Source], max_pages: int, seed: int) -> Iterator[Row]:
    """Rows `key`, `label` and `line` of all sources, by key; of equal texts the first source's first.

    Of a larger table a little more than max_pages, so that they suffice where some texts are equal.
    """
    parts = [
        _sampled(_rows(lake, one), max_pages, seed).withColumns({"label": F.lit(label), "rank": F.lit(rank)})
        for rank, (label, one) in enumerate(sources.items())
    ]
    return reduce(DataFrame.unionByName, parts).orderBy("key", "rank").toLocalIterator()


def _sampled(rows: DataFrame, max_pages: int, seed: int) -> DataFrame:
    """Texts whose keys are below the sample's share of the table."""
    share = _SPARE * max_pages / max(1, rows.count()) + 1e-4  # chance weighs more in a small share
    key = F.sha2(F.concat(F.lit(f"classifier/{seed}/"), F.sha2("text", 256)), 256)
    chosen = rows.select(key.alias("key"), "text").where(shares.is_below("key", share))

    def to_lines(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            # fastText would take a word that looks like a label for one; its scoring passes over such words.
            line = pc.replace_substring_regex(one_line(part.column("text")), _LABEL_LIKE, r"\1")
            yield pa.record_batch({"key": part.column("key"), "line": line})

    return chosen.mapInArrow(to_lines, "key STRING, line STRING").where(F.col("line") != "")


@dataclass
class Samples:
    """Files that lines go to: those to train on, and by the key's last bits a share of them that is held out."""

    train: Path
    holdout: Path
    holdout_share: float
    max_pages: int
    num_read: int = 0
    num_pages: Counter[str] = field(default_factory=Counter[str])  # by label, held out or not
    num_held: Counter[str] = field(default_factory=Counter[str])
    num_in_both: int = 0

    def write(self, rows: Iterator[Row], labels: Sequence[str]) -> None:
        """Take rows by key until there are max_pages of each label."""
        with self.train.open("w", encoding="utf-8") as train, self.holdout.open("w", encoding="utf-8") as holdout:
            for key, equals in groupby(rows, key=lambda row: str(row["key"])):
                found = list(equals)
                self.num_read += len(found)
                self.num_in_both += len({row["label"] for row in found}) > 1
                label = str(found[0]["label"])
                if self.num_pages[label] < self.max_pages:
                    is_held = shares.ends_below(key, self.holdout_share)
                    self.num_pages[label] += 1
                    self.num_held[label] += is_held
                    (holdout if is_held else train).write(f"{LABEL}{label} {found[0]['line']}\n")
                elif all(self.num_pages[one] >= self.max_pages for one in labels):
                    return
