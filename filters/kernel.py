"""The one way a function becomes machine code: Numba, cached on disk, no interpreter lock, one thread.

A changed kernel is recompiled when its own file changes; kernels it calls from another file are not noticed,
so delete __pycache__/*.nb* after editing characters.py.
"""

import logging
from collections.abc import Callable
from typing import SupportsInt, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Words32 = NDArray[np.uint32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

F = TypeVar("F", bound=Callable[..., object])
logger = logging.getLogger(__name__)


def kernel(function: F) -> F:
    """Compile on first call; without a writable cache folder (a read-only image) compile once per process."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError as error:
        logger.info("no kernel cache for %s: %s", function.__name__, error)
        return cast(F, numba.njit(nogil=True)(function))


@kernel
def integer(value: SupportsInt) -> int:
    """The value as a signed 64-bit number: Numba makes floats where signed and unsigned ones meet."""
    return np.int64(value)  # type: ignore[return-value]  # int() would keep it unsigned
