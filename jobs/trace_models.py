"""Back from a model, dataset or shard: what it was made of, down to the pools; and what was made of it."""

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import Column
from pyspark.sql import functions as F

from lakeloom.jobs import modelfolders, takedown_shards
from lakeloom.jobs.modelfolders import ModelFolder
from lakeloom.jobs.tracenode import Node
from lakeloom.lakehouse import takedowns
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import Lakehouse

_SCORES, _CORPUS, _DOCUMENTS, _PAGES = "gold.scores", "gold.corpus", "silver.documents", "bronze.pages"
_SHORTEST = 6  # digits by which a hash may be named


def find(lake: Lakehouse, models: Path, what: str) -> list[Node]:
    """Chains of the models, datasets or the shard of that name."""
    word = what.rstrip("/")
    every = modelfolders.find(models)
    manifests = [Manifest.load(folder) for folder in takedown_shards.folders(lake)]
    ours = [one for one in every if is_called(word, one.name, one.folder, one.model_sha, one.train_id)]
    if ours:
        return [model_node(lake, one, manifests) for one in ours]
    name, _, shard = word.rpartition("/")
    for manifest in manifests if name else ():
        if is_called(name, manifest.dataset.name, manifest.folder, manifest.dataset.export_id):
            found = [one for one in manifest.shards if one.shard == shard.removesuffix(".tar")]
            if found:
                facts: dict[str, Json] = {"sequences": found[0].num_sequences, "sha256": found[0].sha256}
                return [Node("shard", found[0].shard, facts, (dataset_node(lake, manifest, every),))]
    return [
        dataset_node(lake, one, every)
        for one in manifests
        if is_called(word, one.dataset.name, one.folder, one.dataset.export_id, one.dataset.corpus_id)
    ]


def is_called(word: str, name: str, folder: Path, *hashes: str) -> bool:
    """Whether a word is the name of something, its folder, or the beginning of a hash of it."""
    is_hash = any(len(word) >= _SHORTEST and one.startswith(word) for one in hashes)
    return word in (name, folder.name, str(folder)) or Path(word).absolute() == folder.absolute() or is_hash


def model_node(lake: Lakehouse, model: ModelFolder, manifests: Sequence[Manifest]) -> Node:
    """A model with its scores and, behind it, its dataset."""
    datasets = [one for one in manifests if one.dataset.export_id == model.export_id]
    made_of = [dataset_node(lake, one, ()) for one in datasets]
    if not made_of and model.export_id:
        made_of = [Node("dataset", model.dataset, {"export_id": model.export_id, "where": "not in this lakehouse"})]
    start = [Node("began with", str(model.start_sha))] if model.start_sha else []
    return Node("model", model.name, _model_facts(model), (*scores(lake, model.model_sha), *start, *made_of))


def scores(lake: Lakehouse, model_sha: str) -> list[Node]:
    """A node an evaluation of gold.scores: its tasks and values."""
    if not lake.exists(_SCORES):
        return []
    rows = lake.read(_SCORES).where((F.col("model_sha") == model_sha) & F.col("value").isNotNull())
    found: dict[str, dict[str, Json]] = {}
    for row in rows.orderBy("evaluation_id", "task", "metric").collect():
        if row["task"] != "train":
            found.setdefault(row["evaluation_id"], {})[f"{row['task']} {row['metric']}"] = row["value"]
    return [Node("scores", name, values) for name, values in found.items()]


def _model_facts(model: ModelFolder) -> dict[str, Json]:
    return {
        "model_sha": model.model_sha,
        "train_id": model.train_id,
        "seed": model.config.get("seed"),
        "code_commit": model.config.get("code_commit"),
        "folder": str(model.folder),
    }


def dataset_node(lake: Lakehouse, manifest: Manifest, models: Sequence[ModelFolder]) -> Node:
    """A dataset: its corpus, documents, recipe and pages behind it; the models that were trained on it after it."""
    facts, lost = manifest.dataset, len(takedowns.of_dataset(manifest.folder))
    about: dict[str, Json] = {
        "export_id": facts.export_id,
        "folder": str(manifest.folder),
        "sequences": facts.num_sequences,
        "tokens": facts.num_tokens,
        "shards": len(manifest.shards),
        "tokenizer_sha": facts.tokenizer_sha,
        "seed": facts.seed,
        "code_commit": takedowns.describe(manifest.folder).get("code_commit"),
        "taken_down": lost or None,
    }
    trained = [Node("model", one.name, _model_facts(one), tuple(scores(lake, one.model_sha))) for one in models
               if one.export_id == facts.export_id]  # fmt: skip
    return Node("dataset", facts.name, about, (_corpus(lake, manifest), *trained))


def _corpus(lake: Lakehouse, manifest: Manifest) -> Node:
    facts = manifest.dataset
    about: dict[str, Json] = {"table": facts.source_table, "version": facts.source_version}
    about |= _count(lake, _CORPUS, F.col("corpus_id") == facts.corpus_id, "split")
    ours = (F.col("recipe_hash") == facts.recipe_hash) & (F.col("pool") == facts.pool)
    documents = _count(lake, _DOCUMENTS, ours, F.when(F.col("dropped_by").isNull(), "kept").otherwise("dropped"))
    pages = _count(lake, _PAGES, F.col("pool") == facts.pool, F.lit("pages"))
    pool = Node("pool", facts.pool, pages)
    recipe = Node("recipe", facts.recipe, {"recipe_hash": facts.recipe_hash, **documents}, (pool,))
    return Node("corpus", facts.corpus_id, about, (recipe,))


def _count(lake: Lakehouse, name: str, ours: Column, by: str | Column) -> dict[str, Json]:
    if not lake.exists(name):
        return {}
    group = F.col(by) if isinstance(by, str) else by
    rows = lake.read(name).where(ours).groupBy(group.alias("group")).agg(F.count("*").alias("n"))
    return {row["group"]: row["n"] for row in rows.orderBy("group").collect()}
