"""A search that says no is right: the rule that it stands before changes nothing then."""

import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloom.filters import links, search
from lakeloom.filters.kernel import Bytes, Ints
from lakeloom.filters.lines import _COUNTER

PIECES = [
    ".",
    "com",
    "co",
    "a",
    "-",
    "_",
    "1",
    "22",
    "1.2.3.4",
    " ",
    "\n",
    "\u00e9",
    ".\u4e2d\u56fd",
    "%",
    "/",
    "s",
    "S",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=20).map("".join)
LIKES = st.lists(
    st.sampled_from(["3", "\u0663", ",", "k", " ", "likes", "VIEWS", "(", ")", "\u00e9", "\u017f"]), max_size=8
)


def spans(text: str) -> tuple[Bytes, Ints, Ints]:
    """The text among others, whose characters must not count."""
    data = text.encode()
    around = np.frombuffer(b"x.com 1.2.3.4 s" + data + b"4.com likes", np.uint8)
    return around, np.array([15]), np.array([15 + len(data)])


@given(TEXTS)
@example("a.com")
@example("a.com\u00e9")
@example("a.\u4e2d\u56fd")
def test_names(text: str) -> None:
    domains = links._domain_hashes(None)
    assert domains is not None
    found = bool(search.has_name(*spans(text), domains)[0])
    assert found or links.name_rule().pattern.search(text) is None


@given(TEXTS)
@example("1.2.3.4")
@example("1.2.3.")
@example("1234.1.1.1")
def test_addresses(text: str) -> None:
    found = bool(search.has_address(*spans(text))[0])
    assert found == (links.ADDRESS_RULE.probe.search(text) is not None)


@given(
    st.lists(st.sampled_from(["sign", "-", "in", "SIGN-IN", "s", "\u017fign-in", "K", "\u212a"]), max_size=8).map(
        "".join
    ),
    st.sampled_from(["sign-in", "n-s", "k", "-"]),
)
def test_literals(text: str, literal: str) -> None:
    packed = np.frombuffer(literal.encode(), np.uint8)
    found = bool(search.has_literal(*spans(text), packed, search.anchor(literal.encode()))[0])
    assert found == (literal in text.lower() or any(odd in text for odd in search.ODD_CASE))
    assert found or re.search(re.escape(literal), text, re.IGNORECASE) is None


@given(LIKES.map("".join) | TEXTS)
@example("3 likes")
@example("(5k views)")
@example("3 LIKES!")
def test_counter_lines(line: str) -> None:
    if "\n" not in line:
        assert search.counter_lines(*spans(line))[0] or _COUNTER.match(line.lower()) is None


def test_the_rarest_character_is_looked_for() -> None:
    assert [search.anchor(literal) for literal in (b"items in cart", b"read more", b"sign-in", b"ee")] == [3, 5, 4, 0]
