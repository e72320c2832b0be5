"""A random part of the pages, the same one in every run: DCLM draws from Python's generator without a seed."""

import random

import pyarrow as pa

from lakeloom.filters.steps import signal


@signal
def random_number(id: pa.StringArray, *, salt: str = "") -> pa.DoubleArray:
    """A number in [0, 1) from the page's id and the salt: Python's generator, seeded with both one after the other."""
    drawn = [None if name is None else random.Random(name + salt).random() for name in id.to_pylist()]  # noqa: S311
    return pa.array(drawn, pa.float64())
