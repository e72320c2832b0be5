"""The one place where a SparkSession is made, tuned for one machine; a cluster brings its own session and settings."""

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from lakeloom.lakehouse import jars, java
from lakeloom.lakehouse.errors import ConfigError, LakeloomError

_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n%ex
"""

_COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
_MEMORY = re.compile(r"[1-9][0-9]*[kmgt]b?", re.IGNORECASE)
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
    if not _MEMORY.fullmatch(cfg.memory):
        raise ConfigError(f"spark.memory={cfg.memory} is no size; write 2g or 1500m")
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
    with _stderr_to(Path(cfg.log)), _uninterrupted():
        try:
            return builder.getOrCreate()
        except PySparkRuntimeError as error:
            raise LakeloomError(f"Spark did not start ({str(error).splitlines()[0]}); why is in {cfg.log}") from error


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the JVM is up: pyspark would forget a half-started one, which then runs on without end.

    The handler that pyspark sets is put away too: it calls a JVM that may be busy, and prints what comes of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


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
    settings = log.with_suffix(".log4j2.properties")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(_LOG4J.format(file=log))
    except OSError as error:
        cure = "give another folder by lakehouse.root=... or spark.log=..."
        raise ConfigError(f"{log.parent} can't be written ({error.strerror}); {cure}") from error
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


@contextmanager
def compiled(spark: SparkSession, *, when: bool) -> Iterator[None]:
    """Within, if `when`, plans are compiled to Java although the profile says interpreted: for very many rows."""
    before = {name: str(spark.conf.get(name, value)) for name, value in _COMPILED.items()}
    is_needed = when and before != _COMPILED
    try:
        for name, value in _COMPILED.items() if is_needed else ():
            spark.conf.set(name, value)
        yield
    finally:
        for name, value in before.items() if is_needed else ():
            spark.conf.set(name, value)


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
