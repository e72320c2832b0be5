from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from lakeloom.filters import overlap, scaffold

NAMES = [f"name{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("form", "left"),
    [
        ("{}", "{}"),
        ("Say who this is: {} Answer:", "{}"),
        ("Say who this is", ""),
        ("{} and {}", "{} and {}"),
    ],
)
def test_what_most_items_begin_or_end_with_is_left_out(form: str, left: str) -> None:
    texts, expected = ([one.format(name, name) for name in NAMES] for one in (form, left))
    hashes, bounds = overlap.words(pa.array(texts))
    begins, ends = scaffold.trimmed(hashes, bounds[:-1], bounds[1:])
    wanted, places = overlap.words(pa.array(expected))
    assert [hashes[a:b].tolist() for a, b in zip(begins, ends, strict=True)] == [
        wanted[a:b].tolist() for a, b in pairwise(places)
    ]


@pytest.mark.parametrize(("num_same", "num_other", "trimmed"), [(11, 0, 2), (10, 0, 0), (11, 33, 0), (12, 33, 2)])
def test_few_items_with_the_same_beginning_keep_it(num_same: int, num_other: int, trimmed: int) -> None:
    texts = [f"same passage {name}" for name in NAMES[:num_same]] + [f"{name} x" for name in NAMES[:num_other]]
    hashes, bounds = overlap.words(pa.array(texts))
    begins, ends = scaffold.trimmed(hashes, bounds[:-1], bounds[1:])
    assert (begins - bounds[:-1])[:num_same].tolist() == [trimmed] * num_same
    assert np.array_equal(ends[:num_same], bounds[1 : num_same + 1])
    none = np.zeros(0, np.int64)
    assert [len(one) for one in scaffold.trimmed(hashes, none, none)] == [0, 0]
