"""The RefinedWeb recipe's steps in plain Python, a page at a time: what the kernels are held against.

Strings, lists and Counters, as DCLM's own functions are written (specification, sections 2.3 to 2.9), but each text is
split into words once. `make bench` times both and compares every value, so that it never times different work.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from uniseg.wordbreak import words as uniseg_words

from lakeloom.filters.links import ADDRESS_RULE, begins_with_domain, name_rule
from lakeloom.filters.recipe import Recipe
from lakeloom.lakehouse.errors import unknown

Value = float | None
Signal = Callable[..., Value]
Edit = Callable[..., str]

_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_BULLETS, _ELLIPSES = ("\u25cf", "\u2022", "*", "-"), ("...", ". . .", "\u2026")
_BLANKS = re.compile("[ \n\r\t\v\f\0]")
_COUNTER_LINE = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|"
    r"downvotes|downloads|views|followers)\W*$"
)
_BESIDE = {"any": r"\s?(?:%s)", "prefix": r"^(?:%s)\s?", "suffix": r"\s?(?:%s)$"}


@dataclass(frozen=True)
class Outcome:
    """What became of one page: its text (None: dropped), the step that dropped it, and each signal's value."""

    text: str | None
    dropped_by: str | None
    values: dict[str, Value]


def apply(recipe: Recipe, text: str) -> Outcome:
    """One page through the recipe. Raises ConfigError for a step that has no plain twin here."""
    values: dict[str, Value] = {}
    for step in recipe.steps:
        if step.name not in (_SIGNALS if step.kind == "signal" else _EDITS):
            raise unknown(f"plain {step.kind}", step.name, _SIGNALS if step.kind == "signal" else _EDITS, recipe.name)
        parameters = dict(step.parameters)
        if step.kind == "signal":
            if "since" in parameters:
                parameters["since"] = values[str(parameters["since"])]
            values[step.id] = value = _SIGNALS[step.name](text, **parameters)
            if not _is_within(value, dict(step.bounds)):
                return Outcome(None, step.id, values)
        else:
            text = _EDITS[step.name](text, **parameters)
            if text == "" and step.step.drops_empty:
                return Outcome(None, step.id, values)
    return Outcome(text, None, values)


def _is_within(value: Value, bounds: dict[str, float]) -> bool:
    if not bounds:
        return True
    if value is None:
        return False
    at_least, at_most = bounds.get("min", value), bounds.get("max", value)
    return at_least <= value <= at_most and bounds.get("above", -1e308) < value < bounds.get("below", 1e308)


@lru_cache(maxsize=1)
def _words(text: str) -> list[str]:
    return [word for word in uniseg_words(text) if word[0].isalnum()]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _ratio(part: float, whole: float) -> Value:
    return part / whole if whole else None


def _num_tokens(text: str) -> Value:
    return float(sum(token[0].isalnum() for token in _BLANKS.split(text) if token))


def _mean_word_length(text: str) -> Value:
    return _ratio(sum(map(len, text.split())), len(text.split()))


def _symbol_to_word_ratio(text: str) -> Value:
    return _ratio(sum(map(text.count, ("#", *_ELLIPSES))), len(text.split()))


def _bullet_line_ratio(text: str) -> Value:
    lines = _lines(text)
    return _ratio(sum(line.startswith(_BULLETS) for line in lines), len(lines)) or 0.0


def _ellipsis_line_ratio(text: str) -> Value:
    lines = _lines(text)
    return _ratio(sum(line.endswith(_ELLIPSES) for line in lines), len(lines)) or 0.0


def _unalphabetic_word_ratio(text: str) -> Value:
    words = text.split()
    return _ratio(sum(not any(map(str.isalpha, word)) for word in words), len(words))


def _num_stop_words(text: str) -> Value:
    return float(sum(word.lower() in _STOP_WORDS for word in text.split()))


def _repeated(separator: str, *, by_chars: bool) -> Signal:
    def ratio(text: str, *, ignore_case: bool) -> Value:
        pieces = [piece.strip() for piece in (text.lower() if ignore_case else text).split(separator) if piece.strip()]
        counts = Counter(pieces)
        size = len if by_chars else lambda _: 1
        return _ratio(sum(size(piece) for piece in pieces if counts[piece] > 1), sum(map(size, pieces)))

    return ratio


