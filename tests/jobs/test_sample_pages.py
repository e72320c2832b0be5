"""What the sample's sites hold, and that text can be had out of their pages again."""

from collections import Counter
from dataclasses import replace

import pytest
from resiliparse.extract.html2text import extract_plain_text

from lakeloom.jobs.sample_pages import MAX_PAGES_PER_PACKAGE, pages_of, sample_pages
from lakeloom.jobs.sample_site import Block, Page, Site, copies, pick, render, share
from lakeloom.jobs.sample_text import Member, Module, Note, Package
from lakeloom.jobs.sample_themes import THEMES

DOC = "Reads a table from a file into memory, and closes the file again.\n\n" + "It reads every row once. " * 12
SITE = Site("crate", "1.0", "Crates & boxes", "crate.docs.example", "sphinx", ("crate.alpha", "crate.omega"))
PAGE = Page(SITE, "/en/stable/api/crate.read.html", "reference", "crate.read", (Block(DOC, "docstring"),))


def a_package(num_modules: int) -> Package:
    functions = [Member("function", f"crate.m{{}}.f{i}", "x, y=<1>", DOC) for i in range(5)]
    modules = tuple(
        Module(
            f"crate.m{i}",
            "x = 1\n" * 100,
            (
                Member("module", f"crate.m{i}", "", DOC),
                *(replace(f, name=f.name.format(i)) for f in functions),
            ),
        )
        for i in range(num_modules)
    )
    notes = [Note("readme", "crate", DOC, "markdown")]
    notes += [Note("licence", f"LICENSE-{i}", DOC, "plain") for i in range(20)]
    return Package("crate", "1.0", "Crates", tuple(notes), modules)


@pytest.mark.parametrize("theme", sorted(THEMES))
def test_main_text_of_a_page_is_its_documentation(theme: str) -> None:
    html = render(replace(PAGE, site=replace(SITE, theme=theme)), "utf-8")
    text = extract_plain_text(html, main_content=True)
    for line in DOC.split("\n\n"):
        assert line.strip() in text
    boilerplate = ["cookie", "newsletter", "Quick search", "Was this page helpful", "crate.omega", "Accept"]
    assert [word for word in boilerplate if word in text] == []
    assert len(text) < len(DOC) + 250


@pytest.mark.parametrize("theme", sorted(THEMES))
def test_pages_have_boilerplate(theme: str) -> None:
    html = render(replace(PAGE, site=replace(SITE, theme=theme)), "")
    assert len(html) > 2 * len(DOC)
    assert "crate.omega" in html
    assert "charset" not in html
    assert "$" not in html


def test_foreign_names_are_escaped() -> None:
    page = replace(PAGE, title="a<b>", banner="<i>", blocks=(Block("<x>\n<y>", "links", "<h>", "f(a<b)"),))
    html = render(page, "utf-8")
    assert not [tag for tag in ("a<b>", "<i>", "<x>", "<y>", "<h>") if tag in html]


def test_copies_are_near_duplicates_at_other_addresses() -> None:
    pages = [replace(PAGE, path=f"/en/stable/api/{i}.html") for i in range(1000)]
    found = [copy for page in pages for copy in copies(page)]
    assert 90 < len(found) < 170
    assert not {page.url for page in pages} & {copy.url for copy in found}
    assert {copy.copy_of for copy in found} <= {page.url for page in pages}
    assert all(copy.blocks == PAGE.blocks for copy in found)


def test_a_site_is_bounded_and_varied() -> None:
    kinds = Counter(page.kind for page in pages_of(a_package(40), 30) if not page.copy_of)
    assert sum(kinds.values()) == 30
    assert kinds["licence"] == 3
    assert kinds["readme"] == kinds["index"] == 1
    assert kinds["source"] >= 1
    assert kinds["reference"] >= 20


def test_every_page_of_a_site_has_its_own_address() -> None:
    urls = [page.url for page in pages_of(a_package(40), MAX_PAGES_PER_PACKAGE)]
    assert len(urls) == len(set(urls))


def test_shares_and_picks_are_even_and_fixed() -> None:
    numbers = [share(f"page {i}", "test") for i in range(2000)]
    assert 0 <= min(numbers) < max(numbers) < 1
    assert 0.45 < sum(numbers) / len(numbers) < 0.55
    counts = Counter(pick(f"page {i}", "test", ["a", "b"]) for i in range(2000))
    assert min(counts.values()) > 900


@pytest.mark.slow
def test_a_small_sample_has_many_sites() -> None:
    pages = sample_pages(60)
    assert 50 <= len(pages) <= 60
    assert pages == sample_pages(60)
    assert len({page.site.name for page in pages}) >= 8
    assert all(page.site.host.endswith(".example") for page in pages)
