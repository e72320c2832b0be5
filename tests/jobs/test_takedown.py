"""Planted pages are taken down and looked for in every byte of the lakehouse."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import choose, cli, documents, export, ingest, locate, takedown
from lakeloom.jobs.export import ExportConfig
from lakeloom.jobs.takedown import TakedownConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import Tokenizer
from tests.jobs import diskgrep
from tests.jobs.planted import NAMES, NEEDLES, PLANTED, document, page, url
from tests.jobs.rows import append
from tests.jobs.test_export import RAW, splits


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


def sheet(report: Report, title: str) -> dict[Any, Any]:
    (found,) = [one for one in report.sheets if one.title.startswith(title)]
    return {row[0]: row[1:] for row in found.rows}


@pytest.mark.spark
def test_what_is_taken_down_is_nowhere_on_the_disk(
    spark: SparkSession,
    lake: Lakehouse,
    planted_tokenizer: Tokenizer,
    filled: tuple[ExportConfig, Path],
    tmp_path: Path,
) -> None:
    spark, (cfg, folder) = lake.spark, filled
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
        "silver.contamination": 3, "silver.documents": 6, "silver.pairs": 3, "bronze.dead_letters": 3,
    }  # fmt: skip
    # Of the sequences, what the documents had became EOT, and nothing else changed.
    expected, manifest = before.copy(), Manifest.load(folder)
    for one in located.values():
        for span in one.spans:
            expected[span.shard * 50 + span.row, span.start : span.start + span.length] = planted_tokenizer.eot
    assert np.array_equal(sequences(folder), expected) and not np.array_equal(before, expected)
    manifest.verify()
    found = {row["shard"]: row["sha256"] for row in lake.read("gold.shards").collect()}
    assert found == {shard.shard: shard.sha256 for shard in manifest.shards}
    models = {row[0]: row[2:] for one in report.sheets if one.title.startswith("models") for row in one.rows}
    assert models["one"] == ("tiny", 2, 1, "trained on them")
    assert models["two"][-1] == "begins with one" and str(models["far"][-1]).startswith("perhaps")
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


@pytest.mark.spark
def test_a_dry_run_changes_nothing_and_a_killed_run_is_finished(
    spark: SparkSession, lake: Lakehouse, filled: tuple[ExportConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = filled
    for name in ("signatures", "pairs", "clusters", "cuts", "contamination"):  # each costs a second
        shutil.rmtree(Path(lake.cfg.root, "tables", "silver", name))
    first, _, second = chosen(lake)
    files = {path: path.read_bytes() for path in sorted(Path(lake.cfg.root).rglob("*")) if path.is_file()}
    tried = takedown.run(spark, asked(lake, url(first), dry_run=True))
    assert {path: path.read_bytes() for path in sorted(Path(lake.cfg.root).rglob("*")) if path.is_file()} == files
    assert sheet(tried, "rows that would go")["silver.documents"] == (2,)
    assert sheet(tried, "datasets that would")["tiny"][1] == 1 and sheet(tried, "models")["one"][2] == 1
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped_after(5, Path.replace))
        with pytest.raises(KeyboardInterrupt):
            takedown.run(spark, asked(lake, url(first)))
    assert not (folder / "manifest.jsonl").exists()  # halfway through the swap: no dataset, not a mixed one
    halfway = sorted(folder.rglob("*"))
    with pytest.raises(ConfigError, match=r"a takedown was stopped .* run lakeloom takedown, without words, to finish"):
        takedown.run(spark, asked(lake, dry_run=True))
    assert sorted(folder.rglob("*")) == halfway
    with pytest.raises(ConfigError, match=r"takedown.strict=true: nothing is known of https://planted.example/nobody"):
        takedown.run(spark, asked(lake, "https://planted.example/nobody", strict=True, vacuum=True))
    assert diskgrep.places(Path(lake.cfg.root), NEEDLES[first]) == []
    # Another of the same dataset, whose packing is counted with the one that has gone.
    takedown.run(spark, asked(lake, second))
    assert diskgrep.places(folder, NEEDLES[second]) == []
    Manifest.load(folder).verify()
    # A later crawl brings the page back: no job reads it, and the next run, of no words, removes it.
    append(lake, "bronze.pages", [page(first) | {"doc_id": "f" * 32, "batch_id": "b2"}], "ingest/again")
    append(lake, "silver.documents", [document(first) | {"doc_id": "f" * 32, "batch_id": "b2"}], "curate/again")
    for read in (ingest.pages(lake, "tiny"), documents.read(lake, ["tiny"], RAW).kept):
        found = {row["doc_id"] for row in read.select("doc_id").collect()}
        assert found & set(NAMES) == set(NAMES) - {first, second} and "f" * 32 not in found
    assert sheet(takedown.run(spark, asked(lake)), "rows deleted")["bronze.pages"] == (1,)


@pytest.mark.spark
def test_it_goes_from_dclms_form_of_shards_too_and_the_pads_stay(
    spark: SparkSession, lake: Lakehouse, planted_tokenizer: Tokenizer, filled: tuple[ExportConfig, Path]
) -> None:
    for name in ("signatures", "pairs", "clusters", "cuts", "contamination"):  # each costs a second
        shutil.rmtree(Path(lake.cfg.root, "tables", "silver", name))
    gone, _, other = chosen(lake)
    report = export.run(spark, replace(filled[0], members="json.gz", leftovers="pad"))
    folder = Path(str(report.facts["folder"]))
    before, pads = sequences(folder), [shard.num_pads for shard in Manifest.load(folder).shards]
    [located] = locate.locate(lake, Manifest.load(folder), [gone])
    takedown.run(spark, asked(lake, url(gone)))
    for one in located.spans:
        before[one.shard * 50 + one.row, one.start : one.start + one.length] = planted_tokenizer.eot
    assert np.array_equal(sequences(folder), before)
    assert [shard.num_pads for shard in Manifest.load(folder).shards] == pads and sum(pads) > 0
    Manifest.load(folder).verify()
    assert diskgrep.places(folder, NEEDLES[gone]) == [] != diskgrep.places(folder, NEEDLES[other])


@pytest.mark.spark
def test_a_vacuum_takes_what_killed_jobs_left_in_the_tables(
    spark: SparkSession, lake: Lakehouse, filled: tuple[ExportConfig, Path], tmp_path: Path
) -> None:
    root, tables, before = Path(lake.cfg.root), Path(lake.cfg.root, "tables"), tmp_path / "before"
    for name in ("signatures", "pairs", "clusters", "contamination"):  # each costs a second
        shutil.rmtree(tables / "silver" / name)
    _, folder = filled
    gone, _, other = chosen(lake)
    takedown.run(spark, asked(lake, url(gone)))
    assert diskgrep.places(root, NEEDLES[gone])
    shutil.copytree(tables, before, ignore=shutil.ignore_patterns("_delta_log"))
    takedown.run(spark, asked(lake, vacuum=True))
    assert diskgrep.places(root, NEEDLES[gone]) == []
    # A VACUUM whose beginning is in the log, and that deleted nothing; a job that was killed before it committed.
    shutil.copytree(before, tables, dirs_exist_ok=True)
    [page, *_] = (before / "bronze" / "pages").glob("*.parquet")
    shutil.copy(page, tables / "silver" / "cuts" / "part-00007-killed.c000.snappy.parquet")
    (folder / ".shard_00000001.0123").write_text(PLANTED[gone])
    (folder / ".takedown").mkdir()
    (folder / ".takedown" / "shard_00000001.tar.old").write_text(PLANTED[gone])
    assert len(diskgrep.places(root, NEEDLES[gone])) > 5
    takedown.run(spark, asked(lake, vacuum=True))
    assert diskgrep.places(root, NEEDLES[gone]) == [] != diskgrep.places(root, NEEDLES[other])


def stopped_after(number: int, replace_file: Any) -> Any:
    """Path.replace that is interrupted after so many files were put in place."""
    left = [number]

    def stopped(path: Path, target: Path) -> Path:
        if path.parent.name == ".takedown" and target.parent != path.parent:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        found: Path = replace_file(path, target)
        return found

    return stopped


@pytest.mark.spark
def test_what_is_no_request_is_refused(lake: Lakehouse) -> None:
    with pytest.raises(ConfigError, match=r"'planted.example' is no URL .* nothing was taken down"):
        takedown.run(lake.spark, asked(lake, "planted.example"))
    with pytest.raises(ConfigError, match="takedown needs what to take down"):
        takedown.run(lake.spark, asked(lake))
