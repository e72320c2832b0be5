"""Pages whose address is refused: listed hosts, words in the URL. RefinedWeb (arXiv 2306.01116, section G.1)
as DCLM's url_substring_filter applies it. Letters are compared without case; a null URL gives null.
"""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

import pyarrow as pa

from lakeloom.filters.steps import signal
from lakeloom.filters.trie import trie_pattern


@signal
def is_listed_host(url: pa.StringArray, *, hosts: tuple[str, ...], ignore: tuple[str, ...] = ()) -> pa.DoubleArray:
    """1 where the URL's host (with its port and user) is one of `hosts`, else 0.

    The strings of `ignore` are deleted from it first; without "www", www.arxiv.org is .arxiv.org: not listed.
    """
    listed = frozenset(host.lower() for host in hosts)
    values = [
        None if address is None else float(_cut(urlparse(address).netloc, ignore) in listed)
        for address in url.to_pylist()
    ]
    return pa.array(values, pa.float64())


@signal
def num_listed_words(
    url: pa.StringArray, *, words_file: Path, whole_words: bool = False, ignore: tuple[str, ...] = ()
) -> pa.DoubleArray:
    """How many different words of a list (one a line) are in the URL, from left to right without overlap.

    Whole words end where letters, digits and _ end. The strings of `ignore` are deleted from the URL only.
    """
    pattern = _word_pattern(words_file, whole_words)
    values = [
        None if address is None else float(len({match.group() for match in pattern.finditer(_cut(address, ignore))}))
        for address in url.to_pylist()
    ]
    return pa.array(values, pa.float64())


def _cut(address: str, ignore: tuple[str, ...]) -> str:
    """Lower case, without the ignored strings."""
    address = address.lower()
    for string in ignore:
        address = address.replace(string, "")
    return address


@cache
def _word_pattern(words_file: Path, whole_words: bool) -> re.Pattern[str]:
    source = trie_pattern(words_file.read_text(encoding="utf-8").lower().splitlines())
    return re.compile(rf"\b{source}\b" if whole_words else source, re.IGNORECASE)
