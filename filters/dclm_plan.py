"""The table of DCLM's functions, and what is known while a pipeline is translated step by step.

A translation is a function with DCLM's name and DCLM's arguments (keyword-only, typed, with DCLM's defaults) that
gives rows of a recipe. It stands in filters/dclm_content.py, dclm_lines.py, dclm_metadata.py or dclm_sources.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakeloom.filters.parameters import Parameters
from lakeloom.lakehouse.errors import ConfigError

Row = dict[str, object]
Translation = Callable[..., list[Row]]


@dataclass
class Plan:
    """Where a translation stands: files, the state of the text, and the switch of the step at hand."""

    folders: tuple[Path, ...]  # where files named in the pipeline are looked for, by their last part too
    above: tuple[Path, ...] = ()  # folders over the pipeline's: one of them may be DCLM's, to which names are relative
    fix: bool = False  # `_fix: true`: what DCLM's function is meant to do, not what it does
    delimiter: str | None = None  # between the parts, where DCLM's text is a list; ours stays one string
    num_samplings: int = 0

    def find(self, name: str) -> Path | None:
        """A file by the name that the pipeline gives: as it is, in a folder, or its last part in one of `folders`."""
        near = [folder / part for folder in self.folders for part in (name, Path(name).name)]
        places = [Path(name), *near, *(folder / name for folder in self.above)]
        return next((place.absolute() for place in places if place.is_file()), None)

    def file(self, name: str, advice: str = "") -> Path:
        """That file, or a ConfigError that says where it was looked for and where to get it."""
        found = self.find(name)
        if found is None:
            places = "".join(f", in {folder}" for folder in self.folders)
            raise ConfigError(f"no file {name!r} here{places} or above; {advice or _advice(name)}")
        return found


@dataclass(frozen=True)
class Entry:
    """A DCLM function: what it takes, how it is translated, and whether it reads or changes the text."""

    translation: Translation
    parameters: Parameters
    reads_text: bool


TABLE: dict[str, Entry] = {}


def translates(*, reads_text: bool = True) -> Callable[[Translation], Translation]:
    """Enter a translation under its own name, which is DCLM's."""

    def enter(translation: Translation) -> Translation:
        TABLE[translation.__name__] = Entry(translation, Parameters.of(translation), reads_text)
        return translation

    return enter


def bounds(**limits: float) -> Mapping[str, float]:
    """The bounds that are numbers: an infinite one bounds nothing."""
    return {name: limit for name, limit in limits.items() if abs(limit) != float("inf")}


def _advice(name: str) -> str:
    """Where DCLM has its files from."""
    if "banned_domains" in name:
        return "DCLM's own setup downloads it; or leave the step out, or name a list of your own"
    if "banlists" in name:
        return "it is in baselines/mappers/banlists of DCLM's repository (recipe.lists=folder names a folder of them)"
    return "give its path"
