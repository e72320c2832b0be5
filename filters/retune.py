"""A recipe whose bounds changed, decided from what an earlier recipe measured: only what can't be is run again.

Signals are pure, so what was measured before the first step that differs in more than its bounds stays true. A page
that now fails an earlier step loses what came after; one that now passes the step that had dropped it must be run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.chain import passes
from lakeloom.filters.kernel import Ints, Mask
from lakeloom.filters.recipe import Aggregate, Recipe, RecipeStep

UNCHANGED, DECIDED, RERUN = "unchanged", "decided", "rerun"
FATES = (UNCHANGED, DECIDED, RERUN)

_NEVER = np.iinfo(np.int64).max


def records(recipe: Recipe) -> list[str]:
    """The steps as JSON objects `definition`, `bounds` and `id`, to be kept with what the recipe measured."""
    return [_record(step, recipe.aggregates) for step in recipe.steps]


def _record(step: RecipeStep, aggregates: Iterable[Aggregate]) -> str:
    # A definition holds all that the step does but its bounds; a list file by the hash of its bytes.
    wanted = [aggregate.canonical() for aggregate in aggregates if aggregate.step == step.id]
    does = replace(step, bounds=()).canonical()
    definition = json.dumps([does, wanted] if wanted else does, sort_keys=True)
    return json.dumps({"id": step.id, "definition": definition, "bounds": dict(step.bounds)})


@dataclass(frozen=True)
class _Earlier:
    """A step as it was recorded."""

    id: str
    definition: str
    bounds: dict[str, float]


@dataclass(frozen=True)
class Retuning:
    """From an earlier recipe, as its `records`, to a new one; picklable, so that it travels to executors."""

    earlier: tuple[str, ...]
    recipe: Recipe

    @cached_property
    def _steps(self) -> list[tuple[_Earlier, _Earlier]]:
        """Earlier and new steps, side by side, as far as both recipes go."""
        pairs = zip(self.earlier, records(self.recipe), strict=False)
        return [(_parsed(old), _parsed(new)) for old, new in pairs]

    @cached_property
    def num_same(self) -> int:
        """Number of steps, from the first, that differ in nothing but their bounds."""
        differ = (number for number, (old, new) in enumerate(self._steps) if old.definition != new.definition)
        return next(differ, len(self._steps))

    @property
    def is_whole(self) -> bool:
        """Whether the recipes differ in nothing but bounds."""
        return self.num_same == len(self.earlier) == len(self.recipe.steps)

    @cached_property
    def moved(self) -> list[int]:
        """Numbers of the steps whose bounds differ, before the first that differs in more."""
        return [n for n, (old, new) in enumerate(self._steps[: self.num_same]) if old.bounds != new.bounds]

    def described(self) -> list[str]:
        """What differs, a line each."""
        lines = [f"step {n} {new.id}: {_bounds(old)} -> {_bounds(new)}" for n, old, new in self._moves()]
        if not self.is_whole:
            lines.append(f"from step {self.num_same} on the recipes differ in more than bounds")
        return lines

    def fates(self, rows: pa.RecordBatch) -> pa.StringArray:
        """unchanged, decided (by stored values) or rerun, for rows with `dropped_at`, `error` and `signals`."""
        stop, dropped_at, is_open = self._decided(rows)
        numbers = np.where(is_open, FATES.index(RERUN), np.where(dropped_at == stop, 0, FATES.index(DECIDED)))
        return pa.array(FATES, pa.string()).take(pa.array(numbers))

    def rows(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that need no page, as the new recipe gives them; columns of silver.documents, others as they are."""
        _, dropped_at, is_open = self._decided(rows)
        chosen = pa.array(np.flatnonzero(~is_open))
        rows, dropped_at = rows.take(chosen), dropped_at[~is_open]
        num_steps = len(self.recipe.steps)
        is_kept = dropped_at == num_steps
        at = pa.array(dropped_at, pa.int32(), mask=is_kept)
        was = rows.column("dropped_at").fill_null(len(self.earlier))
        is_same = pc.equal(was, pa.array(dropped_at, pa.int32()))
        nothing = pa.scalar(None, pa.string())
        made = {
            "text": pc.if_else(pa.array(is_kept), rows.column("text"), nothing),
            "num_chars": pc.if_else(pa.array(is_kept), rows.column("num_chars"), pa.scalar(None, pa.int32())),
            "dropped_by": pa.array(self.recipe.step_names, pa.string()).take(at),
            "dropped_at": at,
            "keys": pc.if_else(pa.array(is_kept), rows.column("keys"), nothing),
            "error": pc.if_else(is_same, rows.column("error"), nothing),
            "signals": _until(rows.column("signals"), self.recipe.step_names, range(num_steps), dropped_at),
        }
        if self.recipe.aggregates:
            # A step's values are of the pages that it kept.
            names = [aggregate.name for aggregate in self.recipe.aggregates]
            after = [self.recipe.step_names.index(aggregate.step) + 1 for aggregate in self.recipe.aggregates]
            made["aggregated"] = _until(rows.column("aggregated"), names, after, dropped_at)
        else:
            made["aggregated"] = pa.nulls(rows.num_rows, pa.map_(pa.string(), pa.string()))
        arrays = [made.get(name, rows.column(name)) for name in rows.schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)

    def _moves(self) -> list[tuple[int, _Earlier, _Earlier]]:
        return [(number, *self._steps[number]) for number in self.moved]

    def _decided(self, rows: pa.RecordBatch) -> tuple[Ints, Ints, Mask]:
        """The step that dropped each page, earlier and now (the number of steps: kept), and which must be run again."""
        stop = rows.column("dropped_at").fill_null(len(self.earlier)).to_numpy().astype(np.int64)
        failed = rows.column("error").is_valid().to_numpy(zero_copy_only=False)
        now = np.full(len(stop), _NEVER)
        reopened = np.zeros(len(stop), np.bool_)
        for number in self.moved:
            step = self.recipe.steps[number]
            is_measured = (stop > number) | ((stop == number) & ~failed)
            is_within = passes(step, _values(rows.column("signals"), step.id))
            now[is_measured & ~is_within & (now == _NEVER)] = number
            reopened |= is_measured & is_within & (stop == number)
        # Where the earlier drop came first and its step decides as before, it stands.
        now = np.where((stop < self.num_same) & ~reopened, np.minimum(now, stop), now)
        is_open = (now == _NEVER) & (reopened | (not self.is_whole))
        return stop, np.where(now == _NEVER, len(self.recipe.steps), now), is_open


