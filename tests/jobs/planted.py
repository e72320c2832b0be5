"""Pages with words that nothing else has, in every table and in an exported dataset: to be looked for."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lakeloom.evaluate import scores
from lakeloom.evaluate.scores import ModelFacts, Score, Scores
from lakeloom.jobs import choose, export
from lakeloom.lakehouse.ids import doc_id
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import Tokenizer
from tests.jobs.rows import append
from tests.jobs.test_export import RAW, TEXTS, config, fill

NAMES = [doc_id("tiny", "file", number, "") for number in range(200, 220)]
NEEDLES = {name: f"qz{chr(97 + number)}vkw" for number, name in enumerate(NAMES)}
PLANTED = {name: f"{needle}-" * 30 for name, needle in NEEDLES.items()}


def url(name: str) -> str:
    return f"https://planted.example/{NEEDLES[name]}/page?of=1"


def page(name: str) -> dict[str, Any]:
    facts = {"pool": "tiny", "batch_id": "b1", "warc_file": "file", "warc_offset": 7, "host": "planted.example"}
    return {"doc_id": name, "url": url(name), "text": PLANTED[name], **facts}


def document(name: str) -> dict[str, Any]:
    about = {"pool": "tiny", "batch_id": "b1", "recipe": "raw", "recipe_hash": RAW.hash}
    return {**about, "doc_id": name, "url": url(name), "text": PLANTED[name], "num_chars": len(PLANTED[name])}


def write_model(lake: Lakehouse, folder: Path, name: str, *, num_takedowns: int = 0, start: str | None = None) -> None:
    facts = json.loads((folder / "dataset.json").read_text())
    model = lake.folder("models") / name
    model.mkdir()
    begun = {"folder": "x", "model_sha": start} if start else None
    described = {"dataset": facts, "num_takedowns": num_takedowns, "start": begun, "seed": 1, "scale": {"name": "t"}}
    (model / "config.json").write_text(json.dumps(described | ({"dataset": {}} if start else {})))
    about = {"name": name, "tokens": 5000, "model_sha": f"sha-of-{name}", "train_id": f"id-of-{name}"}
    (model / "manifest.json").write_text(json.dumps(about))


def fill_lakehouse(lake: Lakehouse, tokenizer: Tokenizer) -> str:
    """Planted pages in every table, one exported dataset, whose folder's name is returned, and two models."""
    spark = lake.spark
    append(lake, "bronze.pages", [page(name) for name in NAMES])
    fill(lake, TEXTS)
    append(lake, "silver.documents", [document(name) for name in NAMES], "curate/planted")
    other = {"recipe": "other", "recipe_hash": "other"}
    append(lake, "silver.documents", [document(name) | other for name in NAMES], "curate/other")
    cfg = config(lake, tokenizer)
    choose.run(spark, cfg.choose)
    folder = Path(str(export.run(spark, cfg).facts["folder"]))
    shas = {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
    append(lake, "silver.signatures", [{"doc_id": one, "signature_id": "s", "text_sha": shas[one]} for one in NAMES])
    ends = [{"a": shas[one][:32], "b": shas[NAMES[19]][:32]} for one in NAMES[:19]]
    pairs = [{"measure_id": "m", "similarity": 0.5, **end} for end in ends]
    append(lake, "silver.pairs", pairs)
    for name in ("silver.clusters", "silver.cuts", "silver.contamination"):
        append(lake, name, [{"doc_id": one, "reason": url(one)} for one in NAMES])
    letters = [{"source": "f", "offset": n, "detail": f"no text at {url(one)}"} for n, one in enumerate(NAMES)]
    append(lake, "bronze.dead_letters", letters)
    append(
        lake, "gold.scores", [{"evaluation_id": "e", "model": "far", "model_sha": "x", "export_id": _export(folder)}]
    )
    write_model(lake, folder, "one")
    write_model(lake, folder, "two", start="sha-of-one")
    return folder.name


def _export(folder: Path) -> str:
    return Manifest.load(folder).dataset.export_id


def write_evaluation(lake: Lakehouse, model: str) -> None:
    """A file of scores in a model's folder."""
    folder = lake.folder("models") / model
    facts = ModelFacts(model, f"sha-of-{model}", "t", "", "tiny", "e", "raw", "t", 1, 5000, 2.5, 16, "t")
    copa = Score("copa", "v", "accuracy", 0.5, 0.25, 4, 4, 0, 0, 0.0)
    scores.save(Scores("e", facts, 0, (copa,), (), None, None, "20 tasks are missing"), folder, [])
