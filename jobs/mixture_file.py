"""A mixture as users write it: sources in the command, a YAML file of ours, or DCLM's mixing YAML as it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from lakeloom.jobs import markers, mixture
from lakeloom.jobs.mix_sources import read_reference
from lakeloom.jobs.mixture import Source
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.pools import SourceFile, text_files


def load(file: str, rows: Sequence[object], inputs: Sequence[str]) -> tuple[Source, ...]:
    """The sources of the file, or of the rows. ConfigError where neither or both are given, or what is in them."""
    if bool(file) == bool(rows):
        given = "both were given" if file else "neither was given"
        raise ConfigError(f"mix.file=mixture.yaml or mix.sources=[...] says what is mixed; {given}")
    if not file:
        return mixture.parse(_only(rows, inputs), "mix.sources")
    config = _loaded(Path(file))
    if markers.is_mixing(config):
        if not inputs:
            raise ConfigError(f"{file} is a mixing YAML of DCLM's, which names no files; say mix.inputs=[folder,...]")
        listed = {found.address: found for place in inputs for found in _keyed(place)}
        return markers.sources(config, sorted(listed.values(), key=lambda one: (one.path, one.address)), file)
    for key in config:
        if key != "sources":
            raise unknown("key", str(key), ("sources", "sampling_frequencies"), file)
    return mixture.parse(_only(config.get("sources"), inputs), file)


def _only(rows: object, inputs: Sequence[str]) -> object:
    if inputs:
        raise ConfigError("mix.inputs are for a mixing YAML of DCLM's; other sources name their files themselves")
    return rows


def _loaded(path: Path) -> Mapping[str, object]:
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"mix.file={path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"mix.file={path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, Mapping):
        raise ConfigError(f"mix.file={path} holds {type(config).__name__}, not a mapping with sources")
    return config


def _keyed(place: str) -> list[SourceFile]:
    """Files of a folder, or of the folder that a reference JSON names, by what markers are looked for in."""
    if place.endswith(".json") and not urlsplit(place).scheme:
        place = str(read_reference(Path(place).expanduser())["dataset_url"])
    return [SourceFile(markers.key_of(place, file.path), file.address, file.num_bytes) for file in text_files(place)]
