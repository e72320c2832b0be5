r"""MinHash of word n-grams, from Arrow's UTF-8 bytes to LSH bands without a Python string on the way.

Words are the matches of \w+ after lower-casing each character by itself, to the first character of
str.lower(): so a capital sigma is always U+03C3, and U+0130 is "i". A shingle is n words in a row; a text of
1 to n-1 words is one shingle, one without words has none. Hash: hash_shingle. Permutations: datasketch's,
scheme affine32.
"""

from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lakeloom.filters.characters import decode
from lakeloom.filters.kernel import Bytes, Doubles, Hashes, Ints, Mask, Words32, integer, kernel
from lakeloom.filters.mixing import MIX1, MIX2, finish
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.words import FNV_OFFSET, FNV_PRIME
from lakeloom.lakehouse.errors import ConfigError

SCHEME = "affine32"  # a*h + b mod 2**32 over a mixed h; datasketch 2 advises against its older one for new data
EMPTY = np.uint32(0xFFFFFFFF)  # a signature of nothing but this has no shingle, as in datasketch
_HALF = np.uint64(32)
_NUM_CODE_POINTS = 0x110000
_MOST_HASHES = 1 << 14  # 64 kB a document while its batch is signed


@dataclass(frozen=True)
class MinHashParams:
    """`num_bands` x `num_rows` of `num_hashes` hashes of word n-grams. FineWeb: 14 x 8 of 112, 5-grams."""

    num_hashes: int
    num_bands: int
    num_rows: int
    ngram: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.num_bands, self.num_rows, self.ngram) < 1 or self.seed < 0:
            raise ConfigError(f"{self}: bands, rows and ngram must be 1 or more, the seed 0 or more")
        if self.seed >= 1 << 32 or self.num_hashes > _MOST_HASHES:
            raise ConfigError(f"{self}: give at most {_MOST_HASHES:,} hashes, and a seed below {1 << 32:,}")
        if self.num_bands * self.num_rows > self.num_hashes:
            raise ConfigError(
                f"{self}: {self.num_bands} bands of {self.num_rows} need as many hashes; raise num_hashes"
            )

    def recall(self, jaccard: float) -> float:
        """Probability that two texts of this similarity share a band."""
        return 1.0 - (1.0 - jaccard**self.num_rows) ** self.num_bands


# Bands x rows that datasets were made with: FineWeb's (arXiv 2406.17557), DataComp-LM's (arXiv 2406.11794; its
# references are called minhash.b15.r93: buckets of 15 hashes, 93 of them), RefinedWeb's (arXiv 2306.01116).
PRESETS = {"fineweb": (14, 8), "dclm": (93, 15), "refinedweb": (450, 20)}


def optimal(jaccard: float, num_hashes: int, ngram: int, seed: int) -> MinHashParams:
    """The bands and rows that datasketch finds best (fewest false of either kind) for a wanted similarity."""
    if num_hashes < 2:
        raise ConfigError(f"dedup.num_hashes={num_hashes}: give 2 or more for dedup.preset=target")
    from datasketch import MinHashLSH  # here, for it imports SciPy: half a second

    lsh = MinHashLSH(threshold=jaccard, num_perm=num_hashes)
    return MinHashParams(num_hashes, int(lsh.b), int(lsh.r), ngram, seed)


def hash_shingle(shingle: bytes) -> int:
    """32-bit hash of lower-case words joined by one blank, the `hashfunc` for datasketch.

    A word is FNV-1a of 64 bits over its code points; s = 0, then s = (s + word) * MIX1 for each word; of
    this MurmurHash3's 64-bit finaliser, and of that the upper half.
    """
    whole = 2**64 - 1
    state = 0
    for word in shingle.decode().split(" "):
        hashed = int(FNV_OFFSET)
        for character in word:
            hashed = (hashed ^ ord(character)) * int(FNV_PRIME) & whole
        state = (state + hashed) * int(MIX1) & whole
    for factor in (int(MIX1), int(MIX2)):
        state = (state ^ state >> 33) * factor & whole
    return (state ^ state >> 33) >> 32


