"""Planted pages are taken down and looked for in every byte of the lakehouse."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import choose, cli, export, locate, takedown
from lakeloom.jobs.export import ExportConfig
from lakeloom.jobs.takedown import TakedownConfig
from lakeloom.lakehouse.ids import doc_id
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table
from lakeloom.lakehouse.tokens import Tokenizer
from tests.jobs import diskgrep
from tests.jobs.test_export import RAW, TEXTS, config, fill, splits
from tests.jobs.test_export import tokenizer as tokenizer

NAMES = [doc_id("tiny", "file", number, "") for number in range(200, 220)]
NEEDLES = {name: f"qz{chr(97 + number)}vkw" for number, name in enumerate(NAMES)}
PLANTED = {name: f"{needle}-" * 30 for name, needle in NEEDLES.items()}


def url(name: str) -> str:
    return f"https://planted.example/{NEEDLES[name]}/page?of=1"


def append(lake: Lakehouse, name: str, rows: list[dict[str, Any]], txn: str = "test") -> None:
    schema = table(name).schema
    whole = [{column: row.get(column) for column in schema.names} for row in rows]
    lake.append(lake.spark.createDataFrame(pa.Table.from_pylist(whole, schema)), name, txn=txn)


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
    about = {"name": name, "model_sha": f"sha-of-{name}", "train_id": f"id-of-{name}"}
    (model / "manifest.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def filled_once(
    spark: SparkSession, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A lakehouse with planted pages in every table, one exported dataset and a few leftovers of killed jobs."""
    lake = Lakehouse(spark, LakehouseConfig(str(tmp_path_factory.mktemp("takedown") / "lake"), ""))
    append(lake, "bronze.pages", [page(name) for name in NAMES])
    fill(lake, TEXTS)
    append(lake, "silver.documents", [document(name) for name in NAMES], "curate/planted")
    other = {"recipe": "other", "recipe_hash": "other"}
    append(lake, "silver.documents", [document(name) | other for name in NAMES], "curate/other")
    cfg = config(lake, tokenizer)
    choose.run(spark, cfg.choose)
    folder = Path(str(export.run(spark, cfg).facts["folder"]))
    shas = {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
    append(lake, "silver.signatures", [{"doc_id": name, "signature_id": "s", "text_sha": shas[name]} for name in NAMES])
    pairs = [
        {"measure_id": "m", "a": shas[one][:32], "b": shas[NAMES[19]][:32], "similarity": 0.5} for one in NAMES[:19]
    ]
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
    return Path(lake.cfg.root), folder.name


def _export(folder: Path) -> str:
    return Manifest.load(folder).dataset.export_id


@pytest.fixture
def filled(lake: Lakehouse, tokenizer: Tokenizer, filled_once: tuple[Path, str]) -> tuple[ExportConfig, Path]:
    root, name = filled_once
    shutil.copytree(root, lake.cfg.root)
    (lake.folder("scratch") / "killed").mkdir()
    (lake.folder("scratch") / "killed" / "rows.json").write_text(" ".join(PLANTED.values()))
    return config(lake, tokenizer), lake.folder("shards") / name


def asked(lake: Lakehouse, *words: str, **changes: Any) -> TakedownConfig:
    shipped: TakedownConfig = cli.load("takedown")
    given = {"words": list(words), "models": f"{lake.cfg.root}/models", **changes}
    return replace(shipped, lakehouse=lake.cfg, **given)


def sequences(folder: Path) -> np.ndarray[Any, np.dtype[np.uint32]]:
    reader = ShardReader(Manifest.load(folder))
    return np.stack([reader[number].astype(np.uint32) for number in range(len(reader))])


def chosen(lake: Lakehouse) -> tuple[str, str, str]:
    """A planted page that is trained on, one that is held out, and another that is trained on."""
    found = splits(lake)
    train, held = (
        [name for name in NAMES if name in found["train"]],
        [name for name in NAMES if name in found["holdout"]],
    )
    return train[0], held[0], train[1]


def sheet(report: Any, title: str) -> dict[Any, Any]:
    (found,) = [one for one in report.sheets if one.title.startswith(title)]
    return {row[0]: row[1:] for row in found.rows}


@pytest.mark.spark
def test_what_is_taken_down_is_nowhere_on_the_disk(
    spark: SparkSession, lake: Lakehouse, tokenizer: Tokenizer, filled: tuple[ExportConfig, Path], tmp_path: Path
) -> None:
    cfg, folder = filled
    by_url, by_id, by_text = gone = chosen(lake)
    root = Path(lake.cfg.root)
    for name in gone:  # the search finds what is there
        kinds = {Path(place).suffix for place in diskgrep.places(root, NEEDLES[name])}
        assert kinds == {".parquet", ".json", ".zst" if name == by_id else ".tar"}
    assert NAMES[19] not in gone
    before, manifest = sequences(folder), Manifest.load(folder)
    located = {one.doc_id: one for one in locate.locate(lake, manifest, [by_url, by_text])}
    lines = tmp_path / "gone.txt"
    lines.write_text(f"# from our inbox\n{url(by_url)}\n\n{by_id}\n")
    text_sha = hashlib.sha256(PLANTED[by_text].encode()).hexdigest()
    report = takedown.run(spark, asked(lake, str(lines), text_sha, "https://planted.example/nobody", vacuum=True))
    assert (report.rows_in, report.rows_out, report.dropped) == (4, 3, 1)
    assert "https://planted.example/nobody" in report.notes[0]
    for name in gone:
        assert diskgrep.places(root, NEEDLES[name]) == []
        assert diskgrep.places(root, url(name)) == []
    assert len(diskgrep.places(root, NEEDLES[NAMES[5]])) > 5 and NAMES[5] not in gone
    rows = {name: number for name, (number,) in sheet(report, "rows deleted").items()}
    assert rows == {
        **dict.fromkeys(("gold.corpus", "bronze.pages", "silver.signatures", "silver.clusters", "silver.cuts"), 3),
        "silver.contamination": 3, "silver.documents": 6, "silver.pairs": 3, "bronze.dead_letters": 1,
    }  # fmt: skip
    # Of the sequences, what the documents had became EOT, and nothing else changed.
    expected, manifest = before.copy(), Manifest.load(folder)
    for one in located.values():
        for span in one.spans:
            expected[span.shard * 50 + span.row, span.start : span.start + span.length] = tokenizer.eot
    assert np.array_equal(sequences(folder), expected) and not np.array_equal(before, expected)
    manifest.verify()
    found = {row["shard"]: row["sha256"] for row in lake.read("gold.shards").collect()}
    assert found == {shard.shard: shard.sha256 for shard in manifest.shards}
    models = {row[0]: row[2:] for one in report.sheets if one.title.startswith("models") for row in one.rows}
    assert models["one"] == ("tiny", 2, 1, "trained on them")
    assert models["two"][-1] == "begins with one" and models["far"][-1].startswith("perhaps")
    # Again, and without words, nothing is left to do.
    versions = {name: lake.version(name) for name in (*rows, "gold.shards", "ops.takedowns")}
    again = takedown.run(spark, asked(lake, vacuum=True))
    assert {name: lake.version(name) for name in versions} == versions
    assert not [one for one in again.sheets if one.title.startswith("rows")]
    assert sheet(again, "dataset versions")["tiny"][1:3] == (2, 1)
    # A dataset that is chosen anew has the others, and is another.
    choose.run(spark, cfg.choose)
    assert choose.identify(lake, cfg.choose) != manifest.dataset.corpus_id
    assert not {row["doc_id"] for row in lake.read("gold.corpus").select("doc_id").collect()} & set(gone)
