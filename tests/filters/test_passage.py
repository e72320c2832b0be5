"""A page's way through a recipe says what the chain says, with the text on both sides of each edit."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.chain import Chain, Recipe
from lakeloom.filters.passage import Passage, trace
from tests.filters.test_chain import PAGES, STEPS

RECIPE = Recipe.from_config({"name": "test", "steps": STEPS})


def page(url: str | None, text: str | None) -> pa.RecordBatch:
    return pa.record_batch({"url": pa.array([url], pa.string()), "text": pa.array([text], pa.string())})


def told(passages: tuple[Passage, ...]) -> list[tuple[object, ...]]:
    return [(one.step.id, one.outcome, one.value, one.before, one.after) for one in passages]


def test_a_dropped_page() -> None:
    found = trace(RECIPE, page("http://good.org", "LOUD\n\nAND\nquiet"))
    assert told(found.passages) == [
        ("is_listed_host", "passed", 0.0, None, None),
        ("limit_newlines", "passed", None, "LOUD\n\nAND\nquiet", "LOUD\nAND\nquiet"),
        ("num_tokens", "passed", 3.0, None, None),
        ("mean_word_length", "passed", 4.0, None, None),
        ("repeated_line_ratio", "passed", 0.0, None, None),
        ("drop_uppercase_lines", "passed", None, "LOUD\nAND\nquiet", "quiet"),
        ("removed_token_ratio", "dropped", 2 / 3, None, None),
    ]
    assert found.dropped == found.passages[-1]


def test_steps_after_the_drop_are_not_reached() -> None:
    found = trace(RECIPE, page("http://good.org", "word"))
    assert [one.outcome for one in found.passages] == ["passed", "passed", "dropped", *["not reached"] * 4]
    assert found.passages[2].value == 1.0


def test_a_step_that_failed_says_so() -> None:
    found = trace(RECIPE, page("http://[bad", "an address that urlparse refuses"))
    first = found.passages[0]
    assert (first.outcome, first.value) == ("dropped", None)
    assert first.error is not None and first.error.startswith("ValueError")


def test_an_edit_that_leaves_nothing() -> None:
    recipe = Recipe.from_config({"name": "test", "steps": [{"edit": "remove_urls"}, {"signal": "num_chars"}]})
    found = trace(recipe, page(None, "1.2.3.4"))
    assert told(found.passages)[0] == ("remove_urls", "dropped", None, "1.2.3.4", "")
    assert found.passages[1].outcome == "not reached"


@given(
    st.sampled_from(PAGES) | st.tuples(st.none() | st.text(max_size=20), st.none() | st.text("aB .\n1", max_size=30))
)
def test_the_way_ends_where_the_chain_says(given_page: tuple[str | None, str | None]) -> None:
    batch = page(*given_page)
    found, said = trace(RECIPE, batch), Chain(RECIPE).apply(batch)
    reached = [one for one in found.passages if one.outcome != "not reached"]
    assert (found.dropped.number if found.dropped else None) == said.dropped_at[0].as_py()
    signals = [(one.step.id, one.value) for one in reached if one.step.kind == "signal"]
    assert signals == said.signals[0].as_py()
    edits = [one for one in reached if one.step.kind == "edit"]
    assert [one.before for one in edits] == [given_page[1], *[one.after for one in edits]][: len(edits)]
    if found.dropped is None:
        assert (edits[-1].after if edits else given_page[1]) == said.text[0].as_py()


def test_a_trace_is_of_one_page() -> None:
    with pytest.raises(ValueError, match="not of 2"):
        trace(RECIPE, pa.record_batch({"url": ["a", "b"], "text": ["a", "b"]}))
