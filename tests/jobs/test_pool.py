"""The job: the sample is made once, the same everywhere; other pools are listed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from lakeloom.jobs import pool
from lakeloom.jobs.pool import PoolJobConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import MANIFEST, PoolConfig, list_files, sample_folder
from lakeloom.lakehouse.store import LakehouseConfig

pytestmark = pytest.mark.slow  # a sample takes seconds to make, and is made often

PROGRAM = """
import sys
from collections.abc import Iterator
from pathlib import Path
from lakeloom.jobs.pool import make_sample
from lakeloom.lakehouse.pools import PoolConfig
make_sample(PoolConfig("sample", "sample", "", "", "", "", 0, int(sys.argv[2])), Path(sys.argv[1]), 1)
"""


def a_sample(max_pages: int) -> PoolConfig:
    return PoolConfig("sample", "sample", "", "", "", "", 0, max_pages)


def a_job(root: Path, chosen: PoolConfig, workers: int = 1) -> PoolJobConfig:
    return PoolJobConfig(LakehouseConfig(str(root), ""), chosen, workers)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    report = pool.run(None, a_job(root, a_sample(60)))
    assert report.rows_out == pool.NUM_FILES
    assert int(report.facts["made"]) >= 50
    return root


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Path:
    """A lakehouse folder of this test with the sample in it."""
    return Path(shutil.copytree(made, tmp_path / "lake"))


def test_sample_is_made_once(made: Path) -> None:
    folder = sample_folder(a_sample(60), made)
    before = digests(folder)
    again = pool.run(None, a_job(made, a_sample(60)))
    assert (again.rows_out, again.facts["made"]) == (pool.NUM_FILES, 0)
    assert digests(folder) == before
    assert folder.parent == made / "pools"


def test_manifest_describes_the_files(made: Path) -> None:
    folder = sample_folder(a_sample(60), made)
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    found = digests(folder)
    del found[MANIFEST]
    assert {entry["name"]: entry["sha256"] for entry in manifest["files"]} == found
    listed = list_files(a_sample(60), made)
    assert [(f.path, f.num_bytes) for f in listed] == [(e["name"], e["num_bytes"]) for e in manifest["files"]]


def test_a_sample_that_was_not_finished_is_made_again(lake: Path) -> None:
    folder = sample_folder(a_sample(60), lake)
    before = digests(folder)
    (folder / MANIFEST).unlink()
    next(folder.glob("*.gz")).write_bytes(b"torn")
    assert pool.run(None, a_job(lake, a_sample(60))).facts["made"] != 0
    assert digests(folder) == before


def test_a_changed_sample_is_refused(lake: Path) -> None:
    changed = list_files(a_sample(60), lake)[3]
    Path(changed.address).write_bytes(b"torn")
    with pytest.raises(ConfigError, match=f"{changed.path} not as in pool.json; delete it"):
        pool.run(None, a_job(lake, a_sample(60)))


def test_sizes_have_folders_and_file_names_of_their_own(lake: Path) -> None:
    pool.run(None, a_job(lake, a_sample(20)))
    small, large = (list_files(a_sample(size), lake) for size in (20, 60))
    assert not {file.path for file in small} & {file.path for file in large}


def test_other_pools_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"12345")
    report = pool.run(None, a_job(tmp_path, PoolConfig("x", "warc", str(tmp_path), "", "", "", 0, 0)))
    assert (report.rows_in, report.rows_out, report.facts["num_bytes"]) == (1, 1, 5)


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    pool.run(None, a_job(tmp_path / "here", a_sample(1000), workers=2))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "there"), "1000"]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "1"}, timeout=300)
    here, there = (sample_folder(a_sample(1000), tmp_path / name) for name in ("here", "there"))
    assert digests(here) == digests(there)


@pytest.mark.slow
def test_the_whole_sample_holds_ten_megabytes_of_text(tmp_path: Path) -> None:
    report = pool.run(None, a_job(tmp_path, a_sample(0), workers=2))
    assert int(report.facts["made"]) >= 3000
    assert sum(len(text) for file in list_files(a_sample(0), tmp_path) for text in texts(file.address)) > 10_000_000


def texts(path: str) -> Iterator[str]:
    """The main text of every HTML page of a WARC file."""
    with Path(path).open("rb") as stream:
        for record in ArchiveIterator(stream, WarcRecordType.response, parse_http=True, auto_decode="content"):
            if record.http_content_type == "text/html":
                body = record.reader.read()
                html = bytes_to_str(body, detect_encoding(body) or "utf-8")
                yield extract_plain_text(html, main_content=True)
