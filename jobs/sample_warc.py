"""Writes web pages as WARC files with warcio, as a crawler would have met them: charsets, headers, errors.

Dates and record ids come from the page's address, so that the same pages give the same bytes.
"""

import gzip
import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from uuid import NAMESPACE_URL, uuid5

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from lakeloom.jobs.sample_site import Page, render, share

_REASONS = {200: "OK", 301: "Moved Permanently", 404: "Not Found"}
_SERVERS = ["nginx/1.24.0", "Apache/2.4.57 (Unix)", "cloudflare", "Microsoft-IIS/10.0"]
# Cumulated share of pages; their charset: of the bytes, in the Content-Type header, in the page ("": none).
_NOT_FOUND = b"<html><head><title>404</title></head><body><h1>Not Found</h1><p>No such page.</p></body></html>"
_ENCODINGS = [
    (0.02, "cp1252", "windows-1252", "windows-1252"),
    (0.03, "cp1252", "iso-8859-1", ""),
    (0.04, "latin-1", "", "iso-8859-1"),
    (0.05, "latin-1", "", ""),
    (0.055, "utf-16", "", ""),
    (0.06, "utf-8", "iso-8859-1", "utf-8"),
    (0.16, "utf-8", "", ""),
    (0.40, "utf-8", "", "utf-8"),
    (1.0, "utf-8", "utf-8", "utf-8"),
]


@dataclass(frozen=True)
class Response:
    """One HTTP answer."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def write_file(path: Path, pages: list[Page]) -> int:
    """One gzipped WARC file, moved to its place when it is complete; number of response records."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    num_responses = 0
    with partial.open("wb") as stream:
        archive = _Archive(stream)
        archive.write("warcinfo", "", path.name, b"software: lakeloom sample pool\r\nformat: WARC File Format 1.0\r\n")
        for page in pages:
            for response in responses(page):
                archive.write_response(response)
                num_responses += 1
    partial.replace(path)
    return num_responses


class _Writer(Protocol):
    """What is used of warcio's writer, which has no types."""

    def create_warc_record(self, uri: str, record_type: str, **parts: object) -> object: ...

    def write_record(self, record: object) -> None: ...


class _Archive:
    """A WARC file being written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._writer = cast(_Writer, WARCWriter(stream, gzip=True, warc_version="WARC/1.0"))

    def write(self, kind: str, url: str, name: str, payload: bytes, http: StatusAndHeaders | None = None) -> None:
        """One record; its id and date are made of its kind and name."""
        headers = {
            "WARC-Record-ID": f"<urn:uuid:{uuid5(NAMESPACE_URL, f'{kind}:{name}')}>",
            "WARC-Date": date(name),
        }
        if kind == "warcinfo":
            headers["WARC-Filename"] = name
        record = self._writer.create_warc_record(
            url,
            kind,
            payload=BytesIO(payload),
            length=len(payload),
            warc_headers_dict=headers,
            http_headers=http,
        )
        self._writer.write_record(record)

    def write_response(self, response: Response) -> None:
        """The response, with its request before and metadata after it for some."""
        url = response.url
        if share(url, "request") < 0.03:
            path = url.partition(".example")[2]
            lines = [
                ("Host", url.split("/")[2]),
                ("User-Agent", "lakeloom-sample"),
                ("Accept", "text/html,*/*"),
            ]
            self.write(
                "request",
                url,
                url,
                b"",
                StatusAndHeaders(f"GET {path} HTTP/1.1", lines, is_http_request=True),
            )
        status = f"{response.status} {_REASONS[response.status]}"
        self.write("response", url, url, response.body, StatusAndHeaders(status, list(response.headers), "HTTP/1.1"))
        if share(url, "metadata") < 0.03:
            self.write("metadata", url, url, b"fetchTimeMs: 212\r\ncharset-detected: unknown\r\n")


def date(name: str) -> str:
    """A moment of March 2024, fixed by the name."""
    second = int(share(name, "date") * 31 * 86400)
    day, rest = divmod(second, 86400)
    return f"2024-03-{day + 1:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def responses(page: Page) -> Iterator[Response]:
    """The page, and for some what else a crawler meets: redirects, missing pages, robots.txt, data, icons."""
    yield _html(page)
    url, host = page.url, f"https://{page.site.host}"
    if share(url, "missing") < 0.015:
        yield Response(f"{url}.old", 404, _headers(url, "text/html"), _NOT_FOUND)
    if share(url, "redirect") < 0.01:
        yield Response(url.replace("https:", "http:"), 301, (*_headers(url, "text/html"), ("Location", url)), b"")
    if page.path == "/" and share(url, "robots") < 0.1:
        yield Response(f"{host}/robots.txt", 200, _headers(url, "text/plain"), b"User-agent: *\nDisallow: /search\n")
    if page.kind == "index" and share(url, "data") < 0.1:
        data = json.dumps({"titles": [page.title], "names": page.blocks[0].text.split()[:50]})
        yield Response(f"{url}.json", 200, _headers(url, "application/json"), data.encode())
    if page.path == "/" and share(url, "icon") < 0.05:
        yield Response(f"{host}/favicon.png", 200, _headers(url, "image/png"), _icon(url))


def _html(page: Page) -> Response:
    number = share(page.url, "charset")
    _, codec, in_header, in_page = next(row for row in _ENCODINGS if number < row[0])
    # What the charset lacks becomes a character reference, as publishing systems do it.
    body = render(page, in_page).encode(codec, "xmlcharrefreplace")
    headers = _headers(page.url, f"text/html; charset={in_header}" if in_header else "text/html")
    if share(page.url, "compressed") < 0.02:
        body, headers = gzip.compress(body, mtime=0), (*headers, ("Content-Encoding", "gzip"))
    return Response(page.url, 200, (*headers, ("Content-Length", str(len(body)))), body)


def _headers(url: str, content_type: str) -> tuple[tuple[str, str], ...]:
    host = url.split("/")[2]
    server = _SERVERS[int(share(host, "server") * len(_SERVERS))]
    tag = uuid5(NAMESPACE_URL, url).hex[:16]
    cache = ("Cache-Control", "public, max-age=600") if share(host, "cache") < 0.5 else ("Vary", "Accept-Encoding")
    moment = ("Date", format_datetime(datetime.fromisoformat(date(url)), usegmt=True))
    return (moment, ("Server", server), ("Content-Type", content_type), ("ETag", f'"{tag}"'), cache)


def _icon(url: str) -> bytes:
    """A PNG of 16 x 16 pixels in one colour."""
    colour = uuid5(NAMESPACE_URL, url).bytes[:3]
    rows = (b"\0" + colour * 16) * 16
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
