"""Hashes of texts and normal forms of addresses: what is one page and what is not."""

import hashlib
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.fingerprints import text_shas, url_key, url_keys


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=8), st.integers(0, 3))
def test_text_shas(texts: list[str | None], skip: int) -> None:
    expected = [
        hashlib.sha256(text.encode()).hexdigest() if text is not None and re.search(r"\w", text) else None
        for text in texts
    ]
    assert text_shas(pa.array(texts, pa.string()).slice(skip)).to_pylist() == expected[skip:]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (
            [
                "http://loom.example",
                "https://LOOM.example/",
                "https://www.loom.example:443//",
                "http://loom.example.:80/#top",
                " https://loom.example/?utm_source=x&fbclid=2 ",
            ],
            "loom.example",
        ),
        (["https://loom.example/a?b=2&c=3", "http://loom.example/a/?b=2&utm_medium=m&c=3&"], "loom.example/a?b=2&c=3"),
        (
            ["https://loom.example/%7euser/caf%c3%a9", "https://loom.example/~user/caf\u00e9/"],
            "loom.example/~user/caf%C3%A9",
        ),
        (["https://loom.example/A", "https://loom.example/A/"], "loom.example/A"),
        (["https://loom.example/a?ref=2"], "loom.example/a?ref=2"),
        (["https://loom.example:8080/a"], "loom.example:8080/a"),
        (["ftp://Loom.example/"], "ftp://Loom.example/"),
        (["https://[loom"], "https://[loom"),
        (["https://loom.example:port/"], "https://loom.example:port/"),
        (["https://www./"], "www"),
        (["", "  "], None),
    ],
)
def test_url_key(addresses: list[str], expected: str | None) -> None:
    assert [url_key(address) for address in addresses] == [expected] * len(addresses)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://loom.example/a?b=1&c=2", "https://loom.example/a?c=2&b=1"),  # some servers heed the order
        ("https://loom.example/a", "https://loom.example/A"),
        ("https://loom.example/a%2Fb", "https://loom.example/a/b"),
        ("https://loom.example/a?id=1", "https://loom.example/a?id=2"),
        ("https://news.loom.example/", "https://loom.example/"),
    ],
)
def test_other_pages_stay_apart(one: str, other: str) -> None:
    assert url_key(one) != url_key(other)


@given(st.text(max_size=40))
def test_any_string_has_a_normal_form(address: str) -> None:
    assert url_key(address) is None or url_key(address)
    assert url_keys(pa.array([address.encode("utf-8", "replace").decode(), None])).to_pylist()[1] is None


@given(st.text(max_size=20))
def test_the_normal_form_is_its_own(path: str) -> None:
    key = url_key(f"https://loom.example/{path}")
    assert key is not None
    assert url_key(f"https://{key}") == key
