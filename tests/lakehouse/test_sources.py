"""The data source `warc` without Spark: what `whole` asks of files that can't be read to their end."""

import gzip
import json
from pathlib import Path

import pytest

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.sources import WarcReader

LINES = b"".join(json.dumps({"text": f"line {number * 7919}"}).encode() + b"\n" for number in range(20_000))


def read(path: Path, whole: str) -> dict[str, int]:
    """Rows by error; pages have none."""
    found = dict[str, int]()
    reader = WarcReader({"files": json.dumps([["given", str(path), 1]]), "whole": whole})
    for partition in reader.partitions():
        for batch in reader.read(partition):
            for kind, error in zip(batch["kind"].to_pylist(), batch["error"].to_pylist(), strict=True):
                if kind != "file":
                    found[error or kind] = found.get(error or kind, 0) + 1
    return found


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.jsonl.gz", gzip.compress(LINES)[:-30_000], r"cut\.jsonl\.gz, line \d{4,}: broken_stream: EOFError"),
        ("plain.jsonl.gz", LINES, r"plain\.jsonl\.gz, line 1: broken_stream: BadGzipFile"),
        ("plain.jsonl.zst", LINES, r"plain\.jsonl\.zst, line 1: broken_stream: ZstdError"),
        ("gone.jsonl", None, r"gone\.jsonl: FileNotFoundError"),
    ],
    ids=["cut", "plain gz", "plain zst", "gone"],
)
def test_a_file_that_is_not_whole_ends_the_reading_where_it_must_be(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(tmp_path / name, "true")
    found = read(tmp_path / name, "false")
    assert sum(number for error, number in found.items() if error != "page") == 1


def test_lines_that_are_no_documents_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n{broken\n{"text": null}\n{"text": "b"}\n')
    assert read(tmp_path / "a.jsonl", "true") == {"page": 2, "bad_json": 1, "no_text": 1}