def signatures(text: pa.StringArray, params: MinHashParams) -> Words32:
    """Signatures (texts, num_hashes), datasketch's values; all EMPTY where a text is null or has no word."""
    factors, addends = _permutations(params.num_hashes, params.seed)
    return _signatures(_texts(text), folds(), params.ngram, factors, addends)


def bands(signed: Words32, params: MinHashParams) -> pa.ListArray:
    """A hash for each band of each signature, the band's number in it; null for a text without a word."""
    is_empty = (signed == EMPTY).all(axis=1)
    rows = np.flatnonzero(~is_empty)
    hashed = _bands(signed, rows, params.num_bands, params.num_rows)
    offsets = np.concatenate([[0], np.cumsum(~is_empty) * params.num_bands]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(hashed.view(np.int64)), mask=pa.array(is_empty))


def jaccard(left: pa.StringArray, right: pa.StringArray, ngram: int) -> pa.DoubleArray:
    """Jaccard of the shingle sets (as 64-bit hashes) row by row; null where one of them is empty."""
    shares = _jaccards(_texts(left), _texts(right), folds(), ngram)
    return pa.array(shares, pa.float64(), mask=np.isnan(shares))


def has_word(text: pa.StringArray) -> Mask:
    """Whether a text has a word at all; a null one has none."""
    return _has_word(_texts(text), folds())


class _Texts(NamedTuple):
    """Texts data[starts[i]:ends[i]]; null ones are empty."""

    data: Bytes
    starts: Ints
    ends: Ints


def _texts(text: pa.StringArray) -> _Texts:
    index = TextIndex.of(text)
    return _Texts(index.data, index.starts, index.ends)


@cache
def _permutations(num_hashes: int, seed: int) -> tuple[Words32, Words32]:
    from datasketch import MinHash

    factors, addends = MinHash(num_perm=num_hashes, seed=seed, scheme=SCHEME).permutations
    return np.ascontiguousarray(factors, np.uint32), np.ascontiguousarray(addends, np.uint32)


@cache
def folds() -> Hashes:
    r"""Lower case of every code point if \w matches it, else 0. Planes 4 to 13, 15 and 16 hold no such."""
    folded = np.zeros(_NUM_CODE_POINTS, np.uint64)
    for code in chain(range(0x40000), range(0xE0000, 0xE1000)):
        lower = chr(code).lower()[0]
        if lower.isalnum() or lower == "_":
            folded[code] = ord(lower)
    return folded


@kernel
def hash_words(data: Bytes, start: int, end: int, folded: Hashes, words: Hashes) -> int:
    """Hash the words of data[start:end] into `words` (room for every second byte, and one); their number."""
    count, is_word, hashed = 0, False, FNV_OFFSET
    place = start
    while place < end:
        code, width = int(data[place]), 1
        if code >= 128:
            code, width = decode(data, place, end)
        place += width
        fold = folded[code] if code < _NUM_CODE_POINTS else np.uint64(0)
        if fold:
            is_word = True
            hashed = (hashed ^ fold) * FNV_PRIME
        elif is_word:
            words[count] = hashed
            count += 1
            is_word, hashed = False, FNV_OFFSET
    if is_word:
        words[count] = hashed
        count += 1
    return count


@kernel
def _has_word(texts: _Texts, folded: Hashes) -> Mask:
    found = np.zeros(len(texts.starts), np.bool_)
    for number in range(len(found)):
        place, end = texts.starts[number], texts.ends[number]
        while place < end and not found[number]:
            code, width = decode(texts.data, place, end)
            found[number] = code < _NUM_CODE_POINTS and folded[code] != 0
            place += width
    return found


@kernel
def _shingles(texts: _Texts, number: int, folded: Hashes, ngram: int, words: Hashes) -> int:
    """Fill `words` with the 64-bit hashes of one text's shingles, in text order; their number."""
    count = hash_words(texts.data, texts.starts[number], texts.ends[number], folded, words)
    if count == 0:
        return 0
    length = min(ngram, count)
    for first in range(count - length + 1):
        state = np.uint64(0)
        for near in range(first, first + length):
            state = (state + words[near]) * MIX1
        words[first] = finish(state)
    return count - length + 1


