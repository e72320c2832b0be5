"""Runs of newlines are cut, nothing else is touched."""

import pyarrow as pa
import pytest

from lakeloom.filters.newlines import limit_newlines
from lakeloom.filters.textindex import TextIndex


@pytest.mark.parametrize(
    ("text", "max_run", "expected"),
    [
        (None, 2, None),
        ("", 2, ""),
        ("\n\n\n\n", 2, "\n\n"),
        ("a\n\nb", 2, "a\n\nb"),
        ("a\n\n\nb\n\n\n\nc", 2, "a\n\nb\n\nc"),
        ("a\n\nb", 0, "ab"),
        ("a\n\nb", -1, "ab"),
        ("a\n\nb", -2, "a\n\nb"),
        ("a\r\n\r\n\r\nb", 2, "a\r\n\r\n\r\nb"),
    ],
)
def test_limit_newlines(text: str | None, max_run: int, expected: str | None) -> None:
    assert limit_newlines(TextIndex.of(pa.array([text], pa.string())), max_run=max_run).to_pylist() == [expected]
