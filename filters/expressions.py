"""Users' regular expressions, with a time limit: one that backtracks without end costs its page, not the job.

Expressions without repetition are matched by Python's re, in time near linear. The others by the package regex, which
can be stopped; what it takes for letters and spaces is made Python's (pythonsyntax.py).
"""

import re
import time
from functools import cache
from typing import Any

import regex

from lakeloom.filters.pythonsyntax import translated
from lakeloom.lakehouse.errors import ConfigError

TIME_LIMIT_S = 0.5  # for one page; no expression that is any use needs a hundredth of it
_REPEATS = re.compile(r"(?<!\()[*+?{]")


class Expression:
    """A compiled expression; `search` and `delete` raise TimeoutError when a page's time is up."""

    def __init__(self, frame: str, phrase: str, *, ignore_case: bool, is_plain: bool) -> None:
        self._is_plain = is_plain
        whole = frame % phrase
        try:
            self._pattern: Any = re.compile(whole, re.IGNORECASE if ignore_case else 0)
            if not is_plain:
                self._pattern = regex.compile(translated(whole), regex.IGNORECASE if ignore_case else 0)
        except (re.error, regex.error) as error:
            raise ConfigError(
                f"{phrase!r} is no regular expression: {error}; write \\ before signs meant as such"
            ) from error

    def search(self, text: str, until: float) -> bool:
        """Whether it matches anywhere; `until` is from `deadline()`."""
        if self._is_plain:
            return self._pattern.search(text) is not None
        return self._pattern.search(text, timeout=_left(until)) is not None

    def delete(self, text: str, until: float) -> str:
        """The text without any match."""
        if self._is_plain:
            return str(self._pattern.sub("", text))
        return str(self._pattern.sub("", text, timeout=_left(until)))

    def split(self, text: str, until: float) -> list[str]:
        """The pieces between matches, and what groups of the expression matched, as re.split gives them."""
        if self._is_plain:
            return list(self._pattern.split(text))
        return list(self._pattern.split(text, timeout=_left(until)))


def deadline() -> float:
    """When the time for a page that begins now is up."""
    return time.monotonic() + TIME_LIMIT_S


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"regular expressions took more than {TIME_LIMIT_S} s on the page")
    return left


def has_repetition(phrase: str) -> bool:
    """Whether an expression may repeat a part, and so may backtrack for very long."""
    return _REPEATS.search(phrase) is not None


def check(phrase: str) -> None:
    """A ConfigError for what is no regular expression."""
    expression("(?:%s)", phrase, ignore_case=False)


@cache
def expression(frame: str, phrase: str, *, ignore_case: bool, is_plain: bool | None = None) -> Expression:
    """The expression `frame % phrase`, compiled once a process; `is_plain`: known to be without repetition."""
    plain = not has_repetition(phrase) if is_plain is None else is_plain
    return Expression(frame, phrase, ignore_case=ignore_case, is_plain=plain)
