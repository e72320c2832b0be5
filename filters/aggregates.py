"""Summaries of a page key over the pages that a step kept: DCLM's `_aggregate`.

The numbers are Python's own, so that JSON takes them; in DCLM a histogram of numbers stops the shard.
"""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from lakeloom.filters.recipe import Aggregate

if TYPE_CHECKING:
    pass

Summary = dict[str, float]
PERCENTILES = {"min": 0, "max": 100, "median": 50, "p25": 25, "p75": 75, "p90": 90, "p95": 95, "p99": 99}
NUM_BINS = 10


def value(page: Mapping[str, object], aggregate: Aggregate) -> str | None:
    """What of a page goes into a summary, as JSON: the value under the key, transformed. None without a sound one.

    DCLM stops the shard where a page hasn't the key, or where there is no number or string under it.
    """
    found = page.get(aggregate.key)
    if aggregate.threshold is not None and isinstance(found, Mapping):
        found = best_key(cast(Mapping[str, float], found), aggregate.threshold, aggregate.default)
    is_sound = isinstance(found, str | int) or (isinstance(found, float) and math.isfinite(found))
    return json.dumps(found) if is_sound else None


def best_key(scores: Mapping[str, float], threshold: float, default: str) -> str:
    """The first key of the largest score, if that is at least the threshold. DCLM's threshold_transform."""
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] >= threshold else default
