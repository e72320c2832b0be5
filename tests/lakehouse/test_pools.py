"""Which files a pool stands for, and what a wrong one is told."""

import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.jobs import config
from lakeloom.jobs.ingest import IngestConfig
from lakeloom.lakehouse import pools, webfile
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.pools import PoolConfig, list_files
from lakeloom.lakehouse.streams import open_stream
from lakeloom.lakehouse.warc import Limits, Page, records
from tests.lakehouse.test_warc import PROSE, archive
from tests.webserver import WebServer, serving

SNAPSHOT = "CC-MAIN-2024-10"


def a_pool(
    kind: str, path: str = "", *, snapshot: str = "", base: str = "", files: str = "", max_files: int = 0
) -> PoolConfig:
    return PoolConfig("tried", kind, path, snapshot, base, files, max_files, max_pages=0)


def filled(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))
    return folder


def test_folder_is_listed_recursively_sorted_and_by_suffix(tmp_path: Path) -> None:
    wanted = ["a/x.warc.wet.gz", "a/y.ARC.GZ", "b.warc", "c.warc.gz", "c.warc.zst", "d.warc.lz4", "e.wacz"]
    wanted += ["f.arc", "g.wet.gz", "h.warc.gz.bad", "i.warc.txt"]
    filled(tmp_path, [*reversed(wanted), "notes.txt", "archive.zip", "warc", "x.warcs"])
    found = list_files(a_pool("warc", str(tmp_path)), tmp_path)
    assert [file.path for file in found] == sorted(wanted)
    assert [file.num_bytes for file in found] == [len(file.path) for file in found]
    assert all(Path(file.address).samefile(tmp_path / file.path) for file in found)


def test_one_file_is_a_pool(tmp_path: Path) -> None:
    filled(tmp_path, ["a.warc.gz", "b.warc.gz"])
    assert [f.path for f in list_files(a_pool("warc", str(tmp_path / "b.warc.gz")), tmp_path)] == ["b.warc.gz"]


def test_json_lines(tmp_path: Path) -> None:
    filled(tmp_path, ["1/a.jsonl.zst", "b.jsonl", "c.jsonl.gz", "d.json", "e.jsonl.zst.part"])
    found = list_files(a_pool("jsonl", str(tmp_path)), tmp_path)
    assert [file.path for file in found] == ["1/a.jsonl.zst", "b.jsonl", "c.jsonl.gz"]


@given(start=st.none() | st.integers(0, 12), stop=st.none() | st.integers(0, 12), limit=st.integers(0, 12))
def test_slices_and_limits_are_those_of_lists(
    tmp_path_factory: pytest.TempPathFactory, start: int | None, stop: int | None, limit: int
) -> None:
    names = [f"{i:02}.warc" for i in range(10)]
    folder = filled(tmp_path_factory.getbasetemp() / "slices", names)
    text = f"{'' if start is None else start}:{'' if stop is None else stop}"
    pool = a_pool("warc", str(folder), files=text, max_files=limit)
    expected = names[start:stop][: limit or None]
    if names[start:stop]:
        assert [file.path for file in list_files(pool, folder)] == expected
    else:
        with pytest.raises(ConfigError, match="selects none of its 10 files"):
            list_files(pool, folder)


@pytest.mark.parametrize("files", ["8", "a:b", "0:8:2", "-1:", "0-8", "[0:8]", " 0:8"])
def test_bad_slice(tmp_path: Path, files: str) -> None:
    filled(tmp_path, ["a.warc"])
    with pytest.raises(ConfigError, match=r"'tried': files=.* is no slice; write 0:8"):
        list_files(a_pool("warc", str(tmp_path), files=files), tmp_path)


@pytest.mark.parametrize(
    ("kind", "path", "told"),
    [
        ("wrac", "", "no pool kind 'wrac'; nearest: warc"),
        ("warc", "", "needs a folder"),
        (
            "warc",
            "missing",
            r"'missing' doesn't exist .*; choices: a folder, a file, sample, warc, cc, jsonl",
        ),
        ("warc", "empty", "none of its 0 files"),
        ("jsonl", "full", "none of its 1 files is named as jsonl"),
        ("warc", "nosuchsystem://bucket/x", "'nosuchsystem://bucket/x' can't be read: ValueError: Protocol not known"),
        ("sample", "", "isn't made.*run: lakeloom pool"),
        ("cc", "", "snapshot='' is no snapshot id such as CC-MAIN-2024-10"),
    ],
)
def test_wrong_pools_are_told_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, path: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    filled(tmp_path / "full", ["a.warc"])
    with pytest.raises(ConfigError, match=told):
        list_files(a_pool(kind, path), tmp_path)


