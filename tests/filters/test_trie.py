"""A trie's expression finds what the longest-first alternation of the words finds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.trie import trie_pattern

WORDS = st.lists(st.text("ab.+", min_size=1, max_size=4), max_size=8)


@given(WORDS, st.text("ab.+", max_size=12), st.booleans())
def test_like_the_longest_first_alternation(words: list[str], text: str, is_whole: bool) -> None:
    alternation = "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))) or "(?!)"
    wrap = r"\b(?:%s)\b" if is_whole else "(?:%s)"
    assert re.findall(wrap % trie_pattern(words), text) == re.findall(wrap % alternation, text)


@pytest.mark.parametrize(("words", "source"), [([], "(?!)"), ([""], ""), (["ab", "abc"], "(?:a(?:b(?:c)?))")])
def test_sources(words: list[str], source: str) -> None:
    assert trie_pattern(words) == source
