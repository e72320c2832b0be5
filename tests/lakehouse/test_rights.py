"""What pages say of their use is found as they write it, and nothing that only looks like it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.lakehouse.rights import licenses, refusals
from lakeloom.lakehouse.warc import Limits, Page, domain_of
from tests.lakehouse.test_warc import PROSE, archive, read


def head(tags: str) -> bytes:
    return f"<!doctype html><html><head><title>t</title>{tags}</head><body><p>{PROSE}</p></body></html>".encode()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ('<meta name="robots" content="noai, noimageai">', ["noai", "noimageai"]),
        ("<META NAME='ROBOTS' CONTENT='NOINDEX,FOLLOW'/>", ["noindex"]),
        ("<meta content=noai name=robots>", ["noai"]),
        ('<Meta\nname="GPTBot" content="noindex">', ["gptbot:noindex"]),
        ('<meta name="google-extended" content="none">', ["google-extended:none"]),
        ('<meta name="tdm-reservation" content="1">', ["tdm-reservation"]),
        ('<meta name="tdm-reservation" content="0">', []),
        (
            '<meta name="robots" content="index, follow, max-snippet:-1, unavailable_after: 25 Jun 2030 15:00:00 PST">',
            [],
        ),
        ('<meta name="robots" content="max-image-preview:large, noarchive">', ["noarchive"]),
        ('<!-- <meta name="robots" content="noai"> -->', []),
        ('<meta name="description" content="noai robots, noindex">', []),
        ('<meta name="robots" content="noai"><meta name="robots" content="noai">', ["noai"]),
        ('<metal name="robots" content="noai">', []),
        ("", []),
    ],
)
def test_meta_tags(tags: str, expected: list[str]) -> None:
    assert refusals(head(tags), {}) == expected


def test_a_tag_in_the_text_of_a_page_is_text() -> None:
    assert refusals(head("") + b'<meta name="robots" content="noai">', {}) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("noindex, nofollow", ["noindex", "nofollow"]),
        (
            "googlebot: nofollow, otherbot: noindex, nofollow",
            ["googlebot:nofollow", "otherbot:noindex", "otherbot:nofollow"],
        ),
        ("unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, noai", ["noai"]),
        ("*: noai", ["noai"]),
        ("all", []),
        (":::,,", []),
    ],
)
def test_headers(value: str, expected: list[str]) -> None:
    assert refusals(b"", {"x-robots-tag": value}) == expected


def test_a_reservation_may_be_a_header() -> None:
    assert refusals(b"", {"tdm-reservation": "1"}) == ["tdm-reservation"]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">CC</a>', ["CC-BY-SA-4.0"]),
        ('<a href="//creativecommons.org/licenses/by/3.0/us/deed.en">CC</a>', ["CC-BY-3.0-US"]),
        ('<a href="http://www.creativecommons.org/licenses/by/3.0/deed.en">CC</a>', ["CC-BY-3.0"]),
        ('<link rel="license" href="https://creativecommons.org/publicdomain/zero/1.0/">', ["CC0-1.0"]),
        ("<a\nhref='https://creativecommons.org/publicdomain/mark/1.0/'>", ["CC-PDM-1.0"]),
        ('<a href="/license?a=1&amp;b=2" rel="license noopener">ours</a>', ["/license?a=1&b=2"]),
        ("<a rel='license' href='/ours'>", ["/ours"]),
        ('<a rel="licensee" href="/x">', []),
        ('<!-- <a rel="license" href="/x"> -->', []),
        ('<script src="https://creativecommons.org/licenses/by/4.0/x.js"></script>', []),
        ("<p>see https://creativecommons.org/licenses/by/4.0/</p>", []),
        ('<a href="https://creativecommons.org/about/">about</a>', []),
        ('<a rel="license">nowhere</a>', []),
    ],
)
def test_links(markup: str, expected: list[str]) -> None:
    assert licenses(f"<html><body>{markup}".encode(), {}) == expected


def test_a_licence_may_be_a_header() -> None:
    value = '<https://a.example/>; rel="next", <https://creativecommons.org/licenses/by-nc/4.0/>; rel="license"'
    assert licenses(b"", {"link": value}) == ["CC-BY-NC-4.0"]


@given(
    st.lists(
        st.sampled_from(
            [
                "<meta ",
                "name=",
                "robots",
                '"',
                "content=",
                "no",
                ",",
                ":",
                ">",
                "<a ",
                'rel="license',
                "<!--",
                "creativecommons.org/",
                "\x00",
                "\u00e9",
            ]
        ),
        max_size=40,
    ).map("".join)
)
def test_any_bytes_end(text: str) -> None:
    found = [*refusals(text.encode(), {"x-robots-tag": text, "link": text}), *licenses(text.encode(), {"link": text})]
    assert len(found) <= 40 and all(len(item) <= 500 for item in found)


LONG = b"a" * 3900


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b"<html><head>" + (b"<meta robots " + LONG + b">") * 24, ""),
        ((b'<a rel="license" ' + LONG + b">") * 2500, ""),
        (b'<a rel="license" href=x>' * 400_000, ""),
        (b"<!--" + b"creativecommons.org/" * 400_000, ""),
        (b"", "<x>" + "rel=" * 250_000),
        (b"", "no," * 300_000),
    ],
    ids=["words in meta tags", "words in links", "links", "a comment", "relations", "directives"],
)
def test_hostile_pages_take_no_time(body: bytes, header: str) -> None:
    started = time.process_time()
    refusals(body, {"x-robots-tag": header})
    licenses(body, {"link": header})
    assert time.process_time() - started < 1


def test_a_page_keeps_them_if_asked() -> None:
    body = head('<meta name="robots" content="noai">')
    headers = [("Content-Type", "text/html"), ("X-Robots-Tag", "noarchive"), ("X-Robots-Tag", "ccbot: noindex")]
    for keeps, expected in ((True, (["noarchive", "ccbot:noindex", "noai"], [])), (False, (None, None))):
        (page,) = [
            row
            for row in read(archive([body], headers=headers), limits=Limits(keep_rights=keeps))
            if isinstance(row, Page)
        ]
        assert (page.refusals, page.licenses) == expected


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("news.bbc.co.uk", "bbc.co.uk"),
        ("loom.example.com", "example.com"),
        ("foo.github.io", "github.io"),
        ("10.0.0.1", ""),
        ("com", ""),
        ("", ""),
        ("[::1]", ""),
        ("a..b.org", "b.org"),
    ],
)
def test_registrable_domains(host: str, domain: str) -> None:
    assert domain_of(host) == domain
