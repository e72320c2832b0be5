"""A chain on batches: order, first refusal, bounds, errors of one page, and the same rows for any batch size."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.chain import Chain, Recipe, Result

STEPS: list[dict[str, object]] = [
    {"signal": "is_listed_host", "hosts": ["bad.org"], "max": 0},
    {"edit": "limit_newlines", "max_run": 1},
    {"signal": "num_tokens", "min": 2},
    {"signal": "mean_word_length"},
    {"signal": "repeated_line_ratio", "max": 0.5},
    {"edit": "drop_uppercase_lines", "max_ratio": 0.5},
    {"signal": "removed_token_ratio", "since": "num_tokens", "below": 0.5},
]
COLUMNS = ("text", "dropped_by", "dropped_at", "error", "signals")
PAGES = [
    ("http://good.org", "some words\n\n\nhere"),
    ("http://bad.org", "some words here"),
    ("http://good.org", "word"),
    ("http://[bad", "an address that urlparse refuses"),
    ("http://good.org", "a\na\na b\na b"),
    ("http://good.org", "LOUD\nAND\nquiet"),
    ("http://good.org", "LOUD"),
    ("http://good.org", ""),
    ("http://good.org", None),
    (None, "no address"),
]


def apply(pages: Sequence[tuple[str | None, str | None]], steps: list[dict[str, object]] = STEPS) -> Result:
    urls, texts = [url for url, _ in pages], [text for _, text in pages]
    batch = pa.record_batch(
        {
            "doc_id": pa.array([str(i) for i in range(len(pages))], pa.string()),
            "url": pa.array(urls, pa.string()),
            "text": pa.array(texts, pa.string()),
        }
    )
    return Chain(Recipe.from_config({"name": "test", "steps": steps})).apply(batch)


def rows(result: Result) -> list[tuple[object, ...]]:
    return list(zip(*(getattr(result, column).to_pylist() for column in COLUMNS), strict=True))


def test_verdicts() -> None:
    result = apply(PAGES)
    assert result.dropped_by.to_pylist() == [
        None,
        "is_listed_host",
        "num_tokens",
        "is_listed_host",
        "repeated_line_ratio",
        "removed_token_ratio",
        "num_tokens",
        "num_tokens",
        "num_tokens",
        "is_listed_host",
    ]
    assert result.dropped_at.to_pylist() == [None, 0, 2, 0, 4, 6, 2, 2, 2, 0]
    assert result.text.to_pylist() == ["some words\nhere", *[None] * 9]
    assert [number for number, error in enumerate(result.error.to_pylist()) if error] == [3]
    assert "ValueError" in result.error[3].as_py()


def test_signals_are_those_of_the_steps_that_ran() -> None:
    signals = [dict(row) for row in apply(PAGES).signals.to_pylist()]
    assert signals[0] == {
        "is_listed_host": 0.0,
        "num_tokens": 3.0,
        "mean_word_length": 13 / 3,
        "repeated_line_ratio": 0.0,
        "removed_token_ratio": 0.0,
    }
    assert signals[1] == {"is_listed_host": 1.0}
    assert signals[2] == {"is_listed_host": 0.0, "num_tokens": 1.0}
    assert signals[3] == {"is_listed_host": None}
    assert signals[8] == {"is_listed_host": 0.0, "num_tokens": None}


def test_bytes_and_cpu_are_counted_per_step() -> None:
    result = apply(PAGES)
    assert result.num_bytes[0] == sum(len((text or "").encode()) for _, text in PAGES)
    assert result.num_bytes == sorted(result.num_bytes, reverse=True)
    assert len(result.num_bytes) == len(result.cpu_s) == len(STEPS)
    assert all(seconds >= 0 for seconds in result.cpu_s)


@given(st.lists(st.sampled_from(PAGES), max_size=12), st.integers(1, 12))
def test_any_batch_size_gives_the_same_rows(pages: list[tuple[str | None, str | None]], size: int) -> None:
    parts = [apply(pages[start : start + size]) for start in range(0, len(pages), size)]
    assert [row for part in parts for row in rows(part)] == rows(apply(pages))


@pytest.mark.parametrize(
    ("bound", "kept"),
    [
        ({"min": 2}, [2, 3]),
        ({"max": 2}, [1, 2]),
        ({"above": 2}, [3]),
        ({"below": 2}, [1]),
        ({"above": 1, "max": 2}, [2]),
    ],
)
def test_bounds(bound: dict[str, float], kept: list[int]) -> None:
    result = apply([("u", "x " * number) for number in (1, 2, 3)], [{"signal": "num_tokens", **bound}])
    assert [number for number, drop in zip((1, 2, 3), result.dropped_by.to_pylist(), strict=True) if not drop] == kept


def test_no_bound_drops_nothing_and_null_keeps_no_bound() -> None:
    pages = [("u", ""), ("u", None)]
    assert apply(pages, [{"signal": "mean_word_length"}]).dropped_by.to_pylist() == [None, None]
    assert apply(pages, [{"signal": "mean_word_length", "min": -1}]).dropped_by.to_pylist() == ["mean_word_length"] * 2


def test_only_some_edits_drop_empty_pages() -> None:
    pages = [("u", ""), ("u", "1.2.3.4"), ("u", None)]
    assert apply(pages, [{"edit": "limit_newlines", "max_run": 2}]).text.to_pylist() == ["", "1.2.3.4", None]
    assert apply(pages, [{"edit": "remove_urls"}]).dropped_by.to_pylist() == ["remove_urls", "remove_urls", None]


def test_a_recipe_without_steps_keeps_everything() -> None:
    result = apply(PAGES, [])
    assert result.text.to_pylist() == [text for _, text in PAGES]
    assert result.dropped_by.null_count == len(PAGES)
    assert result.signals.to_pylist() == [[]] * len(PAGES)
    assert (result.cpu_s, result.num_bytes) == ([], [])


def test_types_and_no_rows_at_all() -> None:
    result = apply([])
    assert rows(result) == []
    assert str(result.signals.type) == "map<string, double>"
    assert (result.text.type, result.dropped_by.type, result.dropped_at.type) == (pa.string(), pa.string(), pa.int32())
