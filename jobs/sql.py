"""A query over the tables by their names, for people: the first rows of its answer."""

from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

_ROWS, _WIDTH = 50, 200


@dataclass(frozen=True)
class SqlConfig:
    """One SQL statement, as the user typed it."""

    lakehouse: LakehouseConfig
    query: str


def run(spark: SparkSession, cfg: SqlConfig) -> Report:
    """Run the statement and keep its first rows; a statement that Spark refuses is a ConfigError in one line."""
    Lakehouse(spark, cfg.lakehouse).publish_names()
    try:
        answer = spark.sql(cfg.query)
        rows = answer.limit(_ROWS + 1).collect()
    except PySparkException as error:
        raise ConfigError(f"sql: {str(error).strip().splitlines()[0]}") from error
    shown = rows[:_ROWS]
    sheet = Sheet("", tuple(answer.columns), tuple(tuple(_cell(value) for value in row) for row in shown))
    more = (f"the first {_ROWS} rows of more; count them, or give the query an order and a limit",)
    return Report("sql", len(shown), len(shown), sheets=(sheet,), notes=more if len(rows) > _ROWS else ())


def _cell(value: object) -> Value:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
