"""Steps of recipes: functions marked @signal or @edit, found by name.

A signal gives one number per document, an edit new text. What a step reads it names as positional arguments:
`index` (TextIndex), `text` or `url` (Arrow strings). Its keyword-only arguments are what a recipe may set.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

from lakeloom.lakehouse.errors import ConfigError, unknown

Function = Callable[..., pa.Array]
F = TypeVar("F", bound=Function)
Kind = Literal["signal", "edit"]

# A parameter of this type takes the id of an earlier signal step and receives that step's numbers.
Earlier = Annotated[pa.DoubleArray, "earlier signal"]

INPUTS = frozenset({"index", "text", "url"})
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    bool: "true or false",
    Path: "the path of a file",
}

_REGISTRY: dict[tuple[Kind, str], "Step"] = {}


@dataclass(frozen=True)
class Step:
    """A function a recipe can name. `drops_empty`: a page whose edited text is '' is dropped by this edit."""

    kind: Kind
    name: str
    function: Function
    inputs: tuple[str, ...]
    parameters: dict[str, object]  # name -> type
    defaults: dict[str, object]
    drops_empty: bool = False

    def checked(self, parameters: dict[str, object], where: str) -> dict[str, object]:
        """All parameters, defaults filled in; a ConfigError names what is unknown, missing or mistyped."""
        for name in parameters:
            if name not in self.parameters:
                raise unknown(f"parameter of {self.kind} {self.name!r}", name, self.parameters, where)
        filled = {**self.defaults, **parameters}
        for name, kind in self.parameters.items():
            if name not in filled:
                raise ConfigError(f"{where}: {self.kind} {self.name!r} needs {name} ({_describe(kind)})")
            filled[name] = _converted(filled[name], kind, f"{where}: {name} of {self.kind} {self.name!r}")
        return filled


def signal(function: F) -> F:
    """Register a measurement: one float64 per document, null where there is nothing to measure."""
    _register("signal", function)
    return function


def edit(*, drops_empty: bool) -> Callable[[F], F]:
    """Register a change of text: null stays null; DCLM drops pages that most of its edits leave empty."""

    def mark(function: F) -> F:
        _register("edit", function, drops_empty=drops_empty)
        return function

    return mark


def step(kind: Kind, name: str, where: str) -> Step:
    """The step of that kind and name, or a ConfigError with the nearest names."""
    load_all()
    if (kind, name) not in _REGISTRY:
        raise unknown(kind, name, names(kind), where)
    return _REGISTRY[kind, name]


def names(kind: Kind) -> list[str]:
    """Names of all steps of a kind, sorted."""
    load_all()
    return sorted(name for known, name in _REGISTRY if known == kind)


@cache
def load_all() -> None:
    """Import every module of lakeloom.filters, so that their steps are known; from a folder or a zip."""
    package = importlib.import_module("lakeloom.filters")
    for module in pkgutil.iter_modules(package.__path__, "lakeloom.filters."):
        importlib.import_module(module.name)


def _register(kind: Kind, function: Function, *, drops_empty: bool = False) -> None:
    """Read inputs and parameters off the signature; two steps of one name are a mistake in the code."""
    name, hints = function.__name__, get_type_hints(function, include_extras=True)
    arguments = inspect.signature(function).parameters.values()
    options = [argument for argument in arguments if argument.kind is argument.KEYWORD_ONLY]
    inputs = tuple(argument.name for argument in arguments if argument.kind is not argument.KEYWORD_ONLY)
    if not inputs or not INPUTS.issuperset(inputs):
        raise TypeError(f"{kind} {name}: arguments {inputs} must be some of {sorted(INPUTS)}")
    known = _REGISTRY.get((kind, name))
    if known and known.function.__module__ != function.__module__:
        raise ConfigError(f"two {kind}s are named {name!r}: {known.function.__module__}, {function.__module__}")
    defaults = {option.name: option.default for option in options if option.default is not option.empty}
    parameters = {option.name: hints[option.name] for option in options}
    _REGISTRY[kind, name] = Step(kind, name, function, inputs, parameters, defaults, drops_empty)


def _converted(value: object, kind: object, what: str) -> object:
    """The value as its parameter's type, or a ConfigError; whole numbers pass for numbers."""
    if get_origin(kind) is Literal and value in get_args(kind):
        return value
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_converted(item, get_args(kind)[0], what) for item in value)
    if kind is Earlier and isinstance(value, str):
        return value
    if kind is Path and isinstance(value, str | Path):
        if not Path(value).is_file():
            raise ConfigError(f"{what}: no file {str(value)!r}; give the path of an existing list")
        return Path(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    raise ConfigError(f"{what}: {value!r} is not {_describe(kind)}")


def _describe(kind: object) -> str:
    """A parameter type in words."""
    if get_origin(kind) is Literal:
        return _either(repr(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list, each {_describe(get_args(kind)[0])}"
    if kind is Earlier:
        return "the id of an earlier signal"
    return next((words for known, words in _WORDS.items() if known is kind), str(kind))


def _either(choices: Iterable[str]) -> str:
    return " or ".join(choices)
