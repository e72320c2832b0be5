"""fastText's model files (.bin, .ftz) as arrays: what a kernel needs to score bytes as its library does.

Read are supervised models with a hierarchical softmax, as lid.176 is, or a plain one, as quality classifiers are.
Layout: fastText 0.9.2, version 12 of the file (args.cc, dictionary.cc, densematrix.cc, quantmatrix.cc,
productquantizer.cc, loss.cc there).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakeloom.filters.kernel import Bytes, Ints, integer, kernel
from lakeloom.lakehouse.errors import ConfigError

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]

HASH_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)

MAGIC, VERSION = 793_712_314, 12
SOFTMAX, SUPERVISED = 3, 3
_HIERARCHICAL, _CODES = 1, 256
LABEL = "__label__"  # begins each label, unless its trainer was told another prefix
_MIN_ENTRY = 10  # bytes of an entry of the dictionary: NUL, count, type
_FREE = 10**15  # what an inner node that is not made yet counts
# Of a well-formed file; more would be a foreign one, and a very long wait.
_MAX_ENTRIES, MAX_BUCKETS, MAX_DIM, MAX_N = 1 << 26, 1 << 27, 1 << 12, 20


class Model(NamedTuple):
    """Arrays for the kernel. Inputs are numbered as fastText's: words, then buckets (those that were kept)."""

    words: Bytes  # of all dictionary words, one after another
    word_ends: Ints  # word i is words[word_ends[i]:word_ends[i + 1]]
    slots: Numbers  # open table of word numbers by hash; -1: free
    num_words: int
    min_n: int
    max_n: int
    num_buckets: int
    word_ngrams: int  # words of the longest run of words that has a bucket; 1: none has
    is_softmax: bool  # each label has a row of outputs; else it is a leaf of the tree
    kept: Numbers  # input of each bucket, -1: pruned; empty where none were pruned
    is_kept: Bytes  # a bit for each bucket, the lowest of each byte first
    vectors: Floats  # inputs x dim
    outputs: Floats  # inner nodes, or labels, x dim
    left: Numbers  # child of each node of the tree, leaves first; -1 of a leaf; of a softmax none
    right: Numbers


class Unsupported(Exception):
    """A sound model of another kind: the library reads it."""


@dataclass
class _Reader:
    """A cursor over a file that is mapped, not read: a large model's vectors stay in the page cache."""

    data: Bytes
    path: Path
    place: int = 0

    def take(self, kind: str, count: int) -> np.ndarray:
        """The next `count` numbers of a NumPy type."""
        size = np.dtype(kind).itemsize * count
        if count < 0 or self.place + size > len(self.data):
            raise ConfigError(f"{self.path}: cut short at byte {self.place:,}, or no model of fastText's")
        found = self.data[self.place : self.place + size].view(kind)
        self.place += size
        return found

    def number(self, kind: str, at_most: int, at_least: int = 0) -> int:
        """One whole number of a sound size."""
        value = int(self.take(kind, 1)[0])
        if not at_least <= value <= at_most:
            bounds = f"from {at_least:,} to {at_most:,}"
            raise ConfigError(f"{self.path}: {value:,} at byte {self.place:,} is not {bounds}; no sound model")
        return value


