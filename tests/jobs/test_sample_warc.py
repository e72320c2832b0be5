"""The sample's WARC files, read back by another library than the one that wrote them."""

import gzip
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from resiliparse.parse.encoding import detect_encoding

from lakeloom.jobs.sample_site import Block, Page, Site
from lakeloom.jobs.sample_warc import date, responses, write_file

TEXT = "The naïve façade — “quoted” — costs 5 €, and 日本語 too. " * 5
SITE = Site("crate", "1.0", "Crates", "crate.docs.example", "book", ("crate.alpha",))
PAGES = [Page(SITE, f"/docs/{i}.html", "reference", f"page {i}", (Block(TEXT, "plain"),)) for i in range(1200)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("warc") / "a.warc.gz"
    sites = [replace(SITE, host=f"site{i}.docs.example") for i in range(120)]
    extra = [replace(PAGES[0], site=site, path="/", kind="readme") for site in sites]
    extra += [replace(page, kind="index", path=f"/index{page.path}") for page in PAGES[:60]]
    assert write_file(path, [*PAGES, *extra]) > len(PAGES) + len(extra)
    return path


def test_records_are_whole_and_of_all_kinds(written: Path) -> None:
    kinds: Counter[str] = Counter()
    ids: set[str] = set()
    with written.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=False):
            assert record.verify_block_digest()
            kinds[record.headers["WARC-Type"]] += 1
            ids.add(record.headers["WARC-Record-ID"])
            datetime.fromisoformat(record.headers["WARC-Date"])
    assert kinds["warcinfo"] == 1
    assert min(kinds["request"], kinds["metadata"]) > 10
    assert len(ids) == kinds.total()


def test_responses_hold_what_crawls_hold(written: Path) -> None:
    seen: Counter[tuple[int, str]] = Counter()
    with written.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=True):
            if record.headers["WARC-Type"] == "response":
                seen[record.http_headers.status_code or 0, record.http_content_type or ""] += 1
    assert seen[200, "text/html"] == len(PAGES) + 180
    others = {
        (404, "text/html"),
        (301, "text/html"),
        (200, "text/plain"),
        (200, "application/json"),
        (200, "image/png"),
    }
    assert others <= set(seen)


def test_same_pages_same_bytes(tmp_path: Path) -> None:
    write_file(tmp_path / "a.warc.gz", PAGES[:80])
    first = (tmp_path / "a.warc.gz").read_bytes()
    write_file(tmp_path / "a.warc.gz", PAGES[:80])
    assert (tmp_path / "a.warc.gz").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["a.warc.gz"]


def test_charsets_are_declared_left_out_and_wrong() -> None:
    declared: Counter[tuple[str, bool]] = Counter()
    for page in PAGES:
        answer = next(responses(page))
        headers = dict(answer.headers)
        body = gzip.decompress(answer.body) if "Content-Encoding" in headers else answer.body
        html = body.decode("utf-16") if body[:2] == b"\xff\xfe" else body.decode("cp1252", "replace")
        assert headers["Content-Length"] == str(len(answer.body))
        declared[detect_encoding(body) or "", "charset" in headers["Content-Type"] or "<meta charset" in html] += 1
    assert declared["utf-8", True] > 900
    assert declared["utf-8", False] > 60
    assert sum(count for (name, _), count in declared.items() if name != "utf-8") > 20
    assert declared["utf-16-le", False] > 0


def test_dates_lie_in_one_month() -> None:
    dates = [date(str(i)) for i in range(500)]
    assert {text[:8] for text in dates} == {"2024-03-"}
    assert len({text[8:10] for text in dates}) == 31
