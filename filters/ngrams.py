"""How much of a text repeats itself: lines, paragraphs and word n-grams, as DCLM measures them.

Rules: MassiveText (arXiv 2112.11446, table A1) as in DCLM's `repetition_filter`: every copy counts, the first
too; an n-gram's length is that of its words, blanks left out. An n-gram can only occur twice if both its
(n-1)-grams do, so each n looks only at what n-1 left over. Plain-Python twin: tests/filters/test_ngrams.py.
"""

import numpy as np

from lakeloom.filters.characters import Characters, strip
from lakeloom.filters.kernel import Bytes, Doubles, Hashes, Ints, integer, kernel
from lakeloom.filters.words import FNV_OFFSET, FNV_PRIME, split_words

MIN_N, MAX_N = 2, 10

# Columns of a row of segment shares.
LINE_SHARE, LINE_CHAR_SHARE, PARAGRAPH_SHARE, PARAGRAPH_CHAR_SHARE = range(4)

_LF = 10
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: the high bits choose the slot


@kernel
def slot(key: np.uint64, keys: Hashes, counts: Ints, bits: int) -> int:
    """Slot of `key` in an open table of 2**bits slots, taken if it was free; its count goes up by one."""
    slot = integer((key * _SPREAD) >> np.uint64(64 - bits))
    while counts[slot] and keys[slot] != key:
        slot = (slot + 1) & ((1 << bits) - 1)
    keys[slot] = key
    counts[slot] += 1
    return slot


@kernel
def table_bits(num_keys: int) -> int:
    """Bits of a table that is at most half full."""
    bits = 1
    while 1 << bits < 2 * num_keys:
        bits += 1
    return bits


