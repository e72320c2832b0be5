"""JSON lines in each packing: what can't be unpacked is one bad record, and the lines before it are pages."""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable

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
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_has_its_lines_and_one_bad_record(name: str, kept: float) -> None:
    data = packed(name)
    data = data[: int(len(data) * kept)]
    unpacker = zlib.decompressobj(31) if name.endswith("gz") else zstandard.ZstdDecompressor().decompressobj()
    sound = unpacker.decompress(data).count(b"\n")
    *pages, last = records(io.BytesIO(data), name, Limits())
    assert [page.text for page in pages if isinstance(page, Page)] == TEXTS[:sound]
    assert isinstance(last, BadRecord) and (last.error, last.offset) == ("broken_stream", sound)
    assert len(pages) == sound > 1000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@pytest.mark.parametrize(
    "spoil", [lambda data: data + b"garbage!" * 9, lambda data: data[:-2]], ids=["tail", "checksum"]
)
def test_what_is_wrong_behind_the_last_line_costs_no_line(name: str, spoil: Callable[[bytes], bytes]) -> None:
    data = packed(name) if name.endswith("gz") else zstandard.ZstdCompressor(write_checksum=True).compress(DATA)
    *pages, last = records(io.BytesIO(spoil(data)), name, Limits())
    assert [page.text for page in pages if isinstance(page, Page)] == TEXTS
    assert isinstance(last, BadRecord) and (last.error, last.offset) == ("broken_stream", len(TEXTS))


def test_damaged_bytes_end_the_file() -> None:
    data = bytearray(packed("zst"))
    data[len(data) // 2 :] = bytes(byte ^ 0xFF for byte in data[len(data) // 2 :])
    *_, last = records(io.BytesIO(data), "a.jsonl.zst", Limits())
    assert isinstance(last, BadRecord) and last.error == "broken_stream"


def test_frames_and_what_is_skipped_between_them() -> None:
    frames = b"".join(zstandard.compress(line.encode() + b"\n") + b"\x50\x2a\x4d\x18\4\0\0\0skip" for line in LINES[:9])
    found = list(records(io.BytesIO(frames), "a.jsonl.zst", Limits()))
    assert [row.text for row in found if isinstance(row, Page)] == TEXTS[:9]
    assert len(found) == 9


def test_a_source_that_fails_is_not_a_broken_stream() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise TimeoutError("no answer")

    with pytest.raises(SourceFailed, match=r"s3://a/b\.jsonl\.zst: TimeoutError: no answer"):
        list(records(Stream(Failing(packed("zst")), "s3://a/b.jsonl.zst"), "b.jsonl.zst", Limits()))
