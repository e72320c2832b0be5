"""Pairs of buckets against the definition, whatever the batches; and what a bucket of everything costs."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters import buckets
from lakeloom.filters.buckets import Pairs

ROWS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcdefghijkl")), unique=True, max_size=40).map(sorted)


def defined(rows: list[tuple[int, str]], reach: int) -> list[tuple[str, str]]:
    """The first `reach` of a bucket with each other, every later one with the first and the one before it."""
    open_ones = defaultdict[int, list[str]](list)
    found: list[tuple[str, str]] = []
    for bucket, name in rows:
        earlier = open_ones[bucket]
        few = earlier if len(earlier) < reach else dict.fromkeys([*earlier[:1], *earlier[-1:]])
        found += [(name, one) for one in few]
        earlier.append(name)
    return found


def taken(rows: list[tuple[int, str]], reach: int, cuts: list[int]) -> list[tuple[str, str]]:
    stream, found = Pairs(reach), list[tuple[str, str]]()
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        numbers, names = pa.array([row[0] for row in rows[start:end]], pa.int64()), [row[1] for row in rows[start:end]]
        later, earlier = stream.take(numbers, pa.array(names, pa.string()))
        found += zip(later.to_pylist(), earlier.to_pylist(), strict=True)
    return found


@given(ROWS, st.integers(1, 5), st.data())
def test_pairs_are_the_definition_whatever_the_batches(
    rows: list[tuple[int, str]], reach: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    assert taken(rows, reach, cuts) == list(dict.fromkeys(defined(rows, reach)))


@given(ROWS, st.integers(1, 5), st.integers(1, 3))
def test_a_pair_that_was_forgotten_comes_again_and_none_is_lost(
    rows: list[tuple[int, str]], reach: int, remembered: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "_REMEMBERED", 1 << remembered)
        found = taken(rows, reach, [])
    assert set(found) == set(defined(rows, reach))
    assert len(found) <= len(defined(rows, reach))


@pytest.mark.parametrize(
    ("reach", "expected"), [(1, 2 * 9_999 - 1), (3, 3 + 2 * 9_997), (100, 99 * 100 // 2 + 2 * 9_900)]
)
def test_a_bucket_of_everything_costs_two_pairs_a_name(reach: int, expected: int) -> None:
    names = pa.array([f"{number:05}" for number in range(10_000)])
    stream, found = Pairs(reach), 0
    for start in range(0, 10_000, 1_000):
        later, earlier = stream.take(pa.array(np.full(1_000, 7)), names.slice(start, 1_000))
        assert all(one > other for one, other in zip(later.to_pylist(), earlier.to_pylist(), strict=True))
        found += len(later)
    assert found == expected


def test_a_stranger_that_is_first_parts_no_family() -> None:
    """It shares the bucket of 1,000 near copies, and is like none of them: they still hang together."""
    names = ["0", *(f"{number:04}" for number in range(1, 1_001))]
    stream = Pairs(3)
    found = [stream.take(pa.array(np.full(len(part), 7)), pa.array(part)) for part in (names[:400], names[400:])]
    edges = [pair for later, earlier in found for pair in zip(later.to_pylist(), earlier.to_pylist(), strict=True)]
    root = {name: name for name in names}
    for one, other in edges:
        if "0" not in (one, other):
            root[one] = root[other]  # a pair's earlier name comes before, so its root is known
    assert {root[name] for name in names[1:]} == {"0001"}
