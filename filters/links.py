"""Addresses in the text: RefinedWeb (arXiv 2306.01116, section 3.1) removes them; the rule is DCLM's."""

import re
from functools import cache, partial
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lakeloom.filters import resources
from lakeloom.filters.kernel import Hashes
from lakeloom.filters.search import has_address, has_name, hashes
from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.trie import trie_pattern

_NAME = r"[-a-zA-Z0-9@:%._\+~#=]"
_REST = r"[-a-zA-Z0-9()@:%_\+.~#?&//=]*"
_LONGEST_DOMAIN = 63  # characters of a label (RFC 1035), and so of a top-level domain
_ICANN_END = "===END ICANN DOMAINS==="
_UNUSED = frozenset(
    ["an", "bl", "bq", "eh", "mf", "tp", "um"]
)  # country codes in IANA's database, retired or never assigned
_UNREAL = frozenset({"onion"})  # reserved by RFC 7686, in the Public Suffix List, not in IANA's database


class Rule(NamedTuple):
    """What to delete; a cheap probe found within every match; how far before it a match can begin."""

    pattern: re.Pattern[str]
    probe: re.Pattern[str]
    reach: int


ADDRESS_RULE = Rule(
    re.compile(r"\s{0,10}\b((https?|ftp)://)?(?:[0-2]?[0-9]{1,2}\.){3}[0-2]?[0-9]{1,2}" + _REST),
    re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"),
    10 + 8 + 3,
)


@edit(drops_empty=True)
def remove_urls(index: TextIndex, *, domains_file: Path | None = None, anywhere: bool = False) -> pa.StringArray:
    """Delete URLs, bare domains, mail and IPv4 addresses, with up to 10 blanks before them; don't strip.

    Names only go from a text whose first characters are a top-level domain in any case, as most are: "see" begins
    with .se; with `anywhere` they go from every text. A file may give the top-level domains, one a line. DCLM's
    url_removal_modifier.
    """
    domains, begin = _domain_hashes(domains_file), begins_with_domain(domains_file)
    named = np.full(len(index), True) if domains is None else has_name(index.data, index.starts, index.ends, domains)
    if not anywhere:
        for row in np.flatnonzero(named).tolist():
            named[row] = begin.match(index.beginning(row, _LONGEST_DOMAIN))
    text = index.rewritten(named, partial(_without, rule=name_rule(domains_file)))
    nameless = index.edited(text)
    numbered = has_address(nameless.data, nameless.starts, nameless.ends)
    return nameless.rewritten(numbered, partial(_without, rule=ADDRESS_RULE))


@cache
def _domain_hashes(domains_file: Path | None) -> Hashes | None:
    """Of the domains of ASCII; None where one has other signs than letters and digits in it."""
    domains = top_level_domains(domains_file)
    return hashes(filter(str.isascii, domains)) if all(map(str.isalnum, filter(str.isascii, domains))) else None


def _without(text: str, rule: Rule) -> str:
    """pattern.sub("", text), looking only near the probe's hits: no match begins before the first of them."""
    parts: list[str] = []
    done = 0
    while hit := rule.probe.search(text, done):
        match = rule.pattern.search(text, max(done, hit.start() - rule.reach))
        if match is None:
            break
        parts.append(text[done : match.start()])
        done = match.end()
    return "".join([*parts, text[done:]]) if parts else text


@cache
def name_rule(domains_file: Path | None = None) -> Rule:
    """URLs, domains and mail addresses under a top-level domain."""
    domains = trie_pattern(top_level_domains(domains_file))
    return Rule(
        re.compile(rf"\s{{0,10}}(?:((https?|ftp)://))?{_NAME}{{1,256}}\.{domains}\b({_REST})"),
        re.compile(rf"\.(?<={_NAME}\.){domains}\b"),
        10 + 8 + 256,
    )


@cache
def begins_with_domain(domains_file: Path | None = None) -> re.Pattern[str]:
    """Matches a text whose first characters are a top-level domain."""
    return re.compile(trie_pattern(top_level_domains(domains_file)), re.IGNORECASE)


@cache
def top_level_domains(domains_file: Path | None = None) -> frozenset[str]:
    """Top-level domains, of a file's lines or, in their own script, of the Public Suffix List in tldextract's wheel.

    DCLM's 1,591 are those of IANA's database, which keeps names that were given back. Of these only the
    country codes are added here: they decide whether a text that begins with "An" passes.
    """
    if domains_file is not None:
        return frozenset(line.strip().lower() for line in resources.lines(domains_file))
    path = Path(str(distribution("tldextract").locate_file("tldextract/.tld_set_snapshot")))
    official = path.read_text(encoding="utf-8").split(_ICANN_END)[0]
    suffixes = [line.strip() for line in official.splitlines() if line.strip() and not line.startswith("//")]
    return frozenset(suffix.rpartition(".")[2] for suffix in suffixes) - _UNREAL | _UNUSED
