"""Lines that are not text: shouting, numbers, counters, buttons. RefinedWeb's line corrections
(arXiv 2306.01116, section G.2) as DCLM's line modifiers make them. A line ends at U+000A; empty ones stay.
"""

import re
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa

from lakeloom.filters.counts import BLANK_LINES
from lakeloom.filters.kernel import Ints, Mask
from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

Location = Literal["any", "prefix", "suffix"]

_COUNTER = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|"
    r"downvotes|downloads|views|followers)\W*$"
)
_PATTERNS: dict[Location, str] = {"any": r"\s?(?:%s)", "prefix": r"^(?:%s)\s?", "suffix": r"\s?(?:%s)$"}
_PLAIN = re.compile(r"[\w -]+(?=\.*$)")
_ODD_CASE = (
    "\u0130",
    "\u0131",
    "\u017f",
    "\u212a",
)  # re takes them for i, s, k without case; str.lower() doesn't


@edit(drops_empty=True)
def drop_uppercase_lines(index: TextIndex, *, max_ratio: float) -> pa.StringArray:
    """Drop lines with a larger share of capitals; strip. DCLM's uppercase_ratio_line_modifier."""
    lines = index.lines()
    return index.with_lines(lines, _is_within(lines.num_upper, lines.num_chars, max_ratio), is_stripped=True)


@edit(drops_empty=True)
def drop_numeric_lines(index: TextIndex, *, max_ratio: float) -> pa.StringArray:
    """Drop lines with a larger share of digits (str.isdigit); strip. DCLM's numeric_ratio_line_modifier."""
    lines = index.lines()
    return index.with_lines(lines, _is_within(lines.num_digits, lines.num_chars, max_ratio), is_stripped=True)


@edit(drops_empty=True)
def drop_short_lines(index: TextIndex, *, min_words: int) -> pa.StringArray:
    """Drop lines of fewer words (str.split), blank ones too; don't strip. DCLM's line_length_modifier."""
    lines = index.lines()
    return index.with_lines(lines, (lines.num_words >= min_words) | (lines.num_chars == 0), is_stripped=False)


def _is_within(part: Ints, whole: Ints, limit: float) -> Mask:
    """Where part / whole is at most the limit, or there is nothing to divide by."""
    is_within: Mask = np.divide(part, whole, out=np.full(len(part), -np.inf), where=whole > 0) <= limit
    return is_within


@edit(drops_empty=True)
def drop_counter_lines(index: TextIndex) -> pa.StringArray:
    """Drop lines like "3 likes" or "(5k views)"; strip. DCLM's counter_line_modifier."""
    return index.with_strings([None if text is None else _without_counters(text) for text in index.strings])


def _without_counters(text: str) -> str:
    lines = text.split("\n")
    kept = [line for line in lines if not _COUNTER.match(line.lower())]
    return (text if len(kept) == len(lines) else "\n".join(kept)).strip()


@edit(drops_empty=True)
def remove_line_phrase(index: TextIndex, *, phrase: str, max_words: int, location: Location) -> pa.StringArray:
    """Delete a phrase and a blank beside it from lines of at most `max_words`; drop blank lines; strip.

    The phrase is a regular expression, case ignored. DCLM's substring_line_modifier, remove_substring_only.
    """
    pattern = re.compile(_PATTERNS[location] % phrase, re.IGNORECASE)
    has_blank = index.counts[:, BLANK_LINES] > 0  # these go too, as in DCLM, though no phrase was in them
    strings: list[str | None] = []
    for text, is_sure in zip(index.strings, has_blank.tolist(), strict=True):
        if text is None:
            strings.append(None)
        elif is_sure or _may_have(text, phrase):
            strings.append(_without_phrase(text, pattern, max_words))
        else:
            strings.append(text.strip())
    return index.with_strings(strings)


def _without_phrase(text: str, pattern: re.Pattern[str], max_words: int) -> str:
    """The text without the phrase in its short lines and without the lines that are blank then."""
    kept: list[str] = []
    for line in text.split("\n"):
        cleaned = pattern.sub("", line) if len(line.split()) <= max_words else line
        if cleaned.strip() or not line:
            kept.append(cleaned)
    return "\n".join(kept).strip()


def _may_have(text: str, phrase: str) -> bool:
    """Whether the phrase can be in the text: a fast no for phrases of letters, blanks and final dots."""
    literal = _literal(phrase)
    return not literal or literal in text.lower() or any(odd in text for odd in _ODD_CASE)


@cache
def _literal(phrase: str) -> str:
    """The part of the phrase that every match has, in lower case; '' if it isn't plain to see."""
    plain = _PLAIN.match(phrase)
    return plain.group().lower() if plain and phrase.isascii() else ""
