"""Duplicate windows are those of brute force; growth and batches change nothing; a set has a limit."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.spans import cut
from lakeloom.filters.substring import Substrings, _insert, _is_in
from lakeloom.lakehouse.errors import ConfigError
from tests.filters.bff import Verdict, tokens, verdict, verdicts
from tests.filters.test_bloom import DOCUMENTS

MANY_BYTES = 10_000_000


def brute_force(documents: Sequence[str | None], length: int) -> list[Verdict]:
    """Each window beside all windows of earlier texts, and those of its own that end before it begins."""
    earlier, found = set[tuple[str, ...]](), list[Verdict]()
    for document in documents:
        text = document or ""
        runs = [found[i : i + length] for found in [tokens(text)] for i in range(len(found) - length + 1)]
        windows = [tuple(word for _, word in run) for run in runs]
        is_seen = [window in earlier or window in windows[: max(0, i - length + 1)] for i, window in enumerate(windows)]
        gone = [(run[0][0], run[-1][0] + len(run[-1][1])) for run, seen in zip(runs, is_seen, strict=True) if seen]
        found.append(verdict(text, gone, len(windows), sum(is_seen)))
        earlier.update(windows)
    return found


def found(documents: Sequence[str | None], length: int) -> list[Verdict]:
    return verdicts(Substrings(length, max_bytes=MANY_BYTES).apply(pa.array(documents, pa.string())))


@given(DOCUMENTS, st.integers(1, 5))
@example(["a a a a a a a"], 3)
@example(["a b c", None, "x a b c a b c\n"], 3)
@settings(max_examples=500)
def test_spans_are_those_of_brute_force(documents: list[str | None], length: int) -> None:
    assert found(documents, length) == brute_force(documents, length)


def test_a_set_that_grows_forgets_nothing() -> None:
    random = np.random.default_rng(1)
    documents = [" ".join(map(str, random.integers(0, 3, size))) for size in random.integers(0, 400, 60)]
    expected = brute_force(documents, 7)
    assert sum(row.num_ngrams - row.num_contained for row in expected) > 1500  # so the table was doubled twice
    assert found(documents, 7) == expected


def test_a_window_is_told_apart_by_both_hashes() -> None:
    slots = np.zeros((2, 2), np.uint64)
    assert _insert(slots, np.uint64(5), np.uint64(7))
    assert not _insert(slots, np.uint64(5), np.uint64(7))
    assert [_is_in(slots, np.uint64(one), np.uint64(7)) for one in range(8)] == [one == 5 for one in range(8)]
    assert [_is_in(slots, np.uint64(5), np.uint64(other)) for other in range(8)] == [other == 7 for other in range(8)]


@given(DOCUMENTS, st.integers(1, 5), st.data())
def test_batches_change_nothing(documents: list[str | None], length: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(documents)))
    whole = pa.array(documents, pa.string())
    substrings = Substrings(length, max_bytes=MANY_BYTES)
    batches = whole.slice(0, first), whole.slice(first).cast(pa.large_string())
    assert [row for batch in batches for row in verdicts(substrings.apply(batch))] == found(documents, length)


@pytest.mark.parametrize(
    ("documents", "left"),
    [
        (["a b", "a b"], ["a b", "a b"]),  # no window
        (["a b c", "x a b c y"], ["a b c", "x  y"]),
        (["a b c", "a, b c"], ["a b c", "a, b c"]),  # punctuation is a token
        (["a b c", "a\nb\n\nc"], ["a b c", ""]),  # white space is none
        (["a b c", "A b c"], ["a b c", "A b c"]),
        (["a b c d", "a b c d"], ["a b c d", ""]),
        (["a a a a a a a"], ["a a a "]),  # a run keeps its first three
        (["a a a a a"], ["a a a a a"]),  # which no other three follow here
        (["a b c a b c"], ["a b c "]),
        (["a b c", "a b c", "\n a b c \n"], ["a b c", "", "\n  \n"]),
        (["a b c d e f", "a b c\nd e f"], ["a b c d e f", ""]),  # windows overlap over the newline
        (["a b c", "d e f", "a b c\nd e f"], ["a b c", "d e f", "\n"]),  # these do not
        ([None, ""], [None, ""]),
    ],
)
def test_case_by_case(documents: list[str | None], left: list[str | None]) -> None:
    text = pa.array(documents, pa.string())
    removed = Substrings(3, max_bytes=MANY_BYTES).apply(text)
    assert cut(text, removed.starts, removed.ends).to_pylist() == left
    is_emptied = [bool(old) and not (new or "").strip() for old, new in zip(documents, left, strict=True)]
    assert removed.is_emptied.to_pylist() == is_emptied


def test_a_set_over_its_limit_says_what_to_do() -> None:
    text = pa.array([" ".join(map(str, range(1000)))])
    Substrings(1, max_bytes=3 * 16 * 1024).apply(text)
    with pytest.raises(
        ConfigError, match=r"max_bytes=49151: too few .* windows of 1 tokens in one group; .* more cut.groups"
    ):
        Substrings(1, max_bytes=3 * 16 * 1024 - 1).apply(text)


@pytest.mark.parametrize(("length", "max_bytes", "said"), [(0, 10**6, "1 or more"), (50, 16383, "16384 or more")])
def test_wrong_parameters_are_refused(length: int, max_bytes: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Substrings(length, max_bytes=max_bytes)
