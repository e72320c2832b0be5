"""Steps of recipes: functions marked @signal, @edit or @mapper, found by name.

A signal gives one number per document, an edit new text. What a step reads it names as positional arguments:
`index` (TextIndex), `text`, `url` or `id` (Arrow strings), `keys` (a dict of each page's other keys), a signal also
`refusals` or `licenses` (Arrow lists of strings, of an ingest with keep_rights). A mapper takes
one `page` as a dict and gives a list of pages, as DCLM's functions do: none, it is dropped; several, it is split.
Keyword-only arguments are what a recipe may set.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

import pyarrow as pa

from lakeloom.filters.parameters import Earlier, Parameters
from lakeloom.lakehouse.errors import ConfigError, unknown

__all__ = ["Earlier", "Function", "Kind", "Page", "Step", "check", "edit", "mapper", "names", "signal", "step"]

Page = dict[str, object]
Function = Callable[..., pa.Array]
Mapper = Callable[..., list[Page]]
F = TypeVar("F", bound=Function)
M = TypeVar("M", bound=Mapper)
Kind = Literal["signal", "edit", "mapper"]

OPTIONAL_COLUMNS = ("refusals", "licenses")  # of a page, given to the recipes whose steps read them
INPUTS = {
    "signal": frozenset({"index", "text", "url", "id", "keys", *OPTIONAL_COLUMNS}),
    "edit": frozenset({"index", "text", "url", "id", "keys"}),
    "mapper": frozenset({"page"}),
}

_REGISTRY: dict[tuple[Kind, str], "Step"] = {}
_CHECKS: dict[Function | Mapper, Callable[..., object]] = {}


@dataclass(frozen=True)
class Step:
    """A function a recipe can name. `drops_empty`: a page whose edited text is '' is dropped by this edit."""

    kind: Kind
    name: str
    function: Function | Mapper
    inputs: tuple[str, ...]
    parameters: dict[str, object]  # name -> type
    defaults: dict[str, object]
    drops_empty: bool = False

    def checked(self, parameters: dict[str, object], where: str) -> dict[str, object]:
        """All parameters, defaults filled in; a ConfigError names what is unknown, missing or mistyped."""
        filled = Parameters(self.parameters, self.defaults).checked(parameters, f"{self.kind} {self.name!r}", where)
        if self.function in _CHECKS:
            try:
                _CHECKS[self.function](**filled)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
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


def check(function: Function, test: Callable[..., object]) -> None:
    """Let `test`, given all parameters, refuse what their types allow by a ConfigError: before any data is read."""
    _CHECKS[function] = test


def mapper(function: M) -> M:
    """Register a change of whole pages: a list of the pages that become of one, in Python, so slow."""
    _register("mapper", function)
    return function


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


def _register(kind: Kind, function: Function | Mapper, *, drops_empty: bool = False) -> None:
    """Read inputs and parameters off the signature; two steps of one name are a mistake in the code."""
    name, options = function.__name__, Parameters.of(function)
    arguments = inspect.signature(function).parameters.values()
    inputs = tuple(argument.name for argument in arguments if argument.kind is not argument.KEYWORD_ONLY)
    if not inputs or not INPUTS[kind].issuperset(inputs):
        raise TypeError(f"{kind} {name}: arguments {inputs} must be some of {sorted(INPUTS[kind])}")
    known = _REGISTRY.get((kind, name))
    if known and known.function.__module__ != function.__module__:
        raise ConfigError(f"two {kind}s are named {name!r}: {known.function.__module__}, {function.__module__}")
    _REGISTRY[kind, name] = Step(kind, name, function, inputs, options.kinds, options.defaults, drops_empty)
