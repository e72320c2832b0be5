"""The funnel as DCLM's stats files: names and order of the fields, and counts that add up as DCLM's do."""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.jobs.dclm_stats import Run, export
from lakeloom.lakehouse.errors import ConfigError

NUMBERS = ("rows_in", "rows_out", "dropped", "split", "errors")


def step(name: str, *numbers: int | None, cpu_s: float | None = None) -> dict[str, Any]:
    return {"step": name, **dict(zip(NUMBERS, numbers, strict=True)), "cpu_s": cpu_s}


RUNS = [
    Run("one", "p", (step("num_tokens", 10, 6, 4, 0, 1, cpu_s=0.5), step("remove_urls", 6, 6, 0, 0, 0)),
        datetime(2024, 2, 3, 14, 5, 6, tzinfo=UTC)),
    Run("two", "p", (step("num_tokens", 0, 0, 0, None, 0, cpu_s=0.0), step("remove_urls", 0, 0, 0, None, 0)), None),
]  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_a_shard(tmp_path: Path) -> None:
    paths = export(tmp_path, RUNS, "tables/silver/documents", overwrite=False)
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "stats/one_stats.jsonl", "stats/two_stats.jsonl", "global_stats.jsonl",
    ]  # fmt: skip
    setup, first, second, finished, commit = read(paths[0])
    assert [setup["name"], finished["name"], commit["name"]] == ["process_setup", "process_finished", "commit"]
    assert (setup["source_name"], setup["stats_output_path"]) == ("p", str(paths[0]))
    assert first == {
        "name": "num_tokens", "pages_in": 10, "pages_out": 6, "secs": 0.5, "secs/page": 0.05, "errors": 1,
        "removed": 3, "kept": 6, "split": 0, "total_secs": None, "workers": None,
    }  # fmt: skip
    assert (second["secs"], second["secs/page"]) == (None, None)
    assert (finished["executed_steps"], finished["execution_end_time"]) == (2, "03/02/2024 14:05:06")
    assert read(paths[1])[1]["secs/page"] is None
    assert read(paths[1])[3]["execution_end_time"] is None
    assert read(paths[2]) == [
        {"name": "local", "secs": None, "num_successes": 2, "num_failures": 0, "pages_in": 10, "pages_out": 6,
         "working_dir": "tables/silver/documents", "resumptions": 0, "failed_shards": []},
    ]  # fmt: skip


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_each_page_in_is_counted_once(kept: int, removed: int, errors: int) -> None:
    row = step("s", kept + removed + errors, kept, removed + errors, 0, errors)
    with TemporaryDirectory() as folder:
        record = read(export(Path(folder), [Run("r", "p", (row,), None)], "", overwrite=False)[0])[1]
    assert [record[name] for name in ("kept", "removed", "errors", "split")] == [kept, removed, errors, 0]
    assert record["pages_in"] == kept + removed + errors


def test_files_are_not_overwritten_unless_told(tmp_path: Path) -> None:
    export(tmp_path, RUNS[:1], "w", overwrite=False)
    with pytest.raises(ConfigError, match=r"global_stats.jsonl is there already"):
        export(tmp_path, RUNS, "w", overwrite=False)
    assert not (tmp_path / RUNS[1].file).exists()
    export(tmp_path, RUNS, "w", overwrite=True)
    assert read(tmp_path / "global_stats.jsonl")[0]["num_successes"] == 2
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []
