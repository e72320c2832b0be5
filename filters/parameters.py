"""Arguments that a user wrote, against what a function's keyword-only parameters say: names, types, defaults."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from lakeloom.filters import expressions
from lakeloom.lakehouse.errors import ConfigError, unknown

# A parameter of this type takes the id of an earlier signal step and receives that step's numbers.
Earlier = Annotated[pa.DoubleArray, "earlier signal"]

# A whole number from 1; a regular expression; the path of a file, or of a folder of files.
Positive = Annotated[int, "from 1"]
Regex = Annotated[str, "regular expression"]
Listing = Annotated[Path, "file or folder"]

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    bool: "true or false",
    Path: "the path of a file",
    NoneType: "nothing",
}


@dataclass(frozen=True)
class Parameters:
    """What may be set of a function: the type of each parameter, and the default of those that have one."""

    kinds: dict[str, object]
    defaults: dict[str, object]

    @classmethod
    def of(cls, function: Callable[..., object]) -> "Parameters":
        """The keyword-only parameters of a function with type hints."""
        hints = get_type_hints(function, include_extras=True)
        arguments = inspect.signature(function).parameters.values()
        options = [argument for argument in arguments if argument.kind is argument.KEYWORD_ONLY]
        defaults = {option.name: option.default for option in options if option.default is not option.empty}
        return cls({option.name: hints[option.name] for option in options}, defaults)

    def checked(self, given: Mapping[str, object], owner: str, where: str) -> dict[str, object]:
        """All parameters, defaults filled in; a ConfigError names what is unknown, missing or mistyped."""
        for name in given:
            if name not in self.kinds:
                raise unknown(f"parameter of {owner}", name, self.kinds, where)
        filled = {**self.defaults, **given}
        for name, kind in self.kinds.items():
            if name not in filled:
                raise ConfigError(f"{where}: {owner} needs {name} ({describe(kind)})")
            filled[name] = _converted(filled[name], kind, f"{where}: {name} of {owner}")
        return filled


def _converted(value: object, kind: object, what: str) -> object:
    """The value as its parameter's type, or a ConfigError; whole numbers pass for numbers."""
    choices = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        for choice in choices:
            if _fits(value, choice):
                return _converted(value, choice, what)
    elif get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_converted(item, choices[0], what) for item in value)
    elif kind is Path and isinstance(value, str | Path):
        if not Path(value).is_file():
            raise ConfigError(f"{what}: no file {str(value)!r}; give the path of an existing file")
        return Path(value)
    elif kind is Listing and isinstance(value, str | Path):
        if not Path(value).exists():
            raise ConfigError(f"{what}: no file or folder {str(value)!r}; give the path of a list or a folder of lists")
        return Path(value)
    elif kind is Regex and isinstance(value, str):
        _check_regex(value, what)
        return value
    elif kind is float and type(value) is int:
        return float(value)
    elif _fits(value, kind):
        return value
    raise ConfigError(f"{what}: {value!r} is not {describe(kind)}")


def _check_regex(value: str, what: str) -> None:
    try:
        expressions.check(value)
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


def _fits(value: object, kind: object) -> bool:
    """Whether a value as YAML gives it is of a type, as far as its outside shows."""
    if get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, list | tuple)
    if kind in (Earlier, Regex):
        return isinstance(value, str)
    if kind is Positive:
        return type(value) is int and value >= 1
    if kind in (Path, Listing):
        return isinstance(value, str | Path)
    return type(value) is kind or (kind is float and type(value) is int)


def describe(kind: object) -> str:
    """A parameter type in words."""
    if get_origin(kind) is Literal:
        return _either(repr(choice) for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return _either(describe(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list, each {describe(get_args(kind)[0])}"
    if kind is Earlier:
        return "the id of an earlier signal"
    if kind is Positive:
        return "a whole number from 1"
    if kind is Listing:
        return "the path of a file or folder"
    if kind is Regex:
        return "a regular expression"
    return next((words for known, words in _WORDS.items() if known is kind), str(kind))


def _either(choices: Iterable[str]) -> str:
    return " or ".join(choices)
