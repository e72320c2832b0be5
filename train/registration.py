"""Versions of registered models in MLflow: which run, data and seed a model has, and where its files are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloom.lakehouse.shards import DatasetFacts
from lakeloom.train import checkpoint
from lakeloom.train.tracking import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "model"  # of a run's artifacts


def version(store: "MlflowClient", name: str, source: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Number of a new version of the registered model, which is made on first use."""
    from mlflow.exceptions import MlflowException

    try:
        store.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return str(store.create_model_version(name, source, run_id=run_id, tags=dict(tags)).version)


def register(tracker: Tracker, name: str, folder: Path, dataset: DatasetFacts, tags: Mapping[str, str]) -> str:
    """A finished model as a version of `name`; its number, or "" without a store.

    Its manifest and configuration are uploaded. The weights stay in `folder`; the version has their SHA-256.
    """
    if tracker.store is None:
        return ""
    for file in (checkpoint.MANIFEST, checkpoint.CONFIG):
        tracker.store.log_artifact(tracker.run_id, str(folder / file), FOLDER)
    facts = checkpoint.manifest(folder) or {}
    cited = {
        "folder": str(folder.absolute()),
        "model_sha": str(facts["model_sha"]),
        "dataset": dataset.name,
        "export_id": dataset.export_id,
        "corpus": f"{dataset.source_table}@{dataset.source_version}/{dataset.corpus_id}",
        "recipe": dataset.recipe,
        "recipe_hash": dataset.recipe_hash,
        "pool": dataset.pool,
        "tokenizer_sha": dataset.tokenizer_sha,
    }
    source = f"{tracker.store.get_run(tracker.run_id).info.artifact_uri}/{FOLDER}"
    return version(tracker.store, name, source, tracker.run_id, {**tags, **cited})
