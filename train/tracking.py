"""A training run in MLflow: its parameters, the dataset version it read, and a curve for every measure.

MLflow is imported when a store is named: a GPU node may have none and write losses.jsonl only.
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.shards import DatasetFacts

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    from mlflow.utils.async_logging.run_operations import RunOperations

_FLUSH_S = 5.0
_MAX_BATCH = 500  # MLflow takes 1,000 metrics a call
_MAX_DIGEST = 36  # characters; MLflow refuses more


def client(uri: str) -> "MlflowClient":
    """A client of a store, with MLflow's telemetry off."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # two lines for every new store
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri)


def experiment(store: "MlflowClient", uri: str, name: str) -> str:
    """Id of the experiment, made on first use; artifacts of a local store lie beside it, not in the working folder."""
    found = store.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        location = Path(uri.removeprefix("sqlite:///")).resolve().with_name("artifacts").as_uri()
    return store.create_experiment(name, artifact_location=location)


@dataclass
class Tracker:
    """An open run; metrics are collected and sent in the background. Without a store it does nothing."""

    store: "MlflowClient | None"
    run_id: str
    machine: "SystemMetricsMonitor | None" = field(default=None, repr=False)  # its CPUs, memory, disk, GPUs
    _waiting: "list[Metric]" = field(default_factory=list, repr=False)
    _sent: "list[RunOperations]" = field(default_factory=list, repr=False)
    _sent_at: float = 0.0

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self.end("FINISHED" if kind is None else "FAILED")

    def log(self, step: int, measures: Mapping[str, float]) -> None:
        """One point of each curve."""
        if self.store is None:
            return
        from mlflow.entities import Metric

        now = time.time()
        self._waiting += [Metric(name, value, int(now * 1000), step) for name, value in measures.items()]
        if len(self._waiting) >= _MAX_BATCH or now - self._sent_at > _FLUSH_S:
            self._send()

    def end(self, status: str) -> None:
        """Send what waits and close the run as FINISHED, FAILED or KILLED; a second call does nothing."""
        if self.store is None:
            return
        if self.machine is not None:
            self.machine.finish()  # type: ignore[no-untyped-call]  # mlflow
        self._send()
        for operation in self._sent:
            operation.wait()  # type: ignore[no-untyped-call]  # mlflow
        self.store.set_terminated(self.run_id, status)
        self.store = None

    def _send(self) -> None:
        if self.store is not None and self._waiting:
            operation = self.store.log_batch(self.run_id, metrics=self._waiting, synchronous=False)
            if operation is not None:
                self._sent.append(operation)
            self._waiting, self._sent_at = [], time.time()


@dataclass(frozen=True)
class Description:
    """What is said of a run when it begins."""

    name: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    dataset: DatasetFacts


def start(uri: str | None, experiment_name: str, about: Description, run_id: str = "") -> Tracker:
    """Open a run, or go on with one that was stopped; uri None tracks nothing. ConfigError if it isn't there.

    What this machine does meanwhile is logged, too: every 10 s, or MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.
    """
    if uri is None:
        return Tracker(None, "")
    from mlflow.entities import RunStatus
    from mlflow.exceptions import MlflowException

    store = client(uri)
    if run_id:
        try:
            store.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        except MlflowException as error:
            raise ConfigError(
                f"{about.name} goes on from a checkpoint whose MLflow run {run_id} is not in this store; name "
                "the one that it began in (train.tracking_uri), or delete its checkpoints"
            ) from error
        return Tracker(store, run_id, _monitor(uri, run_id, is_resumed=True))
    run = store.create_run(experiment(store, uri, experiment_name), run_name=about.name, tags=dict(about.tags))
    _describe(store, run.info.run_id, about)
    return Tracker(store, run.info.run_id, _monitor(uri, run.info.run_id, is_resumed=False))


def _monitor(uri: str, run_id: str, *, is_resumed: bool) -> "SystemMetricsMonitor":
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)  # a line for each start and end
    monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]  # mlflow
        run_id, resume_logging=is_resumed, tracking_uri=uri
    )
    monitor.start()  # type: ignore[no-untyped-call]  # mlflow
    return monitor


def delta_input(name: str, digest: str, table: str, version: int, tags: Mapping[str, str]) -> "DatasetInput":
    """A version of a Delta table as what a run was trained on; `digest` is cut to what MLflow takes."""
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = DeltaDatasetSource(path=table, delta_table_version=version)
    dataset = Dataset(name, digest[:_MAX_DIGEST], source_type="delta_table", source=source.to_json())
    said = {"mlflow.data.context": "training", "source_table": table, "source_version": str(version), **tags}
    return DatasetInput(dataset, [InputTag(key, value) for key, value in said.items()])


def _describe(store: "MlflowClient", run_id: str, about: Description) -> None:
    from mlflow.entities import Param

    store.log_batch(run_id, params=[Param(key, str(value)) for key, value in about.params.items()])
    facts = about.dataset
    tags = {"corpus_id": facts.corpus_id, "recipe_hash": facts.recipe_hash, "pool": facts.pool}
    read = delta_input(facts.name, facts.export_id, facts.source_table, facts.source_version, tags)
    store.log_inputs(run_id, [read])
