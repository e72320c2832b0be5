"""The lakeloom command's manners: one line for an error, the right exit code, nothing made by a wrong request."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import cli
from lakeloom.lakehouse.errors import ConfigError, Incomplete, SourceFailed, raised_by_worker
from lakeloom.lakehouse.store import Lakehouse


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
        (["explain", "recipe=raw"], "explain needs a page"),
        (["curate", "--recipe=raw"], "write recipe=raw, without dashes"),
        (["train"], "train.dataset has no default; say train.dataset=..."),
        (["evaluate", "evaluate.model=m", "evaluate.holdouts=x"], "write evaluate.holdouts=[...]"),
        (["ingest", "pool=.", "ingest.batch_bytes=-1"], "ingest.batch_bytes=-1 is not above 0"),
        (["curate", "spark.memory=3x"], "spark.memory=3x is no size; write 2g"),
        (["curate", "lakehouse.root=/proc/nowhere"], "/proc/nowhere/logs can't be written"),
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [("steps: [}", "is no YAML"), ("", "write name: mine"), ("steps: []", "write name: mine"), ("\xff", "is no YAML")],
)
def test_a_broken_recipe_is_one_line(
    text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.joinpath("mine.yaml").write_text(text, "latin-1")
    assert lakeloom("curate", f"recipe={tmp_path}/mine.yaml", f"lakehouse.root={tmp_path}/data") == 2
    err = capsys.readouterr().err
    assert expected in err and len(err.splitlines()) == 1


def test_help_says_what_a_job_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in (
        (["explain", "--help"], "lakeloom explain PAGE key=value"),
        (["help", "ingest"], "ingest.keep_html: false"),
        (["leaderboard", "--help"], "no settings of its own"),
        (["curate", "--help"], "docs/filters.md"),
    ):
        assert lakeloom(*words) == 0
        assert expected in capsys.readouterr().out


@pytest.mark.slow
def test_interrupted_while_spark_starts_nothing_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lakeloom.jobs", "curate", "recipe=raw", f"lakehouse.root={tmp_path}/data"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as job:
        family = psutil.Process(job.pid)
        wait_for(lambda: any("pyspark-shell" in command_of(child) for child in family.children(recursive=True)))
        started = family.children(recursive=True)
        os.killpg(job.pid, signal.SIGINT)
        _, err = job.communicate(timeout=120)
    assert (job.returncode, err) == (130, "stopped; run the same command again to go on\n")
    gone, alive = psutil.wait_procs(started, timeout=30)
    assert gone and not alive


def command_of(process: psutil.Process) -> list[str]:
    """Its words; none of one that has ended meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "lakeloom.jobs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None and job.stderr is not None
        job.stdout.close()
        assert job.stderr.read() == b""
    assert job.returncode == 0


@pytest.mark.spark
def test_a_long_answer_says_that_it_is_cut(
    lake: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for query, expected in (("select id from range(50)", False), ("select id from range(51)", True)):
        assert lakeloom("sql", query, f"lakehouse.root={lake.cfg.root}") == 0
        assert ("the first 50 rows of more" in capsys.readouterr().out) == expected


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
