"""Fixtures of the whole suite: one Spark session, a lakehouse for each test, the shared data if present."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakeloom.lakehouse import session
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
)


# The two halves of the tests with Spark take about as long; these are one.
HALF = {
    "test_choose",
    "test_components",
    "test_cut",
    "test_decontaminate",
    "test_dedup",
    "test_duplicates",
    "test_export",
    "test_oracle_dedup",
    "test_oracle_export",
    "test_road",
}


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of Spark share two processes, a JVM each; others share theirs with the rest of their file."""
    for item in items:
        group = item.nodeid.split("::")[0]
        if item.get_closest_marker("spark"):
            group = "spark, the other half" if item.path.stem in HALF else "spark"
        item.add_marker(pytest.mark.xdist_group(group))


SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of specification data beside the repository; tests that need it skip in a clone without it."""
    if not SHARED.is_dir():
        pytest.skip("needs the data folder ../shared, which is not here")
    return SHARED


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of the process, with the fast-start settings for tables of a few rows."""
    scratch = tmp_path_factory.mktemp("spark")
    cfg = session.SparkConfig(
        master="local[2]",
        memory="2g",
        java_options="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m "
        "-Djdk.lang.Process.launchMechanism=VFORK",
        log=str(scratch / "spark.log"),
        options={
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "2",
            "spark.default.parallelism": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.databricks.delta.writeChecksumFile.enabled": "false",
            "spark.sql.session.timeZone": "UTC",
            # Queries over a few rows: compiling and re-planning them costs more than running them.
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.adaptive.enabled": "false",
            "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
            "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
            "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        },
    )
    made = session.spark(cfg)
    yield made
    made.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    """An empty lakehouse in a folder of this test."""
    return Lakehouse(spark, LakehouseConfig(root=str(tmp_path / "lake"), catalog=""))
