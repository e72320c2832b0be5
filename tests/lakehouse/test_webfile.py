"""A file over http reads as the same file on disk, whatever the server can't do and wherever a connection breaks."""

import gzip
import io
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakeloom.lakehouse import webfile
from lakeloom.lakehouse.errors import SourceFailed
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.sources import WarcReader
from lakeloom.lakehouse.streams import open_stream
from lakeloom.lakehouse.warc import Limits, records
from tests.lakehouse.test_warc import PROSE, archive
from tests.webserver import WebServer, serving

DATA = random.Random(1).randbytes(200_000)  # noqa: S311 (bytes, no secret)
NAME = "a.warc.gz"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(webfile, "PATIENCE", webfile.PATIENCE.new(backoff_factor=0, backoff_jitter=0))
    (tmp_path / NAME).write_bytes(DATA)
    with serving(tmp_path) as server:
        yield server


def whole(web: WebServer) -> bytes:
    with open_stream(web.address_of(NAME)) as stream:
        return stream.read()


def test_one_request_reads_a_file_and_tells_its_size(web: WebServer) -> None:
    with open_stream(web.address_of(NAME)) as stream:
        assert stream.seek(0, io.SEEK_END) == len(DATA)
        assert stream.seek(0) == 0
        assert b"".join(iter(lambda: stream.read(1 << 12), b"")) == DATA
        assert (stream.tell(), stream.read(10)) == (len(DATA), b"")
    assert web.asked == [("GET", f"/{NAME}", None)]


def test_an_empty_file(web: WebServer) -> None:
    (web.folder / NAME).write_bytes(b"")
    with open_stream(web.address_of(NAME)) as stream:
        assert (stream.seek(0, io.SEEK_END), stream.seek(0), stream.read()) == (0, 0, b"")


# What fsspec's http file system meets with ValueError, ClientPayloadError, or wrong bytes.
MANNERS: dict[str, dict[str, object]] = {
    "ranges": {},
    "no ranges": {"has_ranges": False},
    "no length": {"has_length": False},
    "no ranges, no length": {"has_ranges": False, "has_length": False},
    "chunks": {"is_chunked": True},
    "labelled as compressed": {"headers": {"Content-Encoding": "gzip"}},
    "breaks three times": {"breaks": [50_000, 50_001, 190_000]},
    "ends too early": {"breaks": [50_000, 50_001, 190_000], "resets": False},
    "breaks without ranges": {"has_ranges": False, "breaks": [50_000]},
    "breaks without length": {"has_length": False, "is_chunked": True, "breaks": [50_000, 70_000]},
    "busy": {"statuses": [503, 429, 500]},
}


@pytest.mark.parametrize("manners", MANNERS.values(), ids=MANNERS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, len(DATA) + 9), st.integers(0, len(DATA)), st.booleans()), max_size=6))
def test_it_reads_like_the_file_itself(
    web: WebServer, manners: dict[str, object], steps: list[tuple[int, int, bool]]
) -> None:
    for name, value in manners.items():
        setattr(web, name, list(value) if isinstance(value, list) else value)
    expected = io.BytesIO(DATA)
    with open_stream(web.address_of(NAME)) as stream:
        for place, size, is_line in steps:
            assert stream.seek(place) == expected.seek(place)
            assert stream.readline(size) == expected.readline(size) if is_line else True
            assert stream.read(size) == expected.read(size)
            assert stream.tell() == expected.tell()
        assert stream.seek(-7, io.SEEK_END) == expected.seek(-7, io.SEEK_END)
        assert stream.read() == expected.read()


def test_a_broken_connection_goes_on_where_it_broke(web: WebServer) -> None:
    (web.folder / NAME).write_bytes(DATA * 15)
    web.breaks, web.resets = [1_000_000, 2_000_000, 2_500_000], False
    assert whole(web) == DATA * 15
    starts = [int(span.removeprefix("bytes=").removesuffix("-")) for _, _, span in web.asked if span]
    for start, end in zip(starts, (1_000_000, 2_000_000, 2_500_000), strict=True):
        assert end - (1 << 17) <= start <= end


def test_a_connection_may_break_often_in_a_long_file(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webfile, "_PROGRESS", 400_000)
    (web.folder / NAME).write_bytes(DATA * 40)
    web.breaks, web.resets = list(range(600_000, 8_000_000, 600_000)), False
    assert whole(web) == DATA * 40
    assert len(web.asked) == 14


def test_a_server_without_ranges_sends_the_file_twice_at_most(web: WebServer) -> None:
    web.has_ranges = False
    with open_stream(web.address_of(NAME)) as stream:
        for place in (150_000, 0, 100_000, 50_000):
            stream.seek(0, io.SEEK_END)  # out of what was read ahead
            stream.seek(place)
            assert stream.read() == DATA[place:]
    assert len(web.asked) == 2


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (404, {}, FileNotFoundError),
        (410, {}, FileNotFoundError),
        (403, {}, PermissionError),
        (403, {"Server": "CloudFront"}, SourceFailed),
        (401, {}, SourceFailed),
        (400, {}, SourceFailed),
        (500, {}, SourceFailed),
        (503, {"Retry-After": "0"}, SourceFailed),
        (429, {}, SourceFailed),
    ],
)
def test_what_is_gone_and_what_may_come_back(
    web: WebServer, status: int, headers: dict[str, str], kind: type[Exception]
) -> None:
    web.statuses, web.headers = [status] * 99, headers
    with pytest.raises(kind, match=f"HTTP status {status}"):
        whole(web)
    assert len(web.asked) == (7 if status in (429, 500, 503) else 1)


