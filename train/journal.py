"""losses.jsonl: one line a step, the record of a run that needs no server."""

import json
from dataclasses import dataclass
from pathlib import Path

NAME = "losses.jsonl"


@dataclass(frozen=True)
class Journal:
    """The losses.jsonl of a model folder."""

    path: Path

    def cut(self, step: int) -> None:
        """Forget what was written after a step, a torn last line too: those steps will be taken again."""
        lines = self.path.read_text("utf-8").splitlines(keepends=True)[:step] if self.path.is_file() else []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(lines), "utf-8")

    def add(self, step: int, measures: dict[str, float]) -> None:
        """Append one step, counted from 1; the n-th line is step n. Values must be finite."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **measures}, allow_nan=False) + "\n")


def read(folder: Path) -> list[dict[str, float]]:
    """All steps of a model folder, in order."""
    lines: list[dict[str, float]] = [json.loads(line) for line in (folder / NAME).read_text("utf-8").splitlines()]
    return lines
