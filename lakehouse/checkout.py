"""The code that makes something: its commit where it runs from a git checkout, else the version of the package."""

import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 20


@cache
def commit() -> str:
    """SHA of git's HEAD with `-dirty` where tracked files differ from it; `lakeloom 1.2.3` without a checkout."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return f"lakeloom {_version()}"
    return head.strip() + ("-dirty" if _git("diff", "--quiet", "HEAD") is None else "")


def _git(*words: str) -> str | None:
    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603 (our own words)
            [git, "-C", str(_ROOT), *words], capture_output=True, text=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _version() -> str:
    try:
        return metadata.version("lakeloom")
    except metadata.PackageNotFoundError:
        return "of an unknown version"
