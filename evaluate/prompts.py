"""The texts that a model reads for a task, by llm-foundry 0.9.0's rules (the version that DCLM pins).

Few-shot text, context and continuation are kept apart, since they are tokenised apart.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lakeloom.evaluate.tasks import Example, Task, TaskData, item_id

# DCLM's own `seed: 1` doesn't reach the choice of examples.
SEED = 1234
_BETWEEN_SHOTS = "\n"


@dataclass(frozen=True)
class Prompt:
    """One item: the model reads fewshot + context + continuation; `gold` is the place of the right option."""

    item_id: str  # place in the file, in its category where the task is split
    category: str  # "" where it isn't
    fewshot_rows: tuple[int, ...]
    fewshot: str
    contexts: tuple[str, ...]
    continuations: tuple[str, ...]
    gold: int

    @property
    def options(self) -> list[tuple[str, str, str]]:
        """What is compared: (few-shot text, context, continuation) for each choice, or for each context."""
        return [(self.fewshot, context, end) for context in self.contexts for end in self.continuations]


def build(data: TaskData, limit: int = 0) -> list[Prompt]:
    """The task's first prompts in file order, evenly over its categories where it is split; limit 0: all.

    An item's few-shot examples depend on all items before it and on no later one: a limit changes no prompt.
    """
    parts = _categories(data)
    share = -(-limit // len(parts)) if limit else None
    return [prompt for name, rows in parts for prompt in islice(_prompts(data.task, name, rows), share)]


def fewshot_rows(num_rows: int, num_shots: int) -> Iterator[list[int]]:
    """For each row in turn, the rows shown before it, in order of the text."""
    rng = random.Random(SEED)  # noqa: S311 (the benchmark's draw)
    for index in range(num_rows):
        # The order of the text is that of CPython's set of small integers: the published prompts have it.
        drawn = set(rng.sample(range(num_rows), min(num_rows - 1, num_shots)))
        if index in drawn:
            drawn.remove(index)
            _replace_one(drawn, index, num_rows, rng)
        yield list(drawn)


def _replace_one(drawn: set[int], index: int, num_rows: int, rng: random.Random) -> None:
    if len(drawn) >= num_rows - 1:
        return
    new = rng.choice(range(num_rows))
    while new in drawn or new == index:
        new = rng.choice(range(num_rows))
    drawn.add(new)


def _categories(data: TaskData) -> list[tuple[str, Sequence[Example]]]:
    """(category, rows) where the task is split: each is a data set of its own; else all rows under ""."""
    if not data.task.by_category:
        return [("", data.examples)]
    names = sorted({example.category for example in data.examples})
    return [(name, [example for example in data.examples if example.category == name]) for name in names]


def _prompts(task: Task, category: str, rows: Sequence[Example]) -> Iterator[Prompt]:
    for index, drawn in enumerate(fewshot_rows(len(rows), task.num_fewshot)):
        row = rows[index]
        shots = _BETWEEN_SHOTS.join(_shot(task, rows[place]) for place in drawn)
        before = _BETWEEN_SHOTS if shots else ""
        yield Prompt(
            item_id=item_id(category, index),
            category=category,
            fewshot_rows=tuple(drawn),
            fewshot=shots,
            contexts=tuple(before + (context + task.delimiter).rstrip() for context in row.contexts),
            # GPT-style vocabularies hold " word" as one token.
            continuations=tuple(end if end.startswith(" ") else f" {end}" for end in row.continuations),
            gold=row.gold,
        )


def _shot(task: Task, row: Example) -> str:
    """A row with its answer; a choice that begins with a blank then has two before it."""
    context = row.contexts[row.gold if len(row.contexts) > 1 else 0]
    return context + task.delimiter + row.continuations[row.gold if len(row.continuations) > 1 else 0]
