"""Phrases in pages and lines: tables of text before and after, DCLM's rules in plain Python, and a time limit."""

import re
import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.phrases import Location, drop_phrase_lines, has_phrase, remove_line_phrase
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError

PHRASE_CASES = [
    ("items in cart", "any", "3 ITEMS in cart now\nkeep", "3 now\nkeep"),
    ("items in cart", "any", "items in cart\n \nkeep\n\n", "keep"),
    ("items in cart", "any", "nothing here\n\t\nkeep ", "nothing here\nkeep"),
    ("items in cart", "any", "a b c d e f g h items in cart", "a b c d e f g h items in cart"),
    ("items in cart", "any", "item\u017f in cart", ""),
    ("Read more...", "suffix", "Text. Read more...\nread moreabc\nRead more... x", "Text.\nRead more... x"),
    ("Sign-in", "prefix", "Sign-in now\nplease sign-in", "now\nplease sign-in"),
    ("Sign-in", "prefix", None, None),
    ("a|b+", "any", "xa\nybb", "x\ny"),
]
BOMB = "(a|aa)+$"
TEXTS = st.lists(st.sampled_from(["sign", "-in", "SIGN-IN", " ", "\n", "\t", "x.", "\u017fign-in"]), max_size=12).map(
    "".join
)


def index(text: str | None) -> TextIndex:
    return TextIndex.of(pa.array([text], pa.string()))


@pytest.mark.parametrize(("phrase", "location", "text", "expected"), PHRASE_CASES)
def test_remove_line_phrase(phrase: str, location: Location, text: str | None, expected: str | None) -> None:
    edited = remove_line_phrase(index(text), phrase=phrase, max_words=10, location=location)
    assert edited.to_pylist() == [expected]


@pytest.mark.parametrize(
    ("phrase", "options", "text", "expected"),
    [
        ("javascript", {}, "Enable JavaScript\nkeep \n \n", "keep"),
        ("terms of use|cookies", {}, "our Terms of use\nuse COOKIES\nkeep", "keep"),
        ("x", {"max_words": 1}, "x\nx y", "x y"),
        ("The", {"case_sensitive": True, "location": "prefix"}, "The a\nthe b\nc The", "the b\nc The"),
        ("x", {}, None, None),
    ],
)
def test_drop_phrase_lines(phrase: str, options: dict[str, object], text: str | None, expected: str | None) -> None:
    assert drop_phrase_lines(index(text), phrase=phrase, **options).to_pylist() == [expected]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phrases", "options", "text", "expected"),
    [
        (["lorem ipsum"], {}, "a LOREM Ipsum", 1.0),
        (["{"], {}, "a {b", 1.0),
        (["a.c"], {}, "abc", 1.0),
        (["a.c"], {"is_literal": True}, "abc", 0.0),
        (["g-spot", "ass"], {"whole_words": True}, "class", 0.0),
        (["g-spot", "ass"], {"whole_words": True}, "an ass!", 1.0),
        (["c++"], {"whole_words": True}, "ccc", 1.0),  # a regular expression, in DCLM too
        (["sh\U0001f595"], {"whole_words": True}, "sh\U0001f595", 0.0),
        (["the", "der"], {"location": "prefix"}, "The end", 1.0),
        (["the"], {"location": "prefix"}, "\nthe", 0.0),
        (["more"], {"location": "suffix"}, "more\n", 1.0),
        (["more"], {"location": "suffix"}, "more\n\n", 0.0),
        (["RSS"], {"case_sensitive": True}, "rss", 0.0),
        ([], {}, "", 1.0),
        (["x", ""], {}, "y", 1.0),
        (["x"], {}, "", 0.0),
        (["x"], {}, None, None),
    ],
)
def test_has_phrase(phrases: list[str], options: dict[str, object], text: str | None, expected: float | None) -> None:
    values = has_phrase(index(text), phrases=tuple(phrases), **options)  # type: ignore[arg-type]
    assert values.to_pylist() == [expected]


@given(TEXTS, st.sampled_from(["any", "prefix", "suffix"]))
def test_fast_ways_give_what_the_plain_rule_gives(text: str, location: Location) -> None:
    frame = {"any": r"\s?(?:%s)", "prefix": r"^(?:%s)\s?", "suffix": r"\s?(?:%s)$"}[location]
    pattern = re.compile(frame % "sign-in|x.", re.IGNORECASE)
    kept = "\n".join(line for line in text.split("\n") if not pattern.search(line)).strip()
    assert drop_phrase_lines(index(text), phrase="sign-in|x.", location=location).to_pylist() == [kept]
    cleaned = [(line, pattern.sub("", line)) for line in text.split("\n")]
    left = "\n".join(new for old, new in cleaned if new.strip() or not old).strip()
    assert remove_line_phrase(index(text), phrase="sign-in|x.", location=location).to_pylist() == [left]


def test_an_expression_without_end_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        has_phrase(index("a" * 60 + "b"), phrases=(BOMB,))
    with pytest.raises(TimeoutError):
        drop_phrase_lines(index("a" * 60 + "b"), phrase=BOMB)
    assert time.monotonic() - started < 30  # without the limit it would take years


def test_a_broken_expression_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'a\[' is no regular expression"):
        drop_phrase_lines(index("a"), phrase="a[")
