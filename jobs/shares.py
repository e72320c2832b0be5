"""A share of rows by a hash of what they are: the same rows wherever they lie, in one table or another."""

from pyspark.sql import Column
from pyspark.sql import functions as F

_DIGITS, _BITS = 13, 52  # hex digits of a hash that are compared with a share, and their bits


def is_below(key: str, share: float) -> Column:
    """Whether the first bits of a column of hashes in hex are below a share of all."""
    return F.conv(F.substring(key, 1, _DIGITS), 16, 10).cast("long") < int(min(share, 1.0) * 2**_BITS)


def ends_below(key: str, share: float) -> bool:
    """The same of the last bits of one hash, which the first say nothing of."""
    return int(key[-_DIGITS:], 16) < int(share * 2**_BITS)
