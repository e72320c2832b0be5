"""Names of what becomes a folder or a file: no separator, nothing that a shell or a URL reads otherwise."""

from lakeloom.lakehouse.errors import ConfigError


def check(name: str, setting: str) -> None:
    """ConfigError unless there is a name, of letters, digits, '.', '_' and '-', and not dots alone."""
    if not name.strip(".") or not all(one.isalnum() or one in "._-" for one in name):
        raise ConfigError(f"{setting}={name!r}: letters, digits, '.', '_' and '-' only; it names a folder or file")
