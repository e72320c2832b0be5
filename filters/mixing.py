"""Mixing of 64-bit hashes, for MinHash, for filters and for sets of n-grams."""

import numpy as np

from lakeloom.filters.kernel import kernel

MIX1, MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # MurmurHash3's 64-bit finaliser
_33 = np.uint64(33)


@kernel
def finish(state: np.uint64) -> np.uint64:
    """MurmurHash3's 64-bit finaliser."""
    state = (state ^ (state >> _33)) * MIX1
    state = (state ^ (state >> _33)) * MIX2
    return state ^ (state >> _33)
