"""Versions of registered models in MLflow: which run, data and seed a model has, and where its files are."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakeloom.train import checkpoint, described, tracking
from lakeloom.train.plan import Plan

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

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


def register(store: "MlflowClient", run_id: str, plan: Plan) -> str:
    """A finished model as a version of train.registered_model, made once; its number, or "" where no name is given.

    Its manifest and configuration are uploaded. The weights stay in the folder; the version has their SHA-256.
    """
    name, folder, dataset = plan.cfg.registered_model, plan.folder, plan.manifest.dataset
    if name is None:
        return ""
    model_sha = str((checkpoint.manifest(folder) or {})["model_sha"])
    for one in store.search_model_versions(f"name='{name}' and run_id='{run_id}'"):
        if one.tags.get("model_sha") == model_sha:
            return str(one.version)
    for file in (checkpoint.MANIFEST, checkpoint.CONFIG):
        store.log_artifact(run_id, str(folder / file), FOLDER)
    cited = {
        "folder": str(folder.absolute()),
        "model_sha": model_sha,
        "dataset": dataset.name,
        "export_id": dataset.export_id,
        "corpus": f"{dataset.source_table}@{dataset.source_version}/{dataset.corpus_id}",
        "recipe": dataset.recipe,
        "recipe_hash": dataset.recipe_hash,
        "pool": dataset.pool,
        "tokenizer_sha": dataset.tokenizer_sha,
    }
    source = f"{store.get_run(run_id).info.artifact_uri}/{FOLDER}"
    return version(store, name, source, run_id, {**described.tags(plan), **cited})


def complete(plan: Plan, run_id: str) -> None:
    """What a run that was killed after its model was written left undone: its end in MLflow, and the version."""
    uri = plan.cfg.tracking_uri
    if uri is None or not run_id:
        return
    from mlflow.exceptions import MlflowException

    store = tracking.client(uri)
    try:
        status = str(store.get_run(run_id).info.status)
    except MlflowException:
        log.warning("%s: its MLflow run %s is not in this store: nothing was registered", plan.name, run_id)
        return
    register(store, run_id, plan)
    if status != "FINISHED":
        store.set_terminated(run_id, "FINISHED")
