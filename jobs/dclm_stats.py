"""The funnel in the files that DCLM's pipeline leaves: stats/<run>_stats.jsonl and global_stats.jsonl, JSON lines.

A run of curate or retune stands for DCLM's shard. A field that we don't measure is null, never a guess: a step has
CPU seconds (`secs`), but no wall time or workers of its own, since all steps go over a batch in one pass.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lakeloom.lakehouse import wholefile
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json

Record = dict[str, Json]

_TIME = "%d/%m/%Y %H:%M:%S"


@dataclass(frozen=True)
class Run:
    """One run's rows of ops.funnel, by step number; `ended_at` is when its funnel was committed, if the log has it."""

    run_id: str
    pool: str
    steps: tuple[Mapping[str, Json], ...]
    ended_at: datetime | None
    # Of what the pipeline aggregates, by step and key.
    summaries: Mapping[str, Mapping[str, Json]] = field(default_factory=dict[str, Mapping[str, Json]])

    @property
    def file(self) -> str:
        """Its stats file, relative to the folder of the export."""
        return f"stats/{self.run_id}_stats.jsonl"


def export(folder: Path, runs: Sequence[Run], working_dir: str, *, overwrite: bool) -> list[Path]:
    """Write a file a run, then the global one. ConfigError, and nothing written, if one is there and not to go."""
    files: dict[str, list[Record]] = {run.file: _shard(run, folder) for run in runs}
    files["global_stats.jsonl"] = [_chunk(runs, working_dir)]
    paths = [folder / name for name in files]
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise ConfigError(f"{there[-1]} is there already; funnel.overwrite=true replaces it")
    for path, records in zip(paths, files.values(), strict=True):
        wholefile.write(path, "".join(f"{json.dumps(record)}\n" for record in records).encode())
    return paths


def _shard(run: Run, folder: Path) -> list[Record]:
    """The records of a finished shard, in DCLM's order."""
    setup: Record = {
        "name": "process_setup",
        "jsonl_load_secs": None,
        "stats_load_secs": None,
        "jsonl_path": "bronze.pages",
        "source_name": run.pool,
        "output_path": "silver.documents",
        "stats_output_path": str(folder / run.file),
        "workers": None,
        "first_run": True,
        "graceful_continuation": False,
        "execution_start_time": None,
    }
    finished: Record = {
        "name": "process_finished",
        "total_secs": None,
        "executed_steps": len(run.steps),
        "skipped_steps": 0,
        "commit_steps": 0,
        "finished_processing": True,
        "execution_end_time": None if run.ended_at is None else run.ended_at.astimezone(UTC).strftime(_TIME),
    }
    return [
        setup,
        *(_step(row) | _summaries(run, str(row["step"])) for row in run.steps),
        finished,
        {"name": "commit", "secs": None},
    ]


def _step(row: Mapping[str, Json]) -> Record:
    """A step; of the pages in, each is an error, removed, kept or split."""
    rows_in, dropped, errors, split = (_count(row[name]) for name in ("rows_in", "dropped", "errors", "split"))
    cpu_s = row["cpu_s"]
    return {
        "name": row["step"],
        "pages_in": rows_in,
        "pages_out": _count(row["rows_out"]),
        "secs": cpu_s,
        "secs/page": cpu_s / rows_in if isinstance(cpu_s, float) and rows_in else None,
        "errors": errors,
        "removed": dropped - errors,
        "kept": rows_in - dropped - split,
        "split": split,
        "total_secs": None,
        "workers": None,
    }


def _summaries(run: Run, step: str) -> Record:
    """What the pipeline summarises of the pages that a step kept; their time is not measured."""
    found = run.summaries.get(step, {})
    return dict(found) | {f"{key}_secs": None for key in found}


def _chunk(runs: Sequence[Run], working_dir: str) -> Record:
    return {
        "name": "local",
        "secs": None,
        "num_successes": len(runs),
        "num_failures": 0,
        "pages_in": sum(_count(run.steps[0]["rows_in"]) for run in runs),
        "pages_out": sum(_count(run.steps[-1]["rows_out"]) for run in runs),
        "working_dir": working_dir,
        "resumptions": 0,
        "failed_shards": [],
    }


def _count(value: Json) -> int:
    """A count of ops.funnel; null in rows from before the column."""
    return value if isinstance(value, int) else 0
