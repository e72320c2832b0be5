"""Text that repeats itself. MassiveText (arXiv 2112.11446, table A1); what exactly is counted: ngrams.py."""

from typing import Literal

import pyarrow as pa

from lakeloom.filters.ngrams import LINE_CHAR_SHARE, LINE_SHARE, MIN_N, PARAGRAPH_CHAR_SHARE, PARAGRAPH_SHARE
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

N = Literal[2, 3, 4, 5, 6, 7, 8, 9, 10]


@signal
def repeated_line_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of non-blank lines that occur twice or more (the first copy too); null without lines."""
    return index.doubles(index.segment_shares[:, LINE_SHARE])


@signal
def repeated_line_char_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of the characters of lines that are in such lines; null without lines."""
    return index.doubles(index.segment_shares[:, LINE_CHAR_SHARE])


@signal
def repeated_paragraph_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of paragraphs (between empty lines) that occur twice or more; null without paragraphs."""
    return index.doubles(index.segment_shares[:, PARAGRAPH_SHARE])


@signal
def repeated_paragraph_char_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of the characters of paragraphs that are in such paragraphs; null without paragraphs."""
    return index.doubles(index.segment_shares[:, PARAGRAPH_CHAR_SHARE])


@signal
def top_ngram_char_ratio(index: TextIndex, *, n: N) -> pa.DoubleArray:
    """Characters of the most frequent word n-gram times its count, over those of all words.

    Null for an empty text, 0 if no n-gram occurs twice; above 1 where its occurrences overlap.
    """
    return index.doubles(index.ngram_shares[:, 2 * (n - MIN_N)])


@signal
def repeated_ngram_char_ratio(index: TextIndex, *, n: N) -> pa.DoubleArray:
    """Share of the words' characters under n-grams occurring twice or more; null for an empty text."""
    return index.doubles(index.ngram_shares[:, 2 * (n - MIN_N) + 1])
