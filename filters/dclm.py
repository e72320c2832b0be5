"""DCLM's pipelines as they are: a YAML of functions and arguments becomes a recipe of signals, edits and mappers.

The decisions are DCLM's, peculiar ones too. `_fix: true` in a step, a key that DCLM ignores, gives what the function
is meant to do instead; docs/parity.md lists what that is. What DCLM would fail on at every page is refused here.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml

from lakeloom.filters.custom import ready
from lakeloom.filters.dclm_plan import TABLE, Plan, Row
from lakeloom.filters.parameters import Parameters
from lakeloom.filters.recipe import Aggregate, Recipe
from lakeloom.filters.steps import load_all
from lakeloom.lakehouse.errors import ConfigError, unknown

_GLOBAL = "exact_dedup"  # runs over all pages, not page by page
_AGGREGATORS = ("histogram", "percentiles")
_TRANSFORM = "threshold_transform"


def from_config(config: Mapping[str, object]) -> Recipe:
    """The recipe of {dclm: file} with, if wanted, source, name, lists (folders of files) and allow (functions)."""
    parameters = Parameters.of(_settings)
    given = parameters.checked({str(key): value for key, value in config.items()}, "a DCLM recipe", "recipe")
    folders = [Path(folder) for folder in cast(tuple[str, ...], given["lists"])]
    source, name = (cast("str | None", given[key]) for key in ("source", "name"))
    allow = cast(tuple[str, ...], given["allow"])
    return load(cast(Path, given["dclm"]), source, allow=allow, folders=folders, name=name)


def _settings(
    *,
    dclm: Path,
    source: str | None = None,
    name: str | None = None,
    lists: tuple[str, ...] = (),
    allow: tuple[str, ...] = (),
) -> None:
    """What {dclm: file} may say."""


def load(
    pipeline: object,
    source: str | None = None,
    *,
    allow: Sequence[str] = (),
    folders: Sequence[Path] = (),
    name: str | None = None,
    delimiter: str | None = None,
) -> Recipe:
    """The recipe of a pipeline: a path, or what is in such a file, or a bare list of steps.

    `source` chooses among several; `allow` names the dotted functions that may be imported. Files that steps name are
    looked for from here, in `folders`, and in the folder of the pipeline and those above it. Every mistake is a
    ConfigError naming pipeline, step number and function. `delimiter` stands between the parts of texts that are
    lists in DCLM from the beginning.
    """
    load_all()
    places, above = list(folders), tuple[Path, ...]()
    if isinstance(pipeline, str | Path):
        path = Path(pipeline).absolute()
        places.append(path.parent)
        above = tuple(path.parents)
        name = name or path.stem
        pipeline = _read(path)
    where = f"pipeline {name or 'dclm'!r}"
    return _Translator(Plan(tuple(places), above, delimiter=delimiter), frozenset(allow), where).recipe(
        name or "dclm", _steps(pipeline, source, where)
    )


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"no pipeline {str(path)!r}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from error


def is_pipeline(content: object) -> bool:
    """Whether the content of a YAML is a pipeline of DCLM's, not a recipe: a list of {source, steps}."""
    return isinstance(content, list)


def _steps(pipeline: object, source: str | None, where: str) -> list[object]:
    """The steps of the source; of several with one name the last counts, as in DCLM."""
    if not isinstance(pipeline, list) or not pipeline:
        raise ConfigError(f"{where}: {_short(pipeline)} is no list like [{{source: cc, steps: [...]}}]")
    if not all(isinstance(block, Mapping) and "steps" in block for block in pipeline):
        return pipeline
    sources = {str(block.get("source")): block["steps"] for block in pipeline}
    if source is None and len(sources) > 1:
        raise ConfigError(
            f"{where} has the sources {', '.join(sources)}; choose one: recipe.source={next(iter(sources))}"
        )
    chosen = source or next(iter(sources))
    if chosen not in sources:
        raise unknown("source", chosen, sources, where)
    steps = sources[chosen]
    if not isinstance(steps, list):
        raise ConfigError(f"{where}, source {chosen!r}: steps is {_short(steps)}; give a list")
    return steps


def _short(value: object) -> str:
    return repr(value)[:80]


