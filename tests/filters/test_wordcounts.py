"""Words by DCLM's three splitters are what these few lines of Python say, on any text."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uniseg.wordbreak import words as uniseg_words

from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.wordcounts import Model, drop_long_word_lines, num_words

AWKWARD = "aB1 \n.'\t\r\x00\x0b\x1c\x85\xa0\u2028\u3000\u200d\u0301\u4e00\u05d0\"\U0001f1e6\U0001f600_:,\u30a2"
TEXTS = st.text(st.sampled_from(AWKWARD) | st.characters(codec="utf-8"), max_size=40)
MODELS: tuple[Model, ...] = ("fasttext", "uniseg", "split")


def words(text: str, model: Model) -> list[str]:
    if model == "split":
        return text.split()
    if model == "uniseg":
        return list(uniseg_words(text))
    return [token for token in re.split(r"[ \r\t\v\f\0]", text.replace("\n", " </s> ")) if token]


def chosen(text: str, model: Model, ignore_punctuation: bool, ignore_whitespace: bool) -> list[str]:
    found = words(text, model)
    if ignore_punctuation and ignore_whitespace:
        return [word for word in found if word[0].isalnum()]
    if ignore_punctuation:
        return [word for word in found if word[0].isalnum() or word[0].isspace()]
    return [word for word in found if word.strip()] if ignore_whitespace else found


@given(TEXTS, st.sampled_from(MODELS), st.booleans(), st.booleans())
@example("a\n\nb", "fasttext", False, True)
@example("\U0001f1e6\U0001f1e7\U0001f1e8 don't 3.14 e-mail", "uniseg", False, False)
def test_counts_are_those_of_python(text: str, model: Model, punctuation: bool, whitespace: bool) -> None:
    index = TextIndex.of(pa.array([text]))
    counted = num_words(index, model=model, ignore_punctuation=punctuation, ignore_whitespace=whitespace)
    assert counted.to_pylist() == [len(chosen(text, model, punctuation, whitespace))]


@given(TEXTS, st.sampled_from(MODELS), st.booleans(), st.integers(1, 4))
def test_lines_with_long_words_go(text: str, model: Model, punctuation: bool, limit: int) -> None:
    kept = [
        line for line in text.split("\n") if all(len(word) <= limit for word in chosen(line, model, punctuation, True))
    ]
    index = TextIndex.of(pa.array([text]))
    edited = drop_long_word_lines(index, max_length=limit, model=model, ignore_punctuation=punctuation)
    assert edited.to_pylist() == ["\n".join(kept)]


@pytest.mark.parametrize(
    ("text", "model", "punctuation", "number"),
    [
        (None, "split", False, None),
        ("", "fasttext", False, 0),
        ('"Hello (bar) $5 #tag _x stop...', "fasttext", True, 1),
        ("a b\n", "fasttext", False, 3),
        ("a b\n", "fasttext", True, 2),
        ("e-mail", "uniseg", False, 3),
        ("a\u3000b", "fasttext", True, 1),
        ("a\u3000b", "split", True, 2),
    ],
)
def test_num_words(text: str | None, model: Model, punctuation: bool, number: int | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert num_words(index, model=model, ignore_punctuation=punctuation).to_pylist() == [number]
