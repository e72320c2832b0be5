"""From archives to tables: each record one row, each file once, whatever was done before."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import curate, ingest, oracle_ingest
from lakeloom.lakehouse.errors import ConfigError, Conflict, Incomplete
from lakeloom.lakehouse.pools import PoolConfig, SourceFile
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.sources import WarcDataSource, pack
from lakeloom.lakehouse.store import Commit, Lakehouse
from tests.lakehouse.test_warc import PROSE, archive

pytestmark = pytest.mark.spark


def config(lake: Lakehouse, folder: Path, **changes: object) -> ingest.IngestConfig:
    values: dict[str, object] = {
        "batch_bytes": 10**9,
        "partition_bytes": 10**8,
        "min_partitions": 2,
        "max_record_bytes": 10**7,
        "timeout_s": 20.0,
        "keep_html": False,
        "keep_rights": False,
    }
    pool = PoolConfig("made", "warc", str(folder), "", "", "", 0, 0)
    return ingest.IngestConfig(lakehouse=lake.cfg, pool=pool, **(values | changes))  # type: ignore[arg-type] # as typed above


def run(lake: Lakehouse, folder: Path, **changes: object) -> Report:
    return ingest.run(lake.spark, config(lake, folder, **changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pool"
    path.mkdir()
    for number in range(3):
        path.joinpath(f"{number}.warc.gz").write_bytes(archive([f"{PROSE} {number} {i}".encode() for i in range(4)]))
    path.joinpath("broken.warc.gz").write_bytes(archive([PROSE.encode()] * 2) + b"\x1f\x8b\x08\x00 garbage")
    return path


def test_what_pages_say_of_their_use_is_kept_if_asked(lake: Lakehouse, tmp_path: Path) -> None:
    pool = tmp_path / "rights"
    pool.mkdir()
    tags = ('<meta name="robots" content="noai">', '<link rel="license" href="//creativecommons.org/licenses/by/4.0/">')
    bodies = [f"<html><head>{tag}</head><body><p>{PROSE}</p></body></html>".encode() for tag in (*tags, "")]
    pool.joinpath("a.warc.gz").write_bytes(archive(bodies, headers=[("Content-Type", "text/html")]))
    run(lake, pool, keep_rights=True)
    rows = lake.read("bronze.pages").select("refusals", "licenses").collect()
    assert sorted(map(tuple, rows)) == [([], []), ([], ["CC-BY-4.0"]), (["noai"], [])]
    steps = [{"signal": "is_opted_out", "max": 0}, {"signal": "has_license", "min": 1}]
    recipe = Recipe.from_config({"name": "allowed", "steps": steps})
    made = curate.run(lake.spark, curate.CurateConfig(lake.cfg, config(lake, pool).pool, recipe))
    assert (made.rows_in, made.rows_out) == (3, 1)


def test_every_record_has_its_row(lake: Lakehouse, folder: Path) -> None:
    report = run(lake, folder)
    assert (report.rows_in, report.rows_out) == (3 * 9 + 5 + 1, 14)
    assert report.rows_in == report.rows_out + report.dropped
    pages = lake.read("bronze.pages")
    assert pages.count() == pages.select("doc_id").distinct().count() == 14
    dead = {
        (row["source"], row["stage"], row["error"]): row["num_records"]
        for row in lake.read("bronze.dead_letters").collect()
    }
    assert dead[("broken.warc.gz", "parse", "not_a_record")] == 1
    assert dead[("0.warc.gz", "select", "type_request")] == 4
    assert sum(dead.values()) == report.dropped


def test_again_adds_nothing_and_a_new_file_only_itself(lake: Lakehouse, folder: Path) -> None:
    first, second = run(lake, folder), run(lake, folder)
    assert second.versions == first.versions
    assert all(holds for *_, holds in oracle_ingest.check(lake, first, second))
    folder.joinpath("new.warc.gz").write_bytes(archive([PROSE.encode()]))
    third = run(lake, folder)
    assert third.facts["new_files"] == 1
    assert third.rows_out == first.rows_out + 1


def test_a_file_of_another_size_is_refused_and_nothing_is_there_twice(lake: Lakehouse, folder: Path) -> None:
    first = run(lake, folder)
    with folder.joinpath("1.warc.gz").open("ab") as file:
        file.write(archive([f"{PROSE} later".encode()]))
    folder.joinpath("new.warc.gz").write_bytes(archive([PROSE.encode()]))
    size = folder.joinpath("1.warc.gz").stat().st_size
    with pytest.raises(
        ConfigError, match=rf"1\.warc\.gz has {size} bytes, and had \d+ when it was planned.*pool.name="
    ):
        run(lake, folder)
    assert lake.read("bronze.pages").count() == first.rows_out
    assert lake.read("bronze.batches").count() == 4


def test_a_lakehouse_without_a_plan_is_refused(lake: Lakehouse, folder: Path) -> None:
    lake.create("bronze.files")
    with pytest.raises(ConfigError, match=r"earlier version.*choose another lakehouse\.root"):
        run(lake, folder)


@pytest.mark.parametrize("change", ["", "moved", "gone"])
def test_a_run_of_another_slice_finishes_a_killed_one(
    lake: Lakehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Its files are not in this slice, and are read from where the pool is now; what has left it has a dead letter."""

    class Killed(Exception):
        pass

    def killing(*_: object) -> None:
        raise Killed

    def sliced(files: str) -> ingest.IngestConfig:
        return replace(config(lake, folder), pool=PoolConfig("made", "warc", str(folder), "", "", files, 0, 0))

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ingest, "_ingest", killing)
        ingest.run(lake.spark, sliced("0:2"))
    if change == "moved":
        folder = folder.rename(folder.with_name("elsewhere"))
    if change == "gone":
        (folder / "1.warc.gz").unlink()
    report = ingest.run(lake.spark, sliced("2:" if change != "gone" else "1:"))
    assert (report.facts["files"], report.rows_out) == (4, 10 if change == "gone" else 14)
    assert report.facts.get("open/FileNotFoundError", 0) == (change == "gone")


