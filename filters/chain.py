"""A recipe at work on batches: steps in order on the pages still kept, the first refusal recorded.

Pages are never removed: a dropped one keeps its row, its signals and the step that dropped it. A page on
which a step fails is dropped by that step, with the error; the others of its batch are not touched by it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters import aggregates
from lakeloom.filters.kernel import Ints, Mask
from lakeloom.filters.pages import Pages, check
from lakeloom.filters.recipe import Recipe, RecipeStep
from lakeloom.filters.steps import OPTIONAL_COLUMNS, Earlier, Page
from lakeloom.lakehouse.errors import LakeloomError

__all__ = ["Chain", "Recipe", "Result"]

logger = logging.getLogger(__name__)

_PASSES = {"min": pc.greater_equal, "max": pc.less_equal, "above": pc.greater, "below": pc.less}


@dataclass(frozen=True)
class Result:
    """Verdicts on a batch, a row per page, in its order; `cpu_s` and `num_bytes` (of text) are per step.

    Where a mapper split pages, their further parts follow as rows of their own; `origin` says which page they are of.
    """

    text: pa.StringArray  # after the edits; null if dropped
    dropped_by: pa.StringArray  # id of the step; null if kept
    dropped_at: pa.Int32Array  # number of the step, from 0; null if kept
    error: pa.StringArray  # what failed, where a failure dropped the page
    signals: pa.MapArray  # step id -> value, of the signals that ran on the page
    cpu_s: list[float]
    num_bytes: list[int]
    keys: pa.StringArray  # other keys of the page as a JSON object; null if dropped, or if it has none
    origin: pa.Int64Array  # place of the page in the batch
    parent: pa.Int64Array  # row of what a part was split off; the row itself of a whole page
    split_at: pa.Int32Array  # number of the step that split the part off; null of a whole page
    aggregated: pa.MapArray  # aggregate -> the page's value as JSON, if its step kept the page; null if there are none


@dataclass
class _Verdicts:
    """What has been decided and measured on the pages of a batch so far; a row more for each part split off."""

    dropped_at: Ints  # step number, -1: kept
    origin: Ints  # place in the batch
    parent: Ints  # row of the page that a part was split off; else the row itself
    split_at: Ints  # the step that did, -1: none
    errors: dict[int, str] = field(default_factory=dict[int, str])
    signals: dict[str, tuple[Ints, pa.DoubleArray]] = field(default_factory=dict[str, tuple[Ints, pa.DoubleArray]])

    def add_rows(self, parents: list[int], number: int) -> None:
        """New rows for parts that a step split off the pages of these rows."""
        self.dropped_at = np.append(self.dropped_at, np.full(len(parents), -1))
        self.split_at = np.append(self.split_at, np.full(len(parents), number))
        self.origin = np.append(self.origin, self.origin[np.array(parents, np.int64)])
        self.parent = np.append(self.parent, np.array(parents, np.int64))

    def earlier(self, step_id: str, rows: Ints) -> pa.DoubleArray:
        """An earlier signal's values on these rows, or on the pages that they were split off."""
        measured, values = self.signals[step_id]
        places = np.searchsorted(measured, rows)
        while (absent := measured[np.minimum(places, len(measured) - 1)] != rows).any():
            rows = np.where(absent, self.parent[rows], rows)
            places = np.searchsorted(measured, rows)
        return values.take(pa.array(places))


