"""The lakeloom command's manners: one line for an error, the right exit code, nothing made by a wrong request."""

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import cli
from lakeloom.lakehouse.errors import ConfigError, Incomplete, SourceFailed, raised_by_worker


def lakeloom(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return int(str(ended.value.code))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ingets"], "no job 'ingets'; nearest: ingest"),
        (["ingest", "pool=/nowhere/at/all"], "'/nowhere/at/all' doesn't exist"),
        (["ingest", "ingest.timeout=3"], "nearest: ingest.timeout_s"),
        (["curate", "recipe=refinedwep"], "refinedwep"),
        (["sql"], "sql needs a query"),
    ],
)
def test_a_wrong_request_is_one_line_and_makes_nothing(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lakeloom(*words) == 2
    out, err = capsys.readouterr()
    assert expected in err and len(err.splitlines()) == 1
    assert out == "" and not any(tmp_path.iterdir())


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "lakeloom.jobs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None and job.stderr is not None
        job.stdout.close()
        assert job.stderr.read() == b""
    assert job.returncode == 0


@pytest.mark.spark
def test_a_disk_that_fails_is_one_line_and_the_batch_waits(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pool = tmp_path / "pool"
    pool.mkdir()
    pool.joinpath("bad.warc.gz").symlink_to("/proc/self/mem")  # opens, and can't be read
    assert lakeloom("ingest", f"pool={pool}", "lakehouse.root=data") == 1
    err = capsys.readouterr().err
    assert err.startswith("SourceFailed: ") and "bad.warc.gz" in err and "run the job again" in err
    assert len(err.splitlines()) == 1


def test_a_workers_error_is_found_in_its_traceback() -> None:
    trace = """[PYTHON_EXCEPTION]
  File "guard.py", line 10, in batches
lakeloom.lakehouse.errors.SourceFailed: a.warc.gz: it broke
The above exception was the direct cause of the following exception:
lakeloom.lakehouse.errors.Incomplete: rows were lost
"""
    found = raised_by_worker(trace)
    assert isinstance(found, Incomplete) and str(found) == "rows were lost"
    assert isinstance(raised_by_worker("x\nlakeloom.lakehouse.errors.ConfigError: no\n"), ConfigError)
    assert raised_by_worker("ValueError: something else") is None
    assert SourceFailed.exit_code == 1
