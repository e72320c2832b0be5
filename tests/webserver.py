"""A web server on this machine whose manners a test chooses: ranges or not, false lengths, breaking connections."""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class WebServer:
    """Serves `folder`, with an index page for each folder in it. `asked` is what it was asked for, in order."""

    folder: Path
    address: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    has_ranges: bool = True
    has_length: bool = True
    is_chunked: bool = False
    extra_length: int = 0  # promised and never sent, of files whose path has `extra_for` in it
    extra_for: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)  # of the next answers, instead of a file
    forbidden: str = ""  # paths with this in them are answered 403
    breaks: list[int] = field(default_factory=list)  # bytes of the file at which the next answers end
    resets: bool = True  # and what was on its way is lost
    silent_s: float = 0  # before any answer
    authorization: str = ""  # the header that it wants

    def address_of(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serving(folder: Path) -> Iterator[WebServer]:
    """A server of `folder` for as long as the block runs."""
    web = WebServer(folder)
    with _Quiet(("127.0.0.1", 0), partial(_Handler, web, directory=str(folder))) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that goes away is no error of the test."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, web: WebServer, *args: object, **kwargs: object) -> None:
        self.web = web
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # as the server calls it

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output isn't its log."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.web.asked.append((self.command, self.path, self.headers.get("Range")))
        time.sleep(self.web.silent_s)
        path = Path(self.translate_path(self.path))
        if self.headers.get("Authorization", "") != self.web.authorization:
            self._answer(401, b"")
        elif self.web.forbidden and self.web.forbidden in self.path:
            self._answer(403, b"")
        elif self.web.statuses:
            self._answer(self.web.statuses.pop(0), b"")
        elif path.is_file():
            self._send_file(path.read_bytes())
        elif self.command == "GET":
            super().do_GET()
        else:
            super().do_HEAD()

    def _send_file(self, data: bytes) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not match or not self.web.has_ranges:
            self._answer(200, data)
            return
        start, stop = int(match[1]), min(int(match[2] or len(data)), len(data) - 1) + 1
        if start >= len(data):
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        else:
            place = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
            self._answer(206, data[start:stop], place, start)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, start: int = 0) -> None:
        self.send_response_only(status)
        for name, value in {**self.web.headers, **(headers or {})}.items():
            self.send_header(name, value)
        extra = self.web.extra_length if body and self.web.extra_for in self.path else 0
        if self.web.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif self.web.has_length or status != 200:
            self.send_header("Content-Length", str(len(body) + extra))
        else:
            self.send_header("Connection", "close")
        self.close_connection = self.close_connection or not self.web.has_length or extra > 0
        self.end_headers()
        if self.command == "HEAD":
            return
        place = max(0, self.web.breaks.pop(0) - start) if self.web.breaks and body else len(body)
        self._send_body(body[:place], is_all=place >= len(body))

    def _send_body(self, body: bytes, *, is_all: bool) -> None:
        if self.web.is_chunked:
            blocks = [body[at : at + 1000] for at in range(0, len(body), 1000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n" * is_all
        self.wfile.write(body)
        self.wfile.flush()
        if not is_all:
            if self.web.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.close_connection = True
