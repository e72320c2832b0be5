"""Archives made here, whole and damaged in known places: what comes out, and that nothing is lost in silence."""

import gzip
import io
import re
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer
from fastwarc.warc import WarcRecord
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from lakeloom.lakehouse import warc
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.warc import BadRecord, Capture, ExtractionFailed, Limits, OtherRecord, Page, Row, records

PROSE = "<html><body><main><p>" + "A sentence about looms and the threads they hold. " * 8 + "</p></main></body></html>"


def gzipped(data: bytes) -> bytes:
    """The same bytes at any time: they name tests, and tests in two processes need the same names."""
    return gzip.compress(data, mtime=0)


def archive(
    bodies: list[bytes],
    *,
    compress: bool = True,
    headers: list[tuple[str, str]] | None = None,
    status: str = "200 OK",
) -> bytes:
    """A WARC with a warcinfo, then a request and a response for each body."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=compress)
    writer.write_record(writer.create_warcinfo_record("made.warc.gz", {"software": "test"}))
    for number, body in enumerate(bodies):
        url = f"https://loom.example/{number}"
        http = StatusAndHeaders(status, headers or [("Content-Type", "text/html")], protocol="HTTP/1.1")
        response = writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http)
        asked = StatusAndHeaders(f"GET /{number} HTTP/1.1", [("Host", "loom.example")], is_http_request=True)
        writer.write_record(writer.create_warc_record(url, "request", http_headers=asked))
        writer.write_record(response)
    return out.getvalue()


def read(
    data: bytes, extract: Callable[[bytes], tuple[str, str]] = main_text, limits: Limits | None = None
) -> list[Row]:
    return list(records(io.BytesIO(data), len(data), extract, limits or Limits()))


def pages(rows: list[Row]) -> list[Page]:
    return [row for row in rows if isinstance(row, Page)]


def bad(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.stage, row.error) for row in rows if isinstance(row, BadRecord)]


@pytest.mark.parametrize("compress", [True, False])
def test_every_record_comes_out_once(compress: bool) -> None:
    rows = read(archive([PROSE.encode()] * 3, compress=compress))
    kinds = sorted(row.kind for row in rows if isinstance(row, OtherRecord))
    assert kinds == ["request", "request", "request", "warcinfo"]
    assert [page.url for page in pages(rows)] == [f"https://loom.example/{number}" for number in range(3)]
    assert {page.host for page in pages(rows)} == {"loom.example"}
    assert all("threads they hold" in page.text for page in pages(rows))
    assert len(rows) == 7


def test_offsets_point_at_the_records() -> None:
    data = archive([PROSE.encode()] * 3)
    for page in pages(read(data)):
        member = zlib.decompressobj(31).decompress(data[page.offset :])
        assert f"WARC-Target-URI: {page.url}".encode() in member


@pytest.mark.parametrize(
    ("charset", "header"),
    [
        ("utf-8", None),
        ("cp1252", "text/html"),
        ("utf-16", "text/html"),
        ("utf-8", "text/html; charset=latin-1"),
    ],
)
def test_encodings_are_detected_not_believed(charset: str, header: str | None) -> None:
    text = "Die Wäsche trocknet auf dem Balkon, während der Kaffee kocht und die Straße erwacht. " * 12
    body = f"<html><body><p>{text}</p></body></html>".encode(charset)
    (page,) = pages(read(archive([body], headers=[("Content-Type", header)] if header else [("Server", "x")])))
    assert "während der Kaffee" in page.text


@pytest.mark.parametrize(
    ("headers", "encode"),
    [
        ([("Content-Encoding", "gzip")], gzip.compress),
        ([("Content-Encoding", "deflate")], zlib.compress),
        ([("Content-Encoding", "zstd")], zstandard.compress),
        ([("Content-Encoding", "br")], brotli.compress),
        ([("Transfer-Encoding", "chunked")], lambda body: b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
        ([("Content-Encoding", "gzip")], lambda body: body),  # stored decoded under its old header
        ([("Transfer-Encoding", "chunked")], lambda body: body),
        ([("Content-Encoding", "br")], lambda body: body),
    ],
)
def test_transfer_and_content_encodings(headers: list[tuple[str, str]], encode: Callable[[bytes], bytes]) -> None:
    (page,) = pages(read(archive([encode(PROSE.encode())], headers=[("Content-Type", "text/html"), *headers])))
    assert page.text.startswith("A sentence about looms")


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"", [("Content-Type", "text/html")], ("select", "empty_body")),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), [("Content-Type", "image/png")], ("select", "media_type")),
        (gzipped(PROSE.encode())[:60], [("Content-Encoding", "gzip")], ("decode", "bad_compression")),
        (b"5\r\nabcde\r\nzz\r\n", [("Transfer-Encoding", "chunked")], ("decode", "bad_chunks")),
        (b"<p>" + b"x" * 5000, [("Content-Type", "text/html")], ("decode", "too_large")),
        (gzipped(b"<p>" + b"x" * 5000), [("Content-Encoding", "gzip")], ("decode", "too_large")),
        (zstandard.compress(PROSE.encode())[:-9], [("Content-Encoding", "zstd")], ("decode", "bad_compression")),
        (zstandard.compress(bytes(1 << 26)), [("Content-Encoding", "zstd")], ("decode", "too_large")),
    ],
)
def test_a_bad_record_costs_one_record(body: bytes, headers: list[tuple[str, str]], reason: tuple[str, str]) -> None:
    good = b"<html><body><p>" + b"short but sound prose. " * 5 + b"</p></body></html>"
    damaged = archive([body], headers=headers)
    rows = read(damaged + archive([good]), limits=Limits(max_bytes=4000))
    assert bad(rows) == [reason]
    assert len(pages(rows)) == 1
    assert len(rows) == 3 + 3


def test_extraction_that_fails_is_recorded() -> None:
    def extract(body: bytes) -> tuple[str, str]:
        raise ExtractionFailed("timeout", "no text after 20 s")

    assert bad(read(archive([PROSE.encode()]), extract)) == [("extract", "timeout")]


@pytest.mark.parametrize("compress", [True, False])
def test_reading_goes_on_after_damage(compress: bool) -> None:
    first, second = (
        archive([PROSE.encode()] * 2, compress=compress),
        archive([PROSE.encode()], compress=compress),
    )
    garbage = b"\x1f\x8b\x08\x00 this is no record \r\n\r\n" * 20
    rows = read(first + garbage + second)
    assert len(pages(rows)) == 3
    assert ("parse", "not_a_record") in bad(rows)
    damage = [row for row in rows if isinstance(row, BadRecord)]
    assert sum(row.num_bytes for row in damage) >= len(garbage) - 4


def test_a_cut_file_keeps_what_came_before() -> None:
    data = archive([PROSE.encode()] * 3)
    last = pages(read(data))[-1].offset
    rows = read(data[: last + 200])
    assert len(pages(rows)) == 2
    assert len(bad(rows)) == 1


def members(count: int) -> list[bytes]:
    """The records of a plain archive of so many pages, one by one."""
    data = archive([PROSE.encode()] * count, compress=False)
    return [b"WARC/1.0\r\n" + part for part in data.split(b"WARC/1.0\r\n")[1:]]


def lz4(data: bytes) -> bytes:
    out = io.BytesIO()
    with Lz4Writer(out) as writer:
        writer.write(data)
    return out.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzipped,
    "zst": zstandard.ZstdCompressor().compress,
    "lz4": lz4,
}


MAGICS = [b"\x04\x22\x4d\x18", b"\x5d\x2a\x4d\x18", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08", b"WARC/", b"WARC/1.0\r\n"]


@settings(max_examples=200, deadline=None)
@given(
    place=st.one_of(st.just(0.0), st.floats(0, 1)),
    junk=st.binary(min_size=1, max_size=300) | st.lists(st.sampled_from(MAGICS) | st.binary()).map(b"".join),
    packed=st.sampled_from(["plain", "gz", "zst", "lz4"]),
)
def test_overwritten_bytes_lose_little_and_never_raise(place: float, junk: bytes, packed: str) -> None:
    data = bytearray(b"".join(map(PACK[packed], members(6))))
    junk = junk[:300]
    start = int(place * (len(data) - len(junk)))
    data[start : start + len(junk)] = junk
    rows = read(bytes(data), extract=lambda body: (body.decode("utf-8", "replace"), "utf-8"))
    # By place, since an overwritten member may well unpack to another page's address.
    offsets = [page.offset for page in pages(rows)]
    # 300 bytes can touch the end of one record, all of a request, and the beginning of the next.
    assert len(offsets) >= 4
    assert len(set(offsets)) == len(offsets)
    assert all(row.num_bytes >= 0 for row in rows if isinstance(row, BadRecord))


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("packed", ["plain", "gz", "zst", "lz4"])
@pytest.mark.parametrize("is_inserted", [False, True])
def test_junk_that_looks_like_another_format_hides_nothing(magic: bytes, packed: str, is_inserted: bool) -> None:
    data = b"".join(map(PACK[packed], members(3)))
    rows = read(magic + (data if is_inserted else data[len(magic) :]))
    assert len(pages(rows)) == 3


@pytest.mark.parametrize("packed", ["plain", "gz", "zst", "lz4"])
@pytest.mark.parametrize("tail", [b"\r", b"\r\n", b"\n\n\n", b"WA", b"WARC/", b"\x00" * 7])
def test_bytes_after_the_last_record_end_the_reading(tail: bytes, packed: str) -> None:
    data = b"".join(map(PACK[packed], members(2)))
    rows = read(data + tail)
    assert len(pages(rows)) == 2
    hurt = [row for row in rows if isinstance(row, BadRecord)]
    # An LZ4 frame does not say where it ends, and a plain record's blank lines count to what follows them.
    longest = len(data) if packed == "lz4" else len(tail) + 4
    assert all(0 < row.num_bytes <= longest for row in hurt) and len(hurt) <= 1


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_zstd_dictionary_is_read(is_packed: bool) -> None:
    made = members(3)
    dictionary = zstandard.train_dictionary(4096, [record + bytes([n]) * n for record in made for n in range(40)])
    content = dictionary.as_bytes()
    head = zstandard.ZstdCompressor().compress(content) if is_packed else content
    packer = zstandard.ZstdCompressor(dict_data=dictionary)
    frame = b"\x5d\x2a\x4d\x18" + len(head).to_bytes(4, "little") + head
    assert len(pages(read(frame + b"".join(map(packer.compress, made))))) == 3


def test_lz4_is_read_and_a_damaged_member_costs_itself() -> None:
    packed = [lz4(record) for record in members(3)]
    assert len(pages(read(b"".join(packed)))) == 3
    hurt = packed[0][:20] + b"\xff" * 40 + packed[0][60:]
    rows = read(b"".join([hurt, *packed[1:]]))
    assert len(pages(rows)) == 3
    assert bad(rows) == [("parse", "not_a_record")]


def lengthened(record: bytes, by: int) -> bytes:
    return re.sub(
        rb"Content-Length: (\d+)", lambda found: b"Content-Length: %d" % (int(found[1]) + by), record, count=1
    )


@pytest.mark.parametrize("packed", ["plain", "gz", "zst", "lz4"])
@pytest.mark.parametrize("by", [-100, -1, 1, 3, 4, 50, 600, 10**6, 2**63, 2**70])
def test_a_wrong_length_costs_no_other_record(packed: str, by: int) -> None:
    made = members(4)
    wrong = [number for number, record in enumerate(made) if b"WARC-Type: response" in record][1]
    made[wrong] = lengthened(made[wrong], by)
    rows = read(b"".join(map(PACK[packed], made)))
    assert [page.url[-1] for page in pages(rows) if page.url[-1] != "1"] == ["0", "2", "3"]
    kinds = [row.kind for row in rows if isinstance(row, OtherRecord)]
    assert sorted(kinds) == ["request"] * 4 + ["warcinfo"]
    assert by < 10**6 or next(row for row in rows if isinstance(row, BadRecord)).error in {"truncated", "empty_body"}


def test_a_page_that_quotes_a_record_is_one_page() -> None:
    quoting = (
        b"<p>An archive's record:</p><pre>\r\n\r\nWARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n</pre>"
    )
    rows = read(archive([PROSE.encode(), quoting], compress=False))
    assert len(pages(rows)) == 2
    assert len(rows) == 5


def test_what_a_sound_record_quotes_is_no_record_even_before_damage() -> None:
    inner = archive([PROSE.encode()] * 3, compress=False)
    whole = archive([inner], headers=[("Content-Type", "application/warc")], compress=False)
    rows = read(whole + b"junk " * 100 + archive([PROSE.encode()], compress=False))
    assert len(pages(rows)) == 1
    assert bad(rows) == [("select", "media_type"), ("parse", "not_a_record")]


def test_damage_is_searched_once() -> None:
    """Junk after each record: no place of the file is read more than a few times."""

    class Counting(io.BytesIO):
        num_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.num_read += len(data)
            return data

    record = b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Length: 3\r\n\r\nabc\r\njunk\r\n"
    filler = b"x" * (20 << 20)
    file = Counting(record * 30 + filler)
    size = 30 * len(record) + len(filler)
    assert len(list(records(file, size, main_text, Limits()))) > 30
    assert file.num_read < 40 * (4 << 20) + 3 * size


def test_padding_between_records_costs_none() -> None:
    padded = gzipped(b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n") + bytes(512)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warc, "_MAX_TRIES", 50)
        rows = read(padded * 300)
    assert len([row for row in rows if isinstance(row, OtherRecord)]) == 300


def test_a_panic_of_native_code_costs_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # as pyo3's, which is no Exception
        pass

    def panic(record: WarcRecord, limits: Limits) -> Capture:
        if "/1" in record.headers["WARC-Target-URI"]:
            raise PanicException("index out of range")
        return capture(record, limits)

    capture = warc._capture
    monkeypatch.setattr(warc, "_capture", panic)
    rows = read(archive([PROSE.encode()] * 3))
    assert [page.url[-1] for page in pages(rows)] == ["0", "2"]
    (hurt,) = [row for row in rows if isinstance(row, BadRecord)]
    assert (hurt.error, hurt.detail) == ("bad_record", "PanicException: index out of range")


def test_many_damaged_places_side_by_side_are_one_row() -> None:
    hurt = gzipped(b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n")[:-20]
    first, second = archive([PROSE.encode()]), archive([PROSE.encode()] * 2)
    rows = read(first + hurt * 500 + second)
    assert len(pages(rows)) == 3
    (row,) = [row for row in rows if isinstance(row, BadRecord)]
    assert row.offset == len(first) and row.num_bytes == len(hurt) * 500


def traced(data: bytes) -> tuple[list[Row], int]:
    """Its rows, of at most 1 MiB each, and the most bytes that reading them took."""
    tracemalloc.start()
    try:
        return read(data, limits=Limits(max_bytes=1 << 20)), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pack"), [("zstd", zstandard.compress), ("br", brotli.compress)])
def test_a_bomb_of_a_body_is_unpacked_in_little_memory(name: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = archive([pack(bytes(1 << 27))], headers=[("Content-Type", "text/html"), ("Content-Encoding", name)])
    rows, peak = traced(bomb)
    assert bad(rows) == [("decode", "too_large")]
    assert peak < 1 << 25


@pytest.mark.slow
def test_a_bomb_of_zstd_is_unpacked_in_little_memory() -> None:
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/\r\nContent-Length: %d\r\n\r\n"
    bomb = zstandard.compress(head % (1 << 28) + bytes(1 << 28) + b"\r\n\r\n")
    assert len(bomb) < 1 << 16
    data = b"".join(map(zstandard.compress, members(1))) + bomb
    rows, peak = traced(data)
    assert len(pages(rows)) == 1
    assert [row.error for row in rows if isinstance(row, BadRecord)] == ["too_large"]
    assert peak < 1 << 26


def test_endless_damage_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "_MAX_TRIES", 50)
    hurt, one = b"\x28\xb5\x2f\xfd", b"".join(map(zstandard.compress, members(1)))
    assert len(pages(read((one + hurt * 40) * 3 + one))) == 4
    rows = read((one + hurt * 40) * 3 + hurt * 20 + one)
    assert len(pages(rows)) == 3
    last = rows[-1]
    assert isinstance(last, BadRecord) and last.num_bytes == len(hurt) * 60 + len(one)
    assert "50 damaged places" in last.detail


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"PK\x03\x04not a zip", b"<html>", gzipped(b"hello")])
def test_a_file_that_is_no_archive_is_one_bad_record(data: bytes) -> None:
    (row,) = read(data)
    assert isinstance(row, BadRecord)
    assert row.stage == "open"
    assert row.num_bytes == len(data)


def test_arc_files_are_read() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PROSE.encode()
    info = b"1 0 Loom\nURL IP-address Archive-date Content-type Archive-length\n"
    data = b"filedesc://made.arc 0.0.0.0 20100101000000 text/plain %d\n%s\n" % (len(info), info)
    data += b"http://loom.example/arc 10.0.0.1 20100203040506 text/html %d\n%s\n" % (len(body), body)
    rows = read(data)
    (page,) = pages(rows)
    assert (page.url, page.http_status) == ("http://loom.example/arc", 200)
    assert page.fetched_at is not None and page.fetched_at.year == 2010
    assert "threads they hold" in page.text
