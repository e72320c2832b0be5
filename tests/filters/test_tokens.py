"""Tokens are uniseg's segments that are not all white space; hashes of runs tell them apart."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.characters import characters
from lakeloom.filters.tokens import hash_bytes, hash_bytes_anew, hash_runs, is_white_space, split_tokens
from tests.filters.bff import WHITE_SPACE, tokens
from tests.filters.test_words import CLASSES

TEXTS = (
    st.text(st.sampled_from(CLASSES + WHITE_SPACE + "\x1c\x1f@[`{"), max_size=30)
    | st.text(st.characters(codec="ascii"), max_size=30)
    | st.text(st.characters(codec="utf-8"), max_size=30)
)


def split(text: str) -> list[bytes]:
    data = np.frombuffer(text.encode(), np.uint8)
    starts, ends = np.empty(len(data), np.int64), np.empty(len(data), np.int64)
    count = split_tokens(data, 0, len(data), characters(), starts, ends)
    return [data[start:end].tobytes() for start, end in zip(starts[:count], ends[:count], strict=True)]


@given(TEXTS)
@example("it's `a` [b]_c 3.14 U.S.A\r\n-- \u0301x \x1c")
@settings(max_examples=1000)
def test_tokens_are_those_of_uniseg(text: str) -> None:
    assert split(text) == [word.encode() for _, word in tokens(text)]


def test_white_space_is_unicodes() -> None:
    codes = [*range(0xD800), *range(0xE000, 0x110000)]
    assert "".join(chr(code) for code in codes if is_white_space(code, characters())) == "".join(sorted(WHITE_SPACE))


def runs(words: list[str], length: int) -> list[int]:
    data = np.frombuffer("".join(words).encode(), np.uint8)
    ends = np.cumsum([len(word.encode()) for word in words])
    bounds = zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)
    hashes = np.array([hash_bytes(data, start, end) for start, end in bounds], np.uint64)
    count = hash_runs(hashes, 0, len(words), length)
    return [int(hashed) for hashed in hashes[:count]]


@given(st.lists(st.sampled_from(["a", "b", "ab", "\u65e5"]), min_size=1, max_size=20), st.integers(1, 6))
def test_runs_have_one_hash_where_their_tokens_are_the_same(words: list[str], length: int) -> None:
    expected = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    found = runs(words, length)
    assert len(found) == len(expected)
    assert len({*zip(expected, found, strict=True)}) == len({*expected}) == len({*found})


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["a", "b"], ["b", "a"]),
        (["a"], ["a", "a"]),
        (["a", "b", "b", "a"], ["b", "a", "a", "b"]),
    ],
)
def test_order_and_bounds_of_tokens_count(left: list[str], right: list[str]) -> None:
    assert runs(left, len(left)) != runs(right, len(right))


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_both_hashes_of_bytes_tell_them_apart(left: bytes, right: bytes) -> None:
    one, other = np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)
    assert (hash_bytes(one, 0, len(one)) == hash_bytes(other, 0, len(other))) == (left == right)
    assert (hash_bytes_anew(one, 0, len(one)) == hash_bytes_anew(other, 0, len(other))) == (left == right)