class Chain:
    """A recipe with its functions looked up, ready for batches."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._calls = [_Call(step) for step in recipe.steps]

    def apply(self, batch: pa.RecordBatch) -> Result:
        """Run the steps on a batch with the columns `text` and `url` (strings; null allowed).

        It may have `keys`, a JSON object of each page's other keys, `id` or `doc_id`, which sampling goes by, and the
        columns of steps.OPTIONAL_COLUMNS.
        """
        pages = Pages.of(batch)
        rows = np.arange(batch.num_rows)
        verdicts = _Verdicts(np.full(batch.num_rows, -1), rows, rows, np.full(batch.num_rows, -1))
        cpu_s: list[float] = []
        num_bytes: list[int] = []
        aggregated: dict[str, tuple[Ints, pa.StringArray]] = {}
        for number, call in enumerate(self._calls):
            num_bytes.append(pages.index.num_bytes)
            started = time.thread_time()
            if len(pages.rows):
                pages = (_map if call.step.kind == "mapper" else _advance)(number, call, pages, verdicts)
            cpu_s.append(time.thread_time() - started)
            aggregated |= self._aggregated(call.step.id, pages)
        return self._result(pages, verdicts, (cpu_s, num_bytes), aggregated)

    def _aggregated(self, step_id: str, pages: Pages) -> dict[str, tuple[Ints, pa.StringArray]]:
        """Rows and values of the pages for each aggregate of a step."""
        found: dict[str, tuple[Ints, pa.StringArray]] = {}
        for rule in self.recipe.aggregates:
            if rule.step == step_id:
                values = [aggregates.value(pages.page(place), rule) for place in range(len(pages.rows))]
                has_one = np.array([value is not None for value in values], np.bool_)
                found[rule.name] = pages.rows[has_one], pa.array(values, pa.string()).drop_null()
        return found

    def _result(
        self,
        pages: Pages,
        verdicts: _Verdicts,
        cost: tuple[list[float], list[int]],
        aggregated: dict[str, tuple[Ints, pa.StringArray]],
    ) -> Result:
        """Spread what is known of the pages over the rows of the batch."""
        num_rows = len(verdicts.dropped_at)
        places = np.full(num_rows, -1)
        places[pages.rows] = np.arange(len(pages.rows))
        kept = pa.array(places, mask=places < 0)
        dropped_at = pa.array(verdicts.dropped_at, pa.int32(), mask=verdicts.dropped_at < 0)
        return Result(
            text=pages.index.text.take(kept),
            dropped_by=pa.array(self.recipe.step_names, pa.string()).take(dropped_at),
            dropped_at=dropped_at,
            error=pa.array([verdicts.errors.get(row) for row in range(num_rows)], pa.string()),
            signals=_maps(num_rows, verdicts.signals, pa.float64()),
            cpu_s=cost[0],
            num_bytes=cost[1],
            keys=pa.array([json.dumps(page) if page else None for page in pages.keys], pa.string()).take(kept),
            origin=pa.array(verdicts.origin),
            parent=pa.array(verdicts.parent),
            split_at=pa.array(verdicts.split_at, pa.int32(), mask=verdicts.split_at < 0),
            aggregated=_maps(num_rows, aggregated, pa.string()) if self.recipe.aggregates else _no_maps(num_rows),
        )


def _column(name: str, pages: Pages) -> pa.Array:
    return pages.columns[name]


class _Call:
    """One step with its function: called on pages, on ever fewer of them where it fails."""

    _INPUTS: ClassVar[dict[str, Callable[[Pages], object]]] = {
        "index": lambda pages: pages.index,
        "text": lambda pages: pages.index.text,
        "url": lambda pages: pages.url,
        "id": lambda pages: pages.id,
        "keys": lambda pages: pages.keys,
        **{name: partial(_column, name) for name in OPTIONAL_COLUMNS},
    }

    def __init__(self, step: RecipeStep) -> None:
        self.step, self.found = step, step.step
        values = dict(step.parameters)
        self._earlier = {name: str(values.pop(name)) for name, kind in self.found.parameters.items() if kind is Earlier}
        self._values = values

    def __call__(self, pages: Pages, verdicts: _Verdicts) -> tuple[pa.Array, dict[int, str]]:
        """The function's array, and a message for each page (by place) on which it failed."""
        try:
            return self._function(pages, verdicts), {}
        except (LakeloomError, MemoryError):
            raise
        except Exception as error:
            if len(pages.rows) == 1:
                logger.debug("step %s failed on a page", self.step.id, exc_info=True)
                unchanged = pages.index.text if self.step.kind == "edit" else pa.nulls(1, pa.float64())
                return unchanged, {0: f"{type(error).__name__}: {error}"}
        middle = len(pages.rows) // 2
        left, left_errors = self(pages.take(np.arange(middle)), verdicts)
        right, right_errors = self(pages.take(np.arange(middle, len(pages.rows))), verdicts)
        right_errors = {place + middle: message for place, message in right_errors.items()}
        return pa.concat_arrays([left, right]), left_errors | right_errors

    def map(self, page: Page) -> list[Page]:
        """What a mapper makes of one page."""
        made = self.found.function(page, **self._values)
        if not isinstance(made, list):
            raise TypeError(f"a mapper gives a list of pages, not {type(made).__name__}")
        for part in made:
            check(part)
        return made

    def _function(self, pages: Pages, verdicts: _Verdicts) -> pa.Array:
        """Call it with the inputs it names, its parameters, and the numbers of earlier steps it asks for."""
        inputs = [self._INPUTS[name](pages) for name in self.found.inputs]
        earlier = {name: verdicts.earlier(step_id, pages.rows) for name, step_id in self._earlier.items()}
        return self.found.function(*inputs, **self._values, **earlier)


