"""Lengths of lines, and numbers of lines and paragraphs, against str.splitlines and re.split."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloom.filters import linelength
from lakeloom.filters.textindex import TextIndex

TEXTS = st.text(st.sampled_from("ab1 \n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029\u00e9\U0001f600"), max_size=30)


def one(array: pa.Array) -> object:
    return array.to_pylist()[0]


@given(TEXTS)
@example("")
@example("a\r\n\r")
@example("\n\r")
def test_lengths_are_those_of_python(text: str) -> None:
    index, lines = TextIndex.of(pa.array([text])), text.splitlines()
    assert one(linelength.max_line_length(index)) == max(map(len, lines), default=None)
    assert one(linelength.mean_line_length(index)) == (sum(map(len, lines)) / len(lines) if lines else None)
    assert one(linelength.alnum_char_ratio(index)) == (sum(map(str.isalnum, text)) / len(text) if text else None)


@given(TEXTS, st.sampled_from(["\n", "\n\n", "[ab]"]), st.booleans())
@example("", "\n", False)
@example("a\n\n\nb", "\n\n", True)
def test_pieces_are_those_of_python(text: str, separator: str, remove_empty: bool) -> None:
    pieces = [piece for piece in re.split(separator, text) if piece.strip() or not remove_empty]
    counted = linelength.num_pieces(TextIndex.of(pa.array([text])), separator=separator, remove_empty=remove_empty)
    assert one(counted) == len(pieces)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b\nc d e\n\n", "a b\n\n"), ("a b c", ""), ("", ""), (None, None)],
)
def test_drop_long_lines(text: str | None, expected: str | None) -> None:
    assert one(linelength.drop_long_lines(TextIndex.of(pa.array([text], pa.string())), max_words=2)) == expected
