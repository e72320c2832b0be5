"""Trains a scale's model on exported shards, in processes of its own (train/launch.py). Needs no session."""

from dataclasses import replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.train.config import TrainConfig

if TYPE_CHECKING:
    from lakeloom.train.result import TrainResult

__all__ = ["TrainConfig", "run"]

_COLUMNS = ("seed", "status", "steps", "tokens", "loss", "bits per byte", "model", "MLflow run")


def run(_spark: SparkSession | None, cfg: TrainConfig) -> Report:
    """Rows are steps; facts name the model's folder, final loss and MLflow run, or the spread of several seeds."""
    from lakeloom.train import launch  # torch and deepspeed take seconds to import

    if cfg.seeds < 1:  # plan checks each run's numbers; of these there would be none
        raise ConfigError(f"train.seeds={cfg.seeds}: give 1 or more")
    seeds = range(cfg.seed, cfg.seed + cfg.seeds)
    results: list[TrainResult] = []
    for seed in seeds:
        result = launch.run(replace(cfg, seed=seed, seeds=1))
        if result.status == "stopped":
            raise Incomplete(f"{result.name} was stopped at step {result.steps}; run the same command again to go on")
        results.append(result)
    steps = sum(result.steps for result in results)
    if len(results) == 1:
        return Report("train", steps, steps, facts=_facts(results[0]))
    return Report("train", steps, steps, facts=_spread(results), sheets=(_sheet(seeds, results),))


def _facts(result: "TrainResult") -> dict[str, str | int | float]:
    bits = {} if result.bits_per_byte is None else {"bits_per_byte": round(result.bits_per_byte, 4)}
    return {
        "status": result.status,
        "model": str(result.folder),
        "tokens": result.tokens,
        "loss": round(result.loss, 4),
        **bits,
        "mlflow_run": result.run_id,
    }


def _spread(results: list["TrainResult"]) -> dict[str, str | int | float]:
    """Mean and standard deviation of what the replicas end with."""
    ends = {
        "loss": [result.loss for result in results],
        "bits_per_byte": [result.bits_per_byte for result in results if result.bits_per_byte is not None],
    }
    facts: dict[str, str | int | float] = {"models": len(results)}
    for name, values in ends.items():
        if len(values) == len(results):
            facts |= {name: round(fmean(values), 4), f"{name}_sd": round(stdev(values), 4)}
    return facts


def _sheet(seeds: range, results: list["TrainResult"]) -> Sheet:
    return Sheet("replicas", _COLUMNS, tuple(_row(seed, one) for seed, one in zip(seeds, results, strict=True)))


def _row(seed: int, one: "TrainResult") -> tuple[Value, ...]:
    bits = None if one.bits_per_byte is None else round(one.bits_per_byte, 4)
    return seed, one.status, one.steps, one.tokens, round(one.loss, 4), bits, str(one.folder), one.run_id or None
