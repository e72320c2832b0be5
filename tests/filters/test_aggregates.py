"""Summaries of page keys, as DCLM's aggregators give them."""

import json

import pyarrow as pa
import pytest

from lakeloom.filters import aggregates, dclm
from lakeloom.filters.chain import Chain
from lakeloom.filters.recipe import Aggregate
from tests.filters import summaries


def test_percentiles_are_of_nearest_rank() -> None:
    found = summaries.percentiles([4, 1, 3, 2])
    assert found == {"min": 1, "max": 4, "median": 3, "p25": 2, "p75": 3, "p90": 4, "p95": 4, "p99": 4, "mean": 2.5}


def test_histograms_of_strings_and_of_numbers() -> None:
    assert summaries.histogram(["en", "de", "en"]) == {"en": 2, "de": 1}
    bins = summaries.histogram([0, 1, 10])
    assert list(bins.values()) == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert next(iter(bins)) == "0.0"


@pytest.mark.parametrize(
    ("scores", "best"),
    [({"en": 0.99, "de": 0.2}, "en"), ({"en": 0.98}, "none"), ({}, "none"), ({"a": 1.0, "b": 1.0}, "a")],
)
def test_the_best_key_needs_the_threshold(scores: dict[str, float], best: str) -> None:
    assert aggregates.best_key(scores, 0.99, "none") == best


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *[("en", '"en"'), (3, "3"), (True, "true"), (0.5, "0.5"), (None, None), ([1], None), ({"a": 1}, None)],
        *[(float("nan"), None), (float("inf"), None)],
    ],
)
def test_what_has_no_place_in_a_summary_is_left_out(value: object, kept: str | None) -> None:
    assert aggregates.value({"k": value}, Aggregate("step", "k", "histogram")) == kept


def test_a_pipelines_aggregates_are_over_the_pages_that_its_step_kept() -> None:
    transform = {"type": "histogram", "transform": "threshold_transform", "threshold": 0.5}
    steps = [
        {"func": "word_counter_enricher", "key": "n", "_aggregate": {"n": "percentiles"}},
        {"func": "page_length_filter", "length_type": "char", "min_length": 3, "_aggregate": {"n": "percentiles"}},
        {"func": "language_filter", "key": "l", "keep_languages": ["en"], "_aggregate": {"l": transform}},
    ]
    recipe = dclm.load(steps)
    keys = [json.dumps({"l": scores}) for scores in ({"en": 0.9}, {"en": 0.9}, {"en": 0.1}, {"fr": 0.9})]
    columns = {"text": ["a b c d", "", "a bc", "a b"], "keys": keys}
    batch = pa.record_batch({name: pa.array(values, pa.string()) for name, values in columns.items()})
    halves = [Chain(recipe).apply(batch.slice(start, 2)) for start in (0, 2)]
    found = summaries.summaries(recipe, halves)
    assert found["word_counter_enricher", "n"]["mean"] == 2.0
    assert found["page_length_filter", "n"]["min"] == 2.0
    assert found["language_filter", "l"] == {"en": 1, "unknown": 1}
    assert summaries.summaries(recipe, []) == {key: {} for key in found}