def _grams(text: str, n: int, ignore_case: bool) -> tuple[list[str], list[tuple[str, ...]], Counter[tuple[str, ...]]]:
    words = _words(text.lower() if ignore_case else text)
    grams = [tuple(words[first : first + n]) for first in range(len(words) - n + 1)]
    return words, grams, Counter(grams)


def _top_ngram_char_ratio(text: str, *, n: int, ignore_case: bool) -> Value:
    if not text:
        return None
    words, _, counts = _grams(text, n, ignore_case)
    most = max(counts.values(), default=1)
    if most == 1:
        return 0.0
    longest = max(sum(map(len, gram)) for gram, times in counts.items() if times == most)
    return longest * most / sum(map(len, words))


def _repeated_ngram_char_ratio(text: str, *, n: int, ignore_case: bool) -> Value:
    if not text:
        return None
    words, grams, counts = _grams(text, n, ignore_case)
    covered = {first + nth for first, gram in enumerate(grams) if counts[gram] > 1 for nth in range(n)}
    return sum(len(words[place]) for place in covered) / sum(map(len, words)) if covered else 0.0


def _removed_token_ratio(text: str, *, since: float) -> Value:
    return _ratio(since - (_num_tokens(text) or 0.0), since)


def _remove_urls(text: str, *, domains_file: None, anywhere: bool) -> str:
    if anywhere or begins_with_domain(domains_file).match(text):
        text = name_rule(domains_file).pattern.sub("", text)
    return ADDRESS_RULE.pattern.sub("", text)


def _limit_newlines(text: str, *, max_run: int) -> str:
    return re.sub(f"\n{{{max_run + 1},}}", "\n" * max_run, text)


def _kept_lines(text: str, keep: Callable[[str], bool]) -> str:
    return "\n".join(line for line in text.split("\n") if keep(line))


def _drop_uppercase_lines(text: str, *, max_ratio: float) -> str:
    return _kept_lines(text, lambda line: not line or sum(map(str.isupper, line)) / len(line) <= max_ratio).strip()


def _drop_numeric_lines(text: str, *, max_ratio: float) -> str:
    return _kept_lines(text, lambda line: not line or sum(map(str.isdigit, line)) / len(line) <= max_ratio).strip()


def _drop_counter_lines(text: str) -> str:
    return _kept_lines(text, lambda line: not _COUNTER_LINE.search(line.lower())).strip()


def _drop_short_lines(text: str, *, min_words: float) -> str:
    return _kept_lines(text, lambda line: not line or len(line.split()) >= min_words)


def _remove_line_phrase(text: str, *, phrase: str, location: str, max_words: float | None, case_sensitive: bool) -> str:
    found = re.compile(_BESIDE[location] % phrase, 0 if case_sensitive else re.IGNORECASE)
    lines = list[str]()
    for line in text.split("\n"):
        changed = line if max_words is not None and len(line.split()) > max_words else found.sub("", line)
        if not line or changed.strip():
            lines.append(changed)
    return "\n".join(lines).strip()


_SIGNALS: dict[str, Signal] = {
    "num_tokens": _num_tokens,
    "mean_word_length": _mean_word_length,
    "symbol_to_word_ratio": _symbol_to_word_ratio,
    "bullet_line_ratio": _bullet_line_ratio,
    "ellipsis_line_ratio": _ellipsis_line_ratio,
    "unalphabetic_word_ratio": _unalphabetic_word_ratio,
    "num_stop_words": _num_stop_words,
    "repeated_line_ratio": _repeated("\n", by_chars=False),
    "repeated_line_char_ratio": _repeated("\n", by_chars=True),
    "repeated_paragraph_ratio": _repeated("\n\n", by_chars=False),
    "repeated_paragraph_char_ratio": _repeated("\n\n", by_chars=True),
    "top_ngram_char_ratio": _top_ngram_char_ratio,
    "repeated_ngram_char_ratio": _repeated_ngram_char_ratio,
    "removed_token_ratio": _removed_token_ratio,
}
_EDITS: dict[str, Edit] = {
    "remove_urls": _remove_urls,
    "limit_newlines": _limit_newlines,
    "drop_uppercase_lines": _drop_uppercase_lines,
    "drop_numeric_lines": _drop_numeric_lines,
    "drop_counter_lines": _drop_counter_lines,
    "drop_short_lines": _drop_short_lines,
    "remove_line_phrase": _remove_line_phrase,
}
