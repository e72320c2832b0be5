"""The 53 tasks of DataComp-LM as data (tasks.csv), and the rows of their files in a folder of the user's.

Settings are those of DCLM's eval/heavy.yaml, baselines of its eval_meta_data files, data files llm-foundry's
(scripts/eval/local_data). A file counts only when its content is the known one, so that scores compare.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import cast

import pyarrow as pa

from lakeloom.lakehouse.errors import BadInput, ConfigError, unknown

# Fields of a row by kind: (contexts, continuations, place of the right one or "").
FIELDS = {
    "multiple_choice": ("query", "choices", "gold"),
    "language_modeling": ("context", "continuation", ""),
    "schema": ("context_options", "continuation", "gold"),
}


@dataclass(frozen=True)
class Task:
    """One row of tasks.csv; baselines: accuracy of guessing in percent, in DCLM's two versions."""

    name: str
    category: str
    kind: str  # multiple_choice, language_modeling, schema, generation
    num_fewshot: int
    delimiter: str  # between question and answer
    by_category: bool  # few-shot examples and score by category of the rows
    file: str  # in llm-foundry's folder
    num_rows: int
    baseline_v1: float
    baseline_v2: float
    groups: tuple[str, ...]
    digests: tuple[str, ...]  # accepted contents: SHA-256, or git's blob id where no more is known


@dataclass(frozen=True)
class Example:
    """A row in one shape for all kinds: several contexts, or several continuations, or one of each."""

    contexts: tuple[str, ...]
    continuations: tuple[str, ...]
    gold: int
    category: str


@dataclass(frozen=True)
class TaskData:
    """The rows of a task, and the SHA-256 of the file they are from."""

    task: Task
    examples: tuple[Example, ...]
    sha256: str

    @property
    def name(self) -> str:
        return self.task.name


@dataclass(frozen=True)
class TaskFile:
    """The lines of a task's file, one JSON object each."""

    path: Path
    lines: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Absent:
    """A task that was asked for and has no score, and why."""

    task: str
    reason: str


@cache
def load() -> Mapping[str, Task]:
    """The tasks by name, in DCLM's order."""
    text = files("lakeloom.evaluate").joinpath("tasks.csv").read_text("utf-8")
    return {row["task"]: _task(row) for row in csv.DictReader(io.StringIO(text))}


def choose(names: Sequence[str], where: str = "evaluate.tasks") -> list[Task]:
    """The tasks of a list of names and groups (core, extended, light, mmlu), each once, in DCLM's order."""
    known = load()
    groups = {group for task in known.values() for group in task.groups}
    for name in names:
        if name not in known and name not in groups:
            raise unknown("task or group of tasks", name, {*known, *groups}, where)
    wanted = set(names)
    return [task for task in known.values() if wanted & {task.name, *task.groups}]


def read(task: Task, folder: Path | None) -> TaskData | Absent:
    """The task's rows, or the reason why there are none; folder None means that the user has no data."""
    if task.kind not in FIELDS:
        return Absent(task.name, f"not yet supported: {task.kind}")
    found = locate(task, folder)
    if isinstance(found, Absent):
        return found
    return TaskData(task, examples(task, found), found.sha256)


def examples(task: Task, file: TaskFile) -> tuple[Example, ...]:
    """The rows of a file of one of the kinds in FIELDS."""
    return tuple(_example(task, line, f"{file.path}:{number}") for number, line in enumerate(file.lines, 1))


def locate(task: Task, folder: Path | None) -> TaskFile | Absent:
    """The task's file, of whatever kind the task is, if it is the benchmark's."""
    if folder is None:
        return Absent(task.name, "no task data: evaluate.data is not set")
    path = _locate(task, folder)
    if path is None:
        return Absent(task.name, f"no file {task.file}[.zst] in {folder}")
    content = _content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if task.digests and not {sha256, _blob_id(content)} & set(task.digests):
        return Absent(task.name, f"{path} is not the file of the benchmark: its SHA-256 differs")
    # On \n only: texts hold U+2028 and the like, where str.splitlines would cut.
    return TaskFile(path, tuple(line for line in content.decode("utf-8").split("\n") if line.strip()), sha256)


def item_id(category: str, index: int) -> str:
    """Name of a task's item: its place in the file, or in its category where the task is split."""
    return f"{category}/{index}" if category else str(index)


def _task(row: Mapping[str, str]) -> Task:
    return Task(
        name=row["task"],
        category=row["category"],
        kind=row["kind"],
        num_fewshot=int(row["num_fewshot"]),
        # JSON's escapes; an empty cell is the usual blank, which an editor might strip.
        delimiter=str(json.loads(f'"{row["delimiter"]}"')) or " ",
        by_category=row["by_category"] == "yes",
        file=row["file"],
        num_rows=int(row["num_rows"]),
        baseline_v1=float(row["baseline_v1"]),
        baseline_v2=float(row["baseline_v2"]),
        groups=tuple(row["groups"].split()),
        digests=tuple(row["digests"].split()),
    )


def _locate(task: Task, folder: Path) -> Path | None:
    """The file in its place, else the first of that name anywhere below."""
    if not folder.is_dir():
        raise ConfigError(
            f"evaluate.data: {folder} is no folder; it should hold llm-foundry's local_data, as {task.file}"
        )
    name = Path(task.file).name
    placed = [folder / task.file, folder / f"{task.file}.zst"]
    return next(
        (
            path
            for path in [*placed, *sorted(folder.rglob(name)), *sorted(folder.rglob(f"{name}.zst"))]
            if path.is_file()
        ),
        None,
    )


def _content(path: Path) -> bytes:
    if path.suffix != ".zst":
        return path.read_bytes()
    try:
        with pa.input_stream(path, compression="zstd") as reader:  # zstandard's takes a cut file for a whole one
            return bytes(reader.read())
    except OSError as error:
        raise BadInput(f"{path}: no readable zstd: {error}") from error


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _example(task: Task, line: str, where: str) -> Example:
    context, continuation, gold = FIELDS[task.kind]
    try:
        row = cast("dict[str, str | int | list[str]]", json.loads(line))
        example = Example(
            _texts(row[context]),
            _texts(row[continuation]),
            cast("int", row[gold]) if gold else 0,
            str(row.get("category", "")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{where}: no row of task {task.name} (fields {context}, {continuation}): {error!r}") from error
    if not 0 <= example.gold < max(len(example.contexts), len(example.continuations)):
        raise BadInput(f"{where}: gold is {example.gold}, of {len(example.continuations)} choices")
    return example


def _texts(value: str | int | list[str]) -> tuple[str, ...]:
    """A text alone is stripped, those of a list are not, as llm-foundry does."""
    if isinstance(value, str):
        return (value.strip(),)
    if not isinstance(value, list):
        raise TypeError(f"expected a text or a list of texts, found {value!r}")
    return tuple(value)
