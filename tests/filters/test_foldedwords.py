"""The kernel against the definition in plain Python on any text; forms of a text that must have the same words."""

from typing import Literal
from unicodedata import category, normalize

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.foldedwords import APOSTROPHES, folds, room, split_folded
from lakeloom.filters.words import FNV_OFFSET, FNV_PRIME

LIKELY = st.sampled_from(
    "aAéE\u0301ß\u017fﬁﷺ½Ⅳ²\uff41\u00ad\u200b\u2019'\u00b4_-\u2013.  \n\u00a0İΣςά\u0345ᾳ한\u1112\u1161\u11ab日が"
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | LIKELY)


def without_signs(text: str) -> str:
    return "".join(one for one in text if not (one in APOSTROPHES or category(one)[0] == "M" or category(one) == "Cf"))


def plain_words(text: str) -> list[str]:
    """The definition, on the whole text at once."""
    text = without_signs(normalize("NFKD", without_signs(text))).casefold()
    text = without_signs(normalize("NFKD", text))
    return "".join(one if one.isalnum() else " " for one in text).split()


def hash_word(word: str) -> int:
    hashed = int(FNV_OFFSET)
    for letter in word:
        hashed = (hashed ^ ord(letter)) * int(FNV_PRIME) & 2**64 - 1
    return hashed


def split(text: str) -> list[tuple[int, int, int]]:
    """Hash of each word, and where its bytes begin and end."""
    data = text.encode()
    words = room(len(data))
    count = split_folded(np.frombuffer(data, np.uint8), 0, len(data), folds(), words)
    return list(zip(*(column[:count].tolist() for column in words), strict=True))


def hashes(text: str) -> list[int]:
    return [number for number, _, _ in split(text)]


@settings(deadline=None)
@example("")
@example("Naïve NAI\u0308VE—don\u2019t don't DONT; ﬁne \uff46\uff49 ½½ ﷺﷺ x\u00ady \u0301 ' _a_ Straße STRASSE 한글")
@given(TEXT)
def test_the_kernel_finds_the_words_of_the_definition(text: str) -> None:
    assert hashes(text) == [hash_word(word) for word in plain_words(text)]


@settings(deadline=None)
@given(TEXT)
def test_words_lie_where_they_are_said_to(text: str) -> None:
    """What lies between a word's places has the word in it, from its first letter on; two of one sign may share it."""
    for number, start, end in split(text):
        part = text.encode()[start:end].decode()
        words = plain_words(part)
        assert number in [hash_word(word) for word in words]
        assert len(words) == 1 or any(len(normalize("NFKD", one)) > 1 for one in part)


@settings(deadline=None)
@given(TEXT, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_forms_have_the_same_words(text: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> None:
    kept = "".join(one for one in text if one not in APOSTROPHES)  # U+00B4 is a blank and a mark in NFKC
    assert hashes(normalize(form, kept)) == hashes(kept)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't stop", "DONT  stop!"),
        ("naïve café", "NAI\u0308VE CAFE\u0301"),
        ("well-known — so", "well known, so"),
        ("first_name", "First Name"),
        ("of\ufb01ce \uff21\uff22\uff23", "office abc"),
        ("zero\u200bwidth so\u00adft", "zerowidth soft"),
        ("a\u00a0b\u2003c", "a b c"),
        ("\u201cquoted\u201d \u2018text\u2019", '"quoted" text'),
        ("Straße Σίσυφος", "STRASSE ΣΊΣΥΦΟΣ"),
    ],
)
def test_forms_of_a_text_have_the_same_words(one: str, other: str) -> None:
    assert hashes(one) == hashes(other)


def test_a_word_ends_after_its_marks() -> None:
    text = "\ufeffcafe\u0301, e\u0301te\u0301."
    parts = [text.encode()[start:end].decode() for _, start, end in split(text)]
    assert parts == ["cafe\u0301", "e\u0301te\u0301"]