def _until(maps: pa.MapArray, names: Sequence[str], steps: Sequence[int], dropped_at: Ints) -> pa.MapArray:
    """The entries of the names whose step a page reached; others don't stay."""
    rows, keys, values = _entries(maps)
    places = pc.index_in(keys, pa.array(names, pa.string())).fill_null(len(names)).to_numpy()
    is_reached = np.array([*steps, _NEVER])[places] <= dropped_at[rows]
    counts = np.bincount(rows[is_reached], minlength=len(maps))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    chosen = pa.array(is_reached)
    return pa.MapArray.from_arrays(offsets, keys.filter(chosen), values.filter(chosen))


def _parsed(record: str) -> _Earlier:
    found = cast(dict[str, object], json.loads(record))
    return _Earlier(str(found["id"]), str(found["definition"]), cast(dict[str, float], found["bounds"]))


def _bounds(step: _Earlier) -> str:
    return ", ".join(f"{name} {bound:g}" for name, bound in step.bounds.items()) or "no bound"


def _entries(signals: pa.MapArray) -> tuple[Ints, pa.StringArray, pa.Array]:
    """Row, key and value of every entry; a null map has none."""
    offsets = signals.offsets.to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(signals)), np.diff(offsets))
    length = int(offsets[-1] - offsets[0])
    return rows, signals.keys.slice(offsets[0], length), signals.items.slice(offsets[0], length)


def _values(signals: pa.MapArray, step_id: str) -> pa.DoubleArray:
    """What one step measured, null where it measured nothing."""
    rows, keys, values = _entries(signals)
    found = pc.equal(keys, step_id)
    numbers, chosen = values.filter(found), rows[found.to_numpy(zero_copy_only=False)]
    places = np.full(len(signals), -1)
    places[chosen] = np.arange(len(chosen))
    return numbers.take(pa.array(places, mask=places < 0))
