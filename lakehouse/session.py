"""The one place where a SparkSession is made, tuned for one machine; a cluster brings its own session and settings."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from lakeloom.lakehouse import jars, java
from lakeloom.lakehouse.errors import LakeloomError

_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n%ex
"""

_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


@dataclass(frozen=True)
class SparkConfig:
    """The config group `spark`. An empty master means: take the session that the cluster already has."""

    master: str
    memory: str
    java_options: str
    log: str
    options: dict[str, str]


def spark(cfg: SparkConfig) -> SparkSession:
    """The session of this process. Local: Delta by spark.jars, no UI, Spark's log in the file `cfg.log`."""
    # pyspark repeats each failed query's stack trace as JSON on stderr, beside the exception that we handle.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    builder = SparkSession.builder.appName("lakeloom")
    if not cfg.master:
        return builder.getOrCreate()
    program = java.find()
    os.environ["JAVA_HOME"] = str(program.resolve().parent.parent)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    options = {
        "spark.jars": ",".join(map(str, jars.ensure(program))),
        "spark.pyspark.python": sys.executable,
        "spark.driver.memory": cfg.memory,
        "spark.driver.extraJavaOptions": f"{cfg.java_options} -Dlog4j2.configurationFile={_log4j(Path(cfg.log))}",
        **_DELTA,
        **cfg.options,
    }
    builder = builder.master(cfg.master)
    for key, value in options.items():
        builder = builder.config(key, value)
    with _stderr_to(Path(cfg.log)):
        return builder.getOrCreate()


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """The JVM, started inside, keeps writing its warnings to the log; this process gets its stderr back."""
    kept = os.dup(2)
    with log.open("a") as file:
        sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _log4j(log: Path) -> str:
    log = log.absolute()
    log.parent.mkdir(parents=True, exist_ok=True)
    settings = log.with_suffix(".log4j2.properties")
    settings.write_text(_LOG4J.format(file=log))
    return settings.as_uri()


_NAMES = {
    pa.string(): "STRING",
    pa.binary(): "BINARY",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
}


def sql_type(kind: pa.DataType) -> str:
    """Spark's name of an Arrow type that our tables use."""
    if isinstance(kind, pa.ListType):
        return f"ARRAY<{sql_type(kind.value_type)}>"
    if isinstance(kind, pa.MapType):
        return f"MAP<{sql_type(kind.key_type)}, {sql_type(kind.item_type)}>"
    if kind not in _NAMES:
        raise LakeloomError(f"no Spark type for Arrow's {kind}; add it to lakehouse/session.py")
    return _NAMES[kind]


def ddl(schema: pa.Schema) -> str:
    """An Arrow schema as the DDL string that Spark's schema arguments take."""
    return ", ".join(f"`{field.name}` {sql_type(field.type)}" for field in schema)
