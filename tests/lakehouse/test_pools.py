"""Which files a pool stands for, and what a wrong one is told."""

import gzip
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.lakehouse import pools
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import PoolConfig, list_files

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
        ("warc", "nosuchsystem://bucket/x", "'nosuchsystem://bucket/x' can't be listed"),
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


def test_unprintable_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.warc").touch()
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
def mirror(tmp_path: Path) -> Iterator[str]:
    """The address of a server with Common Crawl's layout: one good snapshot, one broken."""
    names = [f"crawl-data/{SNAPSHOT}/segments/17.{i}/warc/CC-MAIN-{i:05}.warc.gz" for i in range(10)]
    lists = {SNAPSHOT: gzip.compress("\n".join(names).encode() + b"\n"), "CC-MAIN-2024-11": b"no gzip"}
    lists["CC-MAIN-2024-12"] = gzip.compress(b"")
    for snapshot, content in lists.items():
        filled(tmp_path / "crawl-data" / snapshot, ["warc.paths.gz"])
        (tmp_path / "crawl-data" / snapshot / "warc.paths.gz").write_bytes(content)

    class Quiet(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if "2024-13" in self.path:
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test's output isn't its log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_common_crawl_lists_a_slice_of_a_snapshot(mirror: str) -> None:
    found = list_files(a_pool("cc", snapshot=SNAPSHOT, base=f"{mirror}/", files="2:5"), Path())
    assert [Path(file.path).name for file in found] == [f"CC-MAIN-{i:05}.warc.gz" for i in (2, 3, 4)]
    assert all(file.address == f"{mirror}/{file.path}" and file.num_bytes == 0 for file in found)


@pytest.mark.parametrize(
    ("snapshot", "told"),
    [
        (
            "CC-MAIN-1999-01",
            "'CC-MAIN-1999-01' has no readable path list at http.*FileNotFound.*index.commoncrawl.org",
        ),
        ("CC-MAIN-2024-11", "no readable path list.*BadGzipFile"),
        ("CC-MAIN-2024-12", "is empty"),
        ("CC-MAIN-2024-13", "no readable path list.*403"),
        ("2024-10", "snapshot='2024-10' is no snapshot id such as CC-MAIN-2024-10"),
    ],
)
def test_unknown_snapshots(mirror: str, snapshot: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        list_files(a_pool("cc", snapshot=snapshot, base=mirror), Path())


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
