"""A file of a web server as a seekable stream: one request reads it from beginning to end.

Common Crawl counts requests, and answers 503 to those who send many. A connection that breaks is taken up again at the
byte it broke at; a server that can't do that (no ranges), or doesn't say how long the file is, has it copied to a
temporary file first. Bytes come as the server stores them: none is decompressed on the way, whatever its headers say.
"""

import io
import shutil
import tempfile
from contextlib import ExitStack
from http import HTTPStatus
from http.client import responses
from typing import IO, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

# Waits of 0, 2, 4, 8, 16, 30 s; less for a server that isn't there at all, since its name may simply be wrong.
PATIENCE = Retry(
    total=6,
    connect=3,
    other=3,
    status_forcelist=(408, 429, 500, 502, 503, 504),
    backoff_factor=1,
    backoff_max=30,
    backoff_jitter=1,
    retry_after_max=60,
    raise_on_status=False,
)
_CONNECT_S, _READ_S = 10.0, 30.0
_DONE, _ENDED = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}, {HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_FORBIDDEN = {HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS}
_PIECE = 1 << 17  # of which some is lost, and asked for again, where a connection breaks
# A connection that broke after this many bytes has all its tries again: a long file may break often.
_PROGRESS = 64 << 20


class WebFile(io.RawIOBase):
    """Opened by its first request: FileNotFoundError (404, 410), PermissionError (403, 451), else OSError."""

    def __init__(self, address: str) -> None:
        self._address, self._session = address, _session()
        self._tries, self._failed_at = PATIENCE, 0
        self._position = 0  # of the next byte to read
        self._arriving = 0  # of the next byte that the response holds
        self._copy: IO[bytes] | None = None
        try:
            self._response = self._get(0)
            self._mark = _mark(self._response)
            length = self._response.headers.get("Content-Length", "")
            self._size = int(length) if length.isdigit() else 0
            if not length.isdigit():
                self._copy_whole()
        except BaseException:
            self._session.close()
            super().close()
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """No request: the next read makes one where it has to."""
        origin = (0, self._position, self._size)[whence]
        if origin + offset < 0:
            raise ValueError(f"byte {origin + offset} is before the file's beginning")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # as io.BufferedReader calls it
        """As many bytes as there is room for; fewer only at the file's end."""
        filled = 0
        while filled < len(buffer) and self._position < self._size:
            try:
                piece = self._read(min(_PIECE, len(buffer) - filled))
            except (urllib3.exceptions.HTTPError, EOFError) as error:
                self._wait(error)
                continue
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled

    def close(self) -> None:
        self._response.close()
        self._session.close()
        if self._copy is not None:
            self._copy.close()
        super().close()

    def _read(self, size: int) -> bytes:
        if self._copy is None and self._arriving != self._position:
            self._go_to(self._position)
        if self._copy is not None:
            self._copy.seek(self._position)
            return self._copy.read(size)
        data = cast(bytes, self._response.raw.read(min(size, self._size - self._position)))
        if not data:
            raise EOFError(f"the server sent {self._position} of {self._size} bytes")
        self._arriving += len(data)
        return data

    def _go_to(self, position: int) -> None:
        """Ask for the rest of the file from `position` on; a server that sends all of it again can't do ranges."""
        self._response.close()
        self._response, size = self._get(position), self._size
        self._arriving = position
        place = self._response.headers.get("Content-Range", "")
        is_whole = self._response.status_code == HTTPStatus.OK
        if is_whole:
            self._copy_whole()
            place = f"bytes {position}-{size - 1}/{self._size}"
        if place != f"bytes {position}-{size - 1}/{size}" or _mark(self._response) != self._mark:
            raise OSError(
                f"it changed since it was opened: it had {size} bytes, its rest from byte {position} on is {place!r}"
            )

    def _copy_whole(self) -> None:
        with ExitStack() as until_done:
            copy = until_done.enter_context(tempfile.TemporaryFile())
            self._fill(copy)
            until_done.pop_all()
        self._copy, self._size = copy, copy.tell()

    def _fill(self, copy: IO[bytes]) -> None:
        while True:
            try:
                shutil.copyfileobj(self._response.raw, copy, 1 << 20)
                return
            except urllib3.exceptions.HTTPError as error:
                self._wait(error)
                copy.seek(0)
                copy.truncate()
                self._response = self._get(0)

    def _wait(self, error: Exception) -> None:
        """Before the next try; OSError where there have been enough."""
        self._response.close()
        self._arriving = -1  # the next read asks anew
        if self._position - self._failed_at >= _PROGRESS:
            self._tries = PATIENCE
        self._failed_at = self._position
        try:
            self._tries = self._tries.increment("GET", self._address, error=error)
        except urllib3.exceptions.MaxRetryError:
            tries = len(self._tries.history) + 1
            raise OSError(f"broke {tries} times, the last time at byte {self._position}: {error}") from error
        self._tries.sleep()

    def _get(self, position: int) -> requests.Response:
        headers = {"Range": f"bytes={position}-"} if position else {}
        try:
            response = self._session.get(self._address, headers=headers, stream=True, timeout=(_CONNECT_S, _READ_S))
        except requests.RequestException as error:
            raise OSError(_reason(error)) from error
        if response.status_code not in (_DONE if not position else _DONE | _ENDED):
            response.close()
            raise _refusal(response)
        return response


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=PATIENCE))
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "lakeloom"})
    return session


def _mark(response: requests.Response) -> tuple[str | None, str | None]:
    """What tells two versions of a file apart."""
    return response.headers.get("ETag"), response.headers.get("Last-Modified")


def _refusal(response: requests.Response) -> OSError:
    status = response.status_code
    text = f"HTTP status {status} {responses.get(status, '')}"
    if status in _GONE:
        return FileNotFoundError(text)
    if status in _FORBIDDEN and response.headers.get("Server") == "CloudFront":
        # Not what stands behind it: a limit on the rate of requests, such as Common Crawl's. It passes.
        return OSError(f"{text}, by CloudFront itself: asked too often?")
    return PermissionError(text) if status in _FORBIDDEN else OSError(text)


def _reason(error: requests.RequestException) -> str:
    """The cause without the wrapping of two libraries."""
    cause = error.args[0] if error.args else error
    return str(cause.reason if isinstance(cause, urllib3.exceptions.MaxRetryError) else cause)
