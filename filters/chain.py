"""A recipe at work on batches: steps in order on the pages still kept, the first refusal recorded.

Pages are never removed: a dropped one keeps its row, its signals and the step that dropped it. A page on
which a step fails is dropped by that step, with the error; the others of its batch are not touched by it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.kernel import Ints, Mask
from lakeloom.filters.recipe import Recipe, RecipeStep
from lakeloom.filters.steps import Earlier
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import LakeloomError

__all__ = ["Chain", "Recipe", "Result"]

logger = logging.getLogger(__name__)

_PASSES = {"min": pc.greater_equal, "max": pc.less_equal, "above": pc.greater, "below": pc.less}


@dataclass(frozen=True)
class Result:
    """Verdicts on a batch, a row per page, in its order; `cpu_s` and `num_bytes` (of text) are per step."""

    text: pa.StringArray  # after the edits; null if dropped
    dropped_by: pa.StringArray  # id of the step; null if kept
    dropped_at: pa.Int32Array  # number of the step, from 0; null if kept
    error: pa.StringArray  # what failed, where a failure dropped the page
    signals: pa.MapArray  # step id -> value, of the signals that ran on the page
    cpu_s: list[float]
    num_bytes: list[int]


@dataclass(frozen=True)
class _Pages:
    """The pages of a batch that are still kept, and their places in it."""

    rows: Ints
    index: TextIndex
    url: pa.StringArray

    def take(self, chosen: Ints) -> _Pages:
        return _Pages(self.rows[chosen], self.index.take(chosen), self.url.take(pa.array(chosen)))


@dataclass(frozen=True)
class _Verdicts:
    """What has been decided and measured on the pages of a batch so far."""

    dropped_at: Ints  # step number, -1: kept
    errors: dict[int, str] = field(default_factory=dict[int, str])
    signals: dict[str, tuple[Ints, pa.DoubleArray]] = field(default_factory=dict[str, tuple[Ints, pa.DoubleArray]])


class Chain:
    """A recipe with its functions looked up, ready for batches."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._calls = [_Call(step) for step in recipe.steps]

    def apply(self, batch: pa.RecordBatch) -> Result:
        """Run the steps on a batch with the columns `text` and `url` (strings; null allowed)."""
        index = TextIndex.of(batch.column("text"))
        pages = _Pages(np.arange(len(index)), index, batch.column("url"))
        verdicts = _Verdicts(np.full(len(index), -1))
        cpu_s: list[float] = []
        num_bytes: list[int] = []
        for number, call in enumerate(self._calls):
            num_bytes.append(pages.index.num_bytes)
            started = time.thread_time()
            if len(pages.rows):
                pages = _advance(number, call, pages, verdicts)
            cpu_s.append(time.thread_time() - started)
        return self._result(pages, verdicts, cpu_s, num_bytes)

    def _result(self, pages: _Pages, verdicts: _Verdicts, cpu_s: list[float], num_bytes: list[int]) -> Result:
        """Spread what is known of the pages over the rows of the batch."""
        num_rows = len(verdicts.dropped_at)
        places = np.full(num_rows, -1)
        places[pages.rows] = np.arange(len(pages.rows))
        dropped_at = pa.array(verdicts.dropped_at, pa.int32(), mask=verdicts.dropped_at < 0)
        return Result(
            text=pages.index.text.take(pa.array(places, mask=places < 0)),
            dropped_by=pa.array(self.recipe.step_names, pa.string()).take(dropped_at),
            dropped_at=dropped_at,
            error=pa.array([verdicts.errors.get(row) for row in range(num_rows)], pa.string()),
            signals=_signal_maps(num_rows, verdicts),
            cpu_s=cpu_s,
            num_bytes=num_bytes,
        )


class _Call:
    """One step with its function: called on pages, on ever fewer of them where it fails."""

    _INPUTS: ClassVar[dict[str, Callable[[_Pages], TextIndex | pa.StringArray]]] = {
        "index": lambda pages: pages.index,
        "text": lambda pages: pages.index.text,
        "url": lambda pages: pages.url,
    }

    def __init__(self, step: RecipeStep) -> None:
        self.step, self.found = step, step.step
        values = dict(step.parameters)
        self._earlier = {name: str(values.pop(name)) for name, kind in self.found.parameters.items() if kind is Earlier}
        self._values = values

    def __call__(self, pages: _Pages, verdicts: _Verdicts) -> tuple[pa.Array, dict[int, str]]:
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

    def _function(self, pages: _Pages, verdicts: _Verdicts) -> pa.Array:
        """Call it with the inputs it names, its parameters, and the numbers of earlier steps it asks for."""
        inputs = [self._INPUTS[name](pages) for name in self.found.inputs]
        earlier: dict[str, pa.DoubleArray] = {}
        for parameter, step_id in self._earlier.items():
            rows, values = verdicts.signals[step_id]
            earlier[parameter] = values.take(pa.array(np.searchsorted(rows, pages.rows)))
        return self.found.function(*inputs, **self._values, **earlier)


def _advance(number: int, call: _Call, pages: _Pages, verdicts: _Verdicts) -> _Pages:
    """Run one step, note values and refusals; the pages that go on."""
    values, errors = call(pages, verdicts)
    if call.step.kind == "signal":
        verdicts.signals[call.step.id] = pages.rows, values
        passes = _within(values, call.step.bounds)
    else:
        pages = _Pages(pages.rows, pages.index.edited(values), pages.url)
        passes = np.full(len(pages.rows), True)
        if call.found.drops_empty:
            passes = (pages.index.ends > pages.index.starts) | ~pages.index.is_valid
    for place, message in errors.items():
        passes[place] = False
        verdicts.errors[int(pages.rows[place])] = message
    verdicts.dropped_at[pages.rows[~passes]] = number
    return pages if passes.all() else pages.take(np.flatnonzero(passes))


def _within(values: pa.DoubleArray, bounds: tuple[tuple[str, float], ...]) -> Mask:
    """Which values keep all bounds; null keeps none, for it can't be shown to."""
    passes = np.full(len(values), True)
    for name, bound in bounds:
        passes &= _PASSES[name](values, bound).fill_null(False).to_numpy(zero_copy_only=False)
    return passes


def passes(step: RecipeStep, values: pa.DoubleArray) -> Mask:
    """Which values of a signal the step lets pass, as the chain decides it."""
    return _within(values, step.bounds)


def _signal_maps(num_rows: int, verdicts: _Verdicts) -> pa.MapArray:
    """One map per page, of the signals that ran on it, in the recipe's order."""
    measured = list(verdicts.signals.values())
    rows = np.concatenate([rows for rows, _ in measured]) if measured else np.zeros(0, np.int64)
    values = pa.concat_arrays([pa.array([], pa.float64()), *(values for _, values in measured)])
    steps = np.repeat(np.arange(len(measured)), [len(rows) for rows, _ in measured]).astype(np.int64)
    order = np.argsort(rows, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_rows))])
    keys = pa.array(list(verdicts.signals), pa.string()).take(pa.array(steps[order]))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, values.take(pa.array(order)))
