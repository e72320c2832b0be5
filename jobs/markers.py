"""DCLM's mixing YAML (specification, section 6.2): files are sorted into sources by markers in their names.

`sources: [{source, markers}]`, `sampling_frequencies: {source: f}`. A file belongs to the first source with a marker
that its key has in it, else to UNKNOWN. Where DCLM repeats sequences f times, documents are, by their hash.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from lakeloom.jobs.mixture import Source, number
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.pools import SourceFile

UNKNOWN = "UNKNOWN"
_KEYS = ("sources", "sampling_frequencies")


def is_mixing(config: object) -> bool:
    """Whether a YAML is one of DCLM's, not a mixture of ours."""
    return isinstance(config, Mapping) and "sampling_frequencies" in config


def key_of(place: str, path: str) -> str:
    """What markers are looked for in: an S3 key without its bucket, or the local path as it was given."""
    if "://" in place:
        place = urlsplit(place).path.lstrip("/")
    place = place.rstrip("/")
    if place.rpartition("/")[2] == path:  # a place may be a file
        return place
    return f"{place}/{path}" if place else path


def sources(config: Mapping[str, object], files: Sequence[SourceFile], where: str) -> tuple[Source, ...]:
    """The sources that have files, in the order of the YAML; a file's path is its key, where no other has it."""
    for name in config:
        if name not in _KEYS:
            raise unknown("key", str(name), _KEYS, where)
    markers, frequencies = _markers(config, where), config["sampling_frequencies"]
    if not isinstance(frequencies, Mapping):
        raise ConfigError(f"{where}: sampling_frequencies is {frequencies!r}; give a number for each source")
    sorted_: dict[str, list[SourceFile]] = {name: [] for name in (*markers, UNKNOWN)}
    for file in files:
        found = (name for name, words in markers.items() if any(word in file.path for word in words))
        sorted_[next(found, UNKNOWN)].append(file)
    strangers = sorted_[UNKNOWN]
    if strangers and UNKNOWN not in markers and UNKNOWN not in frequencies:
        raise ConfigError(
            f"{where}: {len(strangers)} files have no source's marker in their name, first {strangers[0].path}, and "
            f"there is no source {UNKNOWN}; add one with its frequency (0: left out)"
        )
    made: list[Source] = []
    for name, members in sorted_.items():
        if members and name not in frequencies:
            raise ConfigError(
                f"{where}: sampling_frequencies has none of source {name!r}, which has {len(members)} files"
            )
        if members:
            f = number(frequencies[name], f"{where}: the frequency of {name}")
            made.append(Source(name, "files", _place(members), "epochs", f, files=_told_apart(members)))
    return tuple(made)


def _told_apart(members: Sequence[SourceFile]) -> tuple[SourceFile, ...]:
    """Files of one key, from several buckets or hosts, by their addresses."""
    number = Counter(file.path for file in members)
    return tuple(replace(file, path=file.address) if number[file.path] > 1 else file for file in members)


def _place(members: Sequence[SourceFile]) -> str:
    return f"{members[0].path} and {len(members) - 1} more" if len(members) > 1 else members[0].path


def _markers(config: Mapping[str, object], where: str) -> dict[str, list[str]]:
    rows = config.get("sources")
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise ConfigError(f"{where}: sources is {rows!r}; give a list of {{source, markers}}")
    found: dict[str, list[str]] = {}
    for row in rows:
        name = row.get("source") if isinstance(row, Mapping) else None
        words = (row.get("markers") or []) if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not isinstance(words, Sequence) or isinstance(words, str):
            raise ConfigError(f"{where}: {row!r} is no source; write {{source: WIKI, markers: [wikipedia]}}")
        if name in found:
            raise ConfigError(f"{where}: source {name!r} is there twice; give it all its markers in one place")
        if "" in map(str, words):
            raise ConfigError(f"{where}: source {name!r} has an empty marker, which is in every name")
        found[name] = [str(word) for word in words]
    return found
