"""Lengths: DCLM's page_length_filter, word_length_filter and word_removal_ratio_filter."""

import pyarrow as pa
import pytest

from lakeloom.filters.length import mean_word_length, num_chars, num_tokens, removed_token_ratio
from lakeloom.filters.textindex import TextIndex

# text, code points, tokens, mean word length
CASES = [
    (None, None, None, None),
    ("", 0, 0, None),
    (" \n\t\u3000", 4, 0, None),
    ("a", 1, 1, 1.0),
    ("\u4e00\u4e8c", 2, 1, 2.0),
    ('-- 12 "x" y!', 12, 2, 9 / 4),
    ("\U0001f600 \u00bd", 3, 1, 1.0),
    ("two\nlines", 9, 2, 4.0),
]


@pytest.mark.parametrize(("text", "chars", "tokens", "mean"), CASES)
def test_lengths(text: str | None, chars: float | None, tokens: float | None, mean: float | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert num_chars(index).to_pylist() == [chars]
    assert num_tokens(index).to_pylist() == [tokens]
    assert mean_word_length(index).to_pylist() == [mean]


@pytest.mark.parametrize(
    ("text", "before", "ratio"),
    [("a b c", 4.0, 0.25), ("a b", 2.0, 0.0), ("a b", 1.0, -1.0), ("", 0.0, None), ("", 5.0, 1.0), (None, None, None)],
)
def test_removed_token_ratio(text: str | None, before: float | None, ratio: float | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert removed_token_ratio(index, since=pa.array([before], pa.float64())).to_pylist() == [ratio]
