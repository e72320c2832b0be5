"""Common Crawl's layout on a web server to tables: what is gone is recorded, what fails is read by the next run."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import PySparkException

from lakeloom.jobs import config, ingest, oracle_ingest
from lakeloom.lakehouse.errors import SourceFailed
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Lakehouse
from tests.lakehouse.test_warc import PROSE, archive
from tests.webserver import WebServer, serving

pytestmark = pytest.mark.spark

SNAPSHOT = "CC-MAIN-2024-10"
NAMES = [f"crawl-data/{SNAPSHOT}/segments/17.{i}/warc/CC-MAIN-{i:05}.warc.gz" for i in range(5)]
GONE = NAMES[2]


@pytest.fixture
def crawl(tmp_path: Path) -> Iterator[WebServer]:
    """A snapshot of five files, one of which is in its list alone."""
    for i, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(parents=True)
        if name != GONE:
            (tmp_path / name).write_bytes(archive([f"{PROSE} {i} {j}".encode() for j in range(4)]))
    (tmp_path / "crawl-data" / SNAPSHOT / "warc.paths.gz").write_bytes(gzip.compress("\n".join(NAMES).encode()))
    with serving(tmp_path) as web:
        yield web


def run(lake: Lakehouse, web: WebServer, files: str) -> Report:
    words = ["pool=cc", f"snapshot={SNAPSHOT}", f"files={files}", f"pool.base={web.address}"]
    plain = config.tree([*words, f"lakehouse.root={lake.cfg.root}"])
    return ingest.run(lake.spark, config.build(ingest.IngestConfig, "ingest", plain))


def test_a_slice_of_common_crawl(lake: Lakehouse, crawl: WebServer) -> None:
    crawl.breaks, crawl.has_ranges = [2000], False
    first = run(lake, crawl, "0:3")
    assert (first.facts["files"], first.rows_out, first.facts["open/FileNotFoundError"]) == (3, 8, 1)
    dead = lake.read("bronze.dead_letters").where("stage = 'open'").collect()
    assert [(row["source"], row["detail"]) for row in dead] == [(GONE, "HTTP status 404 Not Found")]
    rest = run(lake, crawl, "3:")
    assert (rest.facts["files"], rest.facts["new_files"], rest.rows_out) == (5, 2, 16)
    again = run(lake, crawl, "0:5")
    assert all(holds for *_, holds in oracle_ingest.check(lake, rest, again))


def test_a_pool_that_refuses_all_is_not_a_pool_of_dead_letters(lake: Lakehouse, crawl: WebServer) -> None:
    crawl.forbidden = "/segments/"  # the list of files is open
    with pytest.raises(SourceFailed, match=r"none of 3 files may be read.*00000\.warc\.gz: HTTP status 403 .*again$"):
        run(lake, crawl, "0:3")
    assert not lake.exists("bronze.dead_letters")
    crawl.forbidden = "00000.warc"  # one refused file among others is a dead letter
    report = run(lake, crawl, "0:2")
    assert (report.rows_out, report.facts["open/PermissionError"]) == (4, 1)


def test_a_file_that_stops_midway_is_read_by_the_next_run(lake: Lakehouse, crawl: WebServer) -> None:
    crawl.extra_length, crawl.extra_for = 5, "00001.warc.gz"  # bytes that never come
    with pytest.raises(PySparkException, match=r"SourceFailed.*CC-MAIN-00001\.warc\.gz: OSError: it changed since"):
        run(lake, crawl, "0:2")
    assert not lake.exists("bronze.pages") or lake.read("bronze.pages").count() == 0
    crawl.extra_length = 0
    report = run(lake, crawl, "0:2")
    assert (report.rows_out, report.facts["new_files"]) == (8, 0)
    assert "open/FileNotFoundError" not in report.facts
