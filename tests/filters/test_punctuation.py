"""Lines stay where DCLM's regular expressions let them, on any text."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloom.filters.punctuation import drop_unfinished_lines
from lakeloom.filters.textindex import TextIndex

TEXTS = st.text(st.sampled_from("a.!?\"\u2026\u201d'); \n\t\u3000\x1c"), max_size=25)


@given(TEXTS, st.booleans())
@example("...\n..\n. . .\n\n ", True)
def test_lines_are_those_of_the_expressions(text: str, remove_ellipses: bool) -> None:
    kept = [line for line in text.split("\n") if line == "" or re.search(r'[.!?"\u2026]\s*$', line)]
    if remove_ellipses:
        kept = [line for line in kept if not re.search(r"(?:\.\.\.|\u2026)\s*$", line)]
    edited = drop_unfinished_lines(TextIndex.of(pa.array([text])), remove_ellipses=remove_ellipses)
    assert edited.to_pylist() == ["\n".join(kept)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("Menu\nA sentence.\n\nAnother!  \n ", "A sentence.\n\nAnother!  "),
        ("So\u2026\n\u201cquoted\u201d", "So\u2026"),
    ],
)
def test_drop_unfinished_lines(text: str | None, expected: str | None) -> None:
    assert drop_unfinished_lines(TextIndex.of(pa.array([text], pa.string()))).to_pylist() == [expected]
