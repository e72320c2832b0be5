"""Stop words count wherever white space frees them, in any case."""

import pyarrow as pa
import pytest

from lakeloom.filters.stopwords import num_stop_words
from lakeloom.filters.textindex import TextIndex


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (None, None),
        ("", 0),
        ("the", 1),
        ("THE the, (the) tHe\u00a0With\u3000have\n", 4),
        ("then an bee th o", 0),
        ("to be of and that", 5),
        ("\u00f3f t\u0125e", 0),
    ],
)
def test_num_stop_words(text: str | None, number: int | None) -> None:
    assert num_stop_words(TextIndex.of(pa.array([text], pa.string()))).to_pylist() == [number]
