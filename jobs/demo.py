"""The whole road on a small scale: one pool, a dataset for each recipe, the same model on each, their scores compared.

Every step is one of the other jobs with its own configuration, so what the demo shows is what a user can run alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakeloom.jobs import cli, config
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import LakehouseConfig

log = logging.getLogger(__name__)

# A strict recipe leaves less of the small pool than the scale's budget; every dataset gets the same budget.
_DEFAULTS = ("train.allow_repeats=true", "evaluate.limit=50", "evaluate.holdout_limit=100")


@dataclass(frozen=True)
class DemoConfig:
    """Recipes, a dataset and a model each; `overrides` are the words that every step's configuration is made from."""

    lakehouse: LakehouseConfig
    recipes: list[str]
    overrides: tuple[str, ...]


def run(spark: SparkSession, cfg: DemoConfig) -> Report:
    """All jobs in order. What was done before is found, not repeated. Rows are the pool's records and pages."""

    def step(job: str, *more: str) -> Report:
        log.info("%s %s", job, " ".join(more))
        return cli.run(job, spark, cli.load(job, *_DEFAULTS, *cfg.overrides, *more))

    step("pool")
    ingested = step("ingest")
    step("fit_tokenizer")
    folders = {recipe: _dataset(step, recipe) for recipe in cfg.recipes}
    models = {recipe: _model(step, folder, list(folders.values())) for recipe, folder in folders.items()}
    step("publish", f"publish.models={_words(list(models.values()))}")
    board = step("leaderboard")
    report = step("report")
    funnels = [step("funnel", f"recipe={recipe}").sheets for recipe in cfg.recipes if recipe != "raw"]
    sheets = (*[sheet for found in funnels for sheet in found], *board.sheets)
    return Report(
        "demo", ingested.rows_in, ingested.rows_out, ingested.dropped, ingested.versions, ingested.facts, sheets,
        _notes(cfg, folders, models, report),
    )  # fmt: skip


def _dataset(step: Callable[..., Report], recipe: str) -> str:
    """Curate, deduplicate, choose and export; the folder of shards."""
    for job in ("curate", "dedup", "choose"):
        step(job, f"recipe={recipe}")
    return str(step("export", f"recipe={recipe}").facts["folder"])


def _model(step: Callable[..., Report], dataset: str, holdouts: list[str]) -> str:
    """Train on a dataset and score on every dataset's held-out documents; the model's folder."""
    model = str(step("train", f"train.dataset={config.quoted(dataset)}").facts["model"])
    step("evaluate", f"evaluate.model={config.quoted(model)}", f"evaluate.holdouts={_words(holdouts)}")
    return model


def _words(texts: list[str]) -> str:
    return "[" + ",".join(config.quoted(text) for text in texts) + "]"


def _notes(cfg: DemoConfig, folders: dict[str, str], models: dict[str, str], report: Report) -> tuple[str, ...]:
    root = Path(cfg.lakehouse.root).absolute()
    query = "select recipe, dropped_by, count(*) from silver.documents group by all"
    return (
        f'tables   {root / "tables"}   lakeloom sql "{query}"',
        *[f"shards   {folder}" for folder in folders.values()],
        *[f"model    {Path(model).absolute()}" for model in models.values()],
        f"report   {report.facts['page']}   xdg-open {report.facts['page']}",
        f"mlflow   {root / 'mlflow.db'}   mlflow ui --backend-store-uri sqlite:///{root / 'mlflow.db'}",
    )