def read(path: Path) -> tuple[list[str], Model]:
    """Labels and the arrays. Raises ConfigError for a broken file, Unsupported."""
    reader = _Reader(np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8), path)
    magic, version = reader.take("<i4", 2)
    if magic != MAGIC:
        raise ConfigError(f"{path}: no model of fastText's")
    dim, _, _, _, _, word_ngrams, loss, kind, num_buckets, min_n, max_n, _ = reader.take("<i4", 12).tolist()
    reader.take("<f8", 1)
    if kind != SUPERVISED:
        raise ConfigError(f"{path}: vectors of words, which tell no labels; give a classifier")
    if version != VERSION:
        raise Unsupported(f"{path}: version {version}")
    longest = max(max_n, word_ngrams)
    least = int(max_n > 0 or word_ngrams > 1)  # without n-grams there are no buckets
    if not (0 < dim <= MAX_DIM and least <= num_buckets <= MAX_BUCKETS and min_n >= 0 and longest <= MAX_N):
        raise ConfigError(f"{path}: {dim} dimensions, {num_buckets} buckets, n-grams to {longest}; no sound model")
    words, ends, labels, counts, pruned = _dictionary(reader)
    num_words = len(ends) - 1
    vectors = _matrix(reader, is_quantized=bool(reader.take("u1", 1)[0]))
    outputs = _matrix(reader, is_quantized=bool(reader.take("u1", 1)[0]))
    is_known = loss in (_HIERARCHICAL, SOFTMAX) and all(label.startswith(LABEL) for label in labels)
    if not is_known:  # only now: the library doesn't look whether its file is whole
        raise Unsupported(f"{path}: loss {loss}, labels such as {labels[0]}")
    is_softmax = loss == SOFTMAX
    left, right = (np.zeros(0, np.int32), np.zeros(0, np.int32)) if is_softmax else _tree(counts)
    kept = np.zeros(0, np.int32)
    if pruned is not None:
        kept = np.full(num_buckets, -1, np.int32)
        inside = (pruned[:, 0] >= 0) & (pruned[:, 0] < num_buckets)
        kept[pruned[inside, 0]] = pruned[inside, 1] + num_words
    highest = num_words + num_buckets - 1 if pruned is None else int(kept.max(initial=-1))
    if len(vectors) <= max(highest, num_words - 1) or len(outputs) < len(labels) - (not is_softmax):
        raise ConfigError(f"{path}: {len(vectors):,} vectors are fewer than its words and n-grams; no sound model")
    if not vectors.shape[1] == outputs.shape[1] == dim:
        raise ConfigError(f"{path}: vectors of {vectors.shape[1]} and {outputs.shape[1]} dimensions, not {dim}")
    bits = np.packbits(kept >= 0, bitorder="little")
    outputs = outputs[: len(labels)] if is_softmax else outputs
    slots, arrays = _slots(words, ends), (kept, bits, vectors, outputs, left, right)
    return labels, Model(words, ends, slots, num_words, min_n, max_n, num_buckets, word_ngrams, is_softmax, *arrays)


def _dictionary(reader: _Reader) -> tuple[Bytes, Ints, list[str], list[int], Numbers | None]:
    """Words and their ends, labels, how often each was seen, and the kept buckets with their places (None: all)."""
    num_entries, num_words, num_labels = (reader.number("<i4", _MAX_ENTRIES) for _ in range(3))
    reader.take("<i8", 1)
    num_pruned = reader.number("<i8", MAX_BUCKETS, at_least=-1)
    if num_entries * _MIN_ENTRY > len(reader.data) - reader.place:
        raise ConfigError(f"{reader.path}: cut short: {num_entries:,} words do not go into it")
    rows = np.empty((4, num_entries), np.int64)
    stop = _entries(reader.data, reader.place, rows)
    if stop < 0:
        raise ConfigError(f"{reader.path}: no word ends at byte {-stop:,}; no sound model")
    starts, ends, seen, types = rows
    if seen.max(initial=0) >= _FREE:
        raise ConfigError(f"{reader.path}: a word was seen {seen.max():,} times; no sound model")
    is_label = types != 0
    names = [reader.data[start:end].tobytes() for start, end in zip(starts[is_label], ends[is_label], strict=True)]
    labels = [name.decode("utf-8", "replace") for name in names]
    if (num_entries - len(labels), len(labels)) != (num_words, num_labels) or not labels:
        raise ConfigError(
            f"{reader.path}: {num_entries - len(labels)} words, {len(labels)} labels are not as many as it says"
        )
    reader.place = stop
    words, word_ends = _joined(reader.data, starts[~is_label], ends[~is_label])
    pruned = reader.take("<i4", 2 * num_pruned).reshape(-1, 2) if num_pruned >= 0 else None
    return words, word_ends, labels, seen[is_label].tolist(), pruned


@kernel
def _entries(data: Bytes, place: int, rows: Ints) -> int:
    """Start, end, count and type of each entry of the dictionary; where they end, or minus where one is broken."""
    for number in range(rows.shape[1]):
        rows[0, number] = place
        limit = len(data) - _MIN_ENTRY + 1
        while place < limit and data[place]:
            place += 1
        if place >= limit:
            return -place
        rows[1, number] = place
        count = 0
        for nth in range(8):
            count |= integer(data[place + 1 + nth]) << (8 * nth)
        rows[2, number], rows[3, number] = count, data[place + 9]
        place += _MIN_ENTRY
    return place