def _advance(number: int, call: _Call, pages: Pages, verdicts: _Verdicts) -> Pages:
    """Run one step, note values and refusals; the pages that go on."""
    values, errors = call(pages, verdicts)
    if call.step.kind == "signal":
        verdicts.signals[call.step.id] = pages.rows, values
        passes = _within(values, call.step.bounds)
        if call.step.write:
            errors |= _write(call.step, values, pages.keys)
    else:
        pages = pages.with_text(values)
        passes = np.full(len(pages.rows), True)
        if call.found.drops_empty:
            passes = (pages.index.ends > pages.index.starts) | ~pages.index.is_valid
    for place, message in errors.items():
        passes[place] = False
        verdicts.errors[int(pages.rows[place])] = message
    verdicts.dropped_at[pages.rows[~passes]] = number
    return pages if passes.all() else pages.take(np.flatnonzero(passes))


def _write(step: RecipeStep, values: pa.DoubleArray, keys: list[Page]) -> dict[int, str]:
    """Put a signal's values on the pages, counts as whole numbers; a message where the key was there already."""
    errors: dict[int, str] = {}
    for place, value in enumerate(values.to_pylist()):
        if step.write in keys[place] and not step.overwrite:
            errors[place] = f"KeyError: the page has {step.write!r} already"
        elif value is not None:
            keys[place][step.write] = int(value) if step.name.startswith("num_") else value
    return errors


def _map(number: int, call: _Call, pages: Pages, verdicts: _Verdicts) -> Pages:
    """Run a mapper page by page: each is dropped, kept or split; an error drops it."""
    rows, places, made = list[int](), list[int](), list[Page]()
    num_rows, parents = len(verdicts.origin), list[int]()
    for place, row in enumerate(pages.rows.tolist()):
        try:
            parts = call.map(pages.page(place))
        except (LakeloomError, MemoryError):
            raise
        except Exception as error:
            logger.debug("step %s failed on a page", call.step.id, exc_info=True)
            verdicts.errors[row], parts = f"{type(error).__name__}: {error}", []
        if not parts:
            verdicts.dropped_at[row] = number
        first = num_rows + len(parents)
        rows += [row, *range(first, first + len(parts) - 1)] if parts else []
        parents += [row] * (len(parts) - 1)
        places += [place] * len(parts)
        made += parts
    verdicts.add_rows(parents, number)
    order = np.argsort(rows, kind="stable").tolist()
    return pages.with_pages([rows[i] for i in order], [places[i] for i in order], [made[i] for i in order])


def _within(values: pa.DoubleArray, bounds: tuple[tuple[str, float], ...]) -> Mask:
    """Which values keep all bounds; null keeps none, for it can't be shown to."""
    passes = np.full(len(values), True)
    for name, bound in bounds:
        passes &= _PASSES[name](values, bound).fill_null(False).to_numpy(zero_copy_only=False)
    return passes


def passes(step: RecipeStep, values: pa.DoubleArray) -> Mask:
    """Which values of a signal the step lets pass, as the chain decides it."""
    return _within(values, step.bounds)


def _no_maps(num_rows: int) -> pa.MapArray:
    return pa.nulls(num_rows, pa.map_(pa.string(), pa.string()))


def _maps(num_rows: int, found: dict[str, tuple[Ints, pa.Array]], kind: pa.DataType) -> pa.MapArray:
    """One map per page, of the values that were found of it, in the recipe's order."""
    measured = list(found.values())
    rows = np.concatenate([rows for rows, _ in measured]) if measured else np.zeros(0, np.int64)
    values = pa.concat_arrays([pa.array([], kind), *(values for _, values in measured)])
    steps = np.repeat(np.arange(len(measured)), [len(rows) for rows, _ in measured]).astype(np.int64)
    order = np.argsort(rows, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_rows))])
    keys = pa.array(list(found), pa.string()).take(pa.array(steps[order]))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, values.take(pa.array(order)))
