"""Shares of repeated lines, paragraphs and n-grams; the kernels behind them are tested in test_ngrams.py."""

import pyarrow as pa
import pytest

from lakeloom.filters import repetition
from lakeloom.filters.textindex import TextIndex

CASES = [
    ("repeated_line_ratio", {}, "a\nb\n a \n\nc", 0.5),
    ("repeated_line_ratio", {}, "one line", 0.0),
    ("repeated_line_ratio", {}, " \n", None),
    ("repeated_line_ratio", {}, None, None),
    ("repeated_line_char_ratio", {}, "aaaa\nb\naaaa", 8 / 9),
    ("repeated_paragraph_ratio", {}, "a\n\nb\n\na\n\n\nb", 1.0),
    ("repeated_paragraph_ratio", {}, "a\nb\na\nb", 0.0),
    ("repeated_paragraph_char_ratio", {}, "aa\n\nb\n\naa", 4 / 5),
    ("top_ngram_char_ratio", {"n": 2}, "a a a a", 1.5),
    ("top_ngram_char_ratio", {"n": 2}, "A a A b", 0.0),
    ("top_ngram_char_ratio", {"n": 3}, "", None),
    ("top_ngram_char_ratio", {"n": 4}, "\n", 0.0),
    ("top_ngram_char_ratio", {"n": 4}, "!!! ... !!!", 0.0),
    ("repeated_ngram_char_ratio", {"n": 5}, "a b c d e, a b c d e", 1.0),
    ("repeated_ngram_char_ratio", {"n": 6}, "a b c d e, a b c d e", 0.0),
    ("repeated_ngram_char_ratio", {"n": 2}, "x yy zz x yy", 6 / 8),
    ("repeated_ngram_char_ratio", {"n": 10}, None, None),
]


@pytest.mark.parametrize(("name", "parameters", "text", "ratio"), CASES)
def test_shares(name: str, parameters: dict[str, int], text: str | None, ratio: float | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert getattr(repetition, name)(index, **parameters).to_pylist() == [ratio]
