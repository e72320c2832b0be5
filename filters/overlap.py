"""N-grams of words that texts share with evaluation items: found in a text's bytes, by a table of the items' hashes.

An n-gram has two hashes of 64 bits: the first finds it, the second checks it. A text of fewer words than n, but of
`head` or more, is one n-gram of all its words. Every n-gram is looked for by its first `head` words, in a bitmap that
knows few others: one look a word, however many lengths there are.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lakeloom.filters.foldedwords import Folds, Words, folds, room, split_folded
from lakeloom.filters.kernel import Bytes, Hashes, Ints, Mask, integer, kernel
from lakeloom.filters.mixing import MIX2, finish
from lakeloom.filters.textindex import TextIndex

_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the first hash, a polynomial of the words' hashes, so of any length at once
_ONE, _6, _12, _33, _63 = np.uint64(1), np.uint64(6), np.uint64(12), np.uint64(33), np.uint64(63)
_BITS_A_KEY = 32  # of the bitmap: a foreign head is let through one time in several hundred


class Ngrams(NamedTuple):
    """The different n-grams of some texts, in order of text and place: columns of equal length."""

    rows: Ints  # number of the text
    places: Ints  # number of the first word, where it occurs first
    lengths: Ints  # in words
    firsts: Hashes
    seconds: Hashes
    heads: Hashes  # first hash of its first `head` words


class Lookup(NamedTuple):
    """The n-grams that texts are searched for: `firsts` ascending, `seconds` beside them, a bitmap of their heads."""

    firsts: Hashes
    seconds: Hashes
    bitmap: Hashes
    lengths: Ints  # that there are, ascending
    head: int


class Hits(NamedTuple):
    """Occurrences in some texts, in order of text and place: columns of equal length; bytes from the text's first."""

    rows: Ints
    firsts: Hashes
    seconds: Hashes
    starts: Ints
    ends: Ints


def words(text: pa.StringArray) -> tuple[Hashes, Ints]:
    """Hashes of all texts' words, and where those of each begin (one more)."""
    index = TextIndex.of(text)
    return _all_words(index.data, index.starts, index.ends, folds())


def ngrams(hashes: Hashes, begins: Ints, ends: Ints, ngram: int, head: int) -> Ngrams:
    """The n-grams of texts hashes[begins[i]:ends[i]]; a text of fewer than `head` words has none."""
    where, found = _ngrams(hashes, begins, ends, ngram, head)
    kept = np.flatnonzero(_is_new(where[0], found[0]))
    return Ngrams(*where[:, kept], *found[:, kept])


def lookup(found: list[Ngrams], head: int) -> Lookup:
    """The table of all these n-grams, each once."""
    none = np.zeros(0, np.uint64)
    firsts = np.concatenate([none, *[one.firsts for one in found]])
    order = np.argsort(firsts)  # of a first hash with several second ones some may stay twice, which does no harm
    firsts, seconds = firsts[order], np.concatenate([none, *[one.seconds for one in found]])[order]
    kept = np.ones(len(order), np.bool_)
    kept[1:] = (firsts[1:] != firsts[:-1]) | (seconds[1:] != seconds[:-1])
    bitmap = _bitmap([one.heads for one in found], int(kept.sum()))
    lengths = np.unique(np.concatenate([np.zeros(0, np.int64), *[one.lengths for one in found]]))
    return Lookup(firsts[kept], seconds[kept], bitmap, lengths, head)


def hits(text: pa.StringArray, table: Lookup) -> Hits:
    """Where the table's n-grams occur in the texts; null texts have none."""
    index = TextIndex.of(text)
    rows, firsts, seconds, starts, ends = _hits(index.data, index.starts, index.ends, folds(), table)
    return Hits(rows, firsts.view(np.uint64), seconds.view(np.uint64), starts, ends)


