"""losses.jsonl: one line a step, the record of a run that needs no server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakeloom.lakehouse.errors import Incomplete

NAME = "losses.jsonl"


@dataclass(frozen=True)
class Journal:
    """The losses.jsonl of a model folder."""

    path: Path

    def cut(self, step: int) -> None:
        """Forget what was written after a step, a torn last line too: those steps will be taken again."""
        lines = self.path.read_text("utf-8").splitlines(keepends=True)[:step] if self.path.is_file() else []
        aside = self.path.with_name(f".{self.path.name}.partial")
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text("".join(lines), "utf-8")
            aside.replace(self.path)

    def add(self, step: int, measures: dict[str, float]) -> None:
        """Append one step, counted from 1; the n-th line is step n. Values must be finite."""
        with self._writing(), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **measures}, allow_nan=False) + "\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Incomplete(
                f"{self.path}: could not be written ({error}); make room: the same command then goes on from the "
                "newest checkpoint"
            ) from error


def read(folder: Path) -> list[dict[str, float]]:
    """All steps of a model folder, in order."""
    lines: list[dict[str, float]] = [json.loads(line) for line in (folder / NAME).read_text("utf-8").splitlines()]
    return lines
