"""An ingest's ledger: one Parquet file a task, with the rows that are no pages and each file's count of records.

So pages go from the archives to their table in one pass, kept nowhere in between; what the tables must then add up to
is read from here. A task's file appears when the task is done, under a name made of what it read: a task that runs
twice leaves one file.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
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


def counts(folder: Path) -> pa.Table:
    """Per file_id: the reader's own count of records, those that are no pages (in all, by reason); so the pages.

    A row a file of one batch: read here, since a job of Spark's for it costs more than the reading.
    """
    rows = _dataset(folder)
    files = rows.to_table(["file_id", "num_records", "cpu_s"], filter=ds.field("kind") == "file")
    reasons = defaultdict[str, Counter[str]](Counter)
    dead = rows.to_batches(["file_id", "stage", "error", "num_records"], filter=ds.field("kind") != "file")
    for batch in dead:  # a row a bad record: by the million where archives are bad
        by_reason = pa.table(batch).group_by(["file_id", "stage", "error"]).aggregate([("num_records", "sum")])
        for row in by_reason.to_pylist():
            reasons[row["file_id"]][f"{row['stage']}/{row['error']}"] += row["num_records_sum"]
    found = [sorted(reasons[file].items()) for file in files["file_id"].to_pylist()]
    num_dead = pa.array([sum(count for _, count in pairs) for pairs in found], pa.int64())
    return pa.table(
        {
            "file_id": files["file_id"],
            "num_records": files["num_records"],
            "num_dead": num_dead,
            "num_pages": pc.subtract(files["num_records"], num_dead),
            "dead_letters": pa.array(found, pa.map_(pa.string(), pa.int64())),
            "cpu_s": files["cpu_s"],
        }
    )


def num_files(folder: Path) -> int:
    """How many source files' counts are in a ledger; 0 where a part of it can't be read (the machine went down)."""
    try:
        return int(_dataset(folder).count_rows(filter=ds.field("kind") == "file"))
    except (OSError, pa.ArrowInvalid):
        return 0


def _dataset(folder: Path) -> ds.Dataset:
    return ds.dataset([str(path) for path in sorted(folder.glob("[!_]*.parquet"))], schema=SCHEMA, format="parquet")
