"""Removal of what was seen before, by a Bloom filter of n-grams of tokens: DCLM's BFF, in the order of the texts.

Rules: DCLM's dedup/bff/src/main.rs, with the modes paragraph, document, old-both (DCLM-Baseline), both, substring
and exact. Its naive-both is left out: it tests a page's paragraphs against a filter that has the page itself.
Where BFF's code strays from its own description, the modes do what this says: `both` judges every paragraph (the
code only the first) and learns all n-grams that touch no removed one (the code none after it), `substring` unites
both scans (the code merges an unsorted list).
A text without bytes has no n-grams, in `exact` too. BFF's threads race; here the same texts give the same result.
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, expm1, floor, log, log1p

import numpy as np
import pyarrow as pa

from lakeloom.filters.bloombits import INSERTED, SET_BITS, Filter
from lakeloom.filters.bloomkernel import MODES, Rule, remove
from lakeloom.filters.characters import characters
from lakeloom.filters.spans import Removed
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError, unknown


@dataclass(frozen=True)
class BloomParams:
    """How large the filter is and what counts as seen. DCLM-Baseline: 0.01, n-grams of 13, 0.8, old-both.

    A unit of fewer than `min_ngram` tokens is kept and not learned, one of fewer than `max_ngram` is one n-gram.
    `substring_length`: the fewest tokens that mode substring removes.
    """

    expected_ngrams: int
    fp_rate: float
    min_ngram: int = 20
    max_ngram: int = 20
    threshold: float = 0.80
    mode: str = "paragraph"
    substring_length: int = 50

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("mode", self.mode, MODES, "cut.bff_mode")
        if not 1 <= self.min_ngram <= self.max_ngram:
            raise ConfigError(
                f"cut.bff_min_ngram={self.min_ngram}, cut.bff_ngram={self.max_ngram}: "
                "give two numbers of tokens from 1 on, the first not above the second"
            )
        if self.expected_ngrams < 1 or self.substring_length < 1:
            raise ConfigError(
                f"cut.bff: expected_ngrams={self.expected_ngrams}, substring_length={self.substring_length}: "
                "both must be 1 or more"
            )
        if not 0 < self.fp_rate < 1 or not 0 <= self.threshold <= 1:
            raise ConfigError(
                f"cut.bff_fp_rate={self.fp_rate}, cut.bff_threshold={self.threshold}: "
                "the rate must lie between 0 and 1, the threshold be from 0 to 1"
            )

    @property
    def num_bytes(self) -> int:
        """The smallest size of a filter that holds the expected n-grams at the rate."""
        smallest, num_hashers = 1, 1
        while True:
            # Up to this size so many hashers are best: there the rate falls with the size; just above, it rises a bit.
            largest = floor(num_hashers * self.expected_ngrams / (8 * log(2)))
            if largest >= smallest and self._fp_rate(largest) <= self.fp_rate:
                sizes = range(smallest, largest)
                return smallest + bisect_left(sizes, True, key=lambda size: self._fp_rate(size) <= self.fp_rate)
            smallest, num_hashers = max(smallest, largest + 1), num_hashers + 1

    def fit(self, max_bytes: int) -> int:
        """The size, if it is within the limit; else a ConfigError."""
        if self.num_bytes > max_bytes:
            raise ConfigError(
                f"cut.bff: {self.expected_ngrams} n-grams at a rate of {self.fp_rate} false positives need a filter "
                f"of {self.num_bytes} bytes, more than cut.max_bytes={max_bytes}; raise it or cut.bff_fp_rate, "
                "or make more cut.groups"
            )
        return self.num_bytes

    @property
    def num_hashers(self) -> int:
        """Bits that an n-gram sets."""
        return self._num_hashers(self.num_bytes)

    def _num_hashers(self, num_bytes: int) -> int:
        return ceil(8 * num_bytes / self.expected_ngrams * log(2))

    def _fp_rate(self, num_bytes: int) -> float:
        """(1 - (1 - 1/m)^(kn))^k of BFF, in a form that is exact for large filters too."""
        num_hashers = self._num_hashers(num_bytes)
        one_bit = log1p(-1 / (8 * num_bytes))
        return float((-expm1(num_hashers * self.expected_ngrams * one_bit)) ** num_hashers)


class Bloom:
    """A filter that has seen the texts so far. How they are cut into batches changes nothing."""

    def __init__(self, params: BloomParams, *, max_bytes: int) -> None:
        num_bytes = params.fit(max_bytes)
        num_words = -(-num_bytes // 4)  # BFF's rounds down, which with fewer than four bytes leaves no filter
        self._filter = Filter(np.zeros(num_words, np.uint32), params.num_hashers, np.zeros(2, np.int64))
        lengths = params.min_ngram, params.max_ngram
        self._rule = Rule(MODES.index(params.mode), *lengths, float(params.threshold), params.substring_length)

    def apply(self, text: pa.StringArray) -> Removed:
        """What goes of each text, given those before it; what stays of it is learned."""
        index = TextIndex.of(text)
        return Removed.of(remove(index.data, index.starts, index.ends, characters(), self._filter, self._rule))

    @property
    def num_inserted(self) -> int:
        """N-grams that were new to the filter; above `expected_ngrams` it errs more often than it should."""
        return int(self._filter.counts[INSERTED])

    @property
    def fp_rate(self) -> float:
        """Probability that an n-gram that was never inserted passes for seen, from the share of bits that are set."""
        share = self._filter.counts[SET_BITS] / (32 * len(self._filter.bits))
        return float(share**self._filter.num_hashers)
