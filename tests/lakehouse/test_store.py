"""Tables through a real session: an append happens once for its name, and every table can be made and read."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.lakehouse import store
from lakeloom.lakehouse.errors import ConfigError, Conflict
from lakeloom.lakehouse.session import ddl, sql_type
from lakeloom.lakehouse.store import Commit, Lakehouse
from lakeloom.lakehouse.tables import TABLES, Table

pytestmark = pytest.mark.spark

SIGNATURES = (
    "doc_id string, signature_id string, pool string, batch_id string, text_sha string, url_key string, "
    "bands array<bigint>"
)


def rows(lake: Lakehouse, *names: str) -> DataFrame:
    return lake.spark.createDataFrame([(name, "i", "p", "b", "s", None, [1]) for name in names], SIGNATURES)


def test_an_append_happens_once(lake: Lakehouse) -> None:
    first = lake.append(rows(lake, "a", "b"), "silver.signatures", txn="one")
    again = lake.append(rows(lake, "a", "b"), "silver.signatures", txn="one")
    other = lake.append(rows(lake, "c"), "silver.signatures", txn="two")
    assert (first.is_new, again.is_new, other.is_new) == (True, False, True)
    assert (first.num_rows, again.num_rows, other.num_rows) == (2, 2, 1)
    assert first.version == again.version < other.version
    assert lake.read("silver.signatures").count() == 3
    assert lake.read("silver.signatures", first.version).count() == 2
    assert lake.commit("silver.signatures", "two") is not None
    assert lake.commit("silver.signatures", "three") is None


def test_a_commit_tells_which_run_made_it(lake: Lakehouse) -> None:
    first = lake.append(rows(lake, "a"), "silver.signatures", txn="one", run="r1")
    again = lake.append(rows(lake, "a"), "silver.signatures", txn="one", run="r2")
    other = lake.append(rows(lake, "b"), "silver.signatures", txn="on", run="r3")
    assert (first.txn, again.txn, other.txn) == ("one/r1", "one/r1", "on/r3")
    assert (first.is_new, again.is_new, other.is_new) == (True, False, True)
    assert lake.read("silver.signatures").count() == 2


def test_what_was_removed_is_written_again_where_that_is_asked_for(lake: Lakehouse) -> None:
    table, ours = "silver.signatures", F.col("doc_id") == "a"

    def written(name: str) -> Commit:
        return lake.append(rows(lake, name), table, txn="one", ours=ours)

    assert [written("a").is_new, written("a").is_new] == [True, False]
    for _ in range(2):
        lake.remove(table, ours)
        assert not lake.append(rows(lake, "a"), table, txn="one").is_new
        again = written("a")
        assert again.is_new and again == replace(lake.commit(table, "one") or again, is_new=True)
        assert lake.read(table, again.version).where(ours).count() == 1


def test_a_transaction_is_remembered_behind_later_ones(lake: Lakehouse) -> None:
    for number in range(4):
        lake.append(rows(lake, str(number)), "silver.signatures", txn=f"t{number}")
    assert not lake.append(rows(lake, "0"), "silver.signatures", txn="t0").is_new
    assert lake.read("silver.signatures").count() == 4


def test_of_two_that_write_the_same_link_of_a_chain_one_does(lake: Lakehouse) -> None:
    """At the same time, so that Delta's own check of the two commits decides, or its log, whichever comes first."""
    lake.create("silver.signatures")

    def write(name: str) -> str:
        with suppress(Conflict):
            lake.write(rows(lake, name), "silver.signatures", txn=name, chain="chain", link=1)
        return name if lake.commit("silver.signatures", name) else ""

    with ThreadPoolExecutor(2) as pool:
        names = list(filter(None, pool.map(write, ["a", "b"])))
    assert len(names) == 1
    assert [row["doc_id"] for row in lake.read("silver.signatures").collect()] == names
    lake.write(rows(lake, "c"), "silver.signatures", txn="c", chain="chain", link=2)
    assert lake.read("silver.signatures").count() == 2


def test_two_first_jobs_make_a_table_at_once(lake: Lakehouse) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: lake.create("silver.signatures"), range(4)))
    assert True in made
    lake.append(rows(lake, "a"), "silver.signatures", txn="one")
    assert lake.read("silver.signatures").count() == 1


