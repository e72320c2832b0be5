"""Retuned rows are the rows of a full run, whatever the texts and bounds; and only those are re-run that must be."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters import dclm
from lakeloom.filters.chain import Chain, Recipe
from lakeloom.filters.retune import RERUN, UNCHANGED, Retuning, records
from tests.filters.test_chain import PAGES

Steps = list[dict[str, object]]
Page = tuple[str | None, str | None]

STEPS: Steps = [
    {"signal": "num_tokens"},
    {"edit": "limit_newlines", "max_run": 1},
    {"signal": "is_listed_host", "hosts": ["bad.org"]},
    {"signal": "mean_word_length"},
    {"edit": "remove_urls"},
    {"signal": "repeated_line_ratio"},
    {"edit": "drop_uppercase_lines", "max_ratio": 0.5},
    {"signal": "removed_token_ratio", "since": "num_tokens"},
    {"signal": "num_chars"},
]
# Values that the signals take on such texts, and those between and beside them.
VALUES = st.sampled_from([-1, 0, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 9, 20])
BOUNDS = st.dictionaries(st.sampled_from(["min", "max", "above", "below"]), VALUES, max_size=2).filter(
    # A recipe with bounds that no value keeps is refused.
    lambda bounds: (
        max([-math.inf, *(bounds[name] for name in ("min", "above") if name in bounds)])
        < min([math.inf, *(bounds[name] for name in ("max", "below") if name in bounds)])
    )
)
WORDS = st.lists(st.sampled_from(["a", "ab", "LOUD", "\n", " ", "1.2.3.4", "an x.org", "\u00e9"]), max_size=8)
ADDRESSES = st.sampled_from([None, "http://good.org", "http://bad.org", "http://[bad"])
PAGE = st.sampled_from(PAGES) | st.tuples(ADDRESSES, st.none() | WORDS.map(" ".join))


@st.composite
def bounded(draw: st.DrawFn, steps: Steps = STEPS) -> Steps:
    """The steps with other bounds on most of the signals, or none."""
    drawn = deepcopy(steps)
    for step in drawn:
        if "signal" in step:
            for bound in ("min", "max", "above", "below"):
                step.pop(bound, None)
            step.update(draw(BOUNDS))
    return drawn


@st.composite
def changed(draw: st.DrawFn, steps: Steps) -> Steps:
    """One step gone, doubled under another id, or with another parameter."""
    drawn, place = deepcopy(steps), draw(st.integers(0, len(steps) - 1))
    kind = draw(st.sampled_from(["cut", "gone", "added", "other"]))
    if kind == "cut":
        return drawn[:place]
    if kind == "added":
        return [*drawn[:place], {"signal": "num_chars", "id": "extra", **draw(BOUNDS)}, *drawn[place:]]
    if kind == "other":
        return [step | ({"max_run": 2} if step.get("edit") == "limit_newlines" else {}) for step in drawn]
    needed = drawn[place].get("signal") == "num_tokens"
    return drawn if needed else [*drawn[:place], *drawn[place + 1 :]]


def recipe(steps: Steps, name: str = "new") -> Recipe:
    return Recipe.from_config({"name": name, "steps": steps})


def batch(pages: list[Page]) -> pa.RecordBatch:
    urls, texts = [url for url, _ in pages], [text for _, text in pages]
    ids = pa.array([str(number) for number in range(len(pages))], pa.string())
    return pa.record_batch({"doc_id": ids, "url": pa.array(urls, pa.string()), "text": pa.array(texts, pa.string())})


def full(steps: Steps | Recipe, pages: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of silver.documents by a whole run."""
    done = Chain(steps if isinstance(steps, Recipe) else recipe(steps)).apply(pages)
    names = ("dropped_by", "dropped_at", "error", "signals", "aggregated", "keys")
    text = {"text": done.text, "num_chars": pc.utf8_length(done.text)}
    return pa.record_batch({"doc_id": pages["doc_id"], **text, **{name: getattr(done, name) for name in names}})


def retuned(
    old: Steps | Recipe, new: Steps | Recipe, pages: pa.RecordBatch
) -> tuple[list[dict[str, object]], list[str]]:
    """Rows by retuning, and what became of each."""
    before, after = (one if isinstance(one, Recipe) else recipe(one) for one in (old, new))
    retuning = Retuning(tuple(records(before)), after)
    stored = full(old, pages)
    fates = retuning.fates(stored.select(["dropped_at", "error", "signals"]))
    is_open = pc.equal(fates, RERUN)
    again = full(new, pages.filter(is_open))
    rows = pa.Table.from_batches([retuning.rows(stored), again])
    return rows.sort_by("doc_id").to_pylist(), fates.to_pylist()


def sorted_rows(rows: pa.RecordBatch) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pa.Table.from_batches([rows]).sort_by("doc_id").to_pylist()
    return found


