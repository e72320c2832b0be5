"""JSON lines in each packing: what can't be unpacked is one bad record, and the lines before it are pages."""

import gzip
import hashlib
import io
import json

import pytest
import zstandard

from lakeloom.lakehouse.errors import SourceFailed
from lakeloom.lakehouse.jsonl import is_jsonl, records
from lakeloom.lakehouse.streams import Stream
from lakeloom.lakehouse.warc import BadRecord, Limits, Page

TEXTS = [f"line {number} {hashlib.sha256(bytes(number)).hexdigest() * 4}" for number in range(6000)]  # many blocks
LINES = [json.dumps({"text": text, "url": "https://a.example/"}) for text in TEXTS]
DATA = "\n".join(LINES).encode()


def packed(name: str) -> bytes:
    if name.lower().endswith(".gz"):
        return gzip.compress(DATA)
    return zstandard.compress(DATA) if name.lower().endswith(("zst", "zstd")) else DATA


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.ndjson.zstd", "A.JSONL.GZ", "A.JSONL.ZST"])
def test_each_line_is_a_page(name: str) -> None:
    assert is_jsonl(name)
    found = list(records(io.BytesIO(packed(name)), name, Limits()))
    assert [row.text for row in found if isinstance(row, Page)] == TEXTS
    assert len(found) == len(TEXTS)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize("change", ["damaged", "cut"])
def test_what_cannot_be_unpacked_is_one_bad_record(name: str, change: str) -> None:
    data = packed(name)
    half = len(data) // 2
    data = data[:half] if change == "cut" else data[:half] + bytes(byte ^ 0xFF for byte in data[half:])
    found = list(records(io.BytesIO(data), name, Limits()))
    bad = [row for row in found if isinstance(row, BadRecord)]
    assert "broken_stream" in {row.error for row in bad}
    pages = [row.text for row in found if isinstance(row, Page)]
    # Of deflate's damaged bytes some are unpacked to other text before it is seen.
    assert pages[:1000] == TEXTS[:1000]
    assert change == "damaged" or len(found) == len(pages) + len(bad)


def test_a_source_that_fails_is_not_a_broken_stream() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise TimeoutError("no answer")

    with pytest.raises(SourceFailed, match=r"s3://a/b\.jsonl\.zst: TimeoutError: no answer"):
        list(records(Stream(Failing(packed("zst")), "s3://a/b.jsonl.zst"), "b.jsonl.zst", Limits()))
