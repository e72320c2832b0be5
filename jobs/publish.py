"""Evaluations of models become rows of gold.scores, each once."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakeloom.evaluate import scores
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table

TABLE = "gold.scores"


@dataclass(frozen=True)
class PublishConfig:
    """Which models' evaluations to publish."""

    lakehouse: LakehouseConfig
    models: list[str]  # folders


def run(spark: SparkSession, cfg: PublishConfig) -> Report:
    """Append the evaluations that the table doesn't have; `dropped` counts rows that were there."""
    lake, schema = Lakehouse(spark, cfg.lakehouse), table(TABLE).schema
    found = [scores.load(file) for folder in cfg.models for file in scores.of_model(Path(folder))]
    rows_in = rows_out = 0
    for one in found:
        rows = [tuple(row[name] for name in schema.names) for row in scores.table_rows(one)]
        commit = lake.append(spark.createDataFrame(rows, ddl(schema)), TABLE, txn=f"publish/{one.evaluation_id}")
        rows_in += len(rows)
        rows_out += len(rows) if commit.is_new else 0
    versions = {TABLE: lake.version(TABLE)}
    return Report("publish", rows_in, rows_out, rows_in - rows_out, versions, {"evaluations": len(found)})
