"""Pages whose address is refused: listed hosts, words in the URL. RefinedWeb (arXiv 2306.01116, section G.1)
as DCLM's url_substring_filter applies it. Letters are compared without case; a null URL gives null.
"""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

import pyarrow as pa

from lakeloom.filters import resources
from lakeloom.filters.steps import signal
from lakeloom.filters.trie import trie_pattern


@signal
def is_listed_host(
    url: pa.StringArray,
    *,
    hosts: tuple[str, ...] = (),
    hosts_file: Path | None = None,
    ignore: tuple[str, ...] = (),
    case_sensitive: bool = False,
    with_subdomains: bool = False,
) -> pa.DoubleArray:
    """1 where the URL's host (with its port and user) is one of `hosts`, or of a file's lines, else 0.

    The strings of `ignore` are deleted from it first; without "www", www.arxiv.org is .arxiv.org: not listed.
    `with_subdomains` lists what the user meant: the host without port, and all hosts under it, www too.
    """
    listed = frozenset(_lines(hosts, hosts_file, case_sensitive))
    values = list[float | None]()
    for address in url.to_pylist():
        if address is None:
            values.append(None)
        elif with_subdomains:
            values.append(float(not listed.isdisjoint(_domains(address))))
        else:
            values.append(float(_cut(urlparse(address).netloc, ignore, case_sensitive) in listed))
    return pa.array(values, pa.float64())


@signal
def num_listed_words(
    url: pa.StringArray,
    *,
    words: tuple[str, ...] = (),
    words_file: Path | None = None,
    whole_words: bool = False,
    ignore: tuple[str, ...] = (),
    case_sensitive: bool = False,
) -> pa.DoubleArray:
    """How many different words of a list (a file has one a line) are in the URL, left to right without overlap.

    Whole words end where letters, digits and _ end. The strings of `ignore` are deleted from the URL only. An empty
    word, or a list without words, is in every URL.
    """
    pattern = _word_pattern(words, words_file, whole_words, case_sensitive)
    values = list[float | None]()
    for address in url.to_pylist():
        if address is None:
            values.append(None)
        else:
            found = {match.group() for match in pattern.finditer(_cut(address, ignore, case_sensitive))}
            values.append(float(len(found)))
    return pa.array(values, pa.float64())


def _lines(given: tuple[str, ...], path: Path | None, case_sensitive: bool) -> list[str]:
    """The items of a list, or the lines of a file, in lower case unless case matters."""
    items = given if path is None else resources.lines(path)
    return [item if case_sensitive else item.lower() for item in items]


def _domains(address: str) -> list[str]:
    """The host in lower case and each domain above it: a.b.c, b.c, c."""
    labels = (urlparse(address).hostname or "").split(".")
    return [".".join(labels[place:]) for place in range(len(labels))]


def _cut(address: str, ignore: tuple[str, ...], case_sensitive: bool) -> str:
    """In lower case unless case matters, without the ignored strings."""
    if not case_sensitive:
        address = address.lower()
    for string in ignore:
        address = address.replace(string, "")
    return address


@cache
def _word_pattern(
    words: tuple[str, ...], words_file: Path | None, whole_words: bool, case_sensitive: bool
) -> re.Pattern[str]:
    source = trie_pattern(_lines(words, words_file, case_sensitive) or [""])
    return re.compile(rf"\b(?:{source})\b" if whole_words else source, 0 if case_sensitive else re.IGNORECASE)
