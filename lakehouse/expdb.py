"""Rows of reference JSONs and filters on them, as DCLM's tools/expdb.py takes them.

`column=regex` searches in the value's text; `column>=number` and the like compare; numbers may end in K, M, B, T.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from operator import ge, gt, le, lt

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json

_FILTER = re.compile(r"(?P<column>[^<>=]+)(?P<sign>>=|<=|>|<|=)(?P<value>.*)", re.DOTALL)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}

Row = dict[str, Json]
Filter = Callable[[Row], bool]


def flat(reference: Mapping[str, Json], prefix: str = "") -> Row:
    """Nested objects as columns with dots in their names."""
    row: Row = {}
    for key, value in reference.items():
        if isinstance(value, Mapping) and value:
            row |= flat(value, f"{prefix}{key}.")
        else:
            row[f"{prefix}{key}"] = value
    return row


def parse(words: Iterable[str]) -> list[tuple[str, Filter]]:
    """Filters with the column that each reads; ConfigError for what is none."""
    return [_parse(word) for word in words]


def number(text: str) -> float:
    """A number as people write it: 1.5B. ValueError for what is none."""
    unit = _UNITS.get(text[-1:].upper())
    return float(text[:-1]) * unit if unit else float(text)


def _parse(word: str) -> tuple[str, Filter]:
    found = _FILTER.fullmatch(word)
    if found is None:
        raise ConfigError(f"{word!r} is no filter; write column=regex, or column>=number (K, M, B, T), <=, >, <")
    column, sign, value = found["column"].strip(), found["sign"], found["value"].strip()
    try:
        return column, _matches(column, value) if sign == "=" else _compares(column, _SIGNS[sign], number(value))
    except re.error as error:
        raise ConfigError(f"{word!r}: {value!r} is no regular expression: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{word!r}: {value!r} is no number; write 400M or 1.5B") from error


def _matches(column: str, value: str) -> Filter:
    pattern = re.compile(value)
    return lambda row: column in row and pattern.search(str(row[column])) is not None


def _compares(column: str, holds: Callable[[float, float], bool], bound: float) -> Filter:
    def is_so(row: Row) -> bool:
        found = row.get(column)
        if isinstance(found, str):
            try:
                found = number(found)
            except ValueError:
                return False
        return isinstance(found, int | float) and not isinstance(found, bool) and holds(found, bound)

    return is_so
