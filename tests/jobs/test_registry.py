"""What the lakehouse made is registered by itself; DCLM's references go in and come out; what changed is told."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import cli, registrations, registry
from lakeloom.jobs.export import ExportConfig
from lakeloom.jobs.registry import RegistryConfig
from lakeloom.lakehouse import ids, references
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import Lakehouse
from tests.jobs.planted import write_evaluation
from tests.lakehouse.test_references import ADDRESSES, EVALUATION, LISTED, MODEL, RAW, TOKENIZED


def config(lake: Lakehouse, *words: str, **changes: Any) -> RegistryConfig:
    shipped: RegistryConfig = cli.load("registry")
    return replace(shipped, lakehouse=lake.cfg, words=list(words), models=f"{lake.cfg.root}/models", **changes)


def sheets(report: Report) -> dict[str, list[dict[str, Any]]]:
    return {one.title: [dict(zip(one.columns, row, strict=True)) for row in one.rows] for one in report.sheets}


def fields(report: Report) -> dict[str, Any]:
    (found,) = report.sheets
    return {str(row[0]): row[1] for row in found.rows}


@pytest.mark.spark
def test_what_was_made_is_registered_and_a_change_is_told(
    spark: SparkSession, lake: Lakehouse, filled: tuple[ExportConfig, Path]
) -> None:
    _, folder = filled
    write_evaluation(lake, "one")
    found = sheets(registry.run(spark, config(lake, "list")))
    assert {kind: len(rows) for kind, rows in found.items()} == {"datasets": 1, "models": 2, "evaluations": 1}
    assert {row["state"] for rows in found.values() for row in rows} == {"unchanged"}
    versions = {name: lake.version(name) for name in ("gold.datasets", "gold.models", "gold.evaluations")}
    facts = Manifest.load(folder).dataset
    one = fields(registry.run(spark, config(lake, "show", folder.name, deep=True)))
    assert one["state"] == "unchanged, every shard"
    assert (one["source_table"], one["source_version"]) == ("gold.corpus", facts.source_version)
    assert (one["recipe_hash"], one["seed"], one["export_id"]) == (facts.recipe_hash, 3, facts.export_id)
    assert one["content_sha"] == ids.file_sha(folder / "manifest.jsonl")
    assert len(str(one["code_commit"])) >= 40 and one["reference: num_tokens"] == facts.num_tokens
    # The models cite the dataset's uuid, the evaluation the model's, and queries follow them.
    joined = sheets(registry.run(spark, config(lake, "query", "evaluations", "dataset=tiny", "tokens>=1K")))
    assert [row["name"] for row in joined["evaluations"]] == ["lakeloom"]
    kept = registry.run(spark, config(lake, "query", "models", "name=^one$", columns=["dataset_uuid"]))
    assert kept.dropped == 1 and kept.sheets[0].rows[0][2] == one["uuid"]
    assert {name: lake.version(name) for name in versions} == versions
    # A shard that is another by now, then a manifest.
    shard = folder / "shard_00000000.tar"
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    assert fields(registry.run(spark, config(lake, "show", folder.name)))["state"] == "unchanged"
    deep = registry.run(spark, config(lake, "show", folder.name, deep=True))
    assert deep.facts["changed"] == 1 and "SHA-256" in fields(deep)["state"]
    manifest = folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace(": ", ":"))
    assert fields(registry.run(spark, config(lake, "show", folder.name)))["state"].startswith("changed: manifest.jsonl")
    assert lake.read("gold.datasets").count() == 1


@pytest.mark.spark
def test_every_file_of_a_dataset_is_looked_at(lake: Lakehouse, filled: tuple[ExportConfig, Path]) -> None:
    _, folder = filled
    registry.sync(lake, Path(lake.cfg.root, "models"))
    [row] = [row.asDict() for row in lake.read("gold.datasets").collect()]
    older = row | {"described_sha": None, "holdout_sha": None}
    described, facts = folder / "dataset.json", Manifest.load(folder).dataset
    before = described.read_text()
    described.write_text(before.replace(f'"eot": {facts.eot},', '"eot": 7,'))
    assert registry.state(row, deep=False).startswith("changed: dataset.json has SHA-256")
    assert registry.state(older, deep=False) == "unchanged"
    described.write_text(before)
    assert registry.state(older, deep=True) == registry.state(row, deep=True) == "unchanged, every shard"
    other = folder / "shard_00000099.tar"
    other.touch()
    assert "shard_00000099.tar is in no line of the manifest" in registry.state(row, deep=True)
    other.unlink()
    tokenizer, holdout = folder / facts.tokenizer_file, folder / "holdout.jsonl.zst"
    content = holdout.read_bytes()
    holdout.unlink()
    assert registry.state(row, deep=False).startswith("changed: holdout.jsonl.zst is gone, registered was")
    holdout.write_bytes(content)
    tokenizer.write_bytes(b"another")
    assert registry.state(older, deep=False).startswith("changed: the tokenizer has SHA-256")


@pytest.mark.spark
def test_references_of_dclm_go_in_and_come_out_as_they_were(
    spark: SparkSession, lake: Lakehouse, tmp_path: Path
) -> None:
    raw = {f"datasets/raw_sources/{one['name']}": one for one in (RAW, ADDRESSES, LISTED)}
    given = {"datasets/tokenized/a": TOKENIZED, **raw, "models/c": MODEL, "evals/d": EVALUATION}
    for name, reference in given.items():
        path = tmp_path / "exp_data" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(references.dump(reference))
    (tmp_path / "exp_data/datasets/raw_sources/large.json.gz").write_bytes(gzip.compress(b"{}"))
    first = registry.run(spark, config(lake, "import", str(tmp_path / "exp_data")))
    again = registry.run(spark, config(lake, "import", str(tmp_path / "exp_data")))
    assert (first.rows_in, first.rows_out, again.rows_out, again.dropped) == (6, 6, 0, 6)
    assert [note.rpartition("/")[2] for note in first.notes] == [
        "large.json.gz was left out: it is packed; unpack it to import it"
    ]
    registry.run(spark, config(lake, "export", str(tmp_path / "out")))
    written = [
        (str(path.parent.relative_to(tmp_path / "out")), json.loads(path.read_text()))
        for path in (tmp_path / "out").rglob("*.json")
    ]
    expected = [(str(Path(name).parent), reference) for name, reference in given.items()]
    assert sorted(written, key=str) == sorted(expected, key=str)
    found = registry.run(spark, config(lake, "query", "models", "hyperparameters.params>=1B", "failed=False"))
    assert [row[:2] for row in found.sheets[0].rows] == [(MODEL["name"], MODEL["uuid"])]
    assert fields(registry.run(spark, config(lake, "show", str(TOKENIZED["uuid"]))))["state"] == "not here"
    other = tmp_path / "other.json"
    other.write_text(references.dump(MODEL | {"failed": True}))
    with pytest.raises(BadInput, match=r"other\.json: models .* is there with another content \(registered\)"):
        registry.run(spark, config(lake, "import", str(other)))
    for name, seed in (("first", 1), ("second", 2)):
        (tmp_path / f"{name}.json").write_text(references.dump(ADDRESSES | {"uuid": "new", "seed": seed}))
    twins = [str(tmp_path / f"{name}.json") for name in ("first", "second")]
    with pytest.raises(BadInput, match=r"second\.json: sources 'cc_sample': its uuid new is .* \(.*first\.json\)"):
        registry.run(spark, config(lake, "import", *twins))
    assert lake.read("gold.sources").count() == 3
    for words, said in ((("lst",), "no verb 'lst'; nearest: list"), (("show", "nothing"), "no name, uuid or content")):
        with pytest.raises(ConfigError, match=said):
            registry.run(spark, config(lake, *words))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uuid": 7}, "uuid is 7; expected a string"),
        ({"dcnlp_commit_hash": ["a"]}, r'dcnlp_commit_hash is \["a"\]; expected a string'),
        ({"seed": 2**70}, r"seed is 1180591620717411303424; expected a whole number of 64 bits"),
        ({"seed": "42"}, 'seed is "42"; expected a whole number'),
    ],
)
def test_values_that_no_row_holds_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(references.dump(ADDRESSES | changes))
    with pytest.raises(BadInput, match=rf"x\.json: {said}"):
        registrations.foreign(path)
    path.write_text(references.dump(ADDRESSES))
    assert registrations.foreign(path).row["seed"] == 42
