"""A web archive as pages, bad records and other records: every record comes out once, as one of the three.

WARC by FastWARC (plain, gzip, zstd, lz4), ARC by warcio. After bytes that are no record the
reader goes on at the next place that looks like one, so a damaged spot costs what it covers and no more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from lakeloom.lakehouse.errors import PASSED_ON
from lakeloom.lakehouse.markup import EXTRACTOR, decoded
from lakeloom.lakehouse.payload import HTML, PLAIN, Undecodable, decode, media_type
from lakeloom.lakehouse.recovery import Damage, Recovery, sniff
from lakeloom.lakehouse.rights import SPLIT_HEADERS, licenses, refusals
from lakeloom.lakehouse.streams import ByteSource

if TYPE_CHECKING:
    from tldextract import TLDExtract

Extract = Callable[[bytes], tuple[str, str]]


class ExtractionFailed(Exception):
    """The page gave no text: `reason` is timeout, crash or error."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


# Damaged places on end without a record: each costs up to a millisecond, and foreign hands can make millions.
_MAX_TRIES = 100_000
_SWALLOWED = b"\nWARC/"  # only looked for in files that some hand has edited
_HOLD_PAGES = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion


@dataclass(frozen=True)
class Limits:
    """What one record may cost: bytes of its decoded body."""

    max_bytes: int = 10_000_000
    keep_html: bool = False
    keep_rights: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A record with text. `offset` is that of the record (of its gzip member) in the file, `number` its place in it."""

    offset: int
    number: int
    url: str
    host: str
    domain: str
    fetched_at: datetime | None
    http_status: int | None
    content_type: str
    http_headers: dict[str, str]
    charset: str
    text: str
    html_bytes: int
    extractor: str
    html: bytes | None
    refusals: list[str] | None  # what rights.py finds; null where it was not asked to look, or can't
    licenses: list[str] | None
    payload_digest: str | None


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record, or a stretch of bytes, that gave no page. stage: open, parse, select, decode, extract."""

    offset: int | None
    stage: str
    error: str
    detail: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class OtherRecord:
    """A sound record of a type that holds no page: warcinfo, request, metadata, revisit, continuation."""

    kind: str
    num_bytes: int


Row = Page | BadRecord | OtherRecord


@dataclass(frozen=True, slots=True)
class Capture:
    """What the two archive libraries have in common."""

    offset: int
    url: str
    date: datetime | None
    status: int | None
    headers: Mapping[str, str]
    declared_type: str
    body: bytes
    digest: str | None
    is_text: bool  # a WET conversion: text already


def records(file: ByteSource, size: int, extract: Extract, limits: Limits) -> Iterator[Row]:
    """All records of a seekable archive of `size` bytes, in file order."""
    kind = sniff(file, size)
    if kind.error:
        yield BadRecord(0, "open", kind.error, kind.detail, size)
        return
    if kind.is_arc:
        from lakeloom.lakehouse.arc import arc_records

        yield from arc_records(file, size, extract, limits)
        return
    number, tries, recovery = 0, 0, Recovery(file, size, kind)
    damage, reason = Damage(0, kind.start), "the file does not begin with a record"
    while damage.end < size:
        last: WarcRecord | None = None
        start, stopped_by = damage.end, ""
        file.seek(start)
        try:
            for last in ArchiveIterator(file, parse_http=False, quirks_mode=kind.is_quirky, fsspec_args=False):
                yield from _not_records(damage, reason)
                damage = Damage(start, start)
                yield _row(last, number, extract, limits)
                number += 1
                if kind.is_quirky and _SWALLOWED in last.reader.read(limits.max_bytes):
                    yield BadRecord(last.stream_pos, "parse", "wrong_length", "it covers the next record's header", 0)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 errors.PASSED_ON says why
            stopped_by = f"{type(error).__name__}: {error}"[:200]
        found = recovery.after(start, None if last is None else last.stream_pos)
        if last is not None and not stopped_by and found.end >= size:
            return
        tries = tries + 1 if last is None else 0
        if tries >= _MAX_TRIES:
            damage, reason = Damage(damage.start, size), f"the rest of the file, after {tries} damaged places on end"
            break
        # FastWARC takes some bytes between compressed members for the end of the file, and says nothing.
        stopped_by = stopped_by or "the reader took it for the end of the file"
        reason = reason if damage.end > damage.start else stopped_by
        damage = found if last is not None else Damage(damage.start, found.end)
    yield from _not_records(damage, reason)


def _not_records(damage: Damage, reason: str) -> Iterator[BadRecord]:
    if damage.end > damage.start:
        yield BadRecord(damage.start, "parse", "not_a_record", reason, damage.end - damage.start)


