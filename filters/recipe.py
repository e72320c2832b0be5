"""Recipes: ordered steps in YAML, checked before any data is read, with an identity made of what they do.

A step is `{signal: name, <parameters>, min/max/above/below: bound}` or `{edit: name, <parameters>}`;
`id` names it where the step's name isn't enough. min and max allow the bound itself, above and below don't.
A signal with `write: key` also puts its value on the page under that key, for mappers and signals that read keys.
`{mapper: name, <parameters>}` is a Python function on whole pages. `{dclm: file}` reads a pipeline of DCLM's instead.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakeloom.filters import extends
from lakeloom.filters.steps import Earlier, Kind, Step, step
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.ids import Json, identity

_BOUNDS = ("min", "max", "above", "below")
_KINDS: tuple[Kind, ...] = ("signal", "edit", "mapper")


@dataclass(frozen=True)
class RecipeStep:
    """One step of a recipe: what to call with which parameters, and which values it lets pass."""

    kind: Kind
    name: str
    id: str
    parameters: tuple[tuple[str, object], ...]
    bounds: tuple[tuple[str, float], ...]
    write: str = ""  # key of the page that a signal's value is put under
    overwrite: bool = False  # whether the page may have that key already; else it is an error of the page
    part_of: str = ""  # step of a DCLM pipeline that this one came from, such as "15 stop_word_filter"

    @property
    def step(self) -> Step:
        """The function it names."""
        return step(self.kind, self.name, f"step {self.id!r}")

    def canonical(self) -> Json:
        """What the identity is made of; a list file counts by its content, not by its path."""
        parameters = {name: _canonical(value) for name, value in self.parameters}
        written: list[Json] = [[self.write, self.overwrite]] if self.write else []
        return [self.kind, self.name, self.id, parameters, dict(self.bounds), *written]


@dataclass(frozen=True)
class Aggregate:
    """A summary of a page key over the pages that a step kept; DCLM's `_aggregate`."""

    step: str  # id of the step
    key: str
    kind: str  # histogram or percentiles
    threshold: float | None = None  # of a dict of scores, the best key with at least this score ...
    default: str = "unknown"  # ... or this

    @property
    def name(self) -> str:
        """What the pages' values and the summary are kept under."""
        return f"{self.step}/{self.key}"

    def canonical(self) -> Json:
        """Its part of the recipe's identity: the values are kept with the documents."""
        return [self.step, self.key, self.kind, self.threshold, self.default]


@dataclass(frozen=True)
class Recipe:
    """An ordered list of steps with a name; picklable, so that it travels to executors."""

    name: str
    steps: tuple[RecipeStep, ...]
    left_out: tuple[str, ...] = ()  # steps of a DCLM pipeline that are no filters: they run over all pages
    delimiter: str = ""  # where DCLM's text would be a list of parts at the end: what stands between them
    aggregates: tuple[Aggregate, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, object], allow: Collection[str] = ()) -> Recipe:
        """Read `dclm`, or `name`, `steps` and what extends.py adds; a ConfigError names recipe, step number and step.

        `allow` names the functions of users' own that the mapper `custom` may import.
        """
        if "dclm" in config:
            from lakeloom.filters import dclm  # it makes recipes itself

            return dclm.from_config(config)
        extends.check_keys(config, f"recipe {config.get('name')!r}")
        name, rows = config.get("name"), config.get("steps")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"recipe: name is {name!r}; give it a name")
        if not isinstance(rows, list | tuple):
            raise ConfigError(f"recipe {name!r}: steps is {rows!r}; give a list, [] for none")
        steps: list[RecipeStep] = []
        for number, row in enumerate([*extends.steps_before(config, f"recipe {name!r}"), *rows]):
            steps.append(_parse(row, f"recipe {name!r}, step {number}", steps))
            _check_allowed(steps[-1], allow)
        return cls(name, tuple(steps))

    @property
    def hash(self) -> str:
        """Identity of what the recipe does: the same steps under another name are the same recipe."""
        wanted = [[aggregate.canonical() for aggregate in self.aggregates]] if self.aggregates else []
        return identity("recipe", [step.canonical() for step in self.steps], *wanted)

    @property
    def step_names(self) -> list[str]:
        """Ids of the steps, in order, each once."""
        return [step.id for step in self.steps]