@pytest.mark.parametrize("name", ["a\udcff.warc", "a\udcff/a.warc", "a\n/a.warc"])
def test_unprintable_names_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match="isn't printable UTF-8"):
        list_files(a_pool("warc", str(tmp_path)), tmp_path)


def test_folder_of_another_file_system() -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe({"/pool/b.warc.gz": b"12", "/pool/sub/a.warc": b"1", "/pool/c.txt": b""})
    found = list_files(a_pool("warc", "memory://pool"), Path())
    assert [(file.path, file.num_bytes) for file in found] == [("b.warc.gz", 2), ("sub/a.warc", 1)]
    with fsspec.open(found[0].address) as stream:
        assert stream.read() == b"12"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(webfile, "PATIENCE", webfile.PATIENCE.new(backoff_factor=0, backoff_jitter=0))
    with serving(tmp_path) as server:
        yield server


def test_a_folder_of_a_web_server(web: WebServer) -> None:
    filled(web.folder / "pool", ["b.warc.gz", "sub/a.warc", "notes.txt"])
    found = list_files(a_pool("warc", web.address_of("pool/")), Path())
    assert [(file.path, file.address) for file in found] == [
        (name, web.address_of(f"pool/{name}")) for name in ("b.warc.gz", "sub/a.warc")
    ]
    for file in found:
        with open_stream(file.address) as stream:
            assert stream.read() == b"x" * len(file.path)


def test_one_file_of_a_web_server(web: WebServer) -> None:
    filled(web.folder, ["pool/b.warc.gz"])
    (file,) = list_files(a_pool("warc", web.address_of("pool/b.warc.gz")), Path())
    assert (file.path, file.address) == ("b.warc.gz", web.address_of("pool/b.warc.gz"))


@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("none/", 0, r"can't be read: FileNotFoundError: HTTP status 404 .*; is the address right\?"),
        ("empty/", 0, r"none of its 1 files is named as warc .*"),
        ("pool/", 403, "PermissionError: HTTP status 403 Forbidden; ~/.netrc may hold a login"),
        ("pool/", 503, r"OSError: HTTP status 503 Service Unavailable; is the address right, and the server up\?"),
    ],
)
def test_a_web_server_that_has_no_list(web: WebServer, name: str, status: int, told: str) -> None:
    filled(web.folder / "pool", ["b.warc.gz"])
    (web.folder / "empty").mkdir()
    web.statuses = [status] * 99 * bool(status)
    with pytest.raises(ConfigError, match=rf"^pool (path )?'{web.address}/{name}'.*{told}$"):
        list_files(a_pool("warc", web.address_of(name)), Path())


@pytest.mark.parametrize(
    "address",
    ["https://weaver:hush@loom.example/x", "s3://weaver:hush@bucket/x", "https://loom.example/a.warc?Signature=hush"],
)
@pytest.mark.parametrize("kind", ["warc", "cc"])
def test_addresses_with_secrets_are_refused(kind: str, address: str) -> None:
    pool = PoolConfig(address, kind, address * (kind == "warc"), SNAPSHOT, address * (kind == "cc"), "", 0, 0)
    with pytest.raises(ConfigError, match=r"with a user name or a query.*~/\.netrc") as raised:
        list_files(pool, Path())
    assert "hush" not in str(raised.value)


NAMES = [f"crawl-data/{SNAPSHOT}/segments/17.{i}/warc/CC-MAIN-{i:05}.warc.gz" for i in range(10)]


@pytest.fixture
def mirror(web: WebServer) -> WebServer:
    """A server with Common Crawl's layout: one good snapshot, one broken, one empty."""
    lists = {SNAPSHOT: gzip.compress("\n".join(NAMES).encode() + b"\n"), "CC-MAIN-2024-11": b"no gzip"}
    lists["CC-MAIN-2024-12"] = gzip.compress(b"")
    lists["CC-MAIN-2024-13"] = lists[SNAPSHOT][:-20]
    for snapshot, content in lists.items():
        filled(web.folder / "crawl-data" / snapshot, ["warc.paths.gz"])
        (web.folder / "crawl-data" / snapshot / "warc.paths.gz").write_bytes(content)
    return web


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}], ids=["plain", "labelled as compressed"])
def test_common_crawl_lists_a_slice_of_a_snapshot(mirror: WebServer, headers: dict[str, str]) -> None:
    mirror.headers = headers
    found = list_files(a_pool("cc", snapshot=SNAPSHOT, base=f"{mirror.address}/", files="2:5"), Path())
    assert [Path(file.path).name for file in found] == [f"CC-MAIN-{i:05}.warc.gz" for i in (2, 3, 4)]
    assert all(file.address == mirror.address_of(file.path) and file.num_bytes == 0 for file in found)


