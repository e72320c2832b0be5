"""Identities and orders made from content alone, no uuid or clock or row number: a second run finds the first."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


def identity(*parts: Json) -> str:
    """First 32 hex digits of the SHA-256 of the parts' canonical JSON (sorted keys, no blanks)."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def file_sha(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; read in pieces. Raises OSError where it can't be."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def doc_id(pool: str, file: str, offset: int, url: str) -> str:
    """Identity of a page: 32 hex digits from its pool, file (relative to the pool), byte offset and URL."""
    return hashlib.sha256(f"{pool}\0{file}\0{offset}\0{url}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def shuffle_key(seed: int, name: str, index: int = 0) -> bytes:
    """Sort key of a global shuffle: 16 bytes of keyed BLAKE2b of (name, index), one order a seed."""
    key = seed.to_bytes(8, "little", signed=True)
    return hashlib.blake2b(f"{name}\0{index}".encode(), digest_size=16, key=key).digest()
