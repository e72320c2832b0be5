"""A source that fails is an error to try again, never a bad record; one that is gone says so."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloom.lakehouse.errors import SourceFailed
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.sources import WarcReader
from lakeloom.lakehouse.streams import Stream, open_stream
from lakeloom.lakehouse.warc import Limits, records
from tests.lakehouse.test_warc import PROSE, archive


class Breaking(io.BytesIO):
    """A file whose connection is lost at a byte."""

    def __init__(self, data: bytes, at: int, error: Exception) -> None:
        super().__init__(data)
        self.at, self.error = at, error

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.at:
            raise self.error
        return super().read(min(size if size is not None and size >= 0 else 1 << 30, 64))


@pytest.mark.parametrize("error", [OSError("connection reset"), TimeoutError("too slow"), ValueError("closed")])
def test_a_lost_connection_is_not_damage(error: Exception) -> None:
    data = archive([PROSE.encode()] * 20)
    stream = Stream(Breaking(data, len(data) // 2, error), "https://loom.example/a.warc.gz")
    with pytest.raises(SourceFailed, match=r"a\.warc\.gz.*run the job again"):
        list(records(stream, len(data), main_text, Limits()))


def test_a_stream_reads_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(archive([PROSE.encode()] * 3))
    with open_stream(str(path)) as stream:
        found = list(records(stream, path.stat().st_size, main_text, Limits()))
    assert found == list(records(io.BytesIO(path.read_bytes()), path.stat().st_size, main_text, Limits()))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "a folder"])
def test_a_file_that_is_gone_is_a_bad_record_of_its_own(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "gone.warc.gz"
    make(path)
    reader = WarcReader({"files": f'[["gone.warc.gz", "{path}", 5]]', "pool": "p"})
    (partition,) = reader.partitions()
    rows = [row for batch in reader.read(partition) for row in batch.to_pylist()]
    assert [(row["kind"], row["stage"]) for row in rows] == [("dead", "open"), ("file", "select")]
    assert rows[1]["num_records"] == 1
