"""Repetition is what these few lines of Python say, on any text."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uniseg.wordbreak import words as uniseg_words

from lakeloom.filters.characters import characters
from lakeloom.filters.ngrams import MAX_N, MIN_N, ngram_shares, segment_shares
from lakeloom.filters.repetition import (
    repeated_line_char_ratio,
    repeated_line_ratio,
    repeated_ngram_char_ratio,
    repeated_paragraph_char_ratio,
    repeated_paragraph_ratio,
    top_ngram_char_ratio,
)
from lakeloom.filters.textindex import TextIndex

WORDS = ["a", "bb", "ccc", "\u00e9t\u00e9", "\u4e00", "a's", "1.5", "-", " ", "\u3000", "A"]
TEXTS = st.lists(st.sampled_from([*WORDS, "\n", "\n\n", "\n \n", "a bb ", "ccc a\n"]), max_size=80).map("".join)
UNITS = {"line": "\n", "paragraph": "\n\n"}


def segments_reference(text: str, separator: str) -> tuple[float, float]:
    segments = [piece.strip() for piece in text.split(separator) if piece.strip()]
    counts = Counter(segments)
    if not segments:
        return math.nan, math.nan
    repeated = [segment for segment in segments if counts[segment] > 1]
    return len(repeated) / len(segments), sum(map(len, repeated)) / sum(map(len, segments))


def ngrams_reference(text: str, n: int) -> tuple[float, float]:
    if text == "":
        return math.nan, math.nan
    words = [word for word in uniseg_words(text) if word[0].isalnum()]
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(grams)
    most = max(counts.values(), default=1)
    if most == 1:
        return 0.0, 0.0
    total = sum(map(len, words))
    top = max(sum(map(len, gram)) for gram, times in counts.items() if times == most) * most / total
    covered = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
    return top, sum(len(words[i]) for i in covered) / total


def shares(text: str) -> tuple[list[float], list[float]]:
    data = np.frombuffer(text.encode(), np.uint8)
    span = data, np.zeros(1, np.int64), np.array([len(data)]), characters()
    return segment_shares(*span)[0].tolist(), ngram_shares(*span)[0].tolist()


@given(TEXTS)
@example("")
@example("a a a a")
@example(" \n\n\t")
def test_shares_are_those_of_python(text: str) -> None:
    segments, ngrams = shares(text)
    expected = [segments_reference(text, "\n"), segments_reference(text, "\n\n")]
    assert segments == pytest.approx([*expected[0], *expected[1]], abs=0, rel=0, nan_ok=True)
    expected = [ngrams_reference(text, n) for n in range(MIN_N, MAX_N + 1)]
    assert ngrams == pytest.approx([share for pair in expected for share in pair], abs=0, rel=0, nan_ok=True)


MIXED = st.lists(st.sampled_from([*WORDS, "A", "Bb", "BB", "\u0130", "\u1e9e", "ss", "\n", " a ", "\n\n"]), max_size=60)


@given(MIXED.map(" ".join), st.sampled_from([1, 2, 10, 11, 12, 17]), st.booleans())
@example("A a B", 1, True)
@example("one Two ONE two", 2, True)
def test_any_length_of_ngram_with_and_without_case(text: str, n: int, ignore_case: bool) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    expected = ngrams_reference(text.lower() if ignore_case else text, n)
    both = top_ngram_char_ratio, repeated_ngram_char_ratio
    found = [one(index, n=n, ignore_case=ignore_case)[0].as_py() for one in both]
    assert found == [None if math.isnan(share) else share for share in expected]


@given(MIXED.map("".join))
def test_lines_that_differ_in_case_alone(text: str) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    lines = repeated_line_ratio, repeated_line_char_ratio
    paragraphs = repeated_paragraph_ratio, repeated_paragraph_char_ratio
    for signals, separator in ((lines, "\n"), (paragraphs, "\n\n")):
        expected = segments_reference(text.lower(), separator)
        found = [one(index, ignore_case=True)[0].as_py() for one in signals]
        assert found == [None if math.isnan(share) else share for share in expected]


def test_overlapping_bigrams_may_exceed_the_text() -> None:
    assert shares("a a a a")[1][:2] == [1.5, 1.0]


def test_the_longest_of_equally_frequent_ngrams_counts() -> None:
    assert shares("a b x a b y longer words z longer words")[1][0] == 2 * 11 / 29
