"""Trains a scale's model on exported shards, in processes of its own (train/launch.py). Needs no session."""

from pyspark.sql import SparkSession

from lakeloom.lakehouse.errors import Incomplete
from lakeloom.lakehouse.report import Report
from lakeloom.train.config import TrainConfig

__all__ = ["TrainConfig", "run"]


def run(_spark: SparkSession | None, cfg: TrainConfig) -> Report:
    """Rows are steps; facts name the model's folder, its final loss and its MLflow run."""
    from lakeloom.train import launch  # torch and deepspeed take seconds to import

    result = launch.run(cfg)
    if result.status == "stopped":
        raise Incomplete(f"{result.name} was stopped at step {result.steps}; run the same command again to go on")
    facts: dict[str, str | int | float] = {
        "status": result.status,
        "model": str(result.folder),
        "tokens": result.tokens,
        "loss": round(result.loss, 4),
        "mlflow_run": result.run_id,
    }
    return Report("train", result.steps, result.steps, facts=facts)
