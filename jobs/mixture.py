"""What a mixture asks for: its sources, how much of each, and how often each is taken for that. No Spark.

A source is `{name, one of dataset, table, files, reference, one of weight, tokens, epochs}`, in YAML or in the command.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakeloom.lakehouse import names
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.pools import SourceFile

KINDS = ("dataset", "table", "files", "reference")
AMOUNTS = ("weight", "tokens", "epochs")
_KEYS = ("name", *KINDS, *AMOUNTS, "column", "where", "version")
_OF_TABLES = ("where", "version")
_CLOSE = 1e-6  # weights of three digits don't sum to 1 exactly


@dataclass(frozen=True)
class Source:
    """Where documents come from, and how much of them is wanted."""

    name: str
    kind: str
    place: str  # dataset, table, folder or address, reference file
    amount: str
    value: float
    column: str = "text"  # of a table or of Parquet files
    where: str = ""
    version: int | None = None
    files: tuple[SourceFile, ...] = ()  # given beforehand, where markers sorted them


@dataclass(frozen=True)
class Limits:
    """`tokens` of the whole where sources have weights (0: as many as they give without repeats), and of repeats."""

    tokens: int
    allow_repeats: bool
    max_epochs: float


def parse(rows: object, where: str) -> tuple[Source, ...]:
    """The sources of a list as YAML gives it. ConfigError names the source and what is wrong."""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ConfigError(f"{where}: sources is {rows!r}; give a list like [{{name: web, dataset: raw, epochs: 1}}]")
    sources = tuple(_parse(row, f"{where}, source {number}") for number, row in enumerate(rows))
    check(sources, where)
    return sources


def check(sources: Sequence[Source], where: str) -> None:
    """Refuse names that come twice, and weights that are no shares of one whole."""
    twice = [name for name, times in Counter(source.name for source in sources).items() if times > 1]
    if twice:
        raise ConfigError(f"{where}: two sources named {', '.join(map(repr, twice))}; give each a name of its own")
    weights = [source.value for source in sources if source.amount == "weight"]
    if weights and len(weights) < len(sources):
        others = ", ".join(source.name for source in sources if source.amount != "weight")
        raise ConfigError(f"{where}: {others} without a weight; give one to all sources, or tokens or epochs to all")
    if weights and abs(sum(weights) - 1) > _CLOSE:
        raise ConfigError(f"{where}: weights sum to {sum(weights):g}; they are shares of the result and sum to 1")


def _parse(row: object, where: str) -> Source:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}: {row!r} is not a mapping like {{name: web, dataset: raw, weight: 0.5}}")
    given = {str(key): value for key, value in row.items() if value is not None}
    for key in given:
        if key not in _KEYS:
            raise unknown("key", key, _KEYS, where)
    name = str(given.get("name", ""))
    names.check(name, f"{where}: name")
    where = f"{where} ({name})"
    kind, amount = _one(given, KINDS, where), _one(given, AMOUNTS, where)
    place, column, condition = (str(given.get(key, "")) for key in (kind, "column", "where"))
    version = given.get("version")
    if kind != "table" and (wrong := [key for key in _OF_TABLES if key in given]):
        raise ConfigError(f"{where}: {wrong[0]} belongs to a table, this is of {kind}")
    if not place:
        raise ConfigError(f"{where}: {kind} is empty; say which")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 0):
        raise ConfigError(f"{where}: version is {version!r}; give the number of a commit")
    value = number(given[amount], f"{where}: {amount}")
    return Source(name, kind, place, amount, value, column or "text", condition, version)


def _one(given: Mapping[str, object], names: Sequence[str], where: str) -> str:
    found = [name for name in names if name in given]
    if len(found) != 1:
        said = " and ".join(found) or "none of them"
        raise ConfigError(f"{where}: needs exactly one of {', '.join(names)}; has {said}")
    return found[0]


def number(value: object, where: str) -> float:
    """A finite amount from 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"{where} is {value!r}; give a finite number from 0")
    return float(value)


def epochs(sources: Sequence[Source], available: Mapping[str, int], limits: Limits) -> dict[str, float]:
    """How often each source is taken, from the tokens that it has. ConfigError where it would repeat unasked."""
    for source in sources:
        if source.value and source.amount != "epochs" and not available[source.name]:
            raise ConfigError(f"source {source.name!r} has no document to train on: all that it has are held out")
    wanted = _wanted(sources, available, limits.tokens)
    found = {
        source.name: source.value if source.amount == "epochs" else _times(wanted[source.name], available[source.name])
        for source in sources
    }
    for source in sources:
        times, asked = found[source.name], source.amount == "epochs"
        if times > 1 and not asked and not limits.allow_repeats:
            raise ConfigError(
                f"source {source.name!r} has {available[source.name]:,} tokens to train on, {wanted[source.name]:,.0f} "
                f"are wanted: {times:.3g} epochs; say mix.allow_repeats=true (mix.max_epochs={limits.max_epochs:g} at "
                f"most), or ask for {'a smaller weight or mix.tokens' if source.amount == 'weight' else 'fewer tokens'}"
            )
        if times > limits.max_epochs:
            raise ConfigError(
                f"source {source.name!r} would be repeated {times:.4g} times, mix.max_epochs={limits.max_epochs:g} are "
                "allowed; raise that, or take less of it"
            )
    return found


def _wanted(sources: Sequence[Source], available: Mapping[str, int], total: int) -> dict[str, float]:
    """Tokens of each source."""
    if all(source.amount == "weight" for source in sources):
        most = min(available[source.name] / source.value for source in sources if source.value)
        return {source.name: source.value * (total or most) for source in sources}
    return {
        source.name: source.value * available[source.name] if source.amount == "epochs" else source.value
        for source in sources
    }


def _times(wanted: float, available: int) -> float:
    times = wanted / available if available else 0.0
    return (
        1.0 if abs(times - 1) < 1e-9 else times
    )  # the source that bounds the whole is taken once, to the last document