def test_two_runs_at_one_batch_keep_out_of_each_others_way(lake: Lakehouse, folder: Path) -> None:
    """The second begins while the first is at work: one may be told to run again; each row is there once."""
    files = [SourceFile(path.name, str(path), path.stat().st_size) for path in sorted(folder.iterdir())]
    lake.spark.dataSource.register(WarcDataSource)
    cfg = config(lake, folder)
    for name in ("bronze.pages", "bronze.dead_letters", "bronze.files"):
        lake.create(name)

    def one(_: int) -> Exception | None:
        try:
            ingest._ingest(lake, cfg, "b", files)
        except Conflict as error:
            return error
        return None

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(one, range(2)))
    if all(ended):
        ingest._ingest(lake, cfg, "b", files)
    assert lake.read("bronze.pages").count() == lake.read("bronze.pages").select("doc_id").distinct().count() == 14
    counted = lake.read("bronze.files").agg(F.sum("num_dead"), F.count("*")).first()
    dead = lake.read("bronze.dead_letters").agg(F.sum("num_records")).first()
    assert counted is not None and dead is not None
    assert (counted[0], counted[1]) == (dead[0], len(files))


def test_a_run_whose_batch_another_finishes_ends_with_a_line(lake: Lakehouse, folder: Path) -> None:
    """The other takes the batch's folder away while this one's tasks write there."""

    class Late(Lakehouse):
        def append(self, rows: DataFrame, name: str, **how: Any) -> Commit:
            shutil.rmtree(self.folder("staging"))
            return super().append(rows, name, **how)

    cfg = config(lake, folder)
    files = list(ingest._by_id(cfg, cfg.pool).values())
    lake.spark.dataSource.register(WarcDataSource)
    with pytest.raises(Conflict, match="batch b: another ingest did it at the same time; run this one again"):
        ingest._ingest(Late(lake.spark, lake.cfg), cfg, "b", files)
    assert lake.read("bronze.pages").count() == 0