def _bitmap(heads: list[Hashes], num_keys: int) -> Hashes:
    bits = max(4, (num_keys * _BITS_A_KEY // 64).bit_length())
    bitmap = np.zeros(1 << bits, np.uint64)
    for some in heads:
        _enter(bitmap, some, np.uint64(64 - bits))
    return bitmap


@kernel
def _enter(bitmap: Hashes, heads: Hashes, shift: np.uint64) -> None:
    for head in heads:
        bitmap[integer(head >> shift)] |= _marks(head)


@kernel
def _marks(head: np.uint64) -> np.uint64:
    """The bits of a head in its word of the bitmap, three at most."""
    return _ONE << (head & _63) | _ONE << ((head >> _6) & _63) | _ONE << ((head >> _12) & _63)


@kernel
def _all_words(data: Bytes, starts: Ints, ends: Ints, table: Folds) -> tuple[Hashes, Ints]:
    bounds = np.zeros(len(starts) + 1, np.int64)
    one = _longest(starts, ends)
    for number in range(len(starts)):
        bounds[number + 1] = bounds[number] + split_folded(data, starts[number], ends[number], table, one)
    hashes = np.empty(bounds[-1], np.uint64)
    for number in range(len(starts)):
        count = split_folded(data, starts[number], ends[number], table, one)
        hashes[bounds[number] : bounds[number + 1]] = one.hashes[:count]
    return hashes, bounds


@kernel
def _longest(starts: Ints, ends: Ints) -> Words:
    """Room for the words of the longest text. Memory that no word comes to is never touched."""
    longest = 0
    for number in range(len(starts)):
        longest = max(longest, ends[number] - starts[number])
    return room(longest)


@kernel
def _sums(hashes: Hashes, count: int, sums: Hashes) -> None:
    """The polynomial of the first i words, for each i from 0 to their number."""
    sums[0] = np.uint64(0)
    for place in range(count):
        sums[place + 1] = sums[place] * _BASE + hashes[place]


@kernel
def _powers(most: int) -> Hashes:
    powers = np.ones(most + 1, np.uint64)
    for place in range(most):
        powers[place + 1] = powers[place] * _BASE
    return powers


@kernel
def _first(sums: Hashes, powers: Hashes, place: int, length: int) -> np.uint64:
    return finish(sums[place + length] - sums[place] * powers[length])


@kernel
def _second(hashes: Hashes, place: int, length: int) -> np.uint64:
    state = np.uint64(length)
    for near in range(place, place + length):
        state = (state ^ hashes[near]) * MIX2
        state ^= state >> _33
    return finish(state)


@kernel
def _ngrams(hashes: Hashes, begins: Ints, ends: Ints, ngram: int, head: int) -> tuple[Ints, Hashes]:
    """Rows, places and lengths; first and second hashes and those of heads: a row of each array each."""
    total, most = 0, 0
    for count in ends - begins:
        most = max(most, count)
        total += max(count - ngram, 0) + 1 if count >= head else 0
    where, found, at = np.empty((3, total), np.int64), np.empty((3, total), np.uint64), 0
    sums, powers = np.empty(most + 1, np.uint64), _powers(ngram)
    for number in range(len(begins)):
        own = hashes[begins[number] : ends[number]]
        length = min(ngram, len(own))
        _sums(own, len(own), sums)
        for place in range(len(own) - length + 1 if len(own) >= head else 0):
            where[0, at], where[1, at], where[2, at] = number, place, length
            found[0, at], found[1, at] = _first(sums, powers, place, length), _second(own, place, length)
            found[2, at] = _first(sums, powers, place, head)
            at += 1
    return where, found


@kernel
def _is_new(rows: Ints, firsts: Hashes) -> Mask:
    """Whether an n-gram is the first of its kind in its text; the columns come in order of text and place."""
    kept = np.ones(len(rows), np.bool_)
    begin = 0
    while begin < len(rows):
        end = begin + 1
        while end < len(rows) and rows[end] == rows[begin]:
            end += 1
        order = begin + np.argsort(firsts[begin:end], kind="mergesort")  # a stable one
        for near in range(1, len(order)):
            kept[order[near]] = firsts[order[near]] != firsts[order[near - 1]]
        begin = end
    return kept


@kernel
def _is_known(table: Lookup, first: np.uint64, hashes: Hashes, place: int, length: int) -> bool:
    """Whether both hashes stand side by side in the table: a binary search, then a walk over equal first ones."""
    low, high = 0, len(table.firsts)
    while low < high:
        middle = (low + high) >> 1
        if table.firsts[middle] < first:
            low = middle + 1
        else:
            high = middle
    while low < len(table.firsts) and table.firsts[low] == first:
        if table.seconds[low] == _second(hashes, place, length):
            return True
        low += 1
    return False


@kernel
def _candidates(sums: Hashes, powers: Hashes, count: int, table: Lookup, shift: np.uint64, places: Ints) -> int:
    """Fill `places` with the words at which the bitmap knows a head; their number. The hot loop."""
    found = 0
    for place in range(count - table.head + 1):
        head = _first(sums, powers, place, table.head)
        marks = _marks(head)
        places[found] = place
        found += table.bitmap[integer(head >> shift)] & marks == marks
    return found


@kernel
def _grown(columns: Ints) -> Ints:
    wider = np.empty((columns.shape[0], 2 * columns.shape[1]), np.int64)
    wider[:, : columns.shape[1]] = columns
    return wider


@kernel
def _shift(bitmap: Hashes) -> np.uint64:
    """By how much a hash is too long to be a place in the bitmap."""
    shift, size = 64, len(bitmap)
    while size > 1:
        shift, size = shift - 1, size >> 1
    return np.uint64(shift)


@kernel
def _hits(data: Bytes, starts: Ints, ends: Ints, folded: Folds, table: Lookup) -> Ints:
    """Rows, first hashes, second hashes, starts and ends, each a row of the array."""
    found, at, shift = np.empty((5, 64), np.int64), 0, _shift(table.bitmap)
    one = _longest(starts, ends)
    sums, places = np.empty(len(one.hashes) + 1, np.uint64), np.empty(len(one.hashes) + 1, np.int64)
    powers = _powers(max(table.head, table.lengths[-1] if len(table.lengths) else 0))
    for number in range(len(starts)):
        count = split_folded(data, starts[number], ends[number], folded, one)
        _sums(one.hashes, count, sums)
        for place in places[: _candidates(sums, powers, count, table, shift, places)]:
            for length in table.lengths[table.lengths <= count - place]:
                first = _first(sums, powers, place, length)
                if not _is_known(table, first, one.hashes, place, length):
                    continue
                if at == found.shape[1]:
                    found = _grown(found)
                found[0, at], found[1, at] = number, integer(first)
                found[2, at] = integer(_second(one.hashes, place, length))
                found[3, at] = one.starts[place] - starts[number]
                found[4, at] = one.ends[place + length - 1] - starts[number]
                at += 1
    return found[:, :at]
