"""Addresses go as DCLM's one big expression would have them go."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters import links
from lakeloom.filters.textindex import TextIndex

PIECES = [
    "http://",
    "https://",
    "www.",
    "a.com",
    "x@y.co.uk",
    ".",
    " ",
    "\n",
    "/p?q=1",
    "1.2.3.4",
    "12.255.0.1:80",
    "com",
    "-",
    "\u00e9",
    "\u4e2d\u56fd",
    ".\u4e2d\u56fd",
    "A" * 300,
    "EXAMPLE.COM",
    "1.2.3",
    ".de",
    "b",
]


def removed(text: str | None) -> str | None:
    edited: list[str | None] = links.remove_urls(TextIndex.of(pa.array([text], pa.string()))).to_pylist()
    return edited[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", ""),
        ("see http://example.com/x", "see"),
        ("Qzx http://example.com/x", "Qzx http://example.com/x"),
        (" see http://example.com/x", " see http://example.com/x"),
        ("An offer: \n\n www.example.com/a?b=(c). Buy", "An offer: Buy"),
        ("see EXAMPLE.COM", "see EXAMPLE.COM"),
        ("see me@example.org, now", "see, now"),
        ("Qzx 127.0.0.1/index and 1.2.3, 1234.1.1.1", "Qzx and 1.2.3, 1234.1.1.1"),
        ("see Onion.notatld", "see Onion.notatld"),
    ],
)
def test_remove_urls(text: str | None, expected: str | None) -> None:
    assert removed(text) == expected


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_the_probe_only_saves_time(text: str) -> None:
    whole = links.name_rule().pattern.sub("", text) if links.begins_with_domain().match(text) else text
    assert removed(text) == links.ADDRESS_RULE.pattern.sub("", whole)


def test_the_domains_are_a_plausible_list() -> None:
    domains = links.top_level_domains()
    assert {"com", "de", "uk", "an", "\u4e2d\u56fd", "museum"} <= domains
    assert not {name for name in domains if re.search(r"[A-Z.*!\s]", name)}
    assert 1400 < len(domains) < 1700
