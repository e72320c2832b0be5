"""What this lakehouse has made, as rows of the registry: pools, exported datasets, models, evaluations."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pyspark.sql import functions as F

from lakeloom.evaluate import scores
from lakeloom.jobs import modelfolders, takedown_shards
from lakeloom.jobs.modelfolders import ModelFolder
from lakeloom.lakehouse import references, takedowns
from lakeloom.lakehouse.ids import Json, file_sha
from lakeloom.lakehouse.references import content_sha, date_of, uuid_of
from lakeloom.lakehouse.shard_writer import HOLDOUT
from lakeloom.lakehouse.shards import MANIFEST, Manifest
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.train.config import ModelConfig

Row = dict[str, Json]
_FILES = "bronze.files"


@dataclass(frozen=True)
class Registration:
    """A row of a table of the registry, without the time."""

    kind: str
    row: Row


def found(lake: Lakehouse, models: Path) -> list[Registration]:
    """Everything that is there, what others cite first."""
    sources = {str(one.row["pool"]): one for one in _sources(lake)}
    datasets = {str(one.row["export_id"]): one for one in _datasets(lake, sources)}
    made = list(of_models(models, datasets))
    by_sha = {str(one.row["model_sha"]): one for one in made}
    return [*sources.values(), *datasets.values(), *made, *_evaluations(models, by_sha)]


def _sources(lake: Lakehouse) -> Iterator[Registration]:
    """A pool is its files: their identities are of path and size."""
    if not lake.exists(_FILES):
        return
    ids = F.sha2(F.concat_ws(",", F.sort_array(F.collect_set("file_id"))), 256)
    sums = (F.count("*").alias("files"), F.sum("num_bytes").alias("bytes"), F.min("path").alias("first"))
    rows = lake.read(_FILES).groupBy("pool").agg(ids.alias("sha"), *sums, F.max("ingested_at").alias("at"))
    version = lake.version(_FILES)
    for row in rows.orderBy("pool").collect():
        reference: Row = {
            "uuid": uuid_of("sources", row["sha"]),
            "name": row["pool"],
            "creation_date": row["at"].strftime("%Y_%m_%d-%H_%M_%S"),
            "dataset_url": row["pool"],
            "manifest_url": None,
            "sources": [],
            "tokenized": False,
            "tokenizer": None,
            "num_tokens": None,
            "size": row["bytes"],
            "dcnlp_commit_hash": None,
            "dcnlp_diff": None,
            "data_key": "".join(Path(row["first"]).suffixes[-2:]).lstrip("."),
            "total_files": str(row["files"]),
        }
        about: Row = {"source_table": _FILES, "source_version": version, "pool": row["pool"]}
        yield _registration("sources", reference, row["sha"], None, about)


def _datasets(lake: Lakehouse, sources: dict[str, Registration]) -> Iterator[Registration]:
    for folder in takedown_shards.folders(lake):
        manifest, described = Manifest.load(folder), takedowns.describe(folder)
        facts, sha, source = manifest.dataset, file_sha(folder / MANIFEST), sources.get(manifest.dataset.pool)
        pool: Row = {"uuid": source.row["uuid"] if source else "", "name": facts.pool}
        reference: Row = {
            "uuid": uuid_of("datasets", sha),
            "name": folder.name,
            "creation_date": date_of(folder / MANIFEST),
            "dataset_url": f"{folder}/",
            "manifest_url": str(folder / MANIFEST),
            "sources": described.get("sources", [pool]),  # of a mix its own
            "tokenized": True,
            "tokenizer": str(folder / facts.tokenizer_file),
            "num_tokens": facts.num_tokens,
            "size": sum(shard.num_bytes for shard in manifest.shards),
            "dcnlp_commit_hash": described.get("code_commit"),
            "dcnlp_diff": None,
            "data_key": manifest.shards[0].ext,
            "sampling_yaml": described.get("sampling_yaml"),
        }
        references.check_tokenized(reference, str(folder))
        names = ("source_table", "source_version", "recipe_hash", "seed", "export_id", "corpus_id", "tokenizer_sha")
        about: Row = {name: cast("Json", getattr(facts, name)) for name in names}
        about |= {"code_commit": described.get("code_commit"), "num_takedowns": len(takedowns.of_dataset(folder))}
        about |= {name: sha for name, sha in dataset_shas(folder).items() if name not in about}
        yield _registration("datasets", reference, sha, folder / MANIFEST, about)


def dataset_shas(folder: Path) -> dict[str, str | None]:
    """Hashes of what is in a dataset's folder beside manifest and shards, by the columns of gold.datasets."""
    described = takedowns.describe(folder)
    tokenizer, holdout = folder / str(described.get("tokenizer_file")), folder / HOLDOUT
    return {
        "described_sha": content_sha({name: value for name, value in described.items() if name != "takedowns"}),
        "tokenizer_sha": file_sha(tokenizer) if tokenizer.is_file() else None,
        "holdout_sha": file_sha(holdout) if holdout.is_file() else None,
    }


