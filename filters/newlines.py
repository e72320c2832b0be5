"""Runs of newlines, which extraction leaves. RefinedWeb (arXiv 2306.01116, section 3.1) allows two."""

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Bytes, Ints, kernel
from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

_LF = 10


@edit(drops_empty=False)
def limit_newlines(index: TextIndex, *, max_run: int) -> pa.StringArray:
    """Cut every longer run of U+000A to `max_run` of them. DCLM's newline_removal_modifier.

    -1 counts as 0. Below -1 nothing is cut: in DCLM's expression the negative number is no count but text.
    """
    if max_run < -1:
        return index.text
    max_run = max(0, max_run)
    surplus = num_surplus(index.data, index.starts, index.ends, max_run)
    rows = np.flatnonzero(surplus)
    sizes = (index.ends - index.starts - surplus)[rows]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return index.with_new(rows, without_surplus(index.data, index.starts, index.ends, max_run, rows, offsets), offsets)


@kernel
def num_surplus(data: Bytes, starts: Ints, ends: Ints, max_run: int) -> Ints:
    """Newlines of each text that follow `max_run` others."""
    surplus = np.zeros(len(starts), np.int64)
    for number in range(len(starts)):
        run = 0
        for place in range(starts[number], ends[number]):
            run = run + 1 if data[place] == _LF else 0
            surplus[number] += run > max_run
    return surplus


@kernel
def without_surplus(data: Bytes, starts: Ints, ends: Ints, max_run: int, rows: Ints, offsets: Ints) -> Bytes:
    """The bytes of the texts at `rows` without those newlines."""
    out = np.empty(offsets[-1], np.uint8)
    into = 0
    for number in rows:
        run = 0
        for place in range(starts[number], ends[number]):
            run = run + 1 if data[place] == _LF else 0
            if run <= max_run:
                out[into] = data[place]
                into += 1
    return out
