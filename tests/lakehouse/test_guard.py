"""Archives read in a process of their own: every row once, whatever ends that process."""

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from lakeloom.lakehouse import guard
from lakeloom.lakehouse.errors import SourceFailed
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.reader import Task
from lakeloom.lakehouse.warc import Limits, Page, records
from tests.lakehouse.test_warc import PROSE, archive

ENDLESS = b"<html><body>" + b"<div>" * 60_000 + b"deep"  # half a minute of resiliparse

Task_ = Callable[..., Task]


@pytest.fixture
def task(tmp_path: Path) -> Task_:
    """A task over archives of these bodies, one file each."""

    def make(*files: list[bytes], timeout_s: float = 20.0) -> Task:
        paths = [tmp_path / f"{number}.warc.gz" for number in range(len(files))]
        for path, bodies in zip(paths, files, strict=True):
            path.write_bytes(archive(bodies))
        return Task("p", [(path.name, str(path), path.stat().st_size) for path in paths], Limits(), timeout_s)

    return make


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.to_pylist()]


def counts(found: list[dict[str, object]]) -> dict[tuple[object, object], int]:
    keys = [(row["kind"], row["error"]) for row in found]
    return {key: keys.count(key) for key in sorted(set(keys), key=str)}


def reader() -> psutil.Process:
    """The process that reads for this one."""
    (found,) = (one for one in psutil.Process().children() if "lakeloom.lakehouse.reader" in one.cmdline())
    return found


def test_gives_what_the_archive_holds(task: Task_) -> None:
    bodies = [f"<p>{PROSE} {number} \u2014 \u7e54</p>".encode() for number in range(30)]
    given = task(bodies, [*bodies, b"\xff\xfe\x00", b""])
    data = archive(bodies)
    expected = [row.text for row in records(io.BytesIO(data), len(data), main_text, Limits()) if isinstance(row, Page)]
    found = rows(guard.batches(given))
    texts = [row["text"] for row in found if row["kind"] == "page"]
    assert texts[:30] == expected and texts[30:60] == expected
    assert counts(found) == {
        ("dead", "empty_body"): 1,
        ("file", ""): 2,
        ("other", "type_request"): 2,
        ("other", "type_warcinfo"): 2,
        ("page", None): 61,
    }
    assert [row["num_records"] for row in found if row["kind"] == "file"] == [61, 65]
    assert all(isinstance(row["cpu_s"], float) for row in found if row["kind"] == "file")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "error"), [(None, "timeout"), (signal.SIGSEGV, "crash"), (signal.SIGABRT, "crash")], ids=str
)
def test_a_page_that_ends_the_reader_costs_itself_alone(task: Task_, end: signal.Signals | None, error: str) -> None:
    pages = [f"{PROSE} {number}".encode() for number in range(1200)]
    given = task([*pages, ENDLESS, *pages[:3]], pages[:2], timeout_s=0.5 if end is None else 60)
    batches = guard.batches(given)
    found = next(batches).to_pylist()  # the first thousand rows: the next batch has the endless page
    if end is not None:
        while reader().cpu_times().user < 1.5:
            time.sleep(0.05)
        os.kill(reader().pid, end)
    found += rows(batches)
    dead = [row for row in found if row["kind"] == "dead"]
    assert [(row["stage"], row["error"]) for row in dead] == [("extract", error)]
    assert counts(found)[("page", None)] == 1205
    assert len({row["doc_id"] for row in found if row["kind"] == "page"}) == 1205
    assert [row["num_records"] for row in found if row["kind"] == "file"] == [2 * 1204 + 1, 5]


@pytest.mark.slow
def test_a_killed_reader_loses_and_doubles_nothing(task: Task_) -> None:
    given = task(*[[f"{PROSE} {file} {number}".encode() for number in range(1500)] for file in range(2)])
    whole, found, kills = rows(guard.batches(given)), list[dict[str, object]](), 0
    for batch in guard.batches(given):
        found += batch.to_pylist()
        if kills < 2:
            reader().kill()
            kills += 1
    assert kills == 2

    def without_cost(row: dict[str, object]) -> dict[str, object]:
        return {**row, "cpu_s": None}

    assert [without_cost(row) for row in found] == [without_cost(row) for row in whole]


def test_a_reader_that_ends_by_itself_is_a_failed_source(task: Task_) -> None:
    batches = guard.batches(task([f"{PROSE} {number}".encode() for number in range(2500)]))
    next(batches)
    os.kill(reader().pid, signal.SIGTERM)
    with pytest.raises(SourceFailed, match=r"0\.warc\.gz: its reader ended by SIGTERM.*run the job again"):
        list(batches)


def test_a_file_that_no_reader_survives_ends_the_task(task: Task_, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(guard._Child):
        def __init__(self, given: Task) -> None:
            super().__init__(given)
            self._process.send_signal(signal.SIGSEGV)
            started.append(self._process.pid)

    started = list[int]()
    monkeypatch.setattr(guard, "_Child", Dying)
    with pytest.raises(SourceFailed, match=r"0\.warc\.gz: its reader ended by SIGSEGV"):
        list(guard.batches(task([PROSE.encode()])))
    assert len(started) == 2


def test_a_reader_that_never_starts_ends_the_task(task: Task_, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list of files is larger than a pipe."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    given = task([PROSE.encode()])
    with pytest.raises(SourceFailed, match=r"0\.warc\.gz: its reader ended by exit code 1"):
        list(guard.batches(replace(given, files=given.files * 10_000)))


def test_a_cancelled_task_leaves_no_process(task: Task_) -> None:
    batches = guard.batches(task([f"{PROSE} {number}".encode() for number in range(2500)]))
    next(batches)
    child = reader()
    del batches
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_reader_imports_no_pandas(
    task: Task_, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """pyarrow would, for each list of cells: half a CPU second a task."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    assert counts(rows(guard.batches(task([PROSE.encode()]))))["page", None] == 1
    imported = capfd.readouterr().err
    assert "pyarrow.lib" in imported
    assert "pandas." not in imported  # the refused attempt itself is listed
