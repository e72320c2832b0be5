"""The language of a text: threshold cases by their side, blanks without one."""

import math
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloom.filters.language import language_score
from lakeloom.filters.textindex import TextIndex
from tests.filters.models import Kind, library, model_file

ENGLISH = "The committee will meet again in spring,\nwhen the report of the working group has been written."
GERMAN = "Der Ausschuss tritt im Fr\u00fchling wieder zusammen, wenn der Bericht geschrieben ist."


def score(text: str | None, language: str) -> float:
    """The score; NaN for null."""
    scores: list[float | None] = language_score(
        TextIndex.of(pa.array([text], pa.string())), language=language
    ).to_pylist()
    return math.nan if scores[0] is None else scores[0]


def test_the_likeliest_language_scores_and_the_others_do_not() -> None:
    assert score(ENGLISH, "en") > 0.9
    assert score(ENGLISH, "de") == 0.0
    assert score(GERMAN, "de") > 0.9
    assert score(GERMAN, "en") == 0.0


@pytest.mark.parametrize("text", ["", " ", "...!?", "  (--)  "])
def test_blanks_and_punctuation_have_no_language(text: str) -> None:
    assert score(text, "en") == 0.0


def test_another_model_can_be_named(tmp_path: Path) -> None:
    path = model_file(tmp_path / "own.bin", Kind(labels=("en", "tlh")))
    texts = pa.array(["the loom", "a", "...", None])
    found = {
        name: language_score(TextIndex.of(texts), language=name, model_file=path).to_pylist() for name in ("en", "tlh")
    }
    for nth, text in enumerate(texts.to_pylist()[:2]):
        (label,), (expected,) = library(path).predict(text)
        assert found[label.removeprefix("__label__")][nth] == expected
        assert min(scores[nth] for scores in found.values()) == 0.0
    assert [scores[2:] for scores in found.values()] == [[0.0, None]] * 2


def test_newlines_are_deleted() -> None:
    broken = ENGLISH.replace("working group", "working\ngroup")
    assert score(broken, "en") == score(broken.replace("\n", ""), "en") != score(broken.replace("\n", " "), "en")


def test_null_and_nul() -> None:
    assert math.isnan(score(None, "en"))
    assert score("a\x00b", "en") >= 0
