"""Finds a Java that Spark 4 runs on, and says what to install where there is none."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lakeloom.lakehouse.errors import ConfigError

OLDEST = 17
CURE = (
    f"Spark needs Java {OLDEST} or newer. Debian, Ubuntu: apt-get install openjdk-17-jre-headless; "
    "Fedora: dnf install java-21-openjdk-headless; without root: make java (a JDK in .jdk/ of this folder). "
    "Or set JAVA_HOME to one you have"
)


def find() -> Path:
    """The java of JAVA_HOME, of .jdk/ in the working folder, or of PATH; ConfigError if none is new enough."""
    seen: list[str] = []
    for java in _candidates():
        version = _version(java)
        if version >= OLDEST:
            return java
        seen.append(f"{java} is version {version}")
    raise ConfigError(f"no usable Java ({'; '.join(seen) or 'none found'}). {CURE}")


def _candidates() -> list[Path]:
    homes = [Path(home) for home in [os.environ.get("JAVA_HOME", "")] if home]
    homes += sorted(Path(".jdk").glob("*"), reverse=True)
    found = [home / "bin" / "java" for home in homes if (home / "bin" / "java").exists()]
    on_path = shutil.which("java")
    return [java.absolute() for java in found] + ([Path(on_path)] if on_path else [])


def _version(java: Path) -> int:
    """Major version, 0 where the program does not answer like a Java."""
    done = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)  # noqa: S603 (no shell)
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found.group(1)) if found else 0


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{find()}\n")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
