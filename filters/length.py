"""How long a text and its words are. Gopher (arXiv 2112.11446, appendix A)."""

import pyarrow as pa

from lakeloom.filters.counts import CHARS, TOKENS, WORD_CHARS, WORDS
from lakeloom.filters.steps import Earlier, signal
from lakeloom.filters.textindex import TextIndex


@signal
def num_chars(index: TextIndex) -> pa.DoubleArray:
    """Code points of the text."""
    return index.doubles(index.counts[:, CHARS].astype(float))


@signal
def num_tokens(index: TextIndex) -> pa.DoubleArray:
    """Blank-separated tokens that begin with a letter or digit; DCLM's word count (fastText's splitting)."""
    return index.doubles(index.counts[:, TOKENS].astype(float))


@signal
def mean_word_length(index: TextIndex) -> pa.DoubleArray:
    """Mean characters of the words of str.split(); null without words. DCLM's word_length_filter."""
    return index.ratio(index.counts[:, WORD_CHARS], index.counts[:, WORDS])


@signal
def removed_token_ratio(index: TextIndex, *, since: Earlier) -> pa.DoubleArray:
    """Share of tokens that edits removed since the num_tokens step named by `since`; null if there were none.

    Negative where the text grew. DCLM's word_removal_ratio_filter, RefinedWeb's rule (section G.2).
    """
    before = since.to_numpy(zero_copy_only=False)
    return index.ratio(before - index.counts[:, TOKENS], before)
