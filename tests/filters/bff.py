"""DCLM's BFF on strings and with a Python set for a filter: what filters/bloom.py must find, mode by mode."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from uniseg.wordbreak import words as uniseg_words

from lakeloom.filters.bloom import BloomParams
from lakeloom.filters.spans import Removed

Span = tuple[int, int]
Token = tuple[int, str]
Ngram = tuple[str, ...]

# The property White_Space of Unicode.
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Verdict(NamedTuple):
    """Spans of bytes, whether only white space stays of what was cut, n-grams, those contained."""

    spans: list[Span]
    is_emptied: bool
    num_ngrams: int
    num_contained: int


def tokens(text: str) -> list[Token]:
    """Tokens of a text, and where they begin in it."""
    found, place = list[Token](), 0
    for word in uniseg_words(text):
        if word.strip(WHITE_SPACE):
            found.append((place, word))
        place += len(word)
    return found


def paragraphs(text: str) -> list[Span]:
    """Where they begin and end: each but the first begins with its newline."""
    return list(pairwise([0, *(found.start() for found in re.finditer("\n", text)), len(text)]))


def ngrams(words: list[str], params: BloomParams) -> list[Ngram]:
    if len(words) >= params.max_ngram:
        return [tuple(words[i : i + params.max_ngram]) for i in range(len(words) - params.max_ngram + 1)]
    return [tuple(words)] if len(words) >= params.min_ngram else []


def verdict(text: str, gone: Iterable[Span], num_ngrams: int, num_contained: int) -> Verdict:
    """Spans of characters, in any order, to those of bytes."""
    is_gone = [False] * len(text)
    for start, end in gone:
        is_gone[start:end] = [True] * (end - start)
    left = "".join(character for character, goes in zip(text, is_gone, strict=True) if not goes)
    sizes = [len(character.encode()) for character in text]
    return Verdict(runs(is_gone, sizes), any(is_gone) and not left.strip(WHITE_SPACE), num_ngrams, num_contained)


def runs(is_in: list[bool], sizes: list[int] | None = None) -> list[Span]:
    """Maximal runs of True, in numbers of elements or in their sizes."""
    found, place = list[Span](), 0
    for element, size in zip(is_in, sizes or [1] * len(is_in), strict=True):
        if element and found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + size)
        elif element:
            found.append((place, place + size))
        place += size
    return found


class Bff:
    """The set of n-grams so far, and the modes."""

    def __init__(self, params: BloomParams) -> None:
        self.params = params
        self.seen = set[Ngram]()

    def remove(self, text: str) -> Verdict:
        if not text:
            return Verdict([], False, 0, 0)
        match self.params.mode:
            case "paragraph" | "old-both":
                return self.windows(text, paragraphs(text))
            case "document":
                return self.windows(text, [(0, len(text))])
            case "both":
                return self.both(text)
            case "substring":
                return self.substring(text)
        return self.exact(text)

    def exact(self, text: str) -> Verdict:
        is_seen = (text,) in self.seen
        self.seen.add((text,))
        return verdict(text, [(0, len(text))] if is_seen else [], 1, int(is_seen))

    def windows(self, text: str, windows: list[Span]) -> Verdict:
        gone, total, contained = list[Span](), 0, 0
        for start, end in windows:
            found = ngrams([word for _, word in tokens(text[start:end])], self.params)
            known = [ngram for ngram in found if ngram in self.seen]
            total, contained = total + len(found), contained + len(known)
            if found and len(known) / len(found) > self.params.threshold:
                gone.append((start, end))
            else:
                self.seen.update(found)
        if self.params.mode == "old-both" and total and contained / total > self.params.threshold:
            gone = [(0, len(text))]
        return verdict(text, gone, total, contained)

    def both(self, text: str) -> Verdict:
        found = tokens(text)
        grams = ngrams([word for _, word in found], self.params)
        is_known = [gram in self.seen for gram in grams]
        if not grams:
            return Verdict([], False, 0, 0)
        if sum(is_known) / len(grams) >= self.params.threshold:
            return verdict(text, [(0, len(text))], len(grams), sum(is_known))
        length = len(found) - len(grams) + 1
        ends = [(found[i][0], found[i + length - 1][0]) for i in range(len(grams))]
        gone = list[Span]()
        for start, end in paragraphs(text):
            inside = [
                known for known, (first, last) in zip(is_known, ends, strict=True) if start <= first <= last < end
            ]
            if inside and sum(inside) / len(inside) >= self.params.threshold:
                gone.append((start, end))
        for gram, (first, last) in zip(grams, ends, strict=True):
            if not any(start <= last and first < end for start, end in gone):
                self.seen.add(gram)
        return verdict(text, [*gone, *trailing(text, gone)], len(grams), sum(is_known))

    def substring(self, text: str) -> Verdict:
        found, length = tokens(text), self.params.max_ngram
        grams = [tuple(word for _, word in found[i : i + length]) for i in range(len(found) - length + 1)]
        if not grams:
            return Verdict([], False, 0, 0)
        is_known = [gram in self.seen for gram in grams]
        covered = [any(is_known[max(0, i - length + 1) : i + 1]) for i in range(len(found))]
        intervals = runs(covered)
        fused = [*fuse(intervals, self.params.threshold), *fuse(intervals[::-1], self.params.threshold)]
        is_fused = [any(first <= i < last for first, last in fused) for i in range(len(found))]
        removed = [(first, last) for first, last in runs(is_fused) if last - first >= self.params.substring_length]
        for i, gram in enumerate(grams):
            if not any(first < i + length and i < last for first, last in removed):
                self.seen.add(gram)
        begins = [start for start, _ in found] + [len(text)]
        gone = [(0, begins[0]), *((begins[first], begins[last]) for first, last in removed)]
        return verdict(text, [*gone, *trailing(text, gone)], len(grams), sum(is_known))


def fuse(intervals: list[Span], threshold: float) -> list[Span]:
    """Intervals in their order, each with the last one while as much of both and the gap is covered."""
    fused = list[tuple[int, int, int]]()
    for first, last in intervals:
        if fused:
            start, end = min(first, fused[-1][0]), max(last, fused[-1][1])
            covered = fused[-1][2] + last - first
            if covered >= (end - start) * threshold:
                fused[-1] = (start, end, covered)
                continue
        fused.append((first, last, last - first))
    return [(first, last) for first, last, _ in fused]


def trailing(text: str, gone: list[Span]) -> list[Span]:
    """The white space at the end of what stays."""
    left = [(i, character) for i, character in enumerate(text) if not any(first <= i < last for first, last in gone)]
    spans = list[Span]()
    while left and left[-1][1] in WHITE_SPACE:
        place, _ = left.pop()
        spans.append((place, place + 1))
    return spans


def verdicts(removed: Removed) -> list[Verdict]:
    """The rows of a result."""
    starts, ends = removed.starts.to_pylist(), removed.ends.to_pylist()
    spans = [list(zip(*row, strict=True)) for row in zip(starts, ends, strict=True)]
    rest = (column.to_pylist() for column in (removed.is_emptied, removed.num_ngrams, removed.num_contained))
    return [Verdict(*row) for row in zip(spans, *rest, strict=True)]
