"""What makes two documents the same one: the SHA-256 of a text's bytes, and the normal form of an address.

A text without a word (a match of \\w) has neither: no two empty pages are duplicates.
"""

import hashlib
import re
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa

from lakeloom.filters.minhash import has_word
from lakeloom.filters.textindex import TextIndex

_TRACKING = re.compile(
    r"utm_\w+|(?:g|d|y|fb|tt|tw)clid|msclkid|gclsrc|[gw]braid|igshid|mc_[ce]id|_ga|_gl|_hsenc|_hsmi", re.IGNORECASE
)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PORTS = {"http": 80, "https": 443}
_SAFE = "!$&'()*+,;=:@/~%"


def text_shas(text: pa.StringArray) -> pa.StringArray:
    """SHA-256 of each text's UTF-8 bytes, 64 hex digits; null for a null text and one without a word."""
    index = TextIndex.of(text)
    whole = index.data.data
    # A call a document: OpenSSL hashes 1 to 2 GB/s, Java without its optimising compiler a twentieth of that.
    shas = [
        hashlib.sha256(whole[start:end]).hexdigest() if is_text else None
        for start, end, is_text in zip(index.starts.tolist(), index.ends.tolist(), has_word(text).tolist(), strict=True)
    ]
    return pa.array(shas, pa.string())


def url_keys(url: pa.StringArray) -> pa.StringArray:
    """The normal form of each address; null for a null or blank one."""
    return pa.array([None if address is None else url_key(address) for address in url.to_pylist()], pa.string())


def url_key(address: str) -> str | None:
    """An address without what does not change the page: see the rules below; None for a blank one.

    Of http and https: the scheme, the host's case, www. and final dot, default ports, the fragment, tracking
    parameters (utm_*, gclid and the like), final slashes, and how characters are percent-encoded (RFC 3986, 6.2.2). The
    order of other parameters stays: some servers heed it. Any other address stands as it is.
    """
    address = address.strip()
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # [ without ], a port that is no number
        return address or None
    if parts.scheme not in _PORTS or not parts.hostname:
        return address or None
    host = parts.hostname.removesuffix(".")
    host = host.removeprefix("www.") or host
    place = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{host}{place}{_encoded(parts.path).rstrip('/')}{_query(parts.query)}"


def _query(query: str) -> str:
    """With its question mark, without tracking parameters; nothing where none is left."""
    kept = [part for part in query.split("&") if part and not _TRACKING.fullmatch(part.partition("=")[0])]
    return f"?{'&'.join(map(_encoded, kept))}" if kept else ""


def _encoded(part: str) -> str:
    """Unreserved characters plain, all escapes in upper case, all else that is no ASCII escaped."""
    plain = _ESCAPE.sub(lambda escape: _unreserved(escape.group()), part)
    return quote(plain, safe=_SAFE + "?[]")


def _unreserved(escape: str) -> str:
    character = unquote(escape)
    is_plain = character.isascii() and (character.isalnum() or character in "-._~")
    return character if is_plain else escape.upper()
