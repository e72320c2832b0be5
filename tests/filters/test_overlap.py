"""N-grams and hits against plain Python on any texts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.filters import overlap
from lakeloom.filters.overlap import Lookup, Ngrams
from tests.filters.test_foldedwords import plain_words, split

SOME = ["a", "b", "A", "B", "c.", "É", "e\u0301", "½", "x-y", "don\u2019t", "dont", "7"]
TEXT = st.lists(st.sampled_from(SOME), max_size=30).map(" ".join)
ITEMS = st.lists(TEXT, max_size=6)


def runs(text: str, ngram: int, head: int) -> list[tuple[str, ...]]:
    """The definition: n words in a row, or all words where they are fewer."""
    words = plain_words(text)
    if len(words) < head:
        return []
    length = min(ngram, len(words))
    return [tuple(words[place : place + length]) for place in range(len(words) - length + 1)]


def ngrams_of(items: list[str], ngram: int, head: int) -> Ngrams:
    hashes, bounds = overlap.words(pa.array(items, pa.string()))
    return overlap.ngrams(hashes, bounds[:-1], bounds[1:], ngram, head)


def made(items: list[str], ngram: int, head: int) -> Lookup:
    return overlap.lookup([ngrams_of(items, ngram, head)], head)


@settings(deadline=None)
@given(ITEMS, st.integers(1, 4), st.integers(0, 3))
def test_ngrams_are_the_different_runs_of_words_in_order(items: list[str], head: int, more: int) -> None:
    found = ngrams_of(items, head + more, head)
    expected = []
    for row, text in enumerate(items):
        own = runs(text, head + more, head)
        expected += [(row, place, len(run)) for place, run in enumerate(own) if run not in own[:place]]
    assert list(zip(*(column.tolist() for column in found[:3]), strict=True)) == expected
    kinds = {run for text in items for run in runs(text, head + more, head)}
    assert len(set(found.firsts.tolist())) == len(set(found.seconds.tolist())) == len(kinds)
    assert len(made(items, head + more, head).firsts) == len(kinds)


@settings(deadline=None)
@given(ITEMS, st.lists(st.none() | TEXT, max_size=5), st.integers(1, 4), st.integers(0, 3))
def test_hits_are_the_runs_that_items_have(items: list[str], texts: list[str | None], head: int, more: int) -> None:
    known = {run for item in items for run in runs(item, head + more, head)}
    found = overlap.hits(pa.array(texts, pa.string()), made(items, head + more, head))
    expected = []
    for row, text in enumerate(texts):
        words, places = plain_words(text or ""), split(text or "")
        spans = [(a, b) for a in range(len(words)) for b in range(a + 1, len(words) + 1) if tuple(words[a:b]) in known]
        expected += [(row, places[a][1], places[b - 1][2]) for a, b in spans]
    got = zip(found.rows.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)
    assert list(got) == expected


def test_a_hit_has_both_hashes_of_its_ngram() -> None:
    items = ["one two three four", "two three four five"]
    known = made(items, 3, 3)
    found = overlap.hits(pa.array(["Two, three; four!", None, "", "one two"]), known)
    (place,) = np.flatnonzero(known.firsts == found.firsts[0])
    assert found.rows.tolist() == [0] and found.seconds.tolist() == [known.seconds[place]]
    assert (found.starts.tolist(), found.ends.tolist()) == ([0], [16])


def test_the_second_hash_decides_where_first_ones_are_the_same() -> None:
    known = made(["one two three"], 3, 3)
    both = np.array([0, 1], np.uint64)
    collided = known._replace(firsts=np.repeat(known.firsts, 2), seconds=known.seconds[0] + both)
    for number, expected in ((0, [0]), (1, [])):
        some = collided._replace(seconds=collided.seconds + np.uint64(number))
        assert overlap.hits(pa.array(["one two three"]), some).rows.tolist() == expected


@pytest.mark.parametrize("texts", [[], [None, ""], ["one"]])
def test_nothing_to_find_or_to_search(texts: list[str | None]) -> None:
    empty = overlap.lookup([], 3)
    assert len(empty.firsts) == 0
    for known in (empty, made(["one two three"], 3, 3)):
        assert len(overlap.hits(pa.array(texts, pa.string()), known).rows) == 0


def test_rows_do_not_depend_on_their_batch() -> None:
    texts = pa.array(["x one two three", None, "one two three", "", "three one two three"])
    known = made(["one two three"], 3, 3)
    whole = overlap.hits(texts, known)
    assert whole.rows.tolist() == [0, 2, 4]
    assert overlap.hits(texts.slice(2), known).rows.tolist() == [0, 2]
    assert overlap.hits(texts.slice(2), known).starts.tolist() == whole.starts[1:].tolist() == [0, 6]
