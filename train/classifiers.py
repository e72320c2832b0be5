"""A classifier of pages in MLflow: a run with its settings, scores and table versions, and a version of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloom.lakehouse.ids import identity
from lakeloom.train import registration, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput


@dataclass(frozen=True)
class TableVersion:
    """Rows of one version of a Delta table that a model was trained on."""

    label: str
    table: str
    version: int
    where: str
    num_pages: int


@dataclass(frozen=True)
class Classifier:
    """What is registered."""

    name: str
    file: Path
    sha: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tables: tuple[TableVersion, ...]


def register(uri: str, experiment: str, classifier: Classifier) -> tuple[str, str]:
    """Id of the run and number of the model's version. The file is uploaded as the run's artifact."""
    from mlflow.entities import Metric, Param

    store = tracking.client(uri)
    made = store.create_run(tracking.experiment(store, uri, experiment), run_name=classifier.file.stem)
    run_id, now = made.info.run_id, made.info.start_time
    params = [Param(name, str(value)) for name, value in classifier.params.items()]
    metrics = [Metric(name, value, now, 0) for name, value in classifier.metrics.items()]
    with tracking.Tracker(store, run_id):  # which ends the run, as failed if it did
        store.log_batch(run_id, params=params, metrics=metrics)
        store.log_inputs(run_id, [_input(table) for table in classifier.tables])
        store.log_artifact(run_id, str(classifier.file), registration.FOLDER)
        version = _version(store, run_id, f"{made.info.artifact_uri}/{registration.FOLDER}", classifier)
    return run_id, version


def _version(store: "MlflowClient", run_id: str, source: str, classifier: Classifier) -> str:
    tags = {"sha256": classifier.sha}
    for table in classifier.tables:
        tags |= {table.label: f"{table.table}@{table.version}", f"{table.label}_where": table.where}
    return registration.version(store, classifier.name, source, run_id, tags)


def _input(table: TableVersion) -> "DatasetInput":
    digest = identity(table.table, table.version, table.where)
    tags = {"label": table.label, "where": table.where, "num_pages": str(table.num_pages)}
    return tracking.delta_input(table.label, digest, table.table, table.version, tags)