@given(bounded(), bounded(), st.lists(PAGE, max_size=9))
def test_other_bounds_give_the_rows_of_a_full_run(old: Steps, new: Steps, given_pages: list[Page]) -> None:
    pages = batch(given_pages)
    rows, fates = retuned(old, new, pages)
    expected = sorted_rows(full(new, pages))
    assert rows == expected
    before = sorted_rows(full(old, pages))
    assert [fate == UNCHANGED for fate in fates] == [
        fate != RERUN and was["dropped_at"] == row["dropped_at"]
        for fate, was, row in zip(fates, before, expected, strict=True)
    ]
    # Run again are those alone that the step which had dropped them lets go on.
    for fate, was, row in zip(fates, before, expected, strict=True):
        stop, now = was["dropped_at"], row["dropped_at"]
        assert (fate == RERUN) == (stop is not None and (now is None or int(str(now)) > int(str(stop))))


@given(st.data(), bounded(), st.lists(PAGE, max_size=6))
def test_other_steps_give_the_rows_of_a_full_run(data: st.DataObject, old: Steps, given_pages: list[Page]) -> None:
    new = data.draw(changed(data.draw(bounded(old))))
    pages = batch(given_pages)
    rows, _ = retuned(old, new, pages)
    assert rows == sorted_rows(full(new, pages))


def pipeline(longest: int, shortest: int, key: str) -> Recipe:
    """A pipeline of DCLM's that summarises words, by two steps; or by none."""
    counted = {"_aggregate": {key: "percentiles"}} if key else {}
    steps: Steps = [
        {"func": "word_counter_enricher", "key": "n", "model": "split", **counted},
        {"func": "page_length_filter", "length_type": "char", "max_length": longest},
        {"func": "page_length_filter", "length_type": "char", "min_length": shortest, **counted},
    ]
    return dclm.load(steps)


LIMITS = st.sampled_from([0, 1, 2, 4, 9, 20])
SUMMED = st.builds(pipeline, LIMITS, LIMITS, st.sampled_from(["", "n", "text", "url"]))


@given(SUMMED, SUMMED, st.lists(PAGE, max_size=9))
def test_aggregated_values_are_those_of_a_full_run(old: Recipe, new: Recipe, given_pages: list[Page]) -> None:
    pages = batch(given_pages)
    rows, _ = retuned(old, new, pages)
    assert rows == sorted_rows(full(new, pages))
    assert (old.hash == new.hash) == (old == new)


@given(bounded(), bounded(), st.lists(PAGE, max_size=9), st.lists(st.integers(0, 9), max_size=3))
def test_slices_are_as_good_as_whole_batches(old: Steps, new: Steps, given_pages: list[Page], cuts: list[int]) -> None:
    retuning = Retuning(tuple(records(recipe(old))), recipe(new))
    rows = full(old, batch(given_pages))
    places = sorted({0, rows.num_rows, *(min(cut, rows.num_rows) for cut in cuts)})
    parts = [rows.slice(start, end - start) for start, end in pairwise(places)]
    whole = retuning.rows(rows).to_pylist()
    assert [row for part in parts for row in retuning.rows(part).to_pylist()] == whole


LONG = ("http://good.org", "some words and\nmore words of prose")


def fate(old: object, new: object) -> str:
    def steps(bounds: object) -> Steps:
        assert isinstance(bounds, dict)
        return [STEPS[0] | bounds, STEPS[1], {"signal": "num_chars", "min": 5}]

    rows, fates = retuned(steps(old), steps(new), batch([LONG]))
    assert rows == sorted_rows(full(steps(new), batch([LONG])))
    return fates[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"min": 3}, {"min": 4}, "unchanged"),
        ({"min": 3}, {"min": 8}, "decided"),
        ({"min": 8}, {"min": 9}, "unchanged"),
        ({"min": 8}, {"min": 3}, "rerun"),
        ({"min": 8}, {}, "rerun"),
        ({}, {"max": 6}, "decided"),
    ],
)
def test_fates(old: dict[str, float], new: dict[str, float], expected: str) -> None:
    assert fate(old, new) == expected


def test_an_error_stands_whatever_the_bound() -> None:
    pages = batch([("http://[bad", "text of some words")])
    rows, fates = retuned([STEPS[2] | {"max": 0}], [STEPS[2]], pages)
    assert fates == ["unchanged"]
    assert str(rows[0]["error"]).startswith("ValueError")


def test_what_moved_is_described() -> None:
    old: Steps = [STEPS[0] | {"min": 3}, *STEPS[3:6]]
    new: Steps = [STEPS[0] | {"min": 4, "max": 9}, STEPS[3]]
    retuning = Retuning(tuple(records(recipe(old))), recipe(new))
    assert retuning.described() == [
        "step 0 num_tokens: min 3 -> min 4, max 9",
        "from step 2 on the recipes differ in more than bounds",
    ]
    assert (retuning.num_same, retuning.moved, retuning.is_whole) == (2, [0], False)
    same = Retuning(tuple(records(recipe(new, "a name"))), recipe(new))
    assert (same.described(), same.is_whole) == ([], True)


def test_a_list_file_is_part_of_what_a_step_does(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("one")
    steps: Steps = [{"signal": "num_listed_words", "words_file": str(path), "below": 1}]
    before = tuple(records(recipe(steps)))
    path.write_text("one\ntwo")
    assert Retuning(before, recipe(steps)).num_same == 0
