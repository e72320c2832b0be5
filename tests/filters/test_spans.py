"""Cutting by composed spans is cutting twice, on any text; spans of other texts are refused."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloom.filters.spans import compose, cut, merged
from lakeloom.lakehouse.errors import BadInput
from tests.filters.bff import Span, runs

Row = tuple[str | None, list[Span], list[Span]]
LIST = pa.list_(pa.int64())


def left_of(text: str, is_gone: list[bool]) -> str:
    return "".join(character for character, goes in zip(text, is_gone, strict=False) if not goes)


def gone_from(draw: st.DrawFn, text: str) -> list[bool]:
    return draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A text, spans of its bytes, and spans of those that they leave."""
    text = draw(
        st.none() | st.text(st.sampled_from("ab\xe9\u65e5\U0001f600") | st.characters(codec="utf-8"), max_size=12)
    )
    if text is None:
        return None, [], []
    is_gone = gone_from(draw, text)
    left = left_of(text, is_gone)
    both = ((text, is_gone), (left, gone_from(draw, left)))
    first, later = (runs(gone, [len(character.encode()) for character in of]) for of, gone in both)
    return text, first, later


def lists(spans: list[list[Span]]) -> tuple[pa.ListArray, pa.ListArray]:
    starts, ends = ([[span[side] for span in row] for row in spans] for side in (0, 1))
    return pa.array(starts, LIST), pa.array(ends, LIST)


@given(st.lists(rows(), max_size=5))
@example([("abcdef", [(0, 1), (2, 3)], [(0, 1), (2, 3)])])
def test_one_cut_for_two(drawn: list[Row]) -> None:
    text = pa.array([row[0] for row in drawn], pa.string())
    first, later = lists([row[1] for row in drawn]), lists([row[2] for row in drawn])
    starts, ends = compose(*first, *later)
    once = cut(text, starts, ends)
    assert once.equals(cut(cut(text, *first), *later))
    once.validate(full=True)
    for row in zip(starts.to_pylist(), ends.to_pylist(), strict=True):
        bounds = [bound for span in zip(*row, strict=True) for bound in span]
        assert bounds == sorted({*bounds})  # ascending, not empty, not touching


@given(rows())
def test_cut_is_that_of_python(row: Row) -> None:
    text, spans, _ = row
    if text is not None:
        left = text.encode()
        for start, end in reversed(spans):
            left = left[:start] + left[end:]
        assert cut(pa.array([text]), *lists([spans])).to_pylist() == [left.decode()]


def test_slices_nulls_and_other_types() -> None:
    text = pa.array(["zero", "one", None, "three"], pa.large_string())
    starts, ends = pa.array([[0], [0], None, [1, 3]], LIST), pa.array([[4], [2], None, [2, 5]], LIST)
    assert cut(text, starts, ends).to_pylist() == ["", "e", None, "tr"]
    assert cut(text.slice(1), starts.slice(1), ends.slice(1)).to_pylist() == ["e", None, "tr"]
    small = pa.list_(pa.int32())
    assert cut(text, starts.cast(small), ends.cast(small)).to_pylist() == ["", "e", None, "tr"]
    assert cut(text.slice(4), starts.slice(4), ends.slice(4)).to_pylist() == []


@pytest.mark.parametrize("spans", [[(0, 5)], [(2, 1)], [(-1, 1)], [(2, 3), (1, 2)], [(0, 2), (1, 3)]])
def test_spans_of_another_text_are_refused(spans: list[Span]) -> None:
    with pytest.raises(BadInput, match="row 1: its spans to cut are not ascending within 4 bytes"):
        cut(pa.array(["", "four"]), *lists([[], spans]))


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=6), max_size=4))
def test_merged_spans_cover_the_same_bytes(given_spans: list[list[tuple[int, int]]]) -> None:
    spans = [sorted((start, start + size) for start, size in row) for row in given_spans]
    starts, ends = (made.to_pylist() for made in merged(*lists(spans)))
    for row, begins, stops in zip(spans, starts, ends, strict=True):
        assert {place for span in row for place in range(*span)} == {
            place for begin, stop in zip(begins, stops, strict=True) for place in range(begin, stop)
        }
        assert all(stop < begin for stop, begin in zip(stops, begins[1:], strict=False))
