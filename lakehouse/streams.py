"""Opens archives wherever they are, and tells a broken source from a broken archive.

A parser meets damaged bytes as OSError and goes on after them. A disk or a network that fails midway must not look like
that: what could not be read would be recorded as bad, and never be read again. It raises SourceFailed instead, the task
fails, and the batch stays planned for the next run.
"""

import io
import os
from pathlib import Path
from typing import Protocol, cast

from lakeloom.lakehouse.errors import SourceFailed

# The file is not to be had, now or later: its row in the dead letters says so.
GONE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

# What is read ahead: as much as recovery.py may go back after damage, several times over.
_AHEAD = 4 << 20
# Of object stores. Each block is a request and stays in memory: 50 for a WARC file of Common Crawl.
_BLOCK = 16 << 20


class NoCredentials(OSError):
    """A bucket refused a machine without credentials, or with wrong ones. Not GONE: the driver's may be right."""


class ByteSource(Protocol):
    """As much of a binary file as the readers of archives need."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, all that is left by default; b"" at the end."""

    def readline(self, size: int = -1, /) -> bytes:
        """The next line, or its first `size` bytes."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte; its offset."""

    def tell(self) -> int:
        """Offset of the next byte."""

    def close(self) -> None:
        """Give back what the file holds."""


class Stream:
    """A ByteSource whose own failures are SourceFailed."""

    def __init__(self, file: ByteSource, address: str) -> None:
        self._file, self._address = file, address

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, all that is left by default; b"" at the end."""
        try:
            return self._file.read(size)
        except Exception as error:
            raise _failed(self._address, error) from error

    def readline(self, size: int = -1, /) -> bytes:
        """The next line, or its first `size` bytes."""
        try:
            return self._file.readline(size)
        except Exception as error:
            raise _failed(self._address, error) from error

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte; its offset."""
        try:
            return self._file.seek(offset, whence)
        except Exception as error:
            raise _failed(self._address, error) from error

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_stream(address: str) -> Stream:
    """A local path or a URL that fsspec knows. Raises one of GONE, or SourceFailed where trying again may help."""
    try:
        return Stream(open_file(address), address)
    except GONE:
        raise
    except Exception as error:
        raise _failed(address, error) from error


def _failed(address: str, error: Exception) -> SourceFailed:
    return SourceFailed(f"{address}: {type(error).__name__}: {error}; run the job again to go on")


def open_file(address: str) -> ByteSource:
    """As open_stream, with the errors of the file system it is on."""
    if "://" not in address:
        return Path(address).open("rb")
    if address.startswith(("http://", "https://")):
        from lakeloom.lakehouse.webfile import WebFile

        return io.BufferedReader(WebFile(address), _AHEAD)
    files, path = file_system(address)
    try:
        return io.BufferedReader(files.open(path, "rb", block_size=_BLOCK), _AHEAD)
    except PermissionError as error:
        if _is_s3(address):
            _check_credentials(files, path, error)
        raise


# What S3 answers where the fault is the key's, not the object's.
_BAD_KEY = {
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}


def _check_credentials(files: "FileSystem", path: str, refused: PermissionError) -> None:
    """NoCredentials where others than this machine's might do."""
    if files.anon:
        raise NoCredentials(f"{refused} to a machine without credentials for S3") from refused
    try:
        files.cat_file(path, start=0, end=1)  # the file was opened by a HEAD request, which is refused without a reason
    except OSError as error:
        code = getattr(error.__cause__, "response", {}).get("Error", {}).get("Code")
        if code in _BAD_KEY:
            raise NoCredentials(f"{code}: {error}") from error


class FileSystem(Protocol):
    """What is used of fsspec's file systems, which have no types."""

    anon: bool  # of S3 alone

    def cat_file(self, path: str, *, start: int, end: int) -> bytes: ...

    def find(self, path: str, *, detail: bool) -> dict[str, dict[str, int | None]]: ...

    def open(self, path: str, mode: str, *, block_size: int) -> io.RawIOBase: ...

    def unstrip_protocol(self, name: str) -> str: ...


def file_system(address: str) -> tuple[FileSystem, str]:
    """The file system of an address, and the path in it; fsspec is imported only where it is used.

    S3 is read with the credentials that AWS's own search finds (variables, profiles, roles); without any where it finds
    none, or where fsspec's settings say so (FSSPEC_S3_ANON=true).
    """
    from fsspec.core import url_to_fs

    options: dict[str, object] = {"use_listings_cache": False}  # a notebook's second run must see what was added
    if address.startswith(("http://", "https://")):
        options["client_kwargs"] = {"trust_env": True}  # proxies, and ~/.netrc
    if _is_s3(address) and not _can_sign():
        options["anon"] = True
    return cast(tuple[FileSystem, str], url_to_fs(address, **options))


def _is_s3(address: str) -> bool:
    return address.startswith(("s3://", "s3a://"))


def _can_sign() -> bool:
    from botocore.session import Session
    from fsspec.config import conf

    return not {"anon", "key"}.isdisjoint(conf.get("s3", {})) or Session().get_credentials() is not None
