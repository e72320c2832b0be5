"""A shuffle without a table: the keyed permutation by which export places sequences and training reads them.

A six-round Feistel network over the next power of four, walked until it falls below the size: the same in every numpy
version, on any number of machines, and any part of it alone.
"""

import hashlib

import numpy as np
import numpy.typing as npt

_ROUNDS = 6


def permuted(positions: npt.NDArray[np.uint64], size: int, key: bytes) -> npt.NDArray[np.uint64]:
    """Image of each position (below size) under the key's permutation of range(size)."""
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    mask = np.uint64((1 << int(half)) - 1)
    digest = hashlib.blake2b(key, digest_size=8 * _ROUNDS).digest()
    rounds = np.frombuffer(digest, "<u8")
    image, is_outside = positions.copy(), np.ones(len(positions), np.bool_)
    while is_outside.any():
        left, right = image[is_outside] >> half, image[is_outside] & mask
        for round_key in rounds:
            left, right = right, left ^ (_mixed(right ^ round_key) & mask)
        image[is_outside] = (left << half) | right
        is_outside = image >= size
    return image


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64: every bit of the input moves every bit of the output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
