"""Whatever is taken, replaced or sliced, an index measures what a fresh one of the same texts would."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.textindex import TextIndex

TEXTS = st.lists(st.none() | st.text(st.sampled_from("ab \n.\u00e9\u4e00"), max_size=20), max_size=6)


def measured(index: TextIndex) -> list[object]:
    shares = np.hstack([index.segment_shares, index.ngram_shares])
    lines = index.lines()
    base = np.repeat(index.starts, np.diff(lines.first))
    table = [lines.first.tolist(), (lines.start - base).tolist(), (lines.end - base).tolist()]
    table += [column.tolist() for column in lines[3:]]
    return [index.text.to_pylist(), index.counts.tolist(), np.nan_to_num(shares, nan=-1).tolist(), table]


def fresh(texts: list[str | None]) -> list[object]:
    return measured(TextIndex.of(pa.array(texts, pa.string())))


@given(TEXTS, TEXTS, st.data())
def test_a_used_index_measures_like_a_fresh_one(
    before: list[str | None], other: list[str | None], data: st.DataObject
) -> None:
    index = TextIndex.of(pa.array(before, pa.string()))
    measured(index)
    rows = data.draw(st.lists(st.sampled_from(range(len(before))), unique=True).map(sorted)) if before else []
    taken = index.take(np.array(rows, np.int64))
    kept = [before[row] for row in rows]
    assert measured(taken) == fresh(kept)
    after = [
        new if old is not None and new is not None else old for old, new in zip(kept, [*other, *kept], strict=False)
    ]
    assert measured(taken.edited(pa.array(after, pa.string()))) == fresh(after)
    assert measured(index) == fresh(before)


@given(TEXTS, st.data())
def test_a_rule_is_called_where_it_may_change_something(texts: list[str | None], data: st.DataObject) -> None:
    index = TextIndex.of(pa.array(texts, pa.string()))
    measured(index)
    flags = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    made = index.rewritten(np.array(flags, np.bool_), str.upper, within=index.stripped())
    expected = [text and (text.upper() if flag else text.strip()) for text, flag in zip(texts, flags, strict=True)]
    assert made.to_pylist() == expected
    assert (made is index.text) == (expected == texts)
    assert measured(index.edited(made)) == fresh(expected)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_and_large_strings(kind: pa.DataType) -> None:
    texts = ["left out", "one two", None, "", "drei \u00e4\u00f6\u00fc", "left out"]
    index = TextIndex.of(pa.array(texts, kind).slice(1, 4))
    assert measured(index) == fresh(texts[1:5])
    assert index.num_bytes == len("one two") + len("drei \u00e4\u00f6\u00fc".encode())


def test_no_texts_at_all() -> None:
    for empty in (pa.array([], pa.string()), pa.nulls(0, pa.string()), pa.nulls(2, pa.string())):
        index = TextIndex.of(empty)
        assert measured(index) == fresh(empty.to_pylist())
        assert (
            index.with_lines(index.lines(), np.ones(len(index.lines().start), np.bool_), is_stripped=True) is index.text
        )


def test_null_and_undefined_are_null() -> None:
    index = TextIndex.of(pa.array(["a", None, "b"]))
    assert index.doubles(np.array([1.0, 2.0, np.nan])).to_pylist() == [1.0, None, None]
    assert index.ratio(np.array([1, 1, 1]), np.array([2, 2, 0]), empty=0.0).to_pylist() == [0.5, None, 0.0]


def test_an_edit_that_changes_nothing_keeps_the_index() -> None:
    index = TextIndex.of(pa.array(["a b", None]))
    assert index.edited(index.with_strings(list(index.strings))) is index


def test_a_lone_surrogate_is_no_text() -> None:
    """Arrow strings are valid UTF-8: half a character must be replaced before a page becomes a row."""
    with pytest.raises(UnicodeEncodeError):
        TextIndex.of(pa.array(["\ud800"]))
