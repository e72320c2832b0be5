"""Which versions of which tables datasets, mixes and models cite, and which of those can still be read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlparse

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.jobs import corpora, modelfolders
from lakeloom.lakehouse import takedowns
from lakeloom.lakehouse.shards import DATASET
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import TABLES

_SHARDS = "gold.shards"
# Operations after which files are in old versions only.
_REPLACING = ("DELETE", "MERGE", "UPDATE", "OPTIMIZE", "WRITE", "REPLACE TABLE", "RESTORE")


@dataclass(frozen=True, order=True)
class Cited:
    """A version of a table that something was made from; `corpus_id` tells which rows, where they are not all."""

    table: str
    version: int
    by: str
    corpus_id: str = ""


def cited(lake: Lakehouse, models: Path) -> list[Cited]:
    """Citations of gold.shards, of gold.mixes and of the folders of datasets and models, each once."""
    found = {*_of_shards(lake), *_of_mixes(lake), *_of_folders(lake)}
    for model in modelfolders.find(models):
        facts = model.config.get("dataset")
        if isinstance(facts, dict) and facts.get("source_table") in TABLES:
            whole = cast("dict[str, Any]", facts)
            version, by = int(whole["source_version"]), f"model {model.name}"
            found.add(Cited(whole["source_table"], version, by, str(whole["corpus_id"])))
    return sorted(found)


def _retention(parameters: dict[str, str]) -> int:
    return int(json.loads(parameters.get("specifiedRetentionMillis", "-1")))


def _of_shards(lake: Lakehouse) -> Iterator[Cited]:
    if not lake.exists(_SHARDS):
        return
    names = ("source_table", "source_version", "dataset", "export_id", "corpus_id")
    for row in lake.read(_SHARDS).select(*names).distinct().toLocalIterator():
        if row["source_table"] in TABLES:
            by = f"dataset {row['dataset']}-{row['export_id'][:12]}"
            yield Cited(row["source_table"], row["source_version"], by, row["corpus_id"])


def _of_mixes(lake: Lakehouse) -> Iterator[Cited]:
    """Tables that are sources of a mix; a Delta table of others is not ours to keep."""
    if not lake.exists(corpora.MIXES):
        return
    ours = (F.col("kind") == "table") & F.col("place").isin(list(TABLES))
    for row in lake.read(corpora.MIXES).where(ours).toLocalIterator():
        yield Cited(row["place"], row["source_version"], f"mix {row['dataset']}-{row['corpus_id'][:12]}")


def _of_folders(lake: Lakehouse) -> Iterator[Cited]:
    for facts in _described(lake):
        if facts.get("source_table") in TABLES:
            by = f"dataset {facts['name']}-{str(facts['export_id'])[:12]}"
            yield Cited(str(facts["source_table"]), int(facts["source_version"]), by, str(facts["corpus_id"]))


def _described(lake: Lakehouse) -> list[dict[str, Any]]:
    if "://" in lake.cfg.root:
        return []
    folders = sorted(path.parent for path in lake.folder("shards").glob(f"*/{DATASET}"))
    return [cast("dict[str, Any]", takedowns.describe(folder)) for folder in folders]


def files(lake: Lakehouse, table: str, version: int, corpus_id: str = "") -> frozenset[str]:
    """Names of the files of a version, or of those that may have rows of a corpus."""
    rows: DataFrame = lake.read(table, version)
    if corpus_id and "corpus_id" in rows.columns:
        rows = rows.where(F.col("corpus_id") == corpus_id)
    return frozenset(rows.inputFiles())


def is_readable(lake: Lakehouse, one: Cited) -> bool:
    """Whether all files that a citation needs are there; in object stores that is not looked up."""
    if not lake.exists(one.table) or not 0 <= one.version <= lake.version(one.table):
        return False
    return all(_is_there(name) for name in files(lake, one.table, one.version, one.corpus_id))


def _is_there(name: str) -> bool:
    return _path(name).exists() if urlparse(name).scheme in ("", "file") else True


def _path(name: str) -> Path:
    return Path(unquote(urlparse(name).path))


def has_other_files(lake: Lakehouse, table: str) -> bool:
    """Whether data files are there that the newest version has not: old ones, or those of a job that was killed.

    Of a table that is in no folder here it is taken to be so.
    """
    folder = Path(lake.cfg.root, "tables", *table.split("."))
    if lake.cfg.catalog or not folder.is_dir():
        return True
    named = {_path(name).name for name in files(lake, table, lake.version(table))}
    there = (path.relative_to(folder) for path in folder.rglob("*.parquet"))
    # VACUUM leaves what begins so, the log among it.
    return any(not any(part.startswith(("_", ".")) for part in one.parts) and one.name not in named for one in there)


def has_old_files(lake: Lakehouse, table: str, hours: float = 0) -> bool:
    """Whether versions before the newest may have files of their own that no VACUUM of that retention has deleted."""
    entries = lake.delta(table).history().select("version", "operation", "operationParameters").collect()
    is_complete = False  # whether the VACUUM that began before an entry came to its end
    for entry in sorted(entries, key=lambda entry: -int(entry["version"])):
        parameters = entry["operationParameters"] or {}
        if entry["operation"] == "VACUUM START":  # committed before the first file is deleted
            if is_complete and hours == 0 and _retention(parameters) == 0:
                return False
            is_complete = False
        elif entry["operation"] == "VACUUM END":
            is_complete = parameters.get("status") == "COMPLETED"
        if entry["operation"] in _REPLACING and not (
            entry["operation"] == "WRITE" and parameters.get("mode") == "Append"
        ):
            return True
    return False
