"""Signs of a text that is not prose: symbols, bullets, ellipses. Gopher (arXiv 2112.11446, appendix A)."""

import pyarrow as pa

from lakeloom.filters.counts import BULLET_LINES, ELLIPSIS_LINES, LINES, SYMBOLS, UNALPHABETIC_WORDS, WORDS
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex


@signal
def symbol_to_word_ratio(index: TextIndex) -> pa.DoubleArray:
    """Hashes and ellipses per word; null without words. DCLM's symbol_ratio_filter."""
    return index.ratio(index.counts[:, SYMBOLS], index.counts[:, WORDS])


@signal
def bullet_line_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of non-blank lines that begin with a bullet, * or -; 0 without. DCLM's bullet_count_filter."""
    return index.ratio(index.counts[:, BULLET_LINES], index.counts[:, LINES], empty=0.0)


@signal
def ellipsis_line_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of non-blank lines that end in an ellipsis; 0 without lines. DCLM's ellipsis_count_filter."""
    return index.ratio(index.counts[:, ELLIPSIS_LINES], index.counts[:, LINES], empty=0.0)


@signal
def unalphabetic_word_ratio(index: TextIndex) -> pa.DoubleArray:
    """Share of words without a letter; null without words. DCLM's alphabetic_word_ratio_filter."""
    return index.ratio(index.counts[:, UNALPHABETIC_WORDS], index.counts[:, WORDS])
