"""Files that steps read: lists of lines and models. A wrong one is a mistake of the recipe, and stops the job.

Without that a step would fail on each page, and the job would end with every page dropped.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lakeloom.lakehouse.errors import PASSED_ON, ConfigError

T = TypeVar("T")


def lines(path: Path) -> list[str]:
    """The lines of a file of UTF-8."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        found = f"byte {error.start:,} is not UTF-8"
        raise ConfigError(f"{path} is no list of lines: {found}; give another file in the recipe") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error


def model(path: Path, load: Callable[[str], T], kind: str) -> T:
    """A model that its library loads."""
    try:
        return load(str(path))
    except PASSED_ON:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:500]
        raise ConfigError(f"{path} is no {kind}: {said}; give another file in the recipe") from error