def of_models(models: Path, datasets: dict[str, Registration]) -> Iterator[Registration]:
    """The models of a folder; datasets by their export_id."""
    for model in modelfolders.find(models):
        dataset, facts = datasets.get(model.export_id), cast("dict[str, Any]", model.config.get("dataset") or {})
        sha = content_sha({"model_sha": model.model_sha, "train_id": model.train_id})
        manifest = model.folder / modelfolders.MANIFEST
        reference: Row = {
            "uuid": uuid_of("models", sha),
            "name": model.name,
            "creation_date": date_of(manifest),
            "dataset_name": dataset.row["name"] if dataset else model.dataset,
            "dataset_uuid": dataset.row["uuid"] if dataset else "",
            "hyperparameters": _hyperparameters(model),
            "checkpoint_url": str(model.folder / modelfolders.WEIGHTS),
            "params_url": str(model.folder / modelfolders.CONFIG),
            "open_lm_version": "lakeloom",
            "open_lm_args": [],
            "results": [{"loss": model.manifest.get("loss"), "tokens": model.manifest.get("tokens")}],
            "failed": False,
            "error": "",
        }
        about: Row = {name: facts.get(name) for name in ("source_table", "source_version", "recipe_hash")}
        about |= {"seed": model.config.get("seed"), "code_commit": model.config.get("code_commit")}
        about |= {"model_sha": model.model_sha, "train_id": model.train_id, "start_sha": model.start_sha}
        yield _registration("models", reference, sha, manifest, {**about, "dataset_uuid": reference["dataset_uuid"]})


def _hyperparameters(model: ModelFolder) -> Row:
    scale = cast("dict[str, Any]", model.config.get("scale") or {})
    shape = cast("dict[str, Any]", model.config.get("model") or {})
    made = ModelConfig(**shape) if shape else None
    return {
        "model": scale.get("name"),
        "tokens": model.manifest.get("tokens"),
        "warmup": scale.get("warmup"),
        "lr": scale.get("lr"),
        "wd": scale.get("weight_decay"),
        "cd": scale.get("cooldown_lr"),
        "global_bs": scale.get("global_batch"),
        "acc": scale.get("accumulation"),
        "qk_norm": True,
        "z_loss": scale.get("z_loss"),
        "grad_checkpointing": False,
        "params": made.num_parameters if made else None,
        "params_no_embed": made.num_parameters - made.vocab_size * made.dim if made else None,
        "fsdp_flags": [],
        "chinchilla_multiplier": scale.get("multiplier"),
        "seed": model.config.get("seed"),
        "vocab_size": made.vocab_size if made else None,
        "norm": "gain_only_lp_layer_norm",
    }


def _evaluations(models: Path, by_sha: dict[str, Registration]) -> Iterator[Registration]:
    for path in sorted(path for place in ("*", "*/average") for path in models.glob(f"{place}/{scores.FOLDER}/*.json")):
        one, sha = scores.load(path), file_sha(path)
        model = by_sha.get(one.model.model_sha)
        reference = _evaluation(one, model) | {"uuid": uuid_of("evaluations", sha), "creation_date": date_of(path)}
        names = ("source_table", "source_version", "recipe_hash", "seed")
        about: Row = {name: model.row.get(name) if model else None for name in names}
        about |= {"evaluation_id": one.evaluation_id, "model_uuid": reference["model_uuid"]}
        yield _registration("evaluations", reference, sha, path, about)


def _evaluation(one: scores.Scores, model: Registration | None) -> Row:
    icl: Row = {score.task: score.value for score in one.scores if score.metric == "accuracy"}
    losses: Row = {score.task: score.value for score in one.scores if score.metric != "accuracy"}
    centred = [score.centred for score in one.scores if score.centred is not None]
    return {
        "name": "lakeloom",
        "uuid": "",
        "model": one.model.name,
        "creation_date": "",
        "eval_metrics": {"icl": icl, "perplexity": one.model.train_loss, "downstream_perpexity": losses},
        "missing tasks": str([absent.task for absent in one.absent]),
        "aggregated_task_categories_centered": {},
        "aggregated_centered_results": sum(centred) / len(centred) if centred else None,
        "aggregated_results": sum(cast("list[float]", [*icl.values()])) / len(icl) if icl else None,
        "Core": one.core if one.core is not None else f"N/A due to missing tasks: {one.core_reason}",
        "eval_version": "v2",
        "model_uuid": model.row["uuid"] if model else "",
    }


def _registration(kind: str, reference: Row, sha: str, path: Path | None, about: Row) -> Registration:
    named: Row = {"uuid": reference["uuid"], "name": reference.get("name"), "origin": "lakeloom", "content_sha": sha}
    text = json.dumps(reference, ensure_ascii=False)
    return Registration(kind, {**named, "path": str(path) if path else None, "reference": text, **about})


def foreign(path: Path) -> Registration:
    """A reference JSON of DCLM's; one without a uuid gets one of its content. BadInput where it is none."""
    reference, where = references.load(path), str(path)
    kind, sha = references.kind_of(reference, where), content_sha(reference)
    name = reference.get("name") or reference.get("model_name") or path.stem
    uuid = references.text_of(reference, "uuid", where) or uuid_of(kind, sha)
    row: Row = {"uuid": uuid, "name": str(name), "origin": "dclm", "seed": references.seed_of(reference, where)}
    manifest = Path(str(reference.get("manifest_url") or ""))
    is_here = kind == "datasets" and manifest.is_file()
    row |= {"content_sha": file_sha(manifest) if is_here else sha, "path": str(manifest) if is_here else None}
    row["reference"] = json.dumps(reference, ensure_ascii=False)
    row["code_commit"] = references.text_of(reference, "dcnlp_commit_hash", where)
    links = {"models": ("dataset_uuid",), "evaluations": ("model_uuid",)}.get(kind, ())
    return Registration(kind, row | {link: references.text_of(reference, link, where) for link in links})
