"""English function words: prose has them, lists of products don't. Gopher (arXiv 2112.11446, appendix A)."""

import numpy as np
import pyarrow as pa

from lakeloom.filters.counts import STOP_WORD_BITS, STOP_WORDS
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex


@signal
def num_stop_words(index: TextIndex) -> pa.DoubleArray:
    """Words that are the, be, to, of, and, that, have or with, in any case; repeats count."""
    return index.doubles(index.counts[:, STOP_WORDS].astype(float))


@signal
def num_distinct_stop_words(index: TextIndex) -> pa.DoubleArray:
    """How many of these eight words the text has."""
    return index.doubles(np.bitwise_count(index.counts[:, STOP_WORD_BITS]).astype(float))