def test_a_table_that_another_job_is_making_is_waited_for(lake: Lakehouse, tmp_path: Path) -> None:
    other = Lakehouse(lake.spark, replace(lake.cfg, root=str(tmp_path / "other")))
    other.append(rows(other, "a"), "silver.signatures", txn="one")
    made, folder = (Path(one.cfg.root, "tables/silver/signatures") for one in (other, lake))
    (folder / "_delta_log").mkdir(parents=True)  # what Delta makes before its first commit
    folder.joinpath("part.parquet").touch()
    with ThreadPoolExecutor(1) as pool:
        created = pool.submit(lake.create, "silver.signatures")
        time.sleep(1)
        shutil.copytree(made, folder, dirs_exist_ok=True)
        assert created.result() is False
    assert lake.read("silver.signatures").count() == 1


def test_a_folder_of_something_else_is_named(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_FIRST_COMMIT_S", 0.2)
    folder = Path(lake.cfg.root, "tables/silver/signatures")
    folder.mkdir(parents=True)
    folder.joinpath("notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty and no Delta table"):
        lake.create("silver.signatures")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_pinned_table_stays_as_it_was(lake: Lakehouse) -> None:
    first = lake.append(rows(lake, "a"), "silver.signatures", txn="one")
    pinned = lake.pinned("silver.signatures", "silver.clusters")  # the second is not there yet
    lake.append(rows(lake, "b"), "silver.signatures", txn="two")
    assert (pinned.version("silver.signatures"), pinned.read("silver.signatures").count()) == (first.version, 1)
    assert lake.read("silver.signatures").count() == pinned.read("silver.signatures", first.version + 1).count() == 2
    lake.create("silver.clusters")
    assert pinned.read("silver.clusters").count() == 0
    seen = iter("abc")
    assert [pinned.once("silver.signatures", "key", lambda: next(seen)) for _ in range(2)] == ["a", "a"]
    # Of a table that may change, nothing is remembered.
    assert [pinned.once("silver.clusters", "key", lambda: next(seen)) for _ in range(2)] == ["b", "c"]


def test_what_is_new_is_told_by_the_version_that_was_seen(lake: Lakehouse) -> None:
    seen = lake.ensure("silver.signatures")
    first = lake.append(rows(lake, "a"), "silver.signatures", txn="one", since=seen)
    again = lake.append(rows(lake, "a"), "silver.signatures", txn="one")
    assert (seen, first.version, first.is_new, again.is_new) == (0, 1, True, False)
    assert lake.ensure("silver.signatures") == 1


def test_a_folder_needs_a_file_system(lake: Lakehouse) -> None:
    remote = Lakehouse(lake.spark, replace(lake.cfg, root="s3a://bucket/lake"))
    with pytest.raises(
        ConfigError, match=r"lakehouse.root=s3a://bucket/lake: scratch needs a folder that all machines"
    ):
        remote.folder("scratch")


def test_a_new_column_joins_an_older_table(lake: Lakehouse) -> None:
    older = rows(lake, "a").drop("bands").write.format("delta")
    older.save(f"{lake.cfg.root}/tables/silver/signatures")
    assert [tuple(row) for row in lake.read("silver.signatures").select("doc_id", "bands").collect()] == [("a", None)]
    lake.append(rows(lake, "b"), "silver.signatures", txn="one")
    found = lake.read("silver.signatures").orderBy("doc_id").collect()
    assert [(row["doc_id"], row["bands"]) for row in found] == [("a", None), ("b", [1])]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_is_made_as_declared(lake: Lakehouse, table: Table) -> None:
    lake.create(table.name)
    found = lake.read(table.name).schema
    expected = lake.spark.createDataFrame([], ddl(table.schema)).schema
    assert [(field.name, field.dataType) for field in found] == [(field.name, field.dataType) for field in expected]
    assert set(table.keys) <= set(found.names)
    detail = lake.delta(table.name).detail().select("clusteringColumns").first()
    assert detail is not None and tuple(detail[0]) == table.cluster_by


def test_reading_what_was_never_written_says_so(lake: Lakehouse) -> None:
    assert not lake.exists("gold.scores")
    with pytest.raises(ConfigError, match=r"gold\.scores.*run the job"):
        lake.read("gold.scores")
    with pytest.raises(ConfigError, match=r"nearest: gold\.scores"):
        lake.read("gold.score")


def test_names_for_people_follow_the_lakehouse(lake: Lakehouse) -> None:
    lake.append(rows(lake, "a"), "silver.signatures", txn="one")
    lake.publish_names()
    lake.publish_names()
    found = lake.spark.sql("select count(*) from silver.signatures").first()
    assert found is not None and found[0] == 1


def test_arrow_types_that_no_table_uses_are_refused() -> None:
    import pyarrow as pa

    assert sql_type(pa.map_(pa.string(), pa.list_(pa.int64()))) == "MAP<STRING, ARRAY<BIGINT>>"
    with pytest.raises(Exception, match="no Spark type"):
        sql_type(pa.float16())
