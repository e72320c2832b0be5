"""Filters as DCLM's expdb.py takes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.lakehouse import expdb
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json

ROW = expdb.flat(
    {"name": "c4-1b", "hyperparameters": {"tokens": 28_795_904_000, "lr": 0.003}, "size": "26T", "x": None}
)


@pytest.mark.parametrize(
    ("word", "passes"),
    [
        ("name=c4", True),
        ("name=^1b", False),
        ("hyperparameters.tokens>=28B", True),
        ("hyperparameters.tokens<28.8B", True),
        ("hyperparameters.tokens>28795904000", False),
        ("hyperparameters.tokens<=28795904K", True),
        ("hyperparameters.lr=003", True),
        ("size>25T", True),
        ("x>1", False),
        ("x=None", True),
        ("absent=.", False),
        ("absent<1", False),
        ("name>1", False),
    ],
)
def test_a_filter_passes_or_not(word: str, passes: bool) -> None:
    [(_, filter_)] = expdb.parse([word])
    assert filter_(ROW) is passes


@pytest.mark.parametrize(
    ("word", "said"), [("name", "is no filter"), ("a=(", "no regular expression"), ("a>=many", "is no number")]
)
def test_what_is_no_filter_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        expdb.parse([word])


@given(st.dictionaries(st.text("abc", min_size=1), st.integers() | st.dictionaries(st.text("de"), st.integers())))
def test_every_value_is_a_column(reference: dict[str, Json]) -> None:
    leaves = [
        leaf
        for value in reference.values()
        for leaf in (value.values() if isinstance(value, dict) and value else [value])
    ]
    assert sorted(map(str, expdb.flat(reference).values())) == sorted(map(str, leaves))
