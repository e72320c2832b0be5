"""The same jobs by spark-submit: our code from the zip, the session and Delta from the cluster's own settings."""

import os
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from lakeloom.lakehouse import jars, java

ROOT = Path(__file__).parent.parent


@pytest.mark.spark
@pytest.mark.slow
def test_spark_submit_runs_a_job(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = wheel.rename(tmp_path / "lakeloom.zip")
    program = java.find()
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
    }
    spark = Path(pyspark.__file__).parent
    command = [str(spark / "bin" / "spark-submit"), "--master", "local[1]"]
    command += ["--jars", ",".join(map(str, jars.ensure(program))), "--py-files", str(shipped)]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    command += [str(ROOT / "jobs" / "__main__.py"), "sql", "select 6 * 7 as answer", "spark=cluster"]
    done = subprocess.run(
        [*command, f"lakehouse.root={tmp_path / 'lake'}"],
        cwd=tmp_path,
        env={
            **os.environ,
            "SPARK_HOME": str(spark),
            "PYSPARK_PYTHON": sys.executable,
            "JAVA_HOME": str(program.parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "answer" in done.stdout and "42" in done.stdout
