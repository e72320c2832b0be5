"""One page's way through a recipe: what each step measured or changed, and where the page went.

Made by the chain itself: once for the verdict, and once up to each edit for the text that it gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from lakeloom.filters.chain import Chain, Result
from lakeloom.filters.recipe import Recipe, RecipeStep

Outcome = Literal["passed", "dropped", "not reached"]


@dataclass(frozen=True)
class Passage:
    """A page at one step. `value` is a signal's; `before` and `after` are an edit's texts, null where not reached."""

    number: int
    step: RecipeStep
    outcome: Outcome
    value: float | None = None
    error: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class Trace:
    """All steps of a recipe for one page; `result` is what the chain says of it, a batch of one row."""

    passages: tuple[Passage, ...]
    result: Result

    @property
    def dropped(self) -> Passage | None:
        """The passage that dropped the page."""
        return next((passage for passage in self.passages if passage.outcome == "dropped"), None)


def trace(recipe: Recipe, page: pa.RecordBatch) -> Trace:
    """The way of a page: a batch of one row with the columns that Chain.apply reads."""
    if page.num_rows != 1:
        raise ValueError(f"a trace is of one page, not of {page.num_rows}")
    return Trace(tuple(_passages(recipe, page, result := Chain(recipe).apply(page))), result)


def _passages(recipe: Recipe, page: pa.RecordBatch, result: Result) -> Iterator[Passage]:
    last, error = result.dropped_at[0].as_py(), result.error[0].as_py()
    signals = dict(result.signals[0].as_py())
    text = page.column("text")[0].as_py()
    for number, step in enumerate(recipe.steps):
        if last is not None and number > last:
            yield Passage(number, step, "not reached")
            continue
        outcome: Outcome = "dropped" if number == last else "passed"
        failure = error if number == last else None
        if step.kind == "signal":
            yield Passage(number, step, outcome, signals.get(step.id), failure)
            continue
        before, text = text, _after(recipe, number, page, text, outcome, failure)
        yield Passage(number, step, outcome, None, failure, before, text)


def _after(
    recipe: Recipe, number: int, page: pa.RecordBatch, before: str | None, outcome: Outcome, error: str | None
) -> str | None:
    """The text after an edit. One that failed left it as it was; one that dropped the page left nothing of it."""
    if error is not None:
        return before
    if outcome == "dropped":
        return ""
    found: str | None = Chain(replace(recipe, steps=recipe.steps[: number + 1])).apply(page).text[0].as_py()
    return found
