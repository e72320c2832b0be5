"""Small files that are there whole or not at all, whatever stops the writer."""

from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write beside the path, then rename; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_bytes(content)
    aside.replace(path)
