"""Text that repeats itself. MassiveText (arXiv 2112.11446, table A1); what exactly is counted: ngrams.py."""

from functools import partial

import numpy as np
import pyarrow as pa

from lakeloom.filters.kernel import Doubles
from lakeloom.filters.ngrams import (
    LINE_CHAR_SHARE,
    LINE_SHARE,
    MAX_N,
    MIN_N,
    PARAGRAPH_CHAR_SHARE,
    PARAGRAPH_SHARE,
    ngram_shares_between,
)
from lakeloom.filters.parameters import Positive
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex


@signal
def repeated_line_ratio(index: TextIndex, *, ignore_case: bool = False) -> pa.DoubleArray:
    """Share of non-blank lines that occur twice or more (the first copy too); null without lines."""
    return _segments(index, LINE_SHARE, ignore_case)


@signal
def repeated_line_char_ratio(index: TextIndex, *, ignore_case: bool = False) -> pa.DoubleArray:
    """Share of the characters of lines that are in such lines; null without lines."""
    return _segments(index, LINE_CHAR_SHARE, ignore_case)


@signal
def repeated_paragraph_ratio(index: TextIndex, *, ignore_case: bool = False) -> pa.DoubleArray:
    """Share of paragraphs (between empty lines) that occur twice or more; null without paragraphs."""
    return _segments(index, PARAGRAPH_SHARE, ignore_case)


@signal
def repeated_paragraph_char_ratio(index: TextIndex, *, ignore_case: bool = False) -> pa.DoubleArray:
    """Share of the characters of paragraphs that are in such paragraphs; null without paragraphs."""
    return _segments(index, PARAGRAPH_CHAR_SHARE, ignore_case)


@signal
def top_ngram_char_ratio(index: TextIndex, *, n: Positive, ignore_case: bool = False) -> pa.DoubleArray:
    """Characters of the most frequent word n-gram times its count, over those of all words.

    Null for an empty text, 0 if no n-gram occurs twice; above 1 where its occurrences overlap.
    """
    return index.doubles(_ngrams(index, n, ignore_case)[:, 0])


@signal
def repeated_ngram_char_ratio(index: TextIndex, *, n: Positive, ignore_case: bool = False) -> pa.DoubleArray:
    """Share of the words' characters under n-grams occurring twice or more; null for an empty text."""
    return index.doubles(_ngrams(index, n, ignore_case)[:, 1])


def _segments(index: TextIndex, column: int, ignore_case: bool) -> pa.DoubleArray:
    return index.doubles((index.lowered() if ignore_case else index).segment_shares[:, column])


def _ngrams(index: TextIndex, n: int, ignore_case: bool) -> Doubles:
    """Both shares of one n; those of 2 to 10 are measured together."""
    index = index.lowered() if ignore_case else index
    if MIN_N <= n <= MAX_N:
        return index.ngram_shares[:, 2 * (n - MIN_N) : 2 * (n - MIN_N) + 2]
    shares = index.measured(f"ngrams of {n}", partial(ngram_shares_between, min_n=n, max_n=n))
    return shares.astype(np.float64, copy=False)
