"""fastText's model files (.bin, .ftz) as arrays: what a kernel needs to score bytes as its library does.

Read are supervised models of subwords with a hierarchical softmax, as lid.176 is. Layout: fastText 0.9.2, version 12 of
the file (args.cc, dictionary.cc, densematrix.cc, quantmatrix.cc, productquantizer.cc, loss.cc there).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakeloom.filters.kernel import Bytes, Ints
from lakeloom.lakehouse.errors import ConfigError

Floats = NDArray[np.float32]
Numbers = NDArray[np.int32]

_MAGIC, _VERSION = 793_712_314, 12
_HIERARCHICAL, _SUPERVISED, _CODES = 1, 3, 256
_LABEL = "__label__"
_FREE = 10**15  # what an inner node that is not made yet counts
# Of a well-formed file; more would be a foreign one, and a very long wait.
_MAX_ENTRIES, _MAX_BUCKETS, _MAX_DIM, _MAX_N, _MAX_WORD = 1 << 26, 1 << 27, 1 << 12, 20, 1 << 14


class Model(NamedTuple):
    """Arrays for the kernel. Inputs are numbered as fastText's: words, then buckets (those that were kept)."""

    words: Bytes  # of all dictionary words, one after another
    word_ends: Ints  # word i is words[word_ends[i]:word_ends[i + 1]]
    slots: Numbers  # open table of word numbers by hash; -1: free
    num_words: int
    min_n: int
    max_n: int
    num_buckets: int
    kept: Numbers  # input of each bucket, -1: pruned; empty where none were pruned
    is_kept: Bytes  # a bit for each bucket, the lowest of each byte first
    vectors: Floats  # inputs x dim
    outputs: Floats  # inner nodes x dim
    left: Numbers  # child of each node of the tree, leaves first; -1 of a leaf
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

    def number(self, kind: str, at_most: int) -> int:
        """One whole number of a sound size."""
        value = int(self.take(kind, 1)[0])
        if value > at_most:
            raise ConfigError(f"{self.path}: {value:,} at byte {self.place:,} is more than {at_most:,}; no sound model")
        return value


def read(path: Path) -> tuple[list[str], Model]:
    """Labels without their prefix, and the arrays. Raises ConfigError for a broken file, Unsupported."""
    reader = _Reader(np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8), path)
    magic, version = reader.take("<i4", 2)
    if magic != _MAGIC:
        raise ConfigError(f"{path}: no model of fastText's")
    dim, _, _, _, _, word_ngrams, loss, kind, num_buckets, min_n, max_n, _ = reader.take("<i4", 12).tolist()
    reader.take("<f8", 1)
    if (loss, kind, word_ngrams) != (_HIERARCHICAL, _SUPERVISED, 1) or version != _VERSION:
        raise Unsupported(f"{path}: loss {loss}, model {kind}, word n-grams {word_ngrams}, version {version}")
    if not (0 < dim <= _MAX_DIM and 0 < num_buckets <= _MAX_BUCKETS and min_n >= 0 and max_n <= _MAX_N):
        raise ConfigError(f"{path}: {dim} dimensions, {num_buckets} buckets, n-grams to {max_n}; no sound model")
    words, labels, counts, pruned = _dictionary(reader)
    vectors = _matrix(reader, is_quantized=bool(reader.take("u1", 1)[0]))
    outputs = _matrix(reader, is_quantized=bool(reader.take("u1", 1)[0]))
    left, right = _tree(counts)
    kept = np.zeros(0, np.int32)
    if pruned is not None:
        kept = np.full(num_buckets, -1, np.int32)
        inside = (pruned[:, 0] >= 0) & (pruned[:, 0] < num_buckets)
        kept[pruned[inside, 0]] = pruned[inside, 1] + len(words)
    highest = len(words) + num_buckets - 1 if pruned is None else int(kept.max(initial=-1))
    if len(vectors) <= max(highest, len(words) - 1) or len(outputs) < len(labels) - 1:
        raise ConfigError(f"{path}: {len(vectors):,} vectors are fewer than its words and n-grams; no sound model")
    if not vectors.shape[1] == outputs.shape[1] == dim:
        raise ConfigError(f"{path}: vectors of {vectors.shape[1]} and {outputs.shape[1]} dimensions, not {dim}")
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(list(map(len, words)), np.int64))])
    joined = np.frombuffer(b"".join(words), np.uint8)
    arrays = (vectors, outputs, left, right)
    bits = np.packbits(kept >= 0, bitorder="little")
    return labels, Model(joined, ends, _slots(words), len(words), min_n, max_n, num_buckets, kept, bits, *arrays)


def _dictionary(reader: _Reader) -> tuple[list[bytes], list[str], list[int], Numbers | None]:
    """Words, labels, how often each label was seen, and the kept buckets with their places (None: all)."""
    num_entries, num_words, num_labels = (reader.number("<i4", _MAX_ENTRIES) for _ in range(3))
    reader.take("<i8", 1)
    num_pruned = reader.number("<i8", _MAX_BUCKETS)
    words, labels, counts = list[bytes](), list[str](), list[int]()
    for _ in range(num_entries):
        ahead = reader.data[reader.place : reader.place + _MAX_WORD]
        entry = reader.take("u1", int(np.argmin(ahead)) if len(ahead) else 0).tobytes()
        if reader.take("u1", 1)[0]:
            raise ConfigError(f"{reader.path}: no word ends before byte {reader.place + _MAX_WORD:,}; no sound model")
        count = reader.number("<i8", _FREE - 1)
        if reader.take("u1", 1)[0]:
            labels.append(entry.decode("utf-8", "replace").removeprefix(_LABEL))
            counts.append(count)
        else:
            words.append(entry)
    if (len(words), len(labels)) != (num_words, num_labels) or not labels:
        raise ConfigError(f"{reader.path}: {len(words)} words, {len(labels)} labels are not as many as it says")
    pruned = reader.take("<i4", 2 * max(0, num_pruned)).reshape(-1, 2)
    return words, labels, counts, pruned if num_pruned >= 0 else None


def _matrix(reader: _Reader, *, is_quantized: bool) -> Floats:
    """Rows of a matrix; quantized ones as the sums of centroids that they stand for."""
    if not is_quantized:
        num_rows, dim = reader.number("<i8", 1 << 40), reader.number("<i8", _MAX_DIM)
        return reader.take("<f4", num_rows * dim).reshape(num_rows, dim)
    has_norms = bool(reader.take("u1", 1)[0])
    num_rows, dim, size = reader.number("<i8", 1 << 40), reader.number("<i8", _MAX_DIM), reader.number("<i4", 1 << 31)
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


def _slots(words: list[bytes]) -> Numbers:
    """Words by their hash in an open table, at most half full, of a power of two slots."""
    slots = np.full(1 << max(1, (2 * len(words)).bit_length()), -1, np.int32)
    for number, word in enumerate(words):
        slot = word_hash(word) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number
    return slots


def word_hash(word: bytes) -> int:
    """fastText's hash: FNV-1a of 32 bits, with bytes as signed numbers."""
    value = 2166136261
    for byte in word:
        value = ((value ^ (byte if byte < 0x80 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return value


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
