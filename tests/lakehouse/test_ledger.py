"""What an ingest's ledger adds up to, and which of its files are in it."""

from pathlib import Path

import pytest

from lakeloom.lakehouse import ledger
from lakeloom.lakehouse.rows import Batch, tally


def batch(*rows: tuple[str, str, int]) -> Batch:
    made = Batch()
    for file_id, kind, count in rows:
        made.add({**tally(file_id, f"{file_id}.warc.gz", kind, "", count), "cpu_s": 2.5 if kind == "file" else None})
    return made


def test_counts_of_each_file(tmp_path: Path) -> None:
    with ledger.writer(str(tmp_path), "one") as rows:
        rows.write_batch(batch(("a", "dead", 1), ("a", "other", 7)).take())
        rows.write_batch(batch(("a", "dead", 1), ("a", "file", 20), ("b", "file", 0)).take())
    with ledger.writer(str(tmp_path), "two") as rows:
        rows.write_batch(batch(("c", "other", 3), ("c", "file", 3)).take())
    found = {row["file_id"]: row for row in ledger.counts(tmp_path).to_pylist()}
    assert {key: (row["num_records"], row["num_dead"], row["num_pages"]) for key, row in found.items()} == {
        "a": (20, 9, 11),
        "b": (0, 0, 0),
        "c": (3, 3, 0),
    }
    assert {row["cpu_s"] for row in found.values()} == {2.5}


def test_a_task_that_failed_leaves_nothing_and_may_run_twice(tmp_path: Path) -> None:
    def write(*, fails: bool) -> None:
        with ledger.writer(str(tmp_path), "one") as rows:
            rows.write_batch(batch(("a", "file", 2)).take())
            if fails:
                raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write(fails=True)
    assert list(tmp_path.iterdir()) == []
    assert ledger.counts(tmp_path).num_rows == 0
    write(fails=False)
    write(fails=False)
    assert ledger.counts(tmp_path)["num_records"].to_pylist() == [2]


def test_a_ledger_in_part_or_torn_is_not_whole(tmp_path: Path) -> None:
    with ledger.writer(str(tmp_path), "one") as rows:
        rows.write_batch(batch(("a", "dead", 1), ("a", "file", 20), ("b", "file", 0)).take())
    (tmp_path / "_two.123").write_bytes(b"half")
    assert ledger.num_files(tmp_path) == 2
    (tmp_path / "two.parquet").write_bytes((tmp_path / "one.parquet").read_bytes()[:-50])
    assert ledger.num_files(tmp_path) == 0
