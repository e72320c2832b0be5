"""The texts of a batch with everything measured on them, each thing once per version of a text.

Reads Arrow's UTF-8 bytes in place. Rows can be left out and texts replaced; what was measured on the others
stays. Null texts have no measurements; a signal turns them into null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.characters import Characters, characters, strip_all
from lakeloom.filters.counts import count
from lakeloom.filters.kernel import Bytes, Doubles, Ints, Mask
from lakeloom.filters.linetable import Lines, LineTable, is_touched, join_lines, line_table, spliced
from lakeloom.filters.ngrams import ngram_shares, segment_shares

Measure = Callable[[Bytes, Ints, Ints, Characters], Ints | Doubles]


@dataclass
class _Column:
    """Rows of one measurement, and which of them belong to an older text or were never made."""

    values: Ints | Doubles
    is_stale: Mask


@dataclass(frozen=True)
class _Made:
    """New texts that were made of an index's own, and which of them are not the same."""

    text: pa.StringArray
    is_changed: Mask


@dataclass
class TextIndex:
    """Texts data[starts[i]:ends[i]]; make one by `TextIndex.of(array)`."""

    data: Bytes
    starts: Ints
    ends: Ints
    is_valid: Mask
    _columns: dict[str, _Column] = field(default_factory=dict[str, _Column])
    _text: pa.StringArray | None = None
    _strings: list[str | None] | None = None
    _lines: Lines | None = None
    _made: _Made | None = None

    @classmethod
    def of(cls, text: pa.StringArray) -> TextIndex:
        """Index an Arrow array of strings (null, sliced and large ones too)."""
        text = text.cast(pa.string())
        _, offsets_buffer, data_buffer = text.buffers()
        offsets = np.zeros(1, np.int32) if offsets_buffer is None else np.frombuffer(offsets_buffer, np.int32)
        places = offsets[text.offset : text.offset + len(text) + 1].astype(np.int64)
        data = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
        is_valid = np.asarray(text.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        starts = places[:-1]
        return cls(data, starts, np.where(is_valid, places[1:], starts), is_valid, _text=text)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of all texts."""
        return int((self.ends - self.starts).sum())

    @property
    def text(self) -> pa.StringArray:
        """The texts as an Arrow array."""
        if self._text is None:
            self._text = _gather(self.data, self.starts, self.ends, self.is_valid)
        return self._text

    @property
    def strings(self) -> list[str | None]:
        """The texts as Python strings, for rules that are regular expressions."""
        if self._strings is None:
            self._strings = self.text.to_pylist()
        return self._strings

    @property
    def counts(self) -> Ints:
        """A row of `counts.NUM_COUNTS` counts per text."""
        return self.measured("counts", count).astype(np.int64, copy=False)

    @property
    def segment_shares(self) -> Doubles:
        """A row of repeated line and paragraph shares per text (`ngrams.segment_shares`)."""
        return self.measured("segment_shares", segment_shares).astype(np.float64, copy=False)

    @property
    def ngram_shares(self) -> Doubles:
        """A row of n-gram shares per text (`ngrams.ngram_shares`)."""
        return self.measured("ngram_shares", ngram_shares).astype(np.float64, copy=False)

    def measured(self, name: str, measure: Measure) -> Ints | Doubles:
        """Values of a measurement, made only for the texts that have none yet."""
        column = self._columns.get(name)
        if column is None:
            values = measure(self.data, self.starts, self.ends, characters())
            column = self._columns[name] = _Column(values, np.zeros(len(self), np.bool_))
        elif column.is_stale.any():
            rows = np.flatnonzero(column.is_stale)
            column.values[rows] = measure(self.data, self.starts[rows], self.ends[rows], characters())
            column.is_stale[:] = False
        return column.values

    def doubles(self, values: Doubles) -> pa.DoubleArray:
        """One number per text; null where the text is null or the value NaN (there is nothing to measure)."""
        return pa.array(values, pa.float64(), mask=~self.is_valid | np.isnan(values))

    def ratio(self, part: Ints | Doubles, whole: Ints | Doubles, *, empty: float = np.nan) -> pa.DoubleArray:
        """part / whole per text; `empty` (null unless given) where the whole is 0."""
        return self.doubles(np.divide(part, whole, out=np.full(len(self), empty), where=whole != 0))

    def take(self, rows: Ints) -> TextIndex:
        """The texts at `rows`, with what was measured on them."""
        columns = {n: _Column(c.values[rows], c.is_stale[rows]) for n, c in self._columns.items()}
        strings = None if self._strings is None else [self._strings[row] for row in rows.tolist()]
        lines = None if self._lines is None else self._lines.take(rows)
        spans = self.starts[rows], self.ends[rows], self.is_valid[rows]
        return TextIndex(self.data, *spans, columns, _strings=strings, _lines=lines)

    def edited(self, text: pa.StringArray) -> TextIndex:
        """The index of new versions of all texts; measurements of unchanged ones are kept."""
        if text is self._text:
            return self
        if self._made is not None and self._made.text is text:
            is_changed = self._made.is_changed
        else:
            is_changed = np.asarray(pc.not_equal(self.text, text).fill_null(True).to_numpy(zero_copy_only=False))
        edited = TextIndex.of(text)
        edited._lines = None if self._lines is None else self._lines.without(is_changed)
        edited._columns = {n: _Column(c.values.copy(), c.is_stale | is_changed) for n, c in self._columns.items()}
        return edited

    def lowered(self) -> TextIndex:
        """The index of the texts in lower case (str.lower), measured anew."""
        lowered = [None if text is None else text.lower() for text in self.strings]
        return TextIndex.of(pa.array(lowered, pa.string()))

    def with_strings(self, strings: list[str | None]) -> pa.StringArray:
        """New texts; the very same array if every string is the old one."""
        if all(new is old for new, old in zip(strings, self.strings, strict=True)):
            return self.text
        return pa.array(strings, pa.string())

    def rewritten(
        self, may_change: Mask, rule: Callable[[str], str], *, within: tuple[Ints, Ints] | None = None
    ) -> pa.StringArray:
        """New texts by a rule of Python, of those that it may change; the very same array if nothing changes.

        Of the others stays what is `within` these starts and ends in `data`, all of it if none are given.
        """
        starts, ends = within or (self.starts, self.ends)
        rows = np.flatnonzero(may_change & self.is_valid)
        new = [rule(self._string(row)).encode() for row in rows.tolist()]
        return self._spliced(rows, np.frombuffer(b"".join(new), np.uint8), _offsets(list(map(len, new))), starts, ends)

    def beginning(self, row: int, length: int) -> str:
        """The first `length` characters of a text."""
        start, end = self.starts[row], self.ends[row]
        return self.data[start : min(end, start + 4 * length)].tobytes().decode(errors="ignore")[:length]

    def _string(self, row: int) -> str:
        if self._strings is not None:
            return self._strings[row] or ""
        return self.data[self.starts[row] : self.ends[row]].tobytes().decode()

    def with_new(self, rows: Ints, new: Bytes, offsets: Ints) -> pa.StringArray:
        """New texts, those at `rows` (ascending) being new[offsets]; the very same array if nothing changes."""
        return self._spliced(rows, new, offsets, self.starts, self.ends)

    def stripped(self) -> tuple[Ints, Ints]:
        """Where the texts begin and end without the white space around them (str.strip)."""
        bounds = strip_all(self.data, self.starts, self.ends, characters())
        return bounds[0], bounds[1]

    def lines(self) -> LineTable:
        """The lines of all texts; those of unchanged texts are measured once."""
        known = self._lines
        if known is None or not known.is_of(self.starts):
            table = line_table(self.data, self.starts, self.ends, characters(), known)
            self._lines = known = Lines(table, np.arange(len(self)), self.starts)
        return known.table

    def with_lines(self, lines: LineTable, keep: Mask, *, is_stripped: bool) -> pa.StringArray:
        """New texts of the kept lines; the very same array if nothing changes."""
        rows = np.flatnonzero(is_touched(self.data, self.starts, self.ends, lines, keep, is_stripped, characters()))
        data, offsets = join_lines(self.data, lines, rows, keep, is_stripped, characters())
        return self.with_new(rows, data, offsets)

    def _spliced(self, rows: Ints, new: Bytes, offsets: Ints, starts: Ints, ends: Ints) -> pa.StringArray:
        """Texts data[starts:ends], but for those at `rows`, which are new[offsets]."""
        is_changed: Mask = (starts != self.starts) | (ends != self.ends)
        for number, row in enumerate(rows.tolist()):
            old = self.data[self.starts[row] : self.ends[row]]
            is_changed[row] = not np.array_equal(old, new[offsets[number] : offsets[number + 1]])
        if not is_changed.any():
            return self.text
        text = string_array(*spliced(self.data, starts, ends, rows, new, offsets), self.is_valid)
        self._made = _Made(text, is_changed)
        return text


def _gather(data: Bytes, starts: Ints, ends: Ints, is_valid: Mask) -> pa.StringArray:
    """Copy scattered texts into one array."""
    nothing = np.zeros(0, np.int64)
    return string_array(*spliced(data, starts, ends, nothing, np.zeros(0, np.uint8), np.zeros(1, np.int64)), is_valid)


def _offsets(sizes: list[int]) -> Ints:
    """Where each of some pieces on end begins, and the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(sizes, np.int64))])


def string_array(data: Bytes, offsets: Ints, is_valid: Mask) -> pa.StringArray:
    """Arrow strings over UTF-8 bytes."""
    validity = None if is_valid.all() else pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.string(), len(is_valid), buffers)
