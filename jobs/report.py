"""Funnel, loss curves and scores of all datasets as one HTML page, kept in MLflow, too. Same facts, same page."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakeloom.evaluate import leaderboard as boards
from lakeloom.jobs import leaderboard, report_facts, report_page
from lakeloom.jobs.report_facts import Model
from lakeloom.jobs.report_page import Page
from lakeloom.lakehouse import wholefile
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

log = logging.getLogger(__name__)

EXPERIMENT = "lakeloom-report"


@dataclass(frozen=True)
class ReportConfig:
    """Where models are looked for, and where the page goes; see conf/job/report.yaml."""

    lakehouse: LakehouseConfig
    models: str  # folder of model folders
    path: str
    tracking_uri: str | None  # MLflow store; null: the page is only written


def run(spark: SparkSession, cfg: ReportConfig) -> Report:
    """Write the page of every dataset that has a score or a model. ConfigError where there is neither."""
    lake = Lakehouse(spark, cfg.lakehouse)
    page, num_models = _page(lake, Path(cfg.models))
    html = report_page.build(page)
    path = Path(cfg.path).absolute()
    wholefile.write(path, html.encode())
    facts: dict[str, str | int | float] = {"page": str(path), "datasets": len(page.datasets), "models": num_models}
    if cfg.tracking_uri is not None:
        facts["mlflow_run"] = track(cfg.tracking_uri, html, report_page.figures(page))
    return Report("report", num_models, num_models, versions=dict(page.versions), facts=facts)


def track(uri: str, html: str, figures: dict[str, str]) -> str:
    """Id of the MLflow run that has this page and its pictures; a page that is there already makes no new run."""
    from lakeloom.train import tracking  # imports MLflow, which takes seconds

    sha = hashlib.sha256(html.encode()).hexdigest()
    store = tracking.client(uri)
    experiment = tracking.experiment(store, uri, EXPERIMENT)
    there = store.search_runs([experiment], f"tags.page_sha = '{sha}' and attributes.status = 'FINISHED'")
    if there:
        return str(there[0].info.run_id)
    run_id = str(store.create_run(experiment, run_name=f"report-{sha[:8]}", tags={"page_sha": sha}).info.run_id)
    for name, content in {"index.html": html, **figures}.items():
        store.log_text(run_id, content, name)
    store.set_terminated(run_id)
    log.info("report %s is in MLflow run %s", sha[:8], run_id)
    return run_id


def _page(lake: Lakehouse, folder: Path) -> tuple[Page, int]:
    scores, (found, unfinished) = leaderboard.read(lake), report_facts.models(folder)
    if not scores and not found:
        raise ConfigError(
            f"nothing to report: {leaderboard.TABLE} of {lake.cfg.root} is empty and {folder} has no finished model; "
            "run lakeloom train, evaluate and publish, or lakeloom demo for the whole road"
        )
    board = boards.rows(scores)
    order = leaderboard.order_of(board)
    board = leaderboard.ranked(board, order)
    exports = [(str(score["dataset"]), str(score["export_id"])) for score in scores]
    exports += [(model.dataset, model.export_id) for model in found]
    datasets = report_facts.datasets(lake, exports)
    sheet = report_facts.model_sheet(scores, found)
    page = Page(
        title=" and ".join(dataset.name for dataset in datasets) if len(datasets) < 4 else f"{len(datasets)} datasets",
        summary=_summary(board, order, len(datasets), len(sheet.rows)),
        datasets=datasets,
        boards=_by_scale(board),
        legend=leaderboard.LEGEND,
        differences=report_facts.differences(board, found),
        curves=report_facts.curves(found),
        models=sheet,
        versions=report_facts.versions(lake),
        notes=_notes(scores, found, unfinished),
    )
    return page, len(sheet.rows)


def _summary(board: Sequence[boards.Row], order: Sequence[str], num_datasets: int, num_models: int) -> str:
    said = f"{num_datasets} datasets, {num_models} models."
    if not order:
        return said
    best = {row.scale: row for row in reversed(board)}
    firsts = ", ".join(f"{row.model} at scale {scale}" for scale, row in sorted(best.items()))
    return f"{said} First by {leaderboard.said(order)}: {firsts}."


def _by_scale(board: Sequence[boards.Row]) -> tuple[Sheet, ...]:
    """A leaderboard for each scale, since models of different sizes don't compete."""
    found: list[Sheet] = []
    for scale in sorted({row.scale for row in board}):
        one = leaderboard.sheet([row for row in board if row.scale == scale])
        found.append(Sheet(f"scale {scale}", one.columns, one.rows))
    return tuple(found)


def _notes(scores: Sequence[dict[str, Value]], found: Sequence[Model], unfinished: Sequence[str]) -> tuple[str, ...]:
    published = {score["model_sha"] for score in scores}
    without = [model.name for model in found if model.model_sha not in published]
    notes = []
    if without:
        notes.append(f"Without published scores: {', '.join(without)}.")
    if unfinished:
        notes.append(f"Folders without a finished model: {', '.join(unfinished)}.")
    return tuple(notes)
