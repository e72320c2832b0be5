"""The tables agree with Python and with uniseg, on every code point that differs from its neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uniseg import db

from lakeloom.filters import characters as chars

METHODS = {
    chars.ALNUM: str.isalnum,
    chars.ALPHA: str.isalpha,
    chars.DIGIT: str.isdigit,
    chars.SPACE: str.isspace,
    chars.UPPER: str.isupper,
}


def lookup(blocks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    codes = np.arange(0x110000)
    flat: np.ndarray = rows[blocks[codes >> 8] + (codes & 255)]
    return flat


@pytest.mark.parametrize("bit", METHODS)
def test_kinds_are_those_of_python(bit: int) -> None:
    table = chars.characters()
    kinds = lookup(table.kind_block, table.kinds) & bit != 0
    expected = np.fromiter(map(METHODS[bit], map(chr, range(0x110000))), np.bool_, 0x110000)
    assert np.flatnonzero(kinds != expected).tolist() == []


def test_breaks_are_those_of_uniseg() -> None:
    table = chars.characters()
    breaks = lookup(table.break_block, table.breaks)
    word_break, pictograph = db.get_handle("Word_Break"), db.get_handle("Extended_Pictographic")
    for code in [*range(0x20000), *range(0x20000, 0x110000, 97)]:
        entry = int(breaks[code])
        assert chars.WORD_BREAKS[entry & chars.WORD_BREAK] == (db.get_value(word_break, code) or "Other")
        assert bool(entry & chars.PICTOGRAPH) == bool(db.get_value(pictograph, code))
        assert bool(entry & chars.WORD_START) == chr(code).isalnum()


@given(st.text(st.characters(codec="utf-8")))
def test_decode_walks_utf8(text: str) -> None:
    data, place, codes = np.frombuffer(text.encode(), np.uint8), 0, []
    while place < len(data):
        code, width = chars.decode(data, place, len(data))
        codes.append(code)
        place += width
    assert codes == [ord(character) for character in text]


@pytest.mark.parametrize("cut", [b"\xc3", b"\xe2\x80", b"\xf0\x9f\x98", b"\x80", b"\xff"])
def test_decode_never_reads_past_the_end(cut: bytes) -> None:
    data = np.frombuffer(cut + b"AAA", np.uint8)
    code, width = chars.decode(data, 0, len(cut))
    assert width <= len(cut)
    assert 0 <= code < 0x110000


@given(st.text(st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u2028\u3000\u200b\ufeffa\u00e9\u4e00\U0001f600")))
def test_strip_is_that_of_python(text: str) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    start, end = chars.strip(data, 0, len(data), chars.characters())
    assert data[start:end].tobytes().decode() == text.strip()


@given(st.binary(max_size=40))
def test_bytes_that_are_no_utf8_are_walked_within_the_tables(data: bytes) -> None:
    given, place, end = np.frombuffer(data + b"abc", np.uint8), 0, len(data)
    while place < end:
        code, width = chars.decode(given, place, end)
        assert 0 <= code < 0x110000
        assert 1 <= width <= end - place
        place += width
