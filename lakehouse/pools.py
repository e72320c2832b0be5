"""Pools of crawled files: what `pool=` may name, and the list of files that it stands for.

Kinds: the embedded sample (made by jobs/pool.py), a folder of WARC files, a folder of DCLM JSON lines, a
Common Crawl snapshot by its public path list. Lists are sorted by path: the same on every machine.
"""

import gzip
import json
import logging
import re
import sys
import sysconfig
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.streams import NoCredentials, file_system, open_file

log = logging.getLogger(__name__)

MANIFEST = "pool.json"
# Raise it with every change of the sample's bytes: a lakehouse then makes a new folder beside the old one.
SAMPLE_GENERATOR = 1

_S3_LOGIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role, or FSSPEC_S3_ANON=true for none"
_WARC = re.compile(r"\.(warc|wet|arc|wacz)(\.[^/]*)?$", re.IGNORECASE)
_JSONL = re.compile(r"\.(jsonl|ndjson)(\.(gz|zst|zstd))?$", re.IGNORECASE)
_TEXTS = re.compile(r"\.((jsonl|ndjson)(\.(gz|zst|zstd))?|parquet)$", re.IGNORECASE)
_SLICE = re.compile(r"(\d*):(\d*)")
_SNAPSHOT = re.compile(r"CC-MAIN-\d{4}[\w-]*")


@dataclass(frozen=True)
class PoolConfig:
    """Config group `pool`. `files` is a slice of its list (0:8; empty: all), `max_files` a limit (0: no)."""

    name: str
    kind: str
    path: str
    snapshot: str
    base: str
    files: str
    max_files: int
    max_pages: int  # of the sample alone; 0: as many as the environment gives


@dataclass(frozen=True)
class SourceFile:
    """A file: path relative to its pool, address to open (local path or URL), size (0: not known yet)."""

    path: str
    address: str
    num_bytes: int


def list_files(pool: PoolConfig, root: Path) -> list[SourceFile]:
    """The pool's files, sorted by path; `root` is the lakehouse's folder. ConfigError if wrong or empty."""
    if pool.kind not in _KINDS:
        raise unknown("pool kind", pool.kind, _KINDS, f"pool {pool.name!r}")
    _without_secrets("pool.path", pool.path)
    _without_secrets("pool.base", pool.base)
    wanted = _slice(pool)
    listed = _KINDS[pool.kind](pool, root)
    chosen = listed[wanted]
    if not chosen:
        raise ConfigError(f"pool {pool.name!r}: files={pool.files!r} selects none of its {len(listed)} files")
    return sorted(chosen[: pool.max_files] if pool.max_files else chosen, key=lambda file: file.path)


def text_files(place: str) -> list[SourceFile]:
    """JSON lines and Parquet files of a folder or an address, sorted by path, that need not be a pool."""
    _without_secrets("the place", place)
    if "://" not in place and not Path(place).expanduser().exists():
        raise ConfigError(f"{place} doesn't exist; give a folder, a file or an address")
    pool = PoolConfig(place, "texts", place, snapshot="", base="", files="", max_files=0, max_pages=0)
    found = _remote(pool) if "://" in place else _walk(pool)
    chosen = [file for file in found if _TEXTS.search(file.path)]
    if not chosen:
        raise ConfigError(f"{place}: none of its {len(found)} files is named .jsonl, .jsonl.gz, .jsonl.zst or .parquet")
    if len(chosen) < len(found):
        log.warning("%s: %s files of other names left out", place, len(found) - len(chosen))
    return sorted(chosen, key=lambda file: file.path)


def sample_folder(pool: PoolConfig, root: Path) -> Path:
    """Where the sample of this environment and size is, or will be."""
    return root.absolute() / "pools" / f"sample-{fingerprint(pool.max_pages)[:12]}"


def fingerprint(max_pages: int) -> str:
    """Identity of all that decides the sample's bytes: generator, Python, packages and versions, size."""
    packages = [f"{name}=={dist.version}" for name, dist in environment().items()]
    return identity("sample", SAMPLE_GENERATOR, sys.version, sysconfig.get_platform(), max_pages, packages)


def environment() -> dict[str, Distribution]:
    """The installed packages by lower-case name, sorted, without lakeloom itself.

    Those of the environment's own folders: sys.path would let the working folder add some.
    """
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    named = {str(dist.metadata["Name"]).lower(): dist for dist in distributions(path=folders)}
    return {name: dist for name, dist in sorted(named.items()) if name not in {"lakeloom", "none"}}


def _slice(pool: PoolConfig) -> slice:
    if not pool.files:
        return slice(None)
    match = _SLICE.fullmatch(pool.files)
    if match is None:
        raise ConfigError(f"pool {pool.name!r}: files={pool.files!r} is no slice; write 0:8, 8: or :8")
    start, stop = (int(text) if text else None for text in match.groups())
    return slice(start, stop)


def _sample(pool: PoolConfig, root: Path) -> list[SourceFile]:
    folder = sample_folder(pool, root)
    if not (folder / MANIFEST).is_file():
        raise ConfigError(f"the sample pool isn't made yet for this environment ({folder}); run: lakeloom pool")
    manifest = cast(dict[str, list[dict[str, str | int]]], json.loads((folder / MANIFEST).read_text("utf-8")))
    sizes = {str(entry["name"]): entry["num_bytes"] for entry in manifest["files"]}
    found = [_local(folder, name) for name in sizes]
    wrong = [file.path for file in found if file.num_bytes != sizes[file.path]]
    if wrong:
        raise ConfigError(
            f"sample pool {folder}: {', '.join(wrong)} not as in {MANIFEST}; delete it, run: lakeloom pool"
        )
    return found