@kernel
def _finish32(state: np.uint32) -> np.uint32:
    """MurmurHash3's 32-bit finaliser, which datasketch's scheme puts before its permutations."""
    state = np.uint32((state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    state = np.uint32((state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(state ^ (state >> np.uint32(16)))


@kernel
def _room(texts: _Texts) -> Hashes:
    """A buffer for as many words as the longest text can have."""
    longest = 0
    for number in range(len(texts.starts)):
        longest = max(longest, texts.ends[number] - texts.starts[number])
    return np.empty(longest // 2 + 1, np.uint64)


@kernel
def _signatures(texts: _Texts, folded: Hashes, ngram: int, factors: Words32, addends: Words32) -> Words32:
    signed = np.full((len(texts.starts), len(factors)), EMPTY, np.uint32)
    words = _room(texts)
    for number in range(len(signed)):
        row = signed[number]
        count = _shingles(texts, number, folded, ngram, words)
        for place in range(count):
            mixed = _finish32(np.uint32(words[place] >> _HALF))
            for column in range(len(row)):  # the hot loop: vector code, for all in it is 32 bits wide
                row[column] = min(row[column], np.uint32(factors[column] * mixed + addends[column]))
    return signed


@kernel
def _bands(signed: Words32, rows: Ints, num_bands: int, num_rows: int) -> Hashes:
    hashed = np.empty(len(rows) * num_bands, np.uint64)
    place = 0
    for row in rows:
        for band in range(num_bands):
            state = np.uint64(band)
            for column in range(band * num_rows, (band + 1) * num_rows):
                state = (state + np.uint64(signed[row, column]) + np.uint64(1)) * MIX1
            hashed[place] = finish(state)
            place += 1
    return hashed


@kernel
def _jaccards(one: _Texts, other: _Texts, folded: Hashes, ngram: int) -> Doubles:
    shares = np.full(len(one.starts), np.nan)
    words, others = _room(one), _room(other)
    found, known = _set_for(len(words)), _set_for(len(others))
    num_known, mark = 0, 0
    for number in range(len(shares)):
        # Pairs come sorted by the second text: one that leads many is shingled once.
        if number == 0 or not _is_same(other, number, number - 1):
            num_known, mark = 0, number + 1
            for place in range(_shingles(other, number, folded, ngram, others)):
                num_known += _put(known, others[place], mark)
        num_found, common = 0, 0
        for place in range(_shingles(one, number, folded, ngram, words)):
            if _put(found, words[place], number + 1):
                num_found += 1
                common += known.marks[_slot(known, words[place], mark)] == mark
        if num_found and num_known:
            shares[number] = common / (num_found + num_known - common)
    return shares


class _Set(NamedTuple):
    """An open table of 2**n hashes; a slot whose mark isn't the text's is free, so that nothing has to be cleared."""

    hashes: Hashes
    marks: Ints


@kernel
def _set_for(most: int) -> _Set:
    size = 16
    while size < 2 * most:
        size *= 2
    return _Set(np.zeros(size, np.uint64), np.zeros(size, np.int64))


@kernel
def _put(table: _Set, hashed: np.uint64, mark: int) -> bool:
    """Add a hash; whether it was not there."""
    slot = _slot(table, hashed, mark)
    if table.marks[slot] == mark:
        return False
    table.hashes[slot], table.marks[slot] = hashed, mark
    return True


@kernel
def _slot(table: _Set, hashed: np.uint64, mark: int) -> int:
    """The slot of a hash, or the free one for it."""
    last = len(table.marks) - 1
    slot = integer(hashed) & last
    while table.marks[slot] == mark and table.hashes[slot] != hashed:
        slot = (slot + 1) & last
    return slot


@kernel
def _is_same(texts: _Texts, one: int, other: int) -> bool:
    """Whether two texts have the same bytes."""
    size = texts.ends[one] - texts.starts[one]
    if texts.ends[other] - texts.starts[other] != size:
        return False
    for place in range(size):
        if texts.data[texts.starts[one] + place] != texts.data[texts.starts[other] + place]:
            return False
    return True