def _row(record: WarcRecord, number: int, extract: Extract, limits: Limits) -> Row:
    if not record.record_type & _HOLD_PAGES:
        name = str(record.record_type).rsplit(".", 1)[-1]
        if record.record_type == WarcRecordType.unknown and "WARC-Type" not in record.headers:
            return BadRecord(record.stream_pos, "parse", "no_record_type", "", record.content_length)
        return OtherRecord(name, record.content_length)
    offset, num_bytes = record.stream_pos, record.content_length
    try:
        return to_page(_capture(record, limits), number, extract, limits)
    except Undecodable as error:
        return BadRecord(offset, "decode", error.error, str(error)[:200], num_bytes)
    except PASSED_ON:
        raise
    except BaseException as error:  # noqa: BLE001 errors.PASSED_ON says why
        return BadRecord(offset, "parse", "bad_record", f"{type(error).__name__}: {error}"[:200], num_bytes)


def _capture(record: WarcRecord, limits: Limits) -> Capture:
    headers = record.headers
    is_http = record.is_http
    if is_http:
        record.parse_http(quirks_mode=True)  # a status line without a reason, or bare line feeds, are still HTTP
    body = record.reader.read(limits.max_bytes + 1)
    if len(body) > limits.max_bytes:
        raise Undecodable("too_large", f"more than {limits.max_bytes} bytes")
    if len(body) < record.content_length:
        raise Undecodable("truncated", f"{len(body)} of {record.content_length} bytes are in the file")
    http = _headers(record) if is_http else {}
    return Capture(
        offset=record.stream_pos,
        url=clean_url(headers.get("WARC-Target-URI") or ""),
        date=_date(record),
        status=record.http_headers.status_code if is_http else None,
        headers=http,
        declared_type=http.get("content-type", "") if is_http else headers.get("Content-Type") or "",
        body=decode(body, http, limits.max_bytes),
        digest=headers.get("WARC-Payload-Digest"),
        is_text=record.record_type == WarcRecordType.conversion,
    )


def _headers(record: WarcRecord) -> dict[str, str]:
    """HTTP headers by name in lower case: of two of a name the last, or both where a list may be split over several."""
    http = dict[str, str]()
    for name, value in record.http_headers.items():
        key = name.lower()
        http[key] = f"{http[key]}, {value}" if key in http and key in SPLIT_HEADERS else value
    return http


def clean_url(url: str) -> str:
    """Without the angle brackets that old wget wrote around it."""
    url = url.strip()
    return url[1:-1] if url.startswith("<") and url.endswith(">") else url


def _date(record: WarcRecord) -> datetime | None:
    try:
        return record.record_date
    except (ValueError, OverflowError, AttributeError):
        return None


def to_page(capture: Capture, number: int, extract: Extract, limits: Limits) -> Row:
    """The page of a capture, or why it has none."""

    def bad(stage: str, error: str, detail: str = "") -> BadRecord:
        return BadRecord(capture.offset, stage, error, detail[:200], len(capture.body))

    if not capture.url:
        return bad("select", "no_url")
    if not capture.body:
        return bad("select", "empty_body", f"HTTP status {capture.status}")
    media = "text/plain" if capture.is_text else media_type(capture.declared_type, capture.body)
    if media not in HTML + PLAIN:
        return bad("select", "media_type", media)
    try:
        text, charset = extract(capture.body) if media in HTML else decoded(capture.body)
    except ExtractionFailed as error:
        return bad("extract", error.reason, str(error))
    markup = capture.body if media in HTML else b""
    host = host_of(capture.url)
    return Page(
        offset=capture.offset,
        number=number,
        url=capture.url,
        host=host,
        domain=domain_of(host),
        fetched_at=capture.date,
        http_status=capture.status,
        content_type=media,
        http_headers=dict(capture.headers),
        charset=charset,
        text=text,
        html_bytes=len(capture.body),
        extractor=EXTRACTOR if media in HTML else "none",
        html=capture.body if limits.keep_html else None,
        refusals=refusals(markup, capture.headers) if limits.keep_rights else None,
        licenses=licenses(markup, capture.headers) if limits.keep_rights else None,
        payload_digest=capture.digest,
    )


def host_of(url: str) -> str:
    """Lower-case host name of a URL, "" where it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:  # [ without ]
        return ""


@lru_cache(maxsize=4096)
def domain_of(host: str) -> str:
    """Registrable domain of a host by the Public Suffix List (bbc.co.uk), "" for an address or a suffix alone."""
    return _suffixes()(host).top_domain_under_public_suffix


@cache
def _suffixes() -> "TLDExtract":
    """The list in tldextract's wheel, never fetched: the same domains today and in a year."""
    from tldextract import TLDExtract  # a fifth of a second, which only readers need

    return TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=False)
