"""Pairs of buckets against the definition, whatever the batches; and what a bucket of everything costs."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters import buckets
from lakeloom.filters.buckets import Pairs

NAMES = [f"{letter}{number}" for letter in "abcdef" for number in range(9)]  # of which some lead
ROWS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(NAMES)), unique=True, max_size=60).map(sorted)


def defined(rows: list[tuple[int, str]], reach: int) -> list[tuple[str, str]]:
    """The first `reach` of a bucket with each other, later ones with a leader, leaders with two and the first."""
    leads = dict(zip(NAMES, buckets.leaders(pa.array(NAMES)).tolist(), strict=True))
    open_ones, leaders = defaultdict[int, list[str]](list), defaultdict[int, list[str]](list)
    found: list[tuple[str, str]] = []
    for bucket, name in rows:
        earlier, last = open_ones[bucket], leaders[bucket]
        is_early = len(earlier) < reach
        few = dict.fromkeys([*last[:-3:-1], *earlier[:1]] if leads[name] else last[-1:])
        found += [(name, one) for one in (earlier if is_early else few)]
        earlier.append(name)
        if len(earlier) == reach:
            last += earlier[-2:]
        elif leads[name] and not is_early:
            last.append(name)
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


@pytest.mark.parametrize("reach", [1, 3, 100])
def test_a_bucket_of_everything_costs_little_more_than_a_pair_a_name(reach: int) -> None:
    names = pa.array([f"{number:05}" for number in range(10_000)])
    stream, found = Pairs(reach), 0
    for start in range(0, 10_000, 1_000):
        later, earlier = stream.take(pa.array(np.full(1_000, 7)), names.slice(start, 1_000))
        assert all(one > other for one, other in zip(later.to_pylist(), earlier.to_pylist(), strict=True))
        found += len(later)
    num_leaders = int(buckets.leaders(names)[reach:].sum())
    assert 500 < num_leaders < 750
    # A leader has three partners, but where the first is one of the last two leaders.
    most = reach * (reach - 1) // 2 + 10_000 - reach + 2 * num_leaders
    assert most - 4 <= found <= most


def families(edges: list[tuple[str, str]], strangers: set[str], names: list[str]) -> list[int]:
    """Sizes of what hangs together where strangers are like nobody; the largest first."""
    root = {name: name for name in names}

    def top(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for one, other in edges:
        if not {one, other} & strangers:
            root[top(one)] = top(other)
    return sorted(Counter(top(name) for name in names if name not in strangers).values(), reverse=True)


@pytest.mark.parametrize(("num_strangers", "least"), [(0, 2_000), (1, 1_936), (8, 1_488)])
def test_strangers_part_few_of_a_family(num_strangers: int, least: int) -> None:
    """They share the bucket of 2,000 near copies and are like none: the first of all, and leaders further on."""
    copies = [f"{number:04}" for number in range(1, 2_001)]
    after = [
        f"{number:04}-{letter}{more}" for number in range(300, 2_000, 250) for letter in "ab" for more in range(40)
    ]
    leading = np.array(after)[buckets.leaders(pa.array(after))]
    strangers = {
        "0",
        *[next(one for one in leading if one[:4] == place) for place in dict.fromkeys(one[:4] for one in leading)],
    }
    strangers = set(sorted(strangers)[:num_strangers])
    names = sorted([*copies, *strangers])
    stream = Pairs(100)
    found = [stream.take(pa.array(np.full(len(part), 7)), pa.array(part)) for part in (names[:777], names[777:])]
    edges = [pair for later, earlier in found for pair in zip(later.to_pylist(), earlier.to_pylist(), strict=True)]
    assert families(edges, strangers, names)[0] >= least
