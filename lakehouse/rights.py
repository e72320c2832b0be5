"""What a page says about the use of its text: refusals for robots and miners, and its licence.

Refusals: robots directives in X-Robots-Tag headers and meta tags (Google's list; noai and noimageai are DeviantArt's),
and the W3C group's TDM Reservation Protocol. Licences: links with rel=license (microformats), Creative Commons' pages.
Both are looked for in the bytes, before extraction drops all tags: meta tags in the head, in any case; links anywhere,
as nearly all are written.
"""

import html
import re
from collections.abc import Iterator, Mapping

SPLIT_HEADERS = ("x-robots-tag", "link")  # lists, which may be sent as several headers of the name
_MAX_TAG, _MAX_HEAD, _MAX_MARKS, _MAX_FOUND = 4000, 100_000, 300, 20
# A name begins where no other goes on, and gives nothing back: else a tag of one long word took a tenth of a second.
_ATTRIBUTE = re.compile(rb"""(?<![\w:-])([a-zA-Z][\w:-]*+)\s*+=\s*+(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_AGENT = re.compile(r"[a-z][a-z0-9_-]*")
_AGENT_NAME = re.compile(r"robots|[a-z][a-z0-9_-]*(?:bot|-ai|-extended)")  # whom a meta tag speaks to
_WORDS = (b"robots", b"bot", b"-ai", b"-extended", b"tdm-")  # one of which such a tag has
_AFTER_NAME = (b" ", b"\n", b"\t", b"\r", b"/")
_LINK = re.compile(rb"<(?:a|area|link)[\s/]", re.IGNORECASE)
_REFUSAL = re.compile(r"no[a-z-]{1,30}")  # noindex, noai, none, ...
_WITH_VALUE = frozenset(("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"))
_RESERVED = "tdm-reservation"
_COMMONS = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(?:(licenses)/([a-z+-]+)|publicdomain/(zero|mark))/(\d\.\d)(?:/([a-z]{2,3})(?=/|$))?",
    re.IGNORECASE,
)
_PUBLIC_DOMAIN = {"zero": "CC0", "mark": "CC-PDM"}


def refusals(body: bytes, headers: Mapping[str, str]) -> list[str]:
    """Directives in lower case, each once: noai, or gptbot:noai where they speak to one robot; tdm-reservation."""
    found = dict.fromkeys(_directives(headers.get("x-robots-tag", ""), ""))
    if headers.get(_RESERVED, "").strip() == "1":
        found[_RESERVED] = None
    for attributes in _meta_tags(body):
        name, content = attributes.get("name", "").lower(), attributes.get("content", "")
        if name == _RESERVED and content.strip() == "1":
            found[_RESERVED] = None
        elif _AGENT_NAME.fullmatch(name):
            found |= dict.fromkeys(_directives(content, "" if name == "robots" else name))
    return list(found)[:_MAX_FOUND]


def licenses(body: bytes, headers: Mapping[str, str]) -> list[str]:
    """Licences that the page links to, each once: SPDX's name of Creative Commons' (CC-BY-SA-4.0), else the address."""
    found = dict[str, None]()
    for link in headers.get("link", "").split(","):
        address, _, parameters = link.strip().partition(">")
        if address.startswith("<") and any(map(_is_license_relation, parameters.split(";"))):
            found[_license(address[1:])] = None
    for mark in (b'rel="license', b"rel='license", b"creativecommons.org/"):
        for attributes in _enclosing_tags(body, mark):
            address = attributes.get("href", "")
            is_marked = "license" in attributes.get("rel", "").lower().split() or _COMMONS.match(address) is not None
            if is_marked and address:
                found[_license(address)] = None
    return list(found)[:_MAX_FOUND]


def _directives(value: str, agent: str) -> Iterator[str]:
    """Refusals of a robots header or tag; an agent's name before a colon holds until the next."""
    for part in value.lower().split(","):
        name, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and name in _WITH_VALUE:
            continue
        if colon and (name == "*" or _AGENT.fullmatch(name)):
            agent, name = "" if name in ("*", "robots") else name, rest
        elif colon:  # the rest of a date
            continue
        if _REFUSAL.fullmatch(name):
            yield f"{agent}:{name}" if agent else name


def _is_license_relation(parameter: str) -> bool:
    """Whether it is rel=license, or several relations of which license is one (RFC 8288)."""
    name, _, value = parameter.partition("=")
    return name.strip().lower() == "rel" and "license" in value.strip().strip("\"'").lower().split()


def _license(address: str) -> str:
    """SPDX's name of a Creative Commons licence or mark, else the address itself."""
    match = _COMMONS.match(address)
    if match is None:
        return address[:500]
    _, kind, public, version, place = match.groups()
    name = f"CC-{kind.upper()}" if kind else _PUBLIC_DOMAIN[public.lower()]
    return f"{name}-{version}" + (f"-{place.upper()}" if place else "")


def _meta_tags(body: bytes) -> Iterator[dict[str, str]]:
    """Attributes of the meta tags that may speak to robots or miners, but for those in comments."""
    end = body.find(b"</head", 0, _MAX_HEAD)
    head = body[: end if end >= 0 else _MAX_HEAD].lower()
    place = head.find(b"<meta")
    for _ in range(_MAX_MARKS):
        if place < 0:
            return
        end = head.find(b">", place, place + _MAX_TAG)
        tag = head[place : end if end >= 0 else place + _MAX_TAG]
        if tag[5:6] in _AFTER_NAME and any(word in tag for word in _WORDS) and not _in_comment(head, place):
            yield _attributes(head, place)
        place = head.find(b"<meta", place + 5)


def _enclosing_tags(body: bytes, mark: bytes) -> Iterator[dict[str, str]]:
    """Attributes of the tags a and link that a mark stands in, but for those in comments."""
    place = body.find(mark)
    for _ in range(_MAX_MARKS):
        if place < 0:
            return
        start = body.rfind(b"<", max(0, place - _MAX_TAG), place)
        is_link = start >= 0 and _LINK.match(body, start) is not None and body.find(b">", start, place) < 0
        if is_link and not _in_comment(body, start):
            yield _attributes(body, start)
        place = body.find(mark, place + len(mark))


def _in_comment(body: bytes, place: int) -> bool:
    opened = body.rfind(b"<!--", max(0, place - _MAX_HEAD), place)
    return opened >= 0 and body.find(b"-->", opened, place) < 0


def _attributes(body: bytes, place: int) -> dict[str, str]:
    """Of the tag at `place`; names in lower case, values unescaped, the first of two of a name."""
    end = body.find(b">", place, place + _MAX_TAG)
    attributes = dict[str, str]()
    for name, *values in _ATTRIBUTE.findall(body[place : end if end >= 0 else place + _MAX_TAG]):
        text = html.unescape(max(values, key=len).decode("utf-8", "replace"))
        attributes.setdefault(name.decode().lower(), text)
    return attributes