def _parse(row: object, where: str, before: list[RecipeStep]) -> RecipeStep:
    """One step of the YAML list, given those before it."""
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}: {row!r} is not a mapping like {{signal: num_words, min: 50}}")
    given = {str(key): value for key, value in row.items()}
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        raise ConfigError(f"{where}: needs exactly one of {', '.join(_KINDS)}, has {', '.join(given) or 'nothing'}")
    kind, name = kinds[0], str(given.pop(kinds[0]))
    found = step(kind, name, where)
    where = f"{where} ({name})"
    bounds = tuple((bound, _number(given.pop(bound), f"{where}: {bound}")) for bound in _BOUNDS if bound in given)
    if bounds and kind != "signal":
        raise ConfigError(f"{where}: no {kind} has a {bounds[0][0]}; bounds belong to signals")
    part_of = str(given.pop("part_of", ""))
    if not part_of:  # a DCLM pipeline's bounds stay as DCLM would run them
        _check_bounds(dict(bounds), where)
    write, overwrite = "", False
    if kind == "signal":
        write, overwrite = str(given.pop("write", "")), given.pop("overwrite", False) is True
    step_id = str(given.pop("id", name))
    if any(step_id == other.id for other in before):
        raise ConfigError(f"{where}: a step before it is named {step_id!r} too; give one of them another id")
    parameters = found.checked(given, where)
    for parameter, value in parameters.items():
        if found.parameters[parameter] is Earlier:
            _check_earlier(str(value), before, f"{where}: {parameter}")
    settings = tuple(sorted(parameters.items()))
    return RecipeStep(kind, name, step_id, settings, bounds, write, overwrite, part_of)


def _check_bounds(bounds: Mapping[str, float], where: str) -> None:
    """Refuse bounds that no value is within."""
    lowest = max(bounds.get("min", -math.inf), bounds.get("above", -math.inf))
    highest = min(bounds.get("max", math.inf), bounds.get("below", math.inf))
    is_open = lowest == bounds.get("above") or highest == bounds.get("below")
    if lowest > highest or (lowest == highest and is_open):
        said = ", ".join(f"{name} {bound:g}" for name, bound in bounds.items())
        raise ConfigError(f"{where}: no value is within {said}; every page would be dropped: change one")


def _check_allowed(parsed: RecipeStep, allow: Collection[str]) -> None:
    """Refuse code that the user hasn't named himself."""
    function = dict(parsed.parameters).get("function")
    if parsed.name == "custom" and function not in allow:
        raise ConfigError(f"step {parsed.id!r}: {function} is not allowed; to import it, say recipe.allow=[{function}]")


def _check_earlier(name: str, before: list[RecipeStep], where: str) -> None:
    """Refuse a reference to a step that isn't an earlier signal."""
    signals = [step.id for step in before if step.kind == "signal"]
    if name not in signals:
        raise unknown("earlier signal", name, signals, where)


def _number(value: object, where: str) -> float:
    """A finite bound."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}: {value!r} is not a finite number")
    return float(value)


def _canonical(value: object) -> Json:
    """A parameter as JSON; a file as the hash of its bytes, a folder as those of its files by name."""
    if isinstance(value, Path) and value.is_dir():
        files = sorted(path for path in value.rglob("*") if path.is_file())
        return {path.relative_to(value).as_posix(): _canonical(path) for path in files}
    if isinstance(value, Path):
        return {"sha256": hashlib.sha256(value.read_bytes()).hexdigest()}
    if isinstance(value, tuple):
        return [_canonical(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no canonical form for {value!r}")
