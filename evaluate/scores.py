"""The scores of a model as a file, evaluations/<identity>.json in its folder, and a line an item beside it.

The JSON is written last, so that its presence says that the evaluation is complete.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from lakeloom.evaluate.estimates import Item
from lakeloom.evaluate.tasks import Absent
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import Json

FOLDER = "evaluations"


@dataclass(frozen=True)
class ModelFacts:
    """What is scored, and where it comes from."""

    name: str
    model_sha: str
    train_id: str
    run_id: str  # of MLflow; "" where there is none
    dataset: str
    export_id: str
    recipe: str
    scale: str
    seed: int
    tokens: int
    train_loss: float | None  # of the last step; None: trained elsewhere
    seq_len: int
    tokenizer_sha: str


@dataclass(frozen=True)
class Score:
    """One number of one task."""

    task: str
    task_version: str  # identity of its data, settings and number of items
    metric: str  # accuracy, bits_per_byte, nats_per_token
    value: float
    stderr: float | None
    num_items: int
    num_rows: int  # items that the task has
    num_fewshot: int
    num_cut: int  # items whose context did not fit into the model
    centred: float | None  # 0 for guessing, 1 for all right


@dataclass(frozen=True)
class Scores:
    """All that an evaluation found; `core_reason` says why there is no CORE."""

    evaluation_id: str
    model: ModelFacts
    limit: int
    scores: tuple[Score, ...]
    absent: tuple[Absent, ...]
    core: float | None
    core_stderr: float | None
    core_reason: str


@dataclass(frozen=True)
class ItemRow:
    """One line of the file of items: an observation of a task, and what it was made of."""

    task: str
    item: Item
    details: Mapping[str, Json]


def path(model: Path, evaluation_id: str) -> Path:
    """Where an evaluation of a model folder is."""
    return model / FOLDER / f"{evaluation_id}.json"


def items_path(scores: Path) -> Path:
    """The file of items beside a file of scores."""
    return scores.with_suffix(".items.jsonl")


def save(scores: Scores, folder: Path, items: Iterable[ItemRow]) -> Path:
    """Write items, then scores."""
    target = path(folder, scores.evaluation_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".partial")
    with aside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(item)) + "\n" for item in items)
    aside.replace(items_path(target))
    aside.write_text(json.dumps(asdict(scores), indent=1) + "\n", "utf-8")
    return aside.replace(target)


def load(file: Path) -> Scores:
    """Read a file of scores; BadInput where it is none."""
    try:
        found = cast("dict[str, object]", json.loads(file.read_text("utf-8")))
        model = ModelFacts(**cast("dict[str, str]", found.pop("model")))  # type: ignore[arg-type]  # of mixed types
        scores = tuple(Score(**row) for row in cast("list[dict[str, str]]", found.pop("scores")))  # type: ignore[arg-type]
        absent = tuple(Absent(**row) for row in cast("list[dict[str, str]]", found.pop("absent")))
        return Scores(model=model, scores=scores, absent=absent, **found)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: no file of scores: {error!r}") from error


def load_items(scores: Path) -> dict[str, list[Item]]:
    """The items of an evaluation by task, in the order of the file."""
    found: dict[str, list[Item]] = {}
    with items_path(scores).open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row = json.loads(line)
            found.setdefault(row["task"], []).append(Item(**row["item"]))
    return found


def of_model(folder: Path) -> list[Path]:
    """Files of the finished evaluations of a model folder, by name; ConfigError where there are none."""
    files = sorted((folder / FOLDER).glob("*.json"))
    if not files:
        raise ConfigError(f"{folder}: no evaluations; run: lakeloom evaluate evaluate.model={folder}")
    return files


def table_rows(scores: Scores) -> list[dict[str, str | int | float | None]]:
    """Rows of gold.scores; what is absent is a row whose value is null."""
    model = scores.model
    about: dict[str, str | int | float | None] = {
        "evaluation_id": scores.evaluation_id,
        "model_sha": model.model_sha,
        "model": model.name,
        "dataset": model.dataset,
        "export_id": model.export_id,
        "scale": model.scale,
        "seed": model.seed,
        "run_id": model.run_id,
    }
    training = {"tokens": float(model.tokens), "loss": model.train_loss}
    rows = [_row("train", model.train_id, metric, value) for metric, value in training.items()]
    rows += [
        _row(one.task, one.task_version, one.metric, one.value, one.stderr, one.num_items, one.num_fewshot)
        for one in scores.scores
    ]
    rows += [_row(one.task, "", "accuracy", None) | {"absent_reason": one.reason} for one in scores.absent]
    core = _row("core", scores.evaluation_id, "centred_accuracy", scores.core, scores.core_stderr)
    rows.append(core | {"absent_reason": scores.core_reason or None})
    return [{**about, **row} for row in rows]


def _row(
    task: str,
    version: str,
    metric: str,
    value: float | None,
    stderr: float | None = None,
    num_items: int = 0,
    num_fewshot: int = 0,
) -> dict[str, str | int | float | None]:
    return {
        "task": task,
        "task_version": version,
        "metric": metric,
        "value": value,
        "stderr": stderr,
        "num_items": num_items,
        "num_fewshot": num_fewshot,
        "absent_reason": None,
    }
