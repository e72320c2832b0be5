"""Rows of gold.scores as one table that compares: a row a model, a column a score, absences in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.table import Table

from lakeloom.evaluate import tasks

Value = str | int | float | None
ABSENT = "absent"
_SHA_DIGITS = 6


@dataclass(frozen=True)
class Cell:
    """One score; value None: asked for, and not there."""

    value: float | None
    stderr: float | None
    num_items: int


@dataclass(frozen=True)
class Row:
    """One model."""

    model: str
    dataset: str
    scale: str
    seed: int
    model_sha: str = ""
    variant: str = ""  # what tells it from the plain model of dataset, scale and seed
    cells: dict[str, Cell] = field(default_factory=dict[str, Cell])

    def value(self, column: str) -> float | None:
        """The score of a column, None where it is absent."""
        cell = self.cells.get(column)
        return None if cell is None else cell.value


def rows(scores: Sequence[Mapping[str, Value]]) -> list[Row]:
    """One row a model, best first within a scale: by CORE, then by bits per byte, then by name.

    Of several evaluations of a model on one task, the one of most items counts.
    """
    found: dict[str, Row] = {}
    for score in scores:
        named = (str(score["model"]), str(score["dataset"]), str(score["scale"]), int(score["seed"] or 0))
        sha = str(score["model_sha"])
        row = found.setdefault(sha, Row(*named, sha, _variant(*named)))
        _fill(row, score)
    alike = Counter(_label(row) for row in found.values())
    told = [row if alike[_label(row)] == 1 else _with_sha(row) for row in found.values()]
    return sorted(told, key=_rank)


def head(found: Sequence[Row]) -> list[str]:
    """Names of what tells the models apart; `model` only where dataset, scale and seed do not."""
    return ["dataset", "scale", "seed", *(["model"] if any(row.variant for row in found) else [])]


def columns(found: Sequence[Row]) -> list[str]:
    """Names of the columns that any row has: training, losses, bits per byte, tasks in DCLM's order, CORE."""
    present = {column for row in found for column in row.cells}
    held_out = sorted(column for column in present if column.startswith("bpb/"))
    known = ["tokens", "train loss", "val loss", *held_out, *tasks.load(), "CORE"]
    return [column for column in known if column in present]


def cells(row: Row, heads: Sequence[str], names: Sequence[str]) -> list[str]:
    """The row as texts, by `head` and `columns`: scores in percent for accuracies, with their standard error."""
    said = {"dataset": row.dataset, "scale": row.scale, "seed": str(row.seed), "model": row.variant}
    return [said[one] for one in heads] + [_text(name, row.cells.get(name)) for name in names]


def markdown(found: Sequence[Row]) -> str:
    """The table in Markdown."""
    heads, names = head(found), columns(found)
    rules = ["---"] * len(heads) + ["---:"] * len(names)
    lines = [[*heads, *names], rules, *(cells(row, heads, names) for row in found)]
    return "".join(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |\n" for line in lines)


def table(found: Sequence[Row]) -> Table:
    """The table for a terminal: a column a model, since there are more scores than models."""
    names = columns(found)
    shown = Table("score", *(f"{row.dataset}\n{row.scale} seed {row.seed} {row.variant}".rstrip() for row in found))
    texts = [cells(row, [], names) for row in found]
    for number, name in enumerate(names):
        shown.add_row(name, *(text[number] for text in texts))
    return shown


def _variant(model: str, dataset: str, scale: str, seed: int) -> str:
    """Of a model's name, what train adds to dataset, scale and seed; the whole name where it was made elsewhere."""
    plain = f"{dataset}-{scale}-s{seed}"
    return "" if model == plain else model.removeprefix(f"{plain}-")


def _label(row: Row) -> tuple[str, str, int, str]:
    return row.dataset, row.scale, row.seed, row.variant


def _with_sha(row: Row) -> Row:
    return replace(row, variant=f"{row.variant} {row.model_sha[:_SHA_DIGITS]}".lstrip())


def _fill(row: Row, score: Mapping[str, Value]) -> None:
    column = _column(str(score["task"]), str(score["metric"]), row.dataset)
    if column is None:
        return
    cell = Cell(_number(score["value"]), _number(score["stderr"]), int(score["num_items"] or 0))
    known = row.cells.get(column)
    if known is None or (known.value is None, -known.num_items) > (cell.value is None, -cell.num_items):
        row.cells[column] = cell


def _column(task: str, metric: str, dataset: str) -> str | None:
    """Where a score stands; a loss on another dataset's holdout has no column: bits per byte say it."""
    if task.startswith("loss/"):
        return "val loss" if task == f"loss/{dataset}" else None
    special = {
        ("train", "tokens"): "tokens",
        ("train", "loss"): "train loss",
        ("core", "centred_accuracy"): "CORE",
    }
    return special.get((task, metric), task)


def _rank(row: Row) -> tuple[str, float, float, str, int, str]:
    core = row.value("CORE")
    held_out = [cell.value for name, cell in row.cells.items() if name.startswith("bpb/") and cell.value is not None]
    bits = sum(held_out) / len(held_out) if held_out else float("inf")
    return row.scale, float("inf") if core is None else -core, bits, row.dataset, row.seed, row.variant


def _number(value: Value) -> float | None:
    return None if value is None else float(value)


def _text(column: str, cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.value is None:
        return ABSENT
    if column == "tokens":
        return f"{cell.value:,.0f}"
    is_share = column in tasks.load() or column == "CORE"
    scale, digits = (100, 1) if is_share else (1, 4 if column.startswith("bpb/") else 3)
    error = "" if cell.stderr is None else f" \u00b1 {scale * cell.stderr:.{digits}f}"
    return f"{scale * cell.value:.{digits}f}{error}"
