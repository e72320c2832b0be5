"""Rows computed once and kept in a folder while a job needs them."""

from pathlib import Path

from pyspark.sql import DataFrame


def stored(rows: DataFrame, folder: Path) -> DataFrame:
    """The same rows, computed now: later steps read them instead of computing them again."""
    rows.write.parquet(str(folder))
    return rows.sparkSession.read.schema(rows.schema).parquet(str(folder))  # told: to infer it is a job of its own
