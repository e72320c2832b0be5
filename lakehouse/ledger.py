"""An ingest's ledger: one Parquet file a task, with the rows that are no pages and each file's count of records.

So pages go from the archives to their table in one pass, kept nowhere in between; what the tables must then add up to
is read from here. A task's file appears when the task is done, under a name made of what it read: a task that runs
twice leaves one file.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from lakeloom.lakehouse.rows import SCHEMA


@contextmanager
def writer(folder: str, name: str) -> Iterator[pq.ParquetWriter]:
    """Write batches of rows (SCHEMA) to the file `name` of the folder; it is there only after the last one."""
    final = Path(folder, f"{name}.parquet")
    aside = Path(folder, f"_{name}.{os.getpid()}")  # Spark reads no file whose name begins so
    try:
        with pq.ParquetWriter(aside, SCHEMA) as rows:
            yield rows
        aside.replace(final)
    finally:
        aside.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """An empty ledger, without what a killed run left."""
    remove(folder)
    folder.mkdir(parents=True)


def remove(folder: Path) -> None:
    """The ledger of a batch that is published."""
    shutil.rmtree(folder, ignore_errors=True)
