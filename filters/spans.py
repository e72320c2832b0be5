"""Spans of bytes that a rule takes out of texts: found by kernels, cut, and put together over several cuts.

A text's spans are [start, end) in its UTF-8 bytes, ascending, not empty, and neither overlap nor touch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.kernel import Bytes, Ints, Mask, kernel
from lakeloom.filters.textindex import TextIndex, string_array
from lakeloom.lakehouse.errors import BadInput


class Found(NamedTuple):
    """Row i has the spans offsets[i] to offsets[i + 1]; the other arrays have a number for each row."""

    offsets: Ints
    starts: Ints
    ends: Ints
    is_emptied: Mask
    num_ngrams: Ints
    num_contained: Ints


@dataclass(frozen=True)
class Removed:
    """What a rule takes out of each text; a null text has no spans and counts of 0.

    `is_emptied`: something goes, and only white space stays. `num_contained` of `num_ngrams` were seen before.
    """

    starts: pa.ListArray
    ends: pa.ListArray
    is_emptied: pa.BooleanArray
    num_ngrams: pa.Int64Array
    num_contained: pa.Int64Array

    @classmethod
    def of(cls, found: Found) -> "Removed":
        """The same in Arrow's arrays."""
        spans = _lists(found.offsets, found.starts), _lists(found.offsets, found.ends)
        return cls(*spans, pa.array(found.is_emptied), pa.array(found.num_ngrams), pa.array(found.num_contained))


def cut(text: pa.StringArray, starts: pa.ListArray, ends: pa.ListArray) -> pa.StringArray:
    """The texts without these spans of bytes; null where a text is null. BadInput for spans of other texts."""
    index = TextIndex.of(text)
    spans = _spans(starts, ends)
    sizes = _sizes_left(index.ends - index.starts, *spans)
    if (sizes < 0).any():
        row = int(np.flatnonzero(sizes < 0)[0])
        size = index.ends[row] - index.starts[row]
        raise BadInput(f"row {row}: its spans to cut are not ascending within {size} bytes; give those of this text")
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return string_array(_cut(index.data, index.starts, index.ends, *spans, offsets[-1]), offsets, index.is_valid)


def compose(
    starts: pa.ListArray, ends: pa.ListArray, later_starts: pa.ListArray, later_ends: pa.ListArray
) -> tuple[pa.ListArray, pa.ListArray]:
    """One cut for two: starts and ends in the first text, of its spans and of later ones in what they left."""
    offsets, *spans = _composed(*_spans(starts, ends), *_spans(later_starts, later_ends))
    return _lists(offsets, spans[0]), _lists(offsets, spans[1])


def merged(starts: pa.ListArray, ends: pa.ListArray) -> tuple[pa.ListArray, pa.ListArray]:
    """Ascending spans of one text, which may overlap, as they are wanted elsewhere: those that do made one."""
    offsets, *found = _merged(*_spans(starts, ends))
    return _lists(offsets, found[0]), _lists(offsets, found[1])


@kernel
def add_span(spans: Ints, first: int, count: int, start: int, end: int) -> tuple[Ints, int]:
    """Add [start, end), not before the last of one text's spans[first:count], which it joins if they touch.

    Gives the buffer, another one if it was full, and its new count.
    """
    if count > first and start <= spans[count - 1, 1]:
        spans[count - 1, 1] = max(spans[count - 1, 1], end)
        return spans, count
    if count == len(spans):
        larger = np.empty((2 * count, 2), np.int64)
        larger[:count] = spans
        spans = larger
    spans[count, 0], spans[count, 1] = start, end
    return spans, count + 1


@kernel
def is_blank_without(tokens: Ints, num_tokens: int, start: int, spans: Ints) -> bool:
    """Whether there are spans, and every token, which begin at `tokens`, is in one of those of the text at `start`."""
    span = 0
    for token in range(num_tokens):
        place = tokens[token] - start
        while span < len(spans) and spans[span, 1] <= place:
            span += 1
        if span == len(spans) or place < spans[span, 0]:
            return False
    return len(spans) > 0


def _lists(offsets: Ints, values: Ints) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


def _spans(starts: pa.ListArray, ends: pa.ListArray) -> tuple[Ints, Ints, Ints]:
    """Offsets, starts and ends of lists that may be null or slices."""
    sizes = pc.list_value_length(starts).fill_null(0).to_numpy().astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    flat = (array.flatten().cast(pa.int64()).to_numpy() for array in (starts, ends))
    return offsets, *flat


@kernel
def _sizes_left(sizes: Ints, offsets: Ints, starts: Ints, ends: Ints) -> Ints:
    """Bytes of each text without its spans; -1 if they are not in order within it."""
    left = sizes.copy()
    for row in range(len(sizes)):
        before = 0
        for span in range(offsets[row], offsets[row + 1]):
            if not before <= starts[span] <= ends[span] <= sizes[row]:
                left[row] = -1
                break
            before = ends[span]
            left[row] -= ends[span] - starts[span]
    return left


@kernel
def _cut(data: Bytes, firsts: Ints, lasts: Ints, offsets: Ints, starts: Ints, ends: Ints, num_bytes: int) -> Bytes:
    """The texts data[firsts[i]:lasts[i]] without their spans, one after another."""
    out = np.empty(num_bytes, np.uint8)
    size = 0
    for row in range(len(firsts)):
        place = firsts[row]
        for span in range(offsets[row], offsets[row + 1] + 1):
            is_last = span == offsets[row + 1]
            stop = lasts[row] if is_last else firsts[row] + starts[span]
            out[size : size + stop - place] = data[place:stop]
            size += stop - place
            if not is_last:
                place = firsts[row] + ends[span]
    return out


@kernel
def _composed(
    offsets: Ints, starts: Ints, ends: Ints, later_offsets: Ints, later_starts: Ints, later_ends: Ints
) -> tuple[Ints, Ints, Ints]:
    """Offsets, starts and ends of the union of both, in bytes of the first text."""
    spans, count = np.empty((len(starts) + len(later_starts) + 1, 2), np.int64), 0
    merged = np.zeros_like(offsets)
    for row in range(len(offsets) - 1):
        first, span, removed = count, offsets[row], 0  # bytes that the spans before this one took
        for later in range(later_offsets[row], later_offsets[row + 1]):
            while span < offsets[row + 1] and starts[span] - removed <= later_starts[later]:
                spans, count = add_span(spans, first, count, starts[span], ends[span])
                removed += ends[span] - starts[span]
                span += 1
            spans, count = add_span(spans, first, count, later_starts[later] + removed, later_starts[later] + removed)
            while span < offsets[row + 1] and starts[span] - removed < later_ends[later]:
                removed += ends[span] - starts[span]
                span += 1
            spans[count - 1, 1] = max(spans[count - 1, 1], later_ends[later] + removed)
        while span < offsets[row + 1]:
            spans, count = add_span(spans, first, count, starts[span], ends[span])
            span += 1
        merged[row + 1] = count
    return merged, spans[:count, 0].copy(), spans[:count, 1].copy()


@kernel
def _merged(offsets: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    """Offsets, starts and ends of the union of each text's spans, which ascend by their starts."""
    spans, count = np.empty((len(starts) + 1, 2), np.int64), 0
    places = np.zeros_like(offsets)
    for row in range(len(offsets) - 1):
        first = count
        for span in range(offsets[row], offsets[row + 1]):
            spans, count = add_span(spans, first, count, starts[span], ends[span])
        places[row + 1] = count
    return places, spans[:count, 0].copy(), spans[:count, 1].copy()
