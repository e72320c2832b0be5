"""Forms of a text under which copies are equal: DCLM's normalisers, by the names that exact_dedup gives them."""

import hashlib
import re
import time
from collections.abc import Callable

_SCHEME = re.compile(r"https?:\/\/(www\.)?")
_TRACKING = re.compile(r"\?(utm_|ref|feed).*")
_DIGIT = re.compile(r"\d")

# CC-Net's punctuation (arXiv 1911.00359, its text_normalizer) and what stands for it in ASCII.
PUNCTUATION = {
    "\uff0c": ",", "\u3002": ".", "\u3001": ",", "\u201e": '"', "\u201d": '"', "\u201c": '"', "\u00ab": '"',
    "\u00bb": '"', "\uff11": '"', "\u300d": '"', "\u300c": '"', "\u300a": '"', "\u300b": '"', "\u00b4": "'",
    "\u2236": ":", "\uff1a": ":", "\uff1f": "?", "\uff01": "!", "\uff08": "(", "\uff09": ")", "\uff1b": ";",
    "\u2013": "-", "\u2014": " - ", "\uff0e": ". ", "\uff5e": "~", "\u2019": "'", "\u2026": "...", "\u2501": "-",
    "\u3008": "<", "\u3009": ">", "\u3010": "[", "\u3011": "]", "\uff05": "%", "\u25ba": "-",
}  # fmt: skip
CONTROL = "".join(map(chr, (*range(32), *range(127, 160))))
_DELETED = str.maketrans("", "", "".join(PUNCTUATION) + CONTROL)


def normalize_url(text: str) -> str:
    """Without scheme, www, tracking parameters and final slashes."""
    return _TRACKING.sub("", _SCHEME.sub("", text)).rstrip("/")


def normalize_whitespace_and_lowercase(text: str) -> str:
    """Stripped, in lower case."""
    return text.strip().lower()


def normalize_timestamps(text: str) -> float:
    """Seconds since 1970 of a time like 2024-03-01T00:00:00Z, read as local time as DCLM does; -1 for another text."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except (ValueError, OverflowError):
        return -1.0


def hash_text(text: str) -> str:
    """MD5, in hex digits."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def ccnet_dedup_normalizer(text: str) -> str:
    """CC-Net's form: stripped, lower case, digits as 0, no typographic punctuation or control characters, in ASCII."""
    from unidecode import unidecode  # its tables are read as they are needed

    return str(unidecode(_DIGIT.sub("0", text.strip().lower()).translate(_DELETED)))


NORMALIZERS: dict[str, Callable[[str], str | float]] = {
    function.__name__: function
    for function in (
        normalize_url,
        normalize_whitespace_and_lowercase,
        normalize_timestamps,
        hash_text,
        ccnet_dedup_normalizer,
    )
}
