"""make reference: docs/filters.md, every step that a recipe may name, from the docstrings of lakeloom.filters."""

import importlib
import inspect
import sys
from itertools import groupby

from lakeloom.filters import steps
from lakeloom.filters.parameters import describe
from lakeloom.filters.steps import Kind, Step

_ABOUT = """\
# Filters

Written by `make reference` from the functions' docstrings; a test compares it. A recipe (`conf/recipe/`, or a YAML of
your own) lists steps in order. A **signal** measures a page, and its bounds decide: `min` and `max` allow the bound
itself, `above` and `below` do not; a signal without bounds is only kept as a number. A page without a value (null:
nothing to measure) keeps no bound. An **edit** changes the text that later steps read. A **mapper** is a Python
function of a page with all its keys, as DCLM's are.

A new filter is a function in a file of `filters/`, found by its name: see [how to add one](how-to.md#add-a-filter)."""


def markdown() -> str:
    """The whole page: the steps by the file that they are in."""
    kinds: tuple[Kind, ...] = ("signal", "edit", "mapper")
    known = [steps.step(kind, name, "filters.md") for kind in kinds for name in steps.names(kind)]
    known.sort(key=lambda step: (step.function.__module__, kinds.index(step.kind), step.name))
    index = ["| step | kind | file |", "| --- | --- | --- |"]
    index += [f"| [{step.name}](#{step.name}) | {step.kind} | {_file(step)} |" for step in sorted(known, key=_name)]
    parts = [_ABOUT, "\n".join(index)]
    for module, its_steps in groupby(known, key=lambda step: step.function.__module__):
        about = inspect.getdoc(importlib.import_module(module)) or ""
        parts.append(f"## {module.rpartition('.')[2]}\n{about}")
        parts += map(_step, its_steps)
    return "\n\n".join(parts) + "\n"


def _name(step: Step) -> tuple[str, str]:
    return step.name, step.kind


def _file(step: Step) -> str:
    return f"`filters/{step.function.__module__.rpartition('.')[2]}.py`"


def _step(step: Step) -> str:
    about = " ".join((inspect.getdoc(step.function) or "").split())
    lines = [f"### {step.name}", f"*{step.kind}.* {about}"]
    if step.drops_empty:
        lines.append("A page that it leaves without text is dropped.")
    if step.parameters:
        lines += ["", "| parameter | is | default |", "| --- | --- | --- |"]
    for name, kind in step.parameters.items():
        default = f"`{step.defaults[name]!r}`" if name in step.defaults else "must be given"
        lines.append(f"| `{name}` | {describe(kind)} | {default} |".replace("||", "\\|\\|"))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown())