def test_batches_and_partitions_change_no_row(lake: Lakehouse, folder: Path, tmp_path: Path) -> None:
    columns = ("doc_id", "url", "text", "charset", "warc_file", "warc_offset")
    run(lake, folder)
    other = Lakehouse(lake.spark, type(lake.cfg)(root=str(tmp_path / "other"), catalog=""))
    run(other, folder, batch_bytes=1, partition_bytes=1, min_partitions=1)
    assert lake.read("bronze.files").select("batch_id").distinct().count() == 1
    assert other.read("bronze.files").select("batch_id").distinct().count() == 4
    one, many = (each.read("bronze.pages").select(*columns) for each in (lake, other))
    assert one.exceptAll(many).count() == many.exceptAll(one).count() == 0


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_killed_run_is_finished_by_the_next(
    lake: Lakehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    """Killed before the plan, the pages, the dead letters, and the files' counts that publish them."""

    class Killed(Exception):
        pass

    write, calls = Lakehouse.write, list[str]()

    def killing(self: Lakehouse, *args: object, **kwargs: object) -> None:
        if len(calls) == done:
            raise Killed
        calls.append(str(args[1]))
        write(self, *args, **kwargs)  # type: ignore[arg-type] # passed on as they came

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Lakehouse, "write", killing)
        run(lake, folder)
    assert calls == ["bronze.batches", "bronze.pages", "bronze.dead_letters", "bronze.files"][:done]
    assert done == 0 or ingest.pages(lake, "made").count() == 0
    finished, again = run(lake, folder), run(lake, folder)
    assert finished.rows_out == lake.read("bronze.pages").count() == 14
    assert all(holds for *_, holds in oracle_ingest.check(lake, finished, again))


@pytest.mark.parametrize("is_all_lost", [True, False])
def test_pages_are_read_by_no_one_before_they_are_counted(
    lake: Lakehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, is_all_lost: bool
) -> None:
    """Killed after the pages' commit, its ledger gone or half gone: the next run reads the archives for that alone."""

    class Killed(Exception):
        pass

    def killing(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ingest, "_check", killing)
        run(lake, folder)
    assert lake.read("bronze.pages").count() == 14
    assert ingest.pages(lake, "made").count() == 0
    written = sorted((Path(lake.cfg.root) / "staging").rglob("*.parquet"))
    assert len(written) > 1
    for file in written if is_all_lost else written[:1]:
        file.unlink()
    finished, again = run(lake, folder), run(lake, folder)
    assert ingest.pages(lake, "made").count() == 14
    assert all(holds for *_, holds in oracle_ingest.check(lake, finished, again))
    assert not any((Path(lake.cfg.root) / "staging").rglob("*.parquet"))