@pytest.mark.parametrize("where", ["web", "folder"])
def test_the_records_of_a_slice_of_common_crawl(mirror: WebServer, where: str) -> None:
    """From the words of a user to the records, over the web and from a copy on disk."""
    archives = [archive([f"{PROSE} {i} {j}".encode() for j in range(3)]) for i in range(len(NAMES))]
    for name, content in zip(NAMES, archives, strict=True):
        filled(mirror.folder, [name])
        (mirror.folder / name).write_bytes(content)
    base = mirror.address if where == "web" else str(mirror.folder)
    words = ["pool=cc", f"snapshot={SNAPSHOT}", "files=1:4", f"pool.base={base}"]
    cfg = config.build(IngestConfig, "ingest", config.tree(words))
    found = []
    for file in list_files(cfg.pool, Path()):
        with open_stream(file.address) as stream:
            size = stream.seek(0, io.SEEK_END)
            found += list(records(stream, size, main_text, Limits()))
    expected = [
        row for i in (1, 2, 3) for row in records(io.BytesIO(archives[i]), len(archives[i]), main_text, Limits())
    ]
    assert found == expected
    assert sum(isinstance(row, Page) for row in found) == 9
    asked = dict.fromkeys(path for _, path, _ in mirror.asked)
    lists = [f"crawl-data/{SNAPSHOT}/warc.paths.gz", *NAMES[1:4]]
    assert list(asked) == [f"/{name}" for name in lists if where == "web"]


@pytest.mark.parametrize(
    ("snapshot", "told"),
    [
        ("CC-MAIN-1999-01", "of snapshot 'CC-MAIN-1999-01', http.*, isn't there: .*404.*index.commoncrawl.org"),
        ("CC-MAIN-2024-11", "holds no paths: BadGzipFile: .*; is pool.base right"),
        ("CC-MAIN-2024-12", "is empty; https://index.commoncrawl.org"),
        ("CC-MAIN-2024-13", "holds no paths: EOFError"),
        ("2024-10", "snapshot='2024-10' is no snapshot id such as CC-MAIN-2024-10"),
    ],
)
def test_unknown_snapshots(mirror: WebServer, snapshot: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        list_files(a_pool("cc", snapshot=snapshot, base=mirror.address), Path())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (403, {}, "can't be read: PermissionError: HTTP status 403 Forbidden; ~/.netrc"),
        (403, {"Server": "CloudFront"}, "HTTP status 403 Forbidden, by CloudFront itself: asked too often?"),
        (503, {}, "HTTP status 503 Service Unavailable; is the address right, and the server up?"),
    ],
)
def test_common_crawl_refuses(mirror: WebServer, status: int, headers: dict[str, str], told: str) -> None:
    mirror.statuses, mirror.headers = [status] * 99, headers
    with pytest.raises(ConfigError, match=re.escape(told)):
        list_files(a_pool("cc", snapshot=SNAPSHOT, base=mirror.address), Path())


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("http://127.0.0.1:1", r"Connection refused; is the address right, and the server up\?"),
        ("nosuchsystem://bucket", "Protocol not known: nosuchsystem"),
        ("/no/such/mirror", "isn't there: .*No such file"),
        ("", "isn't there: .*No such file"),
    ],
)
def test_a_base_that_nobody_is_at(web: WebServer, base: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        list_files(a_pool("cc", snapshot=SNAPSHOT, base=base), Path())
    assert "\n" not in str(raised.value)


def test_fingerprint_depends_on_size_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pools.fingerprint(0)
    assert before == pools.fingerprint(0) != pools.fingerprint(60)
    monkeypatch.setattr(pools, "environment", dict)
    assert pools.fingerprint(0) != before


def test_environment_is_sorted_and_without_lakeloom() -> None:
    names = list(pools.environment())
    assert names == sorted(names)
    assert "docutils" in names
    assert "lakeloom" not in names
