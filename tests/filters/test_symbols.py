"""Symbols, bullets, ellipses, words without letters: shares, and which side empty texts fall on."""

import pyarrow as pa
import pytest

from lakeloom.filters import symbols
from lakeloom.filters.textindex import TextIndex

CASES = [
    ("symbol_to_word_ratio", None, None),
    ("symbol_to_word_ratio", "", None),
    ("symbol_to_word_ratio", " \n", None),
    ("symbol_to_word_ratio", "#", 1.0),
    ("symbol_to_word_ratio", "#a ## b... c \u2026", 5 / 5),
    ("symbol_to_word_ratio", "......", 2.0),
    ("symbol_to_word_ratio", "a . . . b", 1 / 5),
    ("bullet_line_ratio", None, None),
    ("bullet_line_ratio", "", 0.0),
    ("bullet_line_ratio", "\n \n", 0.0),
    ("bullet_line_ratio", "-", 1.0),
    ("bullet_line_ratio", "  * a\n\n\u2022b\n\u25cf c\n\u2023 d\n+ e\n\u3000- f", 4 / 6),
    ("ellipsis_line_ratio", None, None),
    ("ellipsis_line_ratio", "", 0.0),
    ("ellipsis_line_ratio", "a...\nb\u2026 \n. . .\n. .\nc..\n", 3 / 5),
    ("ellipsis_line_ratio", "..\u3000", 0.0),
    ("unalphabetic_word_ratio", None, None),
    ("unalphabetic_word_ratio", "", None),
    ("unalphabetic_word_ratio", "1 a1 \u4e00 -- \u00b2", 3 / 5),
]


@pytest.mark.parametrize(("name", "text", "ratio"), CASES)
def test_ratios(name: str, text: str | None, ratio: float | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert getattr(symbols, name)(index).to_pylist() == [ratio]
