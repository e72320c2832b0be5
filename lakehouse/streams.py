"""Opens archives wherever they are, and tells a broken source from a broken archive.

A parser meets damaged bytes as OSError and goes on after them. A disk or a network that fails midway must not look like
that: what could not be read would be recorded as bad, and never be read again. It raises SourceFailed instead, the task
fails, and the batch stays planned for the next run.
"""

import os
from pathlib import Path
from typing import BinaryIO, cast

from lakeloom.lakehouse.errors import SourceFailed

# The file is not to be had, now or later: its row in the dead letters says so.
GONE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class Stream:
    """A seekable file whose own failures are SourceFailed."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        self._file, self._address = file, address

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all that is left by default."""
        try:
            return self._file.read(size)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def readline(self, size: int = -1) -> bytes:
        """The next line, or its first `size` bytes."""
        try:
            return self._file.readline(size)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte; its offset."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

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

    def _failed(self, error: Exception) -> SourceFailed:
        return SourceFailed(f"{self._address}: {type(error).__name__}: {error}; run the job again to go on")


def open_stream(address: str) -> Stream:
    """A local path or a URL that fsspec knows. Raises one of GONE, or SourceFailed where trying again may help."""
    try:
        return Stream(_open(address), address)
    except GONE:
        raise
    except (OSError, ValueError) as error:
        raise SourceFailed(f"{address}: {type(error).__name__}: {error}; run the job again to go on") from error


def _open(address: str) -> BinaryIO:
    if "://" not in address:
        return Path(address).open("rb")
    import fsspec

    # Common Crawl's bucket and others of its kind are read without credentials of one's own.
    options = {"anon": True} if address.startswith("s3:") else {}
    return cast(BinaryIO, fsspec.open(address, "rb", **options).open())
