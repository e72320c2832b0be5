"""Line edits: a table each, of text before and after."""

import pyarrow as pa
import pytest

from lakeloom.filters import lines
from lakeloom.filters.textindex import TextIndex

CASES = [
    ("drop_uppercase_lines", {"max_ratio": 0.5}, None, None),
    ("drop_uppercase_lines", {"max_ratio": 0.5}, "", ""),
    ("drop_uppercase_lines", {"max_ratio": 0.5}, "LOUD\nQuiet\n\nAb\nABc ", "Quiet\n\nAb\nABc"),
    ("drop_uppercase_lines", {"max_ratio": 0.5}, "LOUD", ""),
    ("drop_uppercase_lines", {"max_ratio": 0.5}, " \u3000fine\n ", "fine"),
    ("drop_numeric_lines", {"max_ratio": 0.999999}, "12\u00b2\u0663\na1\n\n1 2", "a1\n\n1 2"),
    (
        "drop_short_lines",
        {"min_words": 2},
        "one\ntwo words\n\n \nthree more words\n",
        "two words\n\nthree more words\n",
    ),
    ("drop_short_lines", {"min_words": 2}, "\n\n", "\n\n"),
    ("drop_short_lines", {"min_words": 2}, "one", ""),
    ("drop_counter_lines", {}, "3 likes\n(5k views)\n1,234.5 Downloads!\nend", "end"),
    ("drop_counter_lines", {}, "3 like\nlikes: 3\nx 3 likes\n3likes", "3 like\nlikes: 3\nx 3 likes\n3likes"),
    ("drop_counter_lines", {}, " a \n", "a"),
    ("drop_counter_lines", {}, None, None),
]


@pytest.mark.parametrize(("name", "parameters", "text", "expected"), CASES)
def test_dropped_lines(name: str, parameters: dict[str, float], text: str | None, expected: str | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert getattr(lines, name)(index, **parameters).to_pylist() == [expected]
