"""Scores a trained model: tasks through lm-eval, bits per byte of held-out documents. Needs no session."""

from pyspark.sql import SparkSession

from lakeloom.evaluate.config import EvaluateConfig
from lakeloom.lakehouse.report import Report

__all__ = ["EvaluateConfig", "run"]


def run(_spark: SparkSession | None, cfg: EvaluateConfig) -> Report:
    """Rows are what was asked for, tasks and held-out sets; `dropped` counts absent ones, facts say why."""
    from lakeloom.evaluate import core  # torch and lm-eval take seconds to import

    found = core.run(cfg)
    scored = {one.task.removeprefix("loss/").removeprefix("bpb/") for one in found.scores}
    facts: dict[str, str | int | float] = {"model": found.model.name, "evaluation_id": found.evaluation_id}
    facts |= {f"{one.task} {one.metric}": round(one.value, 4) for one in found.scores}
    facts |= {f"{one.task} absent": one.reason for one in found.absent}
    facts |= {"CORE": round(found.core, 4)} if found.core is not None else {"CORE absent": found.core_reason}
    return Report("evaluate", len(scored) + len(found.absent), len(scored), len(found.absent), facts=facts)
