r"""Lines and paragraphs of texts with a hash of 128 bits each, to find those that stand elsewhere, too.

A line ends with its newline, a paragraph with the blank lines after it: without the spans of some, the others stand as
they did. Two forms are compared: the bytes without blanks at both ends, or the words alone, in lower case.
"""

from typing import NamedTuple

import numpy as np

from lakeloom.filters.kernel import Bytes, Hashes, Ints, kernel
from lakeloom.filters.minhash import folds, hash_words
from lakeloom.filters.mixing import MIX1, MIX2, finish
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.tokens import hash_bytes, hash_bytes_anew

KINDS = ("line", "paragraph")
FORMS = ("bytes", "words")
_NEWLINE, _BLANK = 10, 32


class Units(NamedTuple):
    """Units of all texts, one after another: the row of each, its bytes [start, end) in that text, two hashes."""

    rows: Ints
    starts: Ints
    ends: Ints
    one: Hashes
    other: Hashes


def units(index: TextIndex, kind: str, form: str, min_words: int) -> Units:
    """The lines or paragraphs of at least so many words."""
    is_paragraph = kind == "paragraph"
    bounds = index.starts, index.ends
    places = np.empty((_count(index.data, *bounds, is_paragraph), 3), np.int64)
    hashes = np.empty((len(places), 2), np.uint64)
    least = max(min_words, 1)
    number = _fill(index.data, *bounds, folds(), is_paragraph, form == "words", least, places, hashes)
    return Units(*places[:number].T, *hashes[:number].T)


@kernel
def _is_blank(byte: int) -> bool:
    """ASCII white space: what str.strip removes of it."""
    return byte == _BLANK or 9 <= byte <= 13


@kernel
def _end(data: Bytes, place: int, end: int, is_paragraph: bool) -> int:
    """Where the unit that begins at `place` ends: after a newline, or after white space with two of them."""
    while place < end:
        if data[place] != _NEWLINE:
            place += 1
        elif not is_paragraph:
            return place + 1
        else:
            num_newlines, last = 0, place
            while place < end and _is_blank(data[place]):
                if data[place] == _NEWLINE:
                    num_newlines, last = num_newlines + 1, place + 1
                place += 1
            if place < end and num_newlines > 1:
                return last
    return end


@kernel
def _count(data: Bytes, starts: Ints, ends: Ints, is_paragraph: bool) -> int:
    count = 0
    for row in range(len(starts)):
        place = starts[row]
        while place < ends[row]:
            place = _end(data, place, ends[row], is_paragraph)
            count += 1
    return count


@kernel
def _fill(
    data: Bytes,
    starts: Ints,
    ends: Ints,
    folded: Hashes,
    is_paragraph: bool,
    by_words: bool,
    least: int,
    places: Ints,
    hashes: Hashes,
) -> int:
    """Fill in row, start, end and hashes of each unit with at least so many words; their number."""
    longest = 0
    for row in range(len(starts)):
        longest = max(longest, ends[row] - starts[row])
    words, number = np.empty(longest // 2 + 1, np.uint64), 0
    for row in range(len(starts)):
        place = starts[row]
        while place < ends[row]:
            end = _end(data, place, ends[row], is_paragraph)
            num_words = hash_words(data, place, end, folded, words)
            if num_words >= least:
                places[number] = row, place - starts[row], end - starts[row]
                hashes[number] = _hashes(data, place, end, by_words, words[:num_words])
                number += 1
            place = end
    return number


@kernel
def _hashes(data: Bytes, start: int, end: int, by_words: bool, words: Hashes) -> tuple[np.uint64, np.uint64]:
    if by_words:
        one, other = np.uint64(len(words)), np.uint64(0)
        for word in words:
            one = (one + word) * MIX1
            other = finish(other + word) * MIX2
        return finish(one), other
    while start < end and _is_blank(data[start]):
        start += 1
    while end > start and _is_blank(data[end - 1]):
        end -= 1
    return finish(hash_bytes(data, start, end)), hash_bytes_anew(data, start, end)
