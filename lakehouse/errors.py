"""Every error that lakeloom raises on purpose, by what the caller can do about it.

LakeloomError
    ConfigError      the request is wrong: nothing was written; exit code 2
    BadInput         data that can't be used: counted or quarantined, the run goes on where it can; exit code 1
    SourceFailed     a disk or a network failed while a file was read: run again
    Conflict         another writer was first: run again
    Incomplete       a result would break a promise (a lost row, a removal rate out of bounds); nothing was published
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches


class LakeloomError(Exception):
    """Base of the tree; its text is one line for the user."""

    exit_code = 1


class ConfigError(LakeloomError):
    """A wrong name, value or path in what the user asked for."""

    exit_code = 2


class BadInput(LakeloomError):
    """Input bytes that break their own format."""


class SourceFailed(LakeloomError):
    """The bytes of a source stopped coming; running the job again reads them again."""


class Conflict(LakeloomError):
    """Another writer changed the same table or folder; running again is safe."""


class Incomplete(LakeloomError):
    """A check on the result failed before it was published."""


# What native code raises on foreign bytes may be any exception (a panic of Rust's is not even an Exception), and
# belongs to those bytes. These do not: our own, want of memory, and what ends a generator or the process.
PASSED_ON = (LakeloomError, MemoryError, GeneratorExit, KeyboardInterrupt, SystemExit)


def raised_by_worker(trace: str) -> LakeloomError | None:
    """The error of this tree that ended a Spark task, from the traceback that Spark passes on as text."""
    kinds = {kind.__name__: kind for kind in (*LakeloomError.__subclasses__(), LakeloomError)}
    found = re.findall(rf"^\s*{re.escape(__name__)}\.({'|'.join(kinds)}): (.+)$", trace, re.MULTILINE)
    return kinds[found[-1][0]](found[-1][1]) if found else None


def unknown(kind: str, name: str, choices: Iterable[str], where: str = "") -> ConfigError:
    """The error for a name that isn't there: the nearest names first, else all of them."""
    names = sorted(choices)
    near = get_close_matches(name, names, n=3)
    hint = f"nearest: {', '.join(near)}" if near else f"choices: {', '.join(names) or 'none'}"
    return ConfigError(f"{where}{': ' if where else ''}no {kind} {name!r}; {hint}")
