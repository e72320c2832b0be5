"""The counting kernel does what these few lines of Python say, on any text."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakeloom.filters import counts
from lakeloom.filters.characters import characters

AWKWARD = (
    "aB1 \n.#-*\u2022\u25cf\u2026\t\r\x00\x0b\x1c\x85\xa0\u2028\u3000\u200b\u00b2\u0663\u4e00\u0130\u017f\U0001f600"
)
PIECES = ["the", "The ", " WITH\n", "and,", ". . .", "...", "\n\n", "\u2026\n", "* ", " - x", "thE\xa0of", "\u1e9e"]
TEXTS = st.lists(st.sampled_from([*AWKWARD, *PIECES]) | st.characters(codec="utf-8"), max_size=60).map("".join)
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


def reference(text: str) -> list[int]:
    words, lines = text.split(), text.split("\n")
    stripped = [line.strip() for line in lines if line.strip()]
    tokens = [token for token in re.split(r"[ \n\r\t\v\f\0]", text) if token]
    return [
        len(text),
        sum(token[0].isalnum() for token in tokens),
        len(words),
        sum(map(len, words)),
        sum(not any(map(str.isalpha, word)) for word in words),
        sum(word.lower() in STOP_WORDS for word in words),
        sum(map(text.count, ("#", "...", ". . .", "\u2026"))),
        len(stripped),
        sum(line.startswith(("\u25cf", "\u2022", "*", "-")) for line in stripped),
        sum(line.endswith(("...", ". . .", "\u2026")) for line in stripped),
        sum(line != "" and not line.strip() for line in lines),
        sum(1 << place for place, stop in enumerate(STOP_WORDS) if stop in {word.lower() for word in words}),
    ]


def counted(texts: list[str]) -> list[list[int]]:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    rows: list[list[int]] = counts.count(
        np.frombuffer(b"".join(encoded), np.uint8), starts, ends, characters()
    ).tolist()
    return rows


@given(st.lists(TEXTS, min_size=1, max_size=4))
@example([""])
@example([". . . . . ....... . ...\n . . .\n"])
def test_counts_are_those_of_python(texts: list[str]) -> None:
    assert counted(texts) == [reference(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("the, the THE Tha", counts.STOP_WORDS, 2),
        ("wIth \u212a \u0130", counts.STOP_WORDS, 1),
        ('"Hello (bar) $5 #tag _x 2nd\u00a0x stop...', counts.TOKENS, 2),
        ("a\u3000b", counts.TOKENS, 1),
        ("a\u3000b", counts.WORDS, 2),
        ("......", counts.SYMBOLS, 2),
        (" \n\n\t", counts.BLANK_LINES, 2),
    ],
)
def test_counts_case_by_case(text: str, column: int, expected: int) -> None:
    assert counted([text])[0][column] == expected
