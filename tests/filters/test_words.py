"""Words are exactly those of uniseg (UAX #29, Unicode 16) that begin with a letter or digit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uniseg.wordbreak import words as uniseg_words

from lakeloom.filters.characters import characters
from lakeloom.filters.words import split_words

# Two or more characters of every Word_Break class, emoji for WB3c, and what looks like them.
CLASSES = (
    "\r\n\x0b\x85\u2028\u0300\u0903\u200d\u00ad\u200e\U0001f1e6\U0001f1ff\u30a2\uff71\u05d0\u05ea"
    "aZ\u00e9\u0531'\".\u2018\u2019:\u00b7,;\u066c019\u0663_\u203f \u3000\U0001f600\u2764\u4e00\u3042\u0e01\ud55c!-"
)
TEXTS = st.text(st.sampled_from(CLASSES), max_size=30) | st.text(st.characters(codec="utf-8"), max_size=30)


def fnv1a(word: str) -> int:
    value = 0xCBF29CE484222325
    for byte in word.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def split(text: str) -> tuple[list[int], list[int]]:
    data = np.frombuffer(text.encode(), np.uint8)
    hashes, offsets = np.empty(len(data) + 1, np.uint64), np.empty(len(data) + 1, np.int64)
    num_words = split_words(data, 0, len(data), characters(), hashes, offsets)
    return hashes[:num_words].tolist(), np.diff(offsets[: num_words + 1]).tolist()


@given(TEXTS)
@settings(max_examples=1000)
def test_words_are_those_of_uniseg(text: str) -> None:
    words = [word for word in uniseg_words(text) if word[0].isalnum()]
    assert split(text) == ([fnv1a(word) for word in words], [len(word) for word in words])


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", []),
        ("don't 3.14 U.S.A a_b a:b 1,000.50", [5, 4, 5, 3, 3, 8]),
        ("e-mail 1:2", [1, 4, 1, 1]),
        ("\u6c49\u5b57", [1, 1]),
        ("... !? \n\t", []),
        ("a\u0300\u0300\u0300", [4]),
    ],
)
def test_words_case_by_case(text: str, lengths: list[int]) -> None:
    assert split(text)[1] == lengths
