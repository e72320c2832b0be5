"""Languages written on a page: of the whole text, or of its sentences. DCLM's language enrichers.

Models: fastText's lid.176, or langdetect (a port of Nakatani Shuyo's library; random unless given a seed).
"""

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from lakeloom.filters.language import is_blank, top_language
from lakeloom.filters.sentences import Tokenizer, sentences
from lakeloom.filters.steps import Page, mapper

Detector = Literal["fasttext", "langdetect"]
Scores = dict[str, float]


@mapper
def detect_languages(
    page: Page,
    *,
    model: Detector,
    key: str,
    overwrite: bool = False,
    seed: int | None = None,
    model_file: Path | None = None,
    is_forgiving: bool = False,
) -> list[Page]:
    """Write {language: probability} under a key: fastText's likeliest language, or all that langdetect reports.

    Texts of ASCII punctuation and blanks have none. langdetect fails on other texts without letters that it knows,
    such as digits only; that loses the page, as in DCLM, unless `is_forgiving`: then they have none either. fastText
    reads lines glued together, as in DCLM; if forgiving, with blanks between them.
    """
    text = cast(str, page["text"])
    if model == "fasttext":
        found = {} if is_blank(text) else top_language(text.replace("\n", " " if is_forgiving else ""), model_file)
    else:
        found = {} if is_blank(text) else _langdetect(text, seed, is_forgiving)
    return [_written(page, key, found, overwrite)]


@mapper
def detect_sentence_languages(
    page: Page,
    *,
    model: Detector,
    tokenizer: Tokenizer,
    key: str,
    overwrite: bool = False,
    model_file: Path | None = None,
    is_forgiving: bool = False,
) -> list[Page]:
    """Write {language: {average_probability, number_of_sentences}} under a key, from each sentence's languages.

    With fasttext a sentence with a newline in it loses the page, as in DCLM; if forgiving, blanks replace newlines.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for sentence in sentences(cast(str, page["text"]), tokenizer=tokenizer):
        for language, score in _sentence(sentence, model, model_file, is_forgiving).items():
            scores[language].append(score)
    found = {
        language: {"average_probability": sum(values) / len(values), "number_of_sentences": len(values)}
        for language, values in scores.items()
    }
    return [_written(page, key, found, overwrite)]


def _sentence(sentence: str, model: Detector, model_file: Path | None, is_forgiving: bool) -> Scores:
    if is_blank(sentence):
        return {}
    if model == "langdetect":
        return _langdetect(sentence, None, is_forgiving)
    return top_language(sentence.replace("\n", " ") if is_forgiving else sentence, model_file)


def _written(page: Page, key: str, value: object, overwrite: bool) -> Page:
    if key in page and not overwrite:
        raise KeyError(f"the page has {key!r} already")
    page[key] = value
    return page


def _langdetect(text: str, seed: int | None, is_forgiving: bool) -> Scores:
    library = _library()
    if seed is not None:
        library.DetectorFactory.seed = seed
    try:
        return {found.lang: found.prob for found in library.detect_langs(text)}
    except library.LangDetectException:
        if is_forgiving:
            return {}
        raise


@cache
def _library() -> Any:
    import langdetect  # 55 profiles, read on first use

    return langdetect