def test_pages_are_counted_by_the_ledger_of_the_run_that_wrote_them(
    lake: Lakehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two killed runs, the first, before it committed, took other records for pages."""

    class Killed(Exception):
        pass

    def reads_only(_: Lakehouse, rows: DataFrame, *__: object, **___: object) -> Commit:
        rows.write.format("noop").mode("append").save()
        raise Killed

    def killing(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Lakehouse, "append", reads_only)
        run(lake, folder, max_record_bytes=10)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ingest, "_check", killing)
        run(lake, folder)
    assert len(list((Path(lake.cfg.root) / "staging" / "ingest").glob("*/*"))) == 2
    report = run(lake, folder)
    assert report.rows_out == ingest.pages(lake, "made").count() == 14
    assert "decode/too_large" not in report.facts


def test_a_row_that_is_lost_on_its_way_stops_the_batch(lake: Lakehouse, folder: Path) -> None:
    """The commit's count of rows must be that of the readers: here a page went between the two."""

    class Losing(Lakehouse):
        def append(self, rows: DataFrame, name: str, **how: Any) -> Commit:
            kept = rows.where("url <> 'https://loom.example/3'") if name == "bronze.pages" else rows
            return super().append(kept, name, **how)

    files = [SourceFile(path.name, str(path), path.stat().st_size) for path in sorted(folder.iterdir())]
    lake.spark.dataSource.register(WarcDataSource)
    losing = Losing(lake.spark, lake.cfg)
    with pytest.raises(Incomplete, match=r"hold 14 pages, and bronze.pages got 11 rows"):
        ingest._ingest(losing, config(lake, folder), "b", files)
    assert not lake.exists("bronze.dead_letters")


def test_two_ingests_that_plan_the_same_file_at_once(lake: Lakehouse, folder: Path) -> None:
    """The second planned from a table that did not have the first one's plan yet."""
    run(lake, folder)

    class Late(Lakehouse):
        def read(self, name: str, version: int | None = None) -> DataFrame:
            return super().read(name, version).limit(0)

    cfg = config(lake, folder)
    with pytest.raises(Conflict, match="another ingest planned its files at the same time"):
        ingest._planned(Late(lake.spark, lake.cfg), cfg, ingest._by_id(cfg, cfg.pool))
    assert lake.read("bronze.batches").count() == lake.read("bronze.files").count() == 4


def test_a_wrong_pool_is_one_line_and_writes_nothing(lake: Lakehouse, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        run(lake, tmp_path / "nowhere")
    assert not lake.exists("bronze.pages")


def test_plain_users_can_read_a_folder(lake: Lakehouse, folder: Path) -> None:
    lake.spark.dataSource.register(WarcDataSource)
    rows = lake.spark.read.format("warc").load(str(folder))
    assert rows.where(F.col("kind") == "page").count() == 14


def test_dclm_json_lines(lake: Lakehouse, tmp_path: Path) -> None:
    import zstandard

    lines = b'{"text": "one", "url": "https://a.example/1"}\n{"content": "two", "metadata": {"WARC-Target-URI": "https://a.example/2"}}\n'
    lines += b'{"broken\n{"url": "https://a.example/3"}\n'
    folder = tmp_path / "jsonl"
    folder.mkdir()
    folder.joinpath("a.jsonl.zst").write_bytes(zstandard.compress(lines))
    cfg = config(lake, folder)
    pool = PoolConfig("lines", "jsonl", str(folder), "", "", "", 0, 0)
    report = ingest.run(lake.spark, type(cfg)(**{**cfg.__dict__, "pool": pool}))
    assert (report.rows_in, report.rows_out, report.dropped) == (4, 2, 2)
    found = {row["url"]: row["text"] for row in lake.read("bronze.pages").collect()}
    assert found == {"https://a.example/1": "one", "https://a.example/2": "two"}


def test_small_files_share_tasks_and_large_ones_do_not() -> None:
    files = [(f"{number}", f"{number}", size) for number, size in enumerate([900, 10, 10, 10, 10, 800])]
    groups = pack(files, 500, 2)
    assert sorted(file for group in groups for file in group) == sorted(files)
    assert len(groups) == 4
    assert [[file[2] for file in group] for group in groups if group[0][2] > 500] == [[900], [800]]
    assert len(pack(files, 10**9, 2)) == 2


@pytest.mark.slow
def test_the_odd_archives(lake: Lakehouse, shared: Path) -> None:
    """Some 90 files of 20 projects: truncated, wrong chunks, bad dates, ARC, headers that lie."""
    first = run(lake, shared / "data" / "warc", timeout_s=5.0)
    second = run(lake, shared / "data" / "warc", timeout_s=5.0)
    assert all(holds for *_, holds in oracle_ingest.check(lake, first, second))
    assert first.facts["files"] == sum(path.is_file() for path in (shared / "data" / "warc").rglob("*"))
    bad = lake.read("bronze.dead_letters").where("stage in ('parse', 'decode', 'extract') and offset is null")
    assert bad.count() == 0


@pytest.mark.slow
def test_extraction_equals_the_oracle(lake: Lakehouse, shared: Path) -> None:
    run(lake, shared / "data" / "pool")
    truth = lake.spark.read.json(str(shared / "data" / "pool" / "manifest.jsonl"))
    pages = lake.read("bronze.pages").select(
        F.col("warc_file").alias("file"), F.col("warc_offset").alias("offset"), F.sha2("text", 256).alias("found")
    )
    joined = truth.join(pages, ["file", "offset"], "full_outer")
    assert joined.count() == truth.count()
    assert joined.where("text_sha256 = found").count() == truth.count()