@pytest.mark.slow
def test_a_missing_file_is_a_bad_record_and_a_busy_server_fails_the_task(web: WebServer) -> None:
    reader = WarcReader({"files": f'[["x", "{web.address_of("none.warc.gz")}", 0]]', "pool": "p"})
    (partition,) = reader.partitions()
    rows = [row for batch in reader.read(partition) for row in batch.to_pylist()]
    assert [(row["stage"], row["error"]) for row in rows] == [("open", "FileNotFoundError"), ("select", "")]
    # The reader is a process of its own: what it waits between its tries is for the server to say.
    web.statuses, web.headers = [503] * 99, {"Retry-After": "1"}
    with pytest.raises(SourceFailed, match=r"none.warc.gz: OSError: HTTP status 503 .*; run the job again"):
        list(reader.read(partition))


@pytest.mark.parametrize(
    ("manners", "told"),
    [
        ({"breaks": [100] * 99}, r"broke 7 times, the last time at byte \d+"),
        ({"breaks": [100] * 99, "is_chunked": True}, "broke 7 times"),
        ({"extra_length": 5}, f"it had {len(DATA) + 5} bytes, its rest from byte {len(DATA)} on is 'bytes"),
    ],
    ids=["always breaks", "always breaks, no length", "promises more than it has"],
)
def test_a_server_that_never_sends_all_is_given_up(web: WebServer, manners: dict[str, object], told: str) -> None:
    for name, value in manners.items():
        setattr(web, name, value)
    with pytest.raises(SourceFailed, match=told):
        whole(web)
    assert len(web.asked) <= 7


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("change", ["length", "version"])
def test_a_file_that_changes_while_it_is_read_is_no_mixture(web: WebServer, has_ranges: bool, change: str) -> None:
    web.headers = {"ETag": '"1"'}
    web.breaks, web.has_ranges = [100_000], has_ranges
    with open_stream(web.address_of(NAME)) as stream:
        if change == "length":
            (web.folder / NAME).write_bytes(DATA + b"more")
        else:
            web.headers = {"ETag": '"2"'}
        with pytest.raises(SourceFailed, match="it changed since it was opened"):
            stream.read()


def test_a_silent_server_is_no_endless_wait(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webfile, "_READ_S", 0.1)
    monkeypatch.setattr(webfile, "PATIENCE", webfile.PATIENCE.new(total=1))
    web.silent_s = 0.6
    started = time.monotonic()
    with pytest.raises(SourceFailed, match=r"Read timed out"):
        whole(web)
    assert time.monotonic() - started < 5


def test_nobody_there(web: WebServer) -> None:
    with serving(web.folder) as gone:
        address = gone.address_of(NAME)
    with pytest.raises(SourceFailed, match=r"a\.warc\.gz: OSError: .*Connection refused; run the job again") as raised:
        open_stream(address)
    assert "\n" not in str(raised.value)


def test_a_password_in_netrc_is_used(web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login weaver password warp\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.authorization = "Basic d2VhdmVyOndhcnA="  # base64 of weaver:warp
    assert whole(web) == DATA
    monkeypatch.delenv("NETRC")
    with pytest.raises(SourceFailed, match="HTTP status 401"):
        whole(web)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_damaged_archive_gives_the_records_that_it_gives_on_disk(web: WebServer, has_ranges: bool) -> None:
    pages = archive([f"{PROSE} {i}".encode() for i in range(30)])
    damaged = pages[: len(pages) // 3] + DATA[:5000] + pages[len(pages) // 3 :] + DATA[:99] + pages
    (web.folder / NAME).write_bytes(damaged)
    web.has_ranges, web.breaks = has_ranges, [len(pages) // 2]
    with open_stream(web.address_of(NAME)) as stream:
        found = list(records(stream, len(damaged), main_text, Limits()))
    assert found == list(records(io.BytesIO(damaged), len(damaged), main_text, Limits()))
    assert len(found) > 60


def test_json_lines_over_the_web(web: WebServer) -> None:
    lines = b"".join(b'{"text": "page %d", "url": "https://loom.example/%d"}\n' % (i, i) for i in range(500))
    (web.folder / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    reader = WarcReader({"files": f'[["x", "{web.address_of("a.jsonl.gz")}", 0]]', "pool": "p"})
    (partition,) = reader.partitions()
    rows = [row for batch in reader.read(partition) for row in batch.to_pylist()]
    assert [row["text"] for row in rows if row["kind"] == "page"] == [f"page {i}" for i in range(500)]