class _Translator:
    """One pipeline on its way to a recipe: what the plan says of the text, and the ids given so far."""

    def __init__(self, plan: Plan, allow: frozenset[str], where: str) -> None:
        self.plan, self.allow, self.where = plan, allow, where
        self.ids = set[str]()
        self.left_out: list[str] = []
        self.aggregates: list[Aggregate] = []

    def recipe(self, name: str, steps: list[object]) -> Recipe:
        """All steps' rows, checked as any recipe is."""
        rows: list[Row] = []
        for number, step in enumerate(steps):
            if step != "commit":  # our commit is the table's, once for all steps
                rows += self._step(number, step)
        parsed = Recipe.from_config({"name": name, "steps": rows}, allow=self.allow)
        delimiter = self.plan.delimiter or ""
        return Recipe(name, parsed.steps, tuple(self.left_out), delimiter, tuple(self.aggregates))

    def _step(self, number: int, step: object) -> list[Row]:
        """The rows of one step, with ids and the name of the step that they are part of."""
        if not isinstance(step, Mapping) or not isinstance(step.get("func"), str):
            raise ConfigError(f"{self.where}, step {number}: {_short(step)} is neither commit nor {{func: name, ...}}")
        function, part_of = str(step["func"]), f"{number} {step['func']}"
        where = f"{self.where}, step {number} ({function})"
        if function == _GLOBAL:
            self.left_out.append(part_of)
            return []
        given = {str(key): value for key, value in step.items()}
        arguments = {key: value for key, value in given.items() if key not in ("func", "module") and key[:1] != "_"}
        self.plan.fix = given.get("_fix", False) is True
        try:
            rows = self._custom(function, arguments) if "." in function else self._known(function, arguments, where)
        except ConfigError as error:
            raise error if str(error).startswith(where) else ConfigError(f"{where}: {error}") from error
        rows = [row | {"id": self._id(function, row, len(rows)), "part_of": part_of} for row in rows]
        self._aggregate(given.get("_aggregate") or {}, rows, where)
        return rows

    def _known(self, function: str, arguments: Row, where: str) -> list[Row]:
        if function not in TABLE:
            raise unknown("DCLM function", function, [*TABLE, _GLOBAL], where)
        entry = TABLE[function]
        if entry.reads_text and self.plan.delimiter is not None:
            raise ConfigError("the text is a list since split_lines_modifier, on which DCLM fails; join it first")
        return entry.translation(self.plan, **entry.parameters.checked(arguments, function, where))

    def _custom(self, function: str, arguments: Row) -> list[Row]:
        if function not in self.allow:
            raise ConfigError(f"{function} is not allowed; to import it, say recipe.allow=[{function}]")
        folder, _, _ = function.rpartition(".")
        if not folder or not all(folder.split(".")):
            raise ConfigError("a function of your own is folder.file.function, from here")
        file = self.plan.file(f"{folder.replace('.', '/')}.py")
        packed = json.dumps(arguments, sort_keys=True)
        ready(function, file, packed)  # a wrong name or argument stops here
        options = {"arguments": packed, "delimiter": self.plan.delimiter}
        return [{"mapper": "custom", "function": function, "file": file, **options}]

    def _id(self, function: str, row: Row, num_rows: int) -> str:
        """The function's name, and where it is several steps the name of the row's own; numbered from the second."""
        name = function
        if num_rows > 1:
            name += f".{row.get('id', row.get('signal') or row.get('edit') or row.get('mapper'))}"
        number, made = 1, name
        while made in self.ids:
            number += 1
            made = f"{name}_{number}"
        self.ids.add(made)
        return made

    def _aggregate(self, wanted: object, rows: list[Row], where: str) -> None:
        """Note the summaries of a step: {key: name} or {key: {type, transform, threshold, default}}."""
        if not isinstance(wanted, Mapping):
            raise ConfigError(f"{where}: _aggregate is {_short(wanted)}; give {{key: histogram}}")
        for key, rule in wanted.items():
            options = dict(rule) if isinstance(rule, Mapping) else {"type": rule}
            kind, transform = str(options.pop("type", None)), options.pop("transform", None)
            if kind not in _AGGREGATORS:
                raise unknown("aggregator", kind, _AGGREGATORS, where)
            if transform not in (None, _TRANSFORM):
                raise unknown("transform", str(transform), [_TRANSFORM], where)
            if not rows:
                raise ConfigError(f"{where}: _aggregate needs a step that does something here")
            checked = _transform_parameters(transform is not None).checked(options, f"aggregator {kind}", where)
            threshold, default = checked.get("threshold"), str(checked.get("default", "unknown"))
            self.aggregates.append(
                Aggregate(str(rows[-1]["id"]), str(key), kind, cast("float | None", threshold), default)
            )


def _transform_parameters(has_transform: bool) -> Parameters:
    return (
        Parameters({"threshold": float, "default": str}, {"default": "unknown"})
        if has_transform
        else Parameters({}, {})
    )
