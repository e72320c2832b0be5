"""A share of rows by a hash of what they are: the same rows wherever they lie, in one table or another.

A share above 1 is so many copies of every row, and by the same hash one more of some.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

_DIGITS, _BITS = 13, 52  # hex digits of a hash that are compared with a share, and their bits


def is_below(key: str | Column, share: float) -> Column:
    """Whether the first bits of a column of hashes in hex are below a share of all."""
    return F.conv(F.substring(key, 1, _DIGITS), 16, 10).cast("long") < int(min(share, 1.0) * 2**_BITS)


def ends_below(key: str, share: float) -> bool:
    """The same of the last bits of one hash, which the first say nothing of."""
    return int(key[-_DIGITS:], 16) < int(share * 2**_BITS)


def num_copies(key: str, epochs: float) -> Column:
    """How many times rows are taken, by a column of hashes in hex: DCLM's do_sample, by a hash and not by chance.

    All whole epochs, and once more with the probability that is left. Of two numbers of epochs the larger takes every
    row at least as often: what 0.2 takes is among what 0.5 takes.
    """
    whole, part = divmod(round(epochs * 2.0**_BITS), 1 << _BITS)
    return F.lit(whole) + (F.conv(F.substring(key, 1, _DIGITS), 16, 10).cast("long") < part).cast("int")
