"""What an evaluation will score, read and checked before the model is loaded or anything is written.

An evaluation is named by what decides its numbers: weights, tokenizer, contents of the task files, limits.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from lakeloom.evaluate import bits, tasks
from lakeloom.evaluate.config import EvaluateConfig
from lakeloom.evaluate.scores import ModelFacts
from lakeloom.evaluate.tasks import Absent, TaskData
from lakeloom.lakehouse.errors import BadInput, ConfigError, unknown
from lakeloom.lakehouse.holdout import Holdout
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.tokens import Tokenizer
from lakeloom.train import checkpoint, tracking

# Raise it with every change of what a number means: evaluations made before are then not found again.
RULES = 1


@dataclass(frozen=True)
class Plan:
    """A checked request."""

    cfg: EvaluateConfig
    folder: Path
    device: str  # cpu, cuda
    model: ModelFacts
    tokenizer: Tokenizer
    tasks: tuple[TaskData, ...]
    absent: tuple[Absent, ...]
    holdouts: tuple[Holdout, ...]

    @property
    def evaluation_id(self) -> str:
        """Identity of the numbers that will come out."""
        present = [task_version(data, self.cfg.limit) for data in self.tasks]
        present += [holdout_version(one) for one in self.holdouts]
        missing = [one.task for one in self.absent]
        return identity("evaluate", self.model.model_sha, self.model.tokenizer_sha, present, missing)


def make(cfg: EvaluateConfig) -> Plan:
    """Read and check all that an evaluation needs; a wrong request is a ConfigError."""
    for name, value in (
        ("limit", cfg.limit),
        ("holdout_limit", cfg.holdout_limit),
        ("batch_tokens", cfg.batch_tokens),
    ):
        if value < 0:
            raise ConfigError(f"evaluate.{name}={value}: expected 0 or more")
    folder, device = Path(cfg.model), _device(cfg.device)
    model, tokenizer = _model(folder)
    _check_run(cfg, model)
    found = [tasks.read(task, Path(cfg.data) if cfg.data else None) for task in tasks.choose(cfg.tasks)]
    present = tuple(data for data in found if isinstance(data, TaskData))
    absent = tuple(data for data in found if isinstance(data, Absent))
    holdouts = tuple(bits.read(Path(name), cfg.holdout_limit) for name in cfg.holdouts)
    names = [one.name for one in holdouts]
    if len(set(names)) < len(names):
        raise ConfigError(f"evaluate.holdouts: two datasets have one name: {', '.join(names)}")
    if not present and not holdouts:
        reasons = "; ".join(f"{one.task}: {one.reason}" for one in absent[:3]) or "none asked for"
        raise ConfigError(f"nothing to evaluate: evaluate.holdouts is empty and no task is there ({reasons})")
    return Plan(cfg, folder, device, model, tokenizer, present, absent, holdouts)


def task_version(data: TaskData, limit: int) -> str:
    """Identity of a task's numbers for any one model."""
    task = data.task
    settings: list[Json] = [task.kind, task.num_fewshot, task.delimiter, task.by_category]
    return identity("task", RULES, task.name, data.sha256, settings, limit if limit < len(data.examples) else 0)


def holdout_version(holdout: Holdout) -> str:
    """Identity of a holdout's numbers for any one model."""
    return identity("holdout", RULES, holdout.name, holdout.sha256, len(holdout.documents))


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise unknown("device", name, ("auto", "cpu", "cuda"), "evaluate.device")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("evaluate.device=cuda, but torch sees no CUDA device here; use evaluate.device=auto or cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _model(folder: Path) -> tuple[ModelFacts, Tokenizer]:
    manifest = checkpoint.manifest(folder)
    if manifest is None or not (folder / checkpoint.CONFIG).is_file():
        raise ConfigError(
            f"evaluate.model: {folder} is no finished model: it has no {checkpoint.MANIFEST}; train one first"
        )
    config: dict[str, Any] = dict(checkpoint.config(folder))
    tokenizer = Tokenizer.load(folder / config["tokenizer_file"])
    if tokenizer.sha != config["tokenizer_sha"]:
        raise BadInput(f"{tokenizer.path}: not the tokenizer that the model was trained with: its SHA-256 differs")
    dataset = config["dataset"]
    facts = ModelFacts(
        name=str(manifest["name"]),
        model_sha=str(manifest["model_sha"]),
        train_id=str(manifest["train_id"]),
        run_id=str(manifest["run_id"]),
        dataset=dataset["name"],
        export_id=dataset["export_id"],
        recipe=dataset["recipe"],
        scale=config["scale"]["name"],
        seed=config["seed"],
        tokens=checkpoint.all_tokens(manifest, config),
        train_loss=cast("float | None", manifest["loss"]),
        seq_len=config["model"]["seq_len"],
        tokenizer_sha=tokenizer.sha,
    )
    return facts, tokenizer


def _check_run(cfg: EvaluateConfig, model: ModelFacts) -> None:
    """An unknown run is better found before the hours of scoring."""
    if cfg.tracking_uri is None or not model.run_id:
        return
    from mlflow.exceptions import MlflowException

    try:
        tracking.client(cfg.tracking_uri).get_run(model.run_id)
    except MlflowException as error:
        raise ConfigError(
            f"model {model.name}: its MLflow run {model.run_id} is not in this store; "
            "name the one that it was trained with in evaluate.tracking_uri, or set evaluate.tracking_uri=null"
        ) from error
