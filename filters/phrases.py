"""Phrases in a page or a line: DCLM's substring_filter and substring_line_modifier, of C4 and RefinedWeb.

Phrases are regular expressions, as in DCLM, where nothing is escaped: "Read more..." matches "Read moreabc".
"""

import re
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from lakeloom.filters import resources
from lakeloom.filters.counts import BLANK_LINES
from lakeloom.filters.expressions import Expression, deadline, expression, has_repetition
from lakeloom.filters.kernel import Mask
from lakeloom.filters.parameters import Regex
from lakeloom.filters.search import anchor, has_literal
from lakeloom.filters.steps import edit, signal
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.trie import trie_pattern

Location = Literal["any", "prefix", "suffix"]

_PAGE: dict[Location, str] = {"any": r"%s", "prefix": r"^%s", "suffix": r"%s$"}
_LINE: dict[Location, str] = {"any": r"\s?(?:%s)", "prefix": r"^(?:%s)\s?", "suffix": r"\s?(?:%s)$"}
_PLAIN = re.compile(r"[\w -]+(?=\.*$)")
_SIGNS = re.compile(r"[\\.^$*+?{}\[\]|()]")


@signal
def has_phrase(
    index: TextIndex,
    *,
    phrases: tuple[Regex, ...] = (),
    phrases_file: Path | None = None,
    location: Location = "any",
    case_sensitive: bool = False,
    whole_words: bool = False,
    is_literal: bool = False,
) -> pa.DoubleArray:
    """1 where a phrase is in the text (begins it, ends it), else 0. DCLM's substring_filter.

    Without case, phrases and text are lower-cased. Whole words have a word boundary on both sides, so a phrase that
    ends in a symbol is only found before a letter. An empty phrase is in every text. The file has one a line.
    """
    found = page_expression(phrases, phrases_file, location, case_sensitive, whole_words, is_literal)
    values = [
        np.nan if text is None else float(found.search(text if case_sensitive else text.lower(), deadline()))
        for text in index.strings
    ]
    return index.doubles(np.array(values, np.float64))


@cache
def page_expression(
    phrases: tuple[str, ...],
    phrases_file: Path | None,
    location: Location,
    case_sensitive: bool,
    whole_words: bool,
    is_literal: bool,
) -> Expression:
    """One expression for all phrases; those without signs as a trie, which is as good for a yes or no."""
    given = phrases if phrases_file is None else tuple(resources.lines(phrases_file))
    given = tuple(map(re.escape, given)) if is_literal else given
    given = given if case_sensitive else tuple(phrase.lower() for phrase in given)
    plain = [phrase for phrase in given if not _SIGNS.search(phrase)]
    others = [phrase for phrase in given if _SIGNS.search(phrase)]
    words = [trie_pattern(plain)] if plain else []
    edge = r"\b" if whole_words else ""
    phrase = "|".join([*words, *others])
    is_plain = not any(has_repetition(phrase) for phrase in others)
    return expression(_PAGE[location], f"{edge}(?:{phrase}){edge}", ignore_case=False, is_plain=is_plain)


@edit(drops_empty=True)
def remove_line_phrase(
    index: TextIndex,
    *,
    phrase: Regex,
    location: Location = "any",
    max_words: float | None = None,
    case_sensitive: bool = False,
) -> pa.StringArray:
    """Delete a phrase and a blank beside it from lines of at most `max_words`; drop blank lines; strip.

    The phrase is a regular expression, case ignored. DCLM's substring_line_modifier, remove_substring_only.
    """
    found = expression(_LINE[location], phrase, ignore_case=not case_sensitive)
    limit = np.inf if max_words is None else max_words
    has_blank = index.counts[:, BLANK_LINES] > 0  # these go too, as in DCLM, though no phrase was in them
    rule = partial(_without_phrase, found=found, max_words=limit)
    return index.rewritten(has_blank | _may_have(index, phrase), rule, within=index.stripped())


@edit(drops_empty=True)
def drop_phrase_lines(
    index: TextIndex,
    *,
    phrase: Regex,
    location: Location = "any",
    max_words: float | None = None,
    case_sensitive: bool = False,
) -> pa.StringArray:
    """Drop lines of at most `max_words` that have a phrase; strip. DCLM's substring_line_modifier."""
    found = expression(_LINE[location], phrase, ignore_case=not case_sensitive)
    limit = np.inf if max_words is None else max_words
    rule = partial(_without_lines, found=found, max_words=limit)
    return index.rewritten(_may_have(index, phrase), rule, within=index.stripped())


def _without_phrase(text: str, found: Expression, max_words: float) -> str:
    """The text without the phrase in its short lines and without the lines that are blank then."""
    kept, until = list[str](), deadline()
    for line in text.split("\n"):
        cleaned = found.delete(line, until) if _has_at_most(line, max_words) else line
        if cleaned.strip() or not line:
            kept.append(cleaned)
    return "\n".join(kept).strip()


def _without_lines(text: str, found: Expression, max_words: float) -> str:
    """The text without its short lines that have the phrase."""
    until = deadline()
    lines = text.split("\n")
    kept = [line for line in lines if not (_has_at_most(line, max_words) and found.search(line, until))]
    return (text if len(kept) == len(lines) else "\n".join(kept)).strip()


def _has_at_most(line: str, max_words: float) -> bool:
    return max_words == np.inf or len(line.split()) <= max_words


def _may_have(index: TextIndex, phrase: str) -> Mask:
    """Whether the phrase can be in each text: a fast no for phrases of letters, blanks and final dots."""
    may_have = np.full(len(index), not _literals(phrase))
    for literal in _literals(phrase):
        text = literal.encode()
        may_have |= has_literal(index.data, index.starts, index.ends, np.frombuffer(text, np.uint8), anchor(text))
    return may_have


@cache
def _literals(phrase: str) -> tuple[str, ...]:
    """For each alternative the part that every match has, in lower case; none if that isn't plain to see."""
    plain = [_PLAIN.match(alternative) for alternative in phrase.split("|")]
    if not phrase.isascii() or not all(plain):
        return ()
    return tuple(match.group().lower() for match in plain if match)
