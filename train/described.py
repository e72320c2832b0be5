"""What a run says of itself: in the model's config.json, and in MLflow, where runs are compared."""

from dataclasses import asdict
from pathlib import Path

from lakeloom.lakehouse import checkout, takedowns
from lakeloom.lakehouse.ids import Json
from lakeloom.train import tracking
from lakeloom.train.plan import Plan
from lakeloom.train.validation import Validation


def config(plan: Plan) -> dict[str, Json]:
    """Everything that decided the weights: what config.json holds."""
    dataset, start = plan.manifest.dataset, plan.start
    begun: Json = {**asdict(start), "folder": start.folder.name} if start else None
    return {
        "format": 1,
        "name": plan.name,
        "train_id": plan.train_id,
        "model": asdict(plan.model),
        "scale": asdict(plan.cfg.scale),
        "seed": plan.cfg.seed,
        "precision": plan.precision,
        "num_steps": plan.num_steps,
        "decay": plan.cfg.decay,
        "start": begun,
        "dataset": asdict(dataset),
        "num_takedowns": len(takedowns.of_dataset(plan.manifest.folder)),
        "code_commit": checkout.commit(),
        "tokenizer_sha": dataset.tokenizer_sha,
        "tokenizer_file": Path(dataset.tokenizer_file).name,
    }


def tags(plan: Plan) -> dict[str, str]:
    """What tells runs apart where they are compared."""
    dataset = plan.manifest.dataset
    tags = {"scale": plan.cfg.scale.name, "recipe": dataset.recipe, "dataset": dataset.name}
    return tags | {"seed": str(plan.cfg.seed), "export_id": dataset.export_id, "train_id": plan.train_id}


def run(plan: Plan, held: Validation | None) -> tracking.Description:
    """Parameters, tags and dataset of an MLflow run."""
    dataset, scale = plan.manifest.dataset, plan.cfg.scale
    shape = {f"model.{name}": value for name, value in asdict(plan.model).items()}
    params: dict[str, object] = {**asdict(scale), **shape, "seed": plan.cfg.seed, "precision": plan.precision}
    params |= {"dataset": dataset.name, "recipe": dataset.recipe, "export_id": dataset.export_id}  # where views differ
    params |= {"decay": plan.cfg.decay} | ({"start_model_sha": plan.start.model_sha} if plan.start else {})
    params |= {"num_parameters": plan.model.num_parameters, "num_steps": plan.num_steps, "device": plan.device}
    if held is not None:  # bits per byte compare where these are equal
        params |= {"validation_sha256": held.sha256, "validation_bytes": held.num_bytes}
    return tracking.Description(plan.name, params, tags(plan), dataset)
