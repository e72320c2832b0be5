"""Lists of sites to refuse, in the formats they are published in, as one sorted table of addresses.

Formats, line by line: a domain ("example.com", "*.example.com", ".example.com"), a domain with a path
("example.com/forum", as in UT1's `urls`), a whole URL, a line of a hosts file ("0.0.0.0 example.com"), a blocker's
rule ("||example.com^"). "#" and "!" begin comments. A folder is either one of UT1 (University of Toulouse:
a folder a category, with the files `domains` and `urls`) or holds such lists as its files.

The lists of a crawl have millions of lines, so they are sorted in Arrow and searched as bytes: 30 bytes a domain.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.kernel import Bytes, Ints, Mask, integer, kernel
from lakeloom.filters.parameters import Listing
from lakeloom.filters.steps import check, signal
from lakeloom.lakehouse.errors import ConfigError, unknown

_UT1 = ("domains", "urls")
# What stands before and after the domain in the formats above; the path stays.
_BEFORE = r"^(?:\|\||(?:0\.0\.0\.0|127\.0\.0\.1|::1?)[ \t]+|[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?)?(?:\*\.|\.)?"
_PORT = r"^([^/:]*):[0-9]+"
_AFTER = r"(?:\^.*|[ \t]+.*|/)$"
_URL = r"^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::[0-9]*)?(?P<path>/[^?#]*)?"
_DOT, _SLASH = ord("."), ord("/")


@signal
def is_banned_site(
    url: pa.StringArray, *, lists: tuple[Listing, ...], categories: tuple[str, ...] = ()
) -> pa.DoubleArray:
    """1 where a list has the URL's host, a domain above it, or either with a folder of the URL's path, else 0.

    `lists` are files, or folders of lists; `categories` names those of UT1's folders that count (all, if none are
    named). Port, user, a last dot and upper case make no difference, and international names may be in either
    spelling. A null URL gives null; one without a host is in no list.
    """
    offsets, content = _table(tuple((path, path.stat().st_mtime_ns) for path in _files(lists, categories)))
    parts = pc.extract_regex(url, pattern=_URL)
    hosts = _ascii(pc.utf8_rtrim(pc.utf8_lower(_part(parts, "host")), characters="."))
    starts, texts = _bytes(pc.binary_join_element_wise(hosts, _part(parts, "path"), ""))
    found = _listed(starts, texts, pc.binary_length(hosts).to_numpy().astype(np.int64), offsets, content)
    return pa.array(found.astype(np.float64), mask=url.is_null().to_numpy(zero_copy_only=False))


def _part(parts: pa.StructArray, name: str) -> pa.StringArray:
    return pc.fill_null(pc.struct_field(parts, name), "")


def _ascii(names: pa.StringArray) -> pa.StringArray:
    """International names in their ASCII spelling (IDNA); a name that has none stays as it is."""
    if pc.all(pc.string_is_ascii(names)).as_py() is not False:
        return names
    return pa.array([name if name.isascii() else _idna(name) for name in names.to_pylist()], names.type)


def _idna(name: str) -> str:
    host, slash, path = name.partition("/")
    try:
        return host.encode("idna").decode() + slash + path
    except UnicodeError:  # an empty or overlong label
        return name


@lru_cache(maxsize=4)
def _table(files: tuple[tuple[Path, int], ...]) -> tuple[Ints, Bytes]:
    """The sorted addresses of all files as offsets and bytes, read once a process, and again when a file changes."""
    parts = [_addresses(path) for path, _ in files]
    addresses = pc.unique(pa.chunked_array(parts, pa.large_string()).combine_chunks())
    return _bytes(addresses.take(pc.sort_indices(addresses)))


def _bytes(texts: pa.StringArray) -> tuple[Ints, Bytes]:
    _, offsets, content = texts.cast(pa.large_string()).buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(content or b"", np.uint8)


def _addresses(path: Path) -> pa.StringArray:
    """The lines of one file as lower-case domain, or domain/path; blank lines and comments left out."""
    content = pa.array([path.read_text(encoding="utf-8", errors="replace").lower()], pa.large_string())
    lines = pc.list_flatten(pc.split_pattern(content, "\n"))  # never a Python string a line
    lines = pc.utf8_trim_whitespace(pc.replace_substring_regex(lines, r"(?:^|[ \t])[#!].*", ""))
    for pattern, kept in ((_BEFORE, ""), (_PORT, r"\1"), (_AFTER, "")):
        lines = pc.replace_substring_regex(lines, pattern, kept)
    return _ascii(pc.filter(lines, pc.not_equal(lines, "")))


def _files(lists: Sequence[Path], categories: Sequence[str]) -> list[Path]:
    """The files that count, in a fixed order. A category that no UT1 folder has is a ConfigError."""
    files = [path for given in lists for path in _files_of(given)]
    ut1 = {path: path.parent.name for path in files if path.name in _UT1}
    for category in categories:
        if category not in ut1.values():
            raise unknown("category of the site lists", category, ut1.values())
    return [path for path in files if path not in ut1 or not categories or ut1[path] in categories]


check(is_banned_site, _files)


def _files_of(given: Path) -> list[Path]:
    if given.is_file():
        return [given]
    # Beside its lists a category of UT1 has expressions and notes on its use: not addresses.
    files = sorted(path for path in given.rglob("*") if path.is_file() and not path.name.startswith("."))
    found = [path for path in files if path.name in _UT1] or files
    if not found:
        raise ConfigError(f"no list of sites in the folder {str(given)!r}")
    return found


@kernel
def _listed(starts: Ints, texts: Bytes, host_lengths: Ints, offsets: Ints, content: Bytes) -> Mask:
    """Whether the table has a domain of each host, alone or followed by the path down to one of its folders."""
    found = np.zeros(len(host_lengths), np.bool_)
    for row in range(len(host_lengths)):
        begin, end = starts[row], starts[row + 1]
        host_end = begin + host_lengths[row]
        for place in range(begin, host_end):
            if place > begin and texts[place - 1] != _DOT:
                continue
            for stop in range(host_end, end + 1):
                # A folder's end: the host's, a slash, or the whole path.
                if stop in (host_end, end) or texts[stop] == _SLASH:
                    found[row] = found[row] or _has(texts[place:stop], offsets, content)
            if found[row]:
                break
    return found


@kernel
def _has(text: Bytes, offsets: Ints, content: Bytes) -> bool:
    """Binary search for the bytes in a sorted table."""
    low, high = 0, len(offsets) - 1
    while low < high:
        middle = (low + high) // 2
        order = _compared(content[offsets[middle] : offsets[middle + 1]], text)
        if order == 0:
            return True
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return False


@kernel
def _compared(left: Bytes, right: Bytes) -> int:
    """Negative, 0 or positive, as the bytes on the left come before, are, or come after those on the right."""
    for place in range(min(len(left), len(right))):
        if left[place] != right[place]:
            return integer(left[place]) - integer(right[place])
    return len(left) - len(right)
