"""Refusals and licences as verdicts; pages of an ingest that did not look stop the job."""

import pyarrow as pa
import pytest

from lakeloom.filters.chain import Chain
from lakeloom.filters.recipe import Recipe
from lakeloom.filters.rights import has_license, is_opted_out
from lakeloom.lakehouse.errors import ConfigError


def lists(*rows: list[str] | None) -> pa.ListArray:
    return pa.array(rows, pa.list_(pa.string()))


def test_is_opted_out() -> None:
    rows = lists(["noai"], ["noindex", "tdm-reservation"], ["gptbot:noai"], [], ["noindex"])
    assert is_opted_out(rows).to_pylist() == [1, 1, 0, 0, 0]
    assert is_opted_out(rows, agents=("GPTBot",)).to_pylist() == [1, 1, 1, 0, 0]
    assert is_opted_out(rows, directives=("noindex",)).to_pylist() == [0, 1, 0, 0, 1]


def test_has_license() -> None:
    rows = lists(["CC-BY-4.0"], ["CC-BY-NC-4.0"], ["/ours", "CC0-1.0"], ["CC-BY-3.0-US"], [])
    assert has_license(rows).to_pylist() == [1, 0, 1, 1, 0]
    assert has_license(rows, names=("CC-BY-NC", "/ours")).to_pylist() == [0, 1, 1, 0, 0]


def test_slices_and_no_rows() -> None:
    assert is_opted_out(lists(["noai"], [], ["noai"]).slice(1)).to_pylist() == [0, 1]
    assert is_opted_out(lists()).to_pylist() == []


def test_in_a_chain_each_page_has_its_own() -> None:
    steps = [
        {"signal": "num_chars", "min": 2},
        {"signal": "is_opted_out", "max": 0},
        {"signal": "has_license", "min": 1},
    ]
    chain = Chain(Recipe.from_config({"name": "r", "steps": steps}))
    batch = pa.RecordBatch.from_pydict(
        {
            "doc_id": list("abcd"),
            "text": ["x", "long", "long", "long"],
            "refusals": lists([], ["noai"], [], []),
            "licenses": lists([], [], ["CC-BY-4.0"], []),
        }
    )
    assert chain.apply(batch).dropped_by.to_pylist() == ["num_chars", "is_opted_out", None, "has_license"]


def test_pages_that_were_not_looked_at_stop_the_job() -> None:
    chain = Chain(Recipe.from_config({"name": "r", "steps": [{"signal": "is_opted_out", "max": 0}]}))
    with pytest.raises(ConfigError, match=r"with ingest\.keep_rights=true"):
        chain.apply(pa.RecordBatch.from_pydict({"text": ["a", "b"]}))
    with pytest.raises(ConfigError, match="is_opted_out: 1 pages were read without"):
        is_opted_out(lists(["noai"], None, []))
