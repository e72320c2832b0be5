"""Rows gathered into Arrow batches."""

from lakeloom.lakehouse.rows import SCHEMA, Batch, Cell, record_row, tally
from lakeloom.lakehouse.warc import BadRecord


def test_strings_that_are_no_unicode_become_question_marks() -> None:
    batch = Batch()
    page: dict[str, Cell] = {"kind": "page", "url": "https://a.example/\udcff", "text": "sound"}
    batch.add({**page, "http_headers": {"x-odd": "\ud800", "server": "loom"}})
    batch.add(tally("f", "a.warc.gz", "file", "", 2))
    made = batch.take()
    assert made.schema == SCHEMA
    assert made["url"].to_pylist() == ["https://a.example/?", None]
    assert made["http_headers"].to_pylist() == [[("x-odd", "?"), ("server", "loom")], None]
    assert made["text"].to_pylist() == ["sound", None]
    assert batch.take().num_rows == 0


def test_a_claimed_length_of_any_size_fits_its_column() -> None:
    batch = Batch()
    batch.add(record_row(BadRecord(7, "decode", "truncated", "", 2**70), "p", "f", "a.warc.gz", 0))
    (row,) = batch.take().to_pylist()
    assert (row["offset"], row["num_bytes"]) == (7, 2**63 - 1)


def test_a_batch_is_full_by_rows_or_by_bytes() -> None:
    batch = Batch()
    for _ in range(999):
        batch.add(tally("f", "a", "dead", "e", 1))
    assert not batch.is_full
    batch.add(tally("f", "a", "dead", "e", 1))
    assert batch.is_full
    batch.take()
    batch.add({"kind": "page", "text": "x" * (16 << 20)})
    assert batch.is_full
