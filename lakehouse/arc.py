"""ARC, the format before WARC (Common Crawl until 2012), read by warcio, which gives it WARC headers."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from warcio.archiveiterator import ArchiveIterator

from lakeloom.lakehouse.errors import PASSED_ON
from lakeloom.lakehouse.payload import Undecodable, decode
from lakeloom.lakehouse.streams import ByteSource
from lakeloom.lakehouse.warc import BadRecord, Capture, Extract, Limits, OtherRecord, Row, clean_url, to_page

if TYPE_CHECKING:
    from warcio.recordloader import ArcWarcRecord

_STATUS = re.compile("[0-9]{3}")


def arc_records(file: ByteSource, size: int, extract: Extract, limits: Limits) -> Iterator[Row]:
    """All records of an ARC file; what follows a record that can't be read is one bad record, to the file's end."""
    file.seek(0)
    archive = ArchiveIterator(file, arc2warc=True)
    number, offset = 0, 0
    while True:
        try:
            record = next(archive, None)
            if record is None:
                return
            raw = record.raw_stream.read(limits.max_bytes + 1)
            offset = int(archive.get_record_offset())  # consumes what is left of the record
            yield _row(record, raw, offset, number, extract, limits)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 errors.PASSED_ON says why
            yield BadRecord(offset, "parse", "not_a_record", f"{type(error).__name__}: {error}"[:200], size - offset)
            return
        number += 1


def _row(record: "ArcWarcRecord", raw: bytes, offset: int, number: int, extract: Extract, limits: Limits) -> Row:
    if record.rec_type != "response":
        return OtherRecord(record.rec_type, len(raw))
    http = {name.lower(): value for name, value in record.http_headers.headers} if record.http_headers else {}
    try:
        if len(raw) > limits.max_bytes:
            raise Undecodable("too_large", f"more than {limits.max_bytes} bytes")
        body = decode(raw, http, limits.max_bytes)
    except Undecodable as error:
        return BadRecord(offset, "decode", error.error, str(error)[:200], len(raw))
    return to_page(_capture(record, offset, http, body), number, extract, limits)


def _capture(record: "ArcWarcRecord", offset: int, http: dict[str, str], body: bytes) -> Capture:
    status = record.http_headers.get_statuscode() if record.http_headers else ""
    warc = record.rec_headers
    return Capture(
        offset=offset,
        url=clean_url(warc.get_header("WARC-Target-URI") or ""),
        date=_date(warc.get_header("WARC-Date") or ""),
        status=int(status) if _STATUS.fullmatch(status) else None,
        headers=http,
        # A record without HTTP has its type in the ARC header line.
        declared_type=http.get("content-type", "") if http else warc.get_header("Content-Type") or "",
        body=body,
        digest=warc.get_header("WARC-Payload-Digest"),
        is_text=False,
    )


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
