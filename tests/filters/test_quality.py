"""Probability of high quality as DCLM's enricher has it: the library's, of the stripped text with its lines joined."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.quality import as_lines, high_quality_probability
from lakeloom.filters.textindex import TextIndex
from tests.filters.models import QUALITY, WORDS, Kind, library, model_file

# What separates words for fastText, lines for Python, or both; and white space that does neither.
ENDS = [
    "\n",
    "\r",
    "\r\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x1f",
    "\x85",
    "\u2028",
    "\u2029",
    "\xa0",
    "\u3000",
]
TEXTS = st.lists(st.sampled_from([*WORDS, *ENDS, " "]) | st.characters(codec="utf-8"), max_size=30).map("".join)
KINDS = [
    QUALITY,
    Kind(loss=3, labels=("hq", "cc"), word_ngrams=3),
    Kind(loss=4, labels=("cc", "hq"), word_ngrams=2),  # scored by the library
    Kind(labels=("wiki", "cc", "books")),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [model_file(folder / f"{number}.bin", kind) for number, kind in enumerate(KINDS)]


def expected(path: Path, text: str | None) -> float | None:
    if text is None:
        return None
    labels, scores = library(path).predict(" ".join(text.strip().splitlines()))
    return 1.0 - scores[0] if labels[0] == "__label__cc" else float(scores[0])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS | st.none(), min_size=1, max_size=4))
@example(["the\nloom", "the loom", None, ""])
@example(["\u3000the\x1floom\xa0", "the\u2028loom\u2029", "the\x85", "\u2028"])
def test_every_page_has_the_librarys_probability(models: list[Path], texts: list[str | None]) -> None:
    index = TextIndex.of(pa.array(texts, pa.string()))
    for path in models:
        found = high_quality_probability(index, model_file=path).to_pylist()
        assert found == [expected(path, text) for text in texts]


def test_a_text_cut_inside_a_line_separator_is_read_to_its_end() -> None:
    for text, cuts in (("the\u2028", (4, 5)), ("the\x85", (4,))):
        data = np.frombuffer(text.encode(), np.uint8)
        for end in cuts:
            assert as_lines(data, np.array([0]), np.array([end])).tobytes() == data.tobytes()
        assert as_lines(data, np.array([0]), np.array([len(data)])).tobytes().strip() == b"the"