def _folder(pool: PoolConfig, suffix: re.Pattern[str]) -> list[SourceFile]:
    if not pool.path:
        raise ConfigError(f"pool {pool.name!r} of kind {pool.kind!r} needs a folder: pool.path=/a/folder")
    found = _remote(pool) if "://" in pool.path else _walk(pool)
    chosen = [file for file in found if suffix.search(file.path)]
    others = [file.path for file in found if not suffix.search(file.path)]
    if not chosen:
        raise ConfigError(
            f"pool {pool.path!r}: none of its {len(found)} files is named as {pool.kind} ({suffix.pattern}); "
            f"kinds: {', '.join(_KINDS)}"
        )
    if others:
        log.warning("pool %s: %d files of other kinds left out, first %s", pool.name, len(others), others[0])
    return chosen


def _walk(pool: PoolConfig) -> list[SourceFile]:
    folder = Path(pool.path).expanduser().absolute()
    if folder.is_file():
        return [_local(folder.parent, folder.name)]
    if not folder.is_dir():
        raise ConfigError(
            f"pool path {pool.path!r} doesn't exist (looked for {folder}); "
            f"choices: a folder, a file, {', '.join(_KINDS)}"
        )
    return [_local(folder, name) for name in sorted(p.relative_to(folder).as_posix() for p in _files(folder))]


def _files(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            if not path.relative_to(folder).as_posix().isprintable():
                raise ConfigError(f"pool file {path!a}: its name isn't printable UTF-8; rename it")
            yield path


def _local(folder: Path, name: str) -> SourceFile:
    path = folder / name
    return SourceFile(name, str(path), path.stat().st_size if path.is_file() else -1)


def _remote(pool: PoolConfig) -> list[SourceFile]:
    """Files under an address of any file system that fsspec knows, or the one file that it is."""
    try:
        if pool.path.startswith("http"):
            open_file(pool.path).close()  # fsspec takes a server that doesn't answer for an empty folder
        files, top = file_system(pool.path)
        found = files.find(top, detail=True)
    except Exception as error:  # the file systems' errors have no common base
        raise _unreadable(f"pool path {pool.path!r}", pool.path, error) from error
    if not found:
        raise ConfigError(f"pool path {pool.path!r}: no file is there")
    top = top.rstrip("/")
    return [
        SourceFile(
            name.rpartition("/")[2] if name == top else name.removeprefix(top + "/"),
            files.unstrip_protocol(name),
            int(found[name].get("size") or 0),
        )
        for name in sorted(found)
    ]


def _unreadable(what: str, address: str, error: Exception) -> ConfigError:
    """Why an address can't be read, and what may help."""
    cure = "is the address right, and the server up?"
    if isinstance(error, FileNotFoundError):
        cure = "is the address right?"
    elif isinstance(error, PermissionError | NoCredentials):
        cure = _S3_LOGIN if address.startswith("s3") else "~/.netrc may hold a login"
    return ConfigError(f"{what} can't be read: {type(error).__name__}: {error}; {cure}")


def _without_secrets(field: str, address: str) -> None:
    """ConfigError for an address that no row and no line of a log should show."""
    parts = urlsplit(address) if "://" in address else urlsplit("")
    if "@" in parts.netloc or (parts.query and parts.scheme.startswith("http")):
        raise ConfigError(
            f"{field}: an address on {parts.hostname} with a user name or a query, which every row and log would show; "
            "a password belongs into ~/.netrc, S3's credentials into AWS_PROFILE or AWS_ACCESS_KEY_ID"
        )


def _warc(pool: PoolConfig, root: Path) -> list[SourceFile]:
    return _folder(pool, _WARC)


def _jsonl(pool: PoolConfig, root: Path) -> list[SourceFile]:
    return _folder(pool, _JSONL)


def _common_crawl(pool: PoolConfig, root: Path) -> list[SourceFile]:
    """A snapshot's own path list, in its order. Sizes aren't in it."""
    if not _SNAPSHOT.fullmatch(pool.snapshot):
        raise ConfigError(
            f"pool {pool.name!r}: snapshot={pool.snapshot!r} is no snapshot id such as CC-MAIN-2024-10; "
            "https://index.commoncrawl.org lists them"
        )
    base = pool.base.rstrip("/")
    address = f"{base}/crawl-data/{pool.snapshot}/warc.paths.gz"
    what = f"the path list of snapshot {pool.snapshot!r}, {address},"
    try:
        with closing(open_file(address)) as file:
            lines = gzip.decompress(file.read()).decode("ascii").split()
    except FileNotFoundError as error:
        raise ConfigError(f"{what} isn't there: {error}; https://index.commoncrawl.org lists the snapshots") from error
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} holds no paths: {type(error).__name__}: {error}; is pool.base right?") from error
    except Exception as error:  # as above
        raise _unreadable(what, address, error) from error
    if not lines:
        raise ConfigError(f"{what} is empty; https://index.commoncrawl.org lists the snapshots")
    return [SourceFile(line, f"{base}/{line}", 0) for line in lines]


_KINDS: dict[str, Callable[[PoolConfig, Path], list[SourceFile]]] = {
    "sample": _sample,
    "warc": _warc,
    "cc": _common_crawl,
    "jsonl": _jsonl,
}
