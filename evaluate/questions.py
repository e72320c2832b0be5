"""What the items of a task ask, as running text: what a document would have in it that gives an item away.

A prompt's dress is taken off: a label before the text ("Question:", "WORLD HISTORY:") or after it ("Answer:"), and
the list of choices, which copies show in other forms, order and number. Of a schema's two sentences the words that
they begin with are the question, so that the sentence is known by it whatever stands in the gap.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import cast

from lakeloom.evaluate import tasks
from lakeloom.evaluate.tasks import Example, Task, TaskFile
from lakeloom.lakehouse.errors import BadInput

_LABEL = r"\w+(?:[ &'-]+\w+){0,4}:"
_BEFORE = re.compile(rf"\A\s*{_LABEL}\s")
_AFTER = re.compile(rf"(?:^|(?<=[\n.?!]))\s*{_LABEL}\s*$")
# "\nChoices:\nA. one\nB. two", whose letters may be small, in brackets, and followed by a dot or a bracket.
_CHOICES = re.compile(r"(?:\n\s*(?:choices|options):?\s*)?(?=\n\s*\(?a[.)]+\s.*\n\s*\(?b[.)])", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """One item: `text` is what it asks; `rest` goes on from there, with the choices or the right answer."""

    item_id: str  # as in evaluate.prompts
    text: str
    rest: str


def read(task: Task, file: TaskFile) -> list[Question]:
    """The questions of a task's file, in its order."""
    seen = Counter[str]()
    questions: list[Question] = []
    for category, text, rest in _read(task, file):
        part = category if task.by_category else ""
        questions.append(Question(tasks.item_id(part, seen[part]), text, rest))
        seen[part] += 1
    return questions


def _read(task: Task, file: TaskFile) -> Iterator[tuple[str, str, str]]:
    """Category, text and rest of each row."""
    if task.kind == "generation":
        for number, line in enumerate(file.lines, 1):
            yield "", *_generation(task, line, f"{file.path}:{number}")
        return
    for example in tasks.examples(task, file):
        yield example.category, *(_bare(*_only(example)) if len(example.contexts) == 1 else _schema(example))


def _generation(task: Task, line: str, where: str) -> tuple[str, str]:
    try:
        row = cast("dict[str, str]", json.loads(line))
        return _bare(str(row["context"]), str(row["answer"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{where}: no row of task {task.name} (fields context, answer): {error!r}") from error


def _only(example: Example) -> tuple[str, str]:
    return example.contexts[0], example.continuations[example.gold if len(example.continuations) > 1 else 0]


def _schema(example: Example) -> tuple[str, str]:
    options = [context.split(" ") for context in example.contexts]
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, zip(*options, strict=False))]
    return " ".join(shared), " ".join([*options[example.gold][len(shared) :], example.continuations[0]])


def _bare(context: str, answer: str) -> tuple[str, str]:
    listed = _CHOICES.search(context)
    text, rest = (context[: listed.start()], context[listed.end() :]) if listed else (context, answer)
    return _AFTER.sub("", _BEFORE.sub("", text)).strip(), rest
