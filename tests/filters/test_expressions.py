"""Expressions that may be stopped find what Python's re finds."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloom.filters.expressions import deadline, expression
from lakeloom.lakehouse.errors import ConfigError

CLASSES = [r"\w", r"\W", r"\s", r"\S", r"\d", r"\D"]
SETS = ["[a-c]", r"[\w-]", r"[^\w]", r"[^\W_]", r"[\s,]", r"[]\d]", r"[^]\S]"]
ATOMS = [*CLASSES, *SETS, "a", "B", "."]
REPEATS = ["", "?", "*", "+", "{2}", "{1,2}", "*?", "+?"]
PIECES = st.one_of(
    st.sampled_from([r"\b", r"\B", "^", "$", "(?:a|b)", r"(\w)"]),
    st.builds(str.__add__, st.sampled_from(ATOMS), st.sampled_from(REPEATS)),
)
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map("".join)
LETTERS = "abB_-],. \n\t\x1c\x1f\x85\xa0\u00b2\u00e9\u0301\u0663\u2028\u3000\u4e00\u2160\u24b6\U0001d7d8\u200d"
TEXTS = st.text(st.sampled_from(LETTERS), max_size=12)


@given(PATTERNS, TEXTS, st.booleans())
@example(r"colou?r\b", "color\u0301 x", False)
@example(r"\bcolou?r\b", "color\u00b2 x", False)
@example(r"\s+", "a\x1cb", False)
@example(r"\w+", "\u0345", True)
@example("x*", "axb", False)
def test_they_find_what_re_finds(pattern: str, text: str, ignore_case: bool) -> None:
    reference = re.compile(f"(?:{pattern})", re.IGNORECASE if ignore_case else 0)
    ours = expression("(?:%s)", pattern, ignore_case=ignore_case, is_plain=False)
    assert ours.search(text, deadline()) == (reference.search(text) is not None)
    assert ours.delete(text, deadline()) == reference.sub("", text)
    assert ours.split(text, deadline()) == reference.split(text)


@pytest.mark.parametrize("pattern", [r"\p{L}+", "(a", "a{2}++{3}", r"[\w", "(?:abc){e<=1}+)"])
def test_what_python_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="is no regular expression"):
        expression("(?:%s)", pattern, ignore_case=False)


def test_ascii_classes_stay_ascii() -> None:
    ours = expression("%s", r"(?a)\w+", ignore_case=False)
    assert not ours.search("\u00e9", deadline())
    assert ours.search("e", deadline())