@kernel
def segment_shares(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Doubles:
    """Repeated lines and paragraphs of each text: share of segments, of characters; NaN without any."""
    shares = np.full((len(starts), 4), np.nan)
    for number in range(len(starts)):
        start, end = starts[number], ends[number]
        num_lines = 1
        for place in range(start, end):
            num_lines += data[place] == _LF
        shares[number, :2] = _repeated_segments(data, start, end, 1, num_lines, table)
        shares[number, 2:] = _repeated_segments(data, start, end, 2, num_lines, table)
    return shares


@kernel
def _repeated_segments(
    data: Bytes, start: int, end: int, num_newlines: int, max_segments: int, table: Characters
) -> Doubles:
    """Shares of segments and of characters in repeated segments; a segment ends at 1 or 2 newlines."""
    bits = table_bits(max_segments)
    keys, counts = np.empty(1 << bits, np.uint64), np.zeros(1 << bits, np.int64)
    slots, lengths = np.empty(max_segments, np.int64), np.empty(max_segments, np.int64)
    num_segments, begin = 0, start
    while begin <= end:
        stop = begin
        while stop < end and not (
            data[stop] == _LF and (num_newlines == 1 or (stop + 1 < end and data[stop + 1] == _LF))
        ):
            stop += 1
        first, last = strip(data, begin, stop, table)
        if first < last:
            value, num_chars = segment_hash(data, first, last)
            slots[num_segments] = slot(value, keys, counts, bits)
            lengths[num_segments] = num_chars
            num_segments += 1
        begin = stop + num_newlines
    return _shares(slots[:num_segments], lengths[:num_segments], counts)


@kernel
def segment_hash(data: Bytes, start: int, end: int) -> tuple[np.uint64, int]:
    """FNV-1a of the bytes, and how many characters they are."""
    value, num_chars = FNV_OFFSET, 0
    for place in range(start, end):
        value = (value ^ np.uint64(data[place])) * FNV_PRIME
        num_chars += data[place] & 0xC0 != 0x80
    return value, num_chars


@kernel
def _shares(slots: Ints, lengths: Ints, counts: Ints) -> Doubles:
    """Share of segments that occur twice or more, and of their characters."""
    shares = np.full(2, np.nan)
    repeated, repeated_chars, chars = 0, 0, 0
    for number in range(len(slots)):
        chars += lengths[number]
        if counts[slots[number]] > 1:
            repeated += 1
            repeated_chars += lengths[number]
    if len(slots):
        shares[0] = repeated / len(slots)
        shares[1] = repeated_chars / chars
    return shares


@kernel
def ngram_shares(data: Bytes, starts: Ints, ends: Ints, table: Characters) -> Doubles:
    """For each text and n from 2 to 10: [top, repeated] character shares, at columns 2(n-2) and 2(n-2)+1.

    top: the most frequent n-gram's characters times its count (the longest of several; overlaps count twice);
    repeated: characters of the words under any repeated n-gram. 0 where none repeats, NaN for an empty text.
    """
    return ngram_shares_between(data, starts, ends, table, MIN_N, MAX_N)


@kernel
def ngram_shares_between(data: Bytes, starts: Ints, ends: Ints, table: Characters, min_n: int, max_n: int) -> Doubles:
    """The same for each n from min_n to max_n."""
    shares = np.zeros((len(starts), 2 * (max_n - min_n + 1)))
    room = 1
    for number in range(len(starts)):
        room = max(room, ends[number] - starts[number] + 1)
    hashes, offsets = np.empty(room, np.uint64), np.empty(room, np.int64)
    places, slots = np.empty(room, np.int64), np.empty(room, np.int64)
    bits = table_bits(room)
    keys, counts = np.empty(1 << bits, np.uint64), np.zeros(1 << bits, np.int64)
    for number in range(len(starts)):
        if starts[number] == ends[number]:
            shares[number] = np.nan
            continue
        num_words = split_words(data, starts[number], ends[number], table, hashes, offsets)
        num_grams = _repeated_words(hashes[:num_words], places, slots, keys, counts)
        for n in range(1, max_n + 1):
            if n > 1:
                num_grams = _count_grams(num_grams, places, slots, keys, counts)
            if num_grams < 2:
                break
            if n >= min_n:
                top, repeated = _gram_shares(n, offsets, places[:num_grams], slots[:num_grams], counts)
                shares[number, 2 * (n - min_n)] = top / offsets[num_words]
                shares[number, 2 * (n - min_n) + 1] = repeated / offsets[num_words]
            num_grams = _keep_repeated(num_grams, places, slots, counts)
    return shares


@kernel
def _repeated_words(hashes: Hashes, places: Ints, slots: Ints, keys: Hashes, counts: Ints) -> int:
    """Fill `places` and `slots` with the words that occur twice or more; their number."""
    bits = table_bits(len(hashes))
    counts[: 1 << bits] = 0
    for place in range(len(hashes)):
        places[place] = place
        slots[place] = slot(hashes[place], keys, counts, bits)
    return _keep_repeated(len(hashes), places, slots, counts)


@kernel
def _keep_repeated(num: int, places: Ints, slots: Ints, counts: Ints) -> int:
    """Move entries whose slot was taken more than once to the front, in order; their number."""
    num_kept = 0
    for entry in range(num):
        if counts[slots[entry]] > 1:
            places[num_kept], slots[num_kept] = places[entry], slots[entry]
            num_kept += 1
    return num_kept


@kernel
def _count_grams(num: int, places: Ints, slots: Ints, keys: Hashes, counts: Ints) -> int:
    """Replace repeated (n-1)-grams by the n-grams that begin and end with one, counted; their number."""
    bits = table_bits(num)
    counts[: 1 << bits] = 0
    num_grams = 0
    for entry in range(num - 1):
        if places[entry + 1] == places[entry] + 1:
            key = np.uint64(slots[entry]) << np.uint64(32) | np.uint64(slots[entry + 1])
            places[num_grams] = places[entry]
            slots[num_grams] = slot(key, keys, counts, bits)
            num_grams += 1
    return num_grams


@kernel
def _gram_shares(n: int, offsets: Ints, places: Ints, slots: Ints, counts: Ints) -> tuple[int, int]:
    """Characters of the top n-gram times its count, and of the words under any repeated n-gram."""
    most, longest, covered, covered_to = 1, 0, 0, 0
    for entry in range(len(places)):
        times = counts[slots[entry]]
        if times < 2:
            continue
        begin, end = offsets[places[entry]], offsets[places[entry] + n]
        if times > most or (times == most and end - begin > longest):
            most, longest = times, end - begin
        covered += end - max(begin, covered_to)
        covered_to = end
    return most * longest, covered