@kernel
def _joined(data: Bytes, starts: Ints, ends: Ints) -> tuple[Bytes, Ints]:
    """These stretches one after another, and where each ends, from 0."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    offsets[1:] = np.cumsum(ends - starts)
    out = np.empty(offsets[-1], np.uint8)
    for number in range(len(starts)):
        out[offsets[number] : offsets[number + 1]] = data[starts[number] : ends[number]]
    return out, offsets


def _matrix(reader: _Reader, *, is_quantized: bool) -> Floats:
    """Rows of a matrix; quantized ones as the sums of centroids that they stand for."""
    if not is_quantized:
        num_rows, dim = reader.number("<i8", 1 << 40), reader.number("<i8", MAX_DIM)
        return reader.take("<f4", num_rows * dim).reshape(num_rows, dim)
    has_norms = bool(reader.take("u1", 1)[0])
    num_rows, dim, size = reader.number("<i8", 1 << 40), reader.number("<i8", MAX_DIM), reader.number("<i4", 1 << 31)
    codes = reader.take("u1", size)
    rows = _centroids(reader, codes, num_rows, dim)
    if has_norms:
        rows *= _centroids(reader, reader.take("u1", num_rows), num_rows, 1)
    return rows


def _centroids(reader: _Reader, codes: Bytes, num_rows: int, dim: int) -> Floats:
    """Rows put together of the centroids that their codes name, one for each stretch of dimensions."""
    own_dim, num_parts, part_dim, last_dim = reader.take("<i4", 4).tolist()
    sound = own_dim == dim and num_parts > 0 and (num_parts - 1) * part_dim + last_dim == dim
    if not sound or len(codes) != num_rows * num_parts:
        raise ConfigError(f"{reader.path}: {num_parts} parts of {part_dim} are not {dim} dimensions; no sound model")
    flat, rows = reader.take("<f4", dim * _CODES), np.empty((num_rows, dim), np.float32)
    by_part = codes.reshape(num_rows, num_parts)
    for part in range(num_parts):
        width = last_dim if part == num_parts - 1 else part_dim
        first = part * _CODES * part_dim
        table = flat[first : first + _CODES * width].reshape(_CODES, width)
        rows[:, part * part_dim : part * part_dim + width] = table[by_part[:, part]]
    return rows


@kernel
def _slots(words: Bytes, ends: Ints) -> Numbers:
    """Words by their hash in an open table, at most half full, of a power of two slots; of equal words the last."""
    num_slots = 4
    while num_slots < 2 * len(ends):
        num_slots *= 2
    slots = np.full(num_slots, -1, np.int32)
    for number in range(len(ends) - 1):
        value = HASH_BASIS
        for place in range(ends[number], ends[number + 1]):
            value = hashed(value, words[place])
        slot = integer(value) & (num_slots - 1)
        size, word = ends[number + 1] - ends[number], words[ends[number] : ends[number + 1]]
        while slots[slot] >= 0:
            other = integer(slots[slot])
            if ends[other + 1] - ends[other] == size and equals(words, ends[other], size, word):
                break
            slot = (slot + 1) & (num_slots - 1)
        slots[slot] = number
    return slots


@kernel
def equals(data: Bytes, start: int, size: int, word: Bytes) -> bool:
    """Whether data[start:start + size] is the word."""
    if size != len(word):
        return False
    same = 0
    while same < size and data[start + same] == word[same]:
        same += 1
    return same == size


@kernel
def hashed(value: np.uint32, byte: int) -> np.uint32:
    """One more byte of fastText's hash: FNV-1a of 32 bits, with bytes as signed numbers."""
    return np.uint32((value ^ np.uint32(np.int8(byte))) * _PRIME)


def _tree(counts: list[int]) -> tuple[Numbers, Numbers]:
    """Left and right child of each node of the Huffman tree over labels, which come most frequent first."""
    num_leaves = len(counts)
    weights = [*counts, *[_FREE] * (num_leaves - 1)]
    left, right = np.full(len(weights), -1, np.int32), np.full(len(weights), -1, np.int32)
    leaf, inner = num_leaves - 1, num_leaves
    for node in range(num_leaves, len(weights)):
        pair = list[int]()
        for _ in range(2):
            if leaf >= 0 and (inner >= len(weights) or weights[leaf] < weights[inner]):
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(inner)
                inner += 1
        left[node], right[node] = pair
        weights[node] = weights[pair[0]] + weights[pair[1]]
    return left, right
