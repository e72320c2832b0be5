"""Summaries of a page key over the pages that a step kept: DCLM's `_aggregate`.

The numbers are Python's own, so that JSON takes them; in DCLM a histogram of numbers stops the shard.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from lakeloom.filters.recipe import Aggregate, Recipe

if TYPE_CHECKING:
    from lakeloom.filters.chain import Result

Summary = dict[str, float]
PERCENTILES = {"min": 0, "max": 100, "median": 50, "p25": 25, "p75": 75, "p90": 90, "p95": 95, "p99": 99}
NUM_BINS = 10


def summaries(recipe: Recipe, results: Sequence["Result"]) -> dict[tuple[str, str], Summary]:
    """By step and page key, over all results of the recipe; {} where no page has the key."""
    found: dict[tuple[str, str], Summary] = {}
    for aggregate in recipe.aggregates:
        pages = (dict(page or ()) for result in results for page in result.aggregated.to_pylist())
        values = [json.loads(page[aggregate.name]) for page in pages if aggregate.name in page]
        summary = histogram if aggregate.kind == "histogram" else percentiles
        found[aggregate.step, aggregate.key] = summary(values) if values else {}
    return found


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


def percentiles(values: Sequence[object]) -> Summary:
    """Minimum, maximum, median, five percentiles by nearest rank, and mean of numbers."""
    numbers = np.array([float(cast(float, value)) for value in values])
    ranked = np.percentile(numbers, list(PERCENTILES.values()), method="nearest")
    return dict(zip(PERCENTILES, ranked.tolist(), strict=True)) | {"mean": math.fsum(numbers.tolist()) / len(numbers)}


def histogram(values: Sequence[object]) -> Summary:
    """Pages by string; of numbers, pages in ten equal bins by their left edges."""
    if isinstance(values[0], str):
        return {str(name): float(count) for name, count in Counter(values).items()}
    counts, edges = np.histogram([float(cast(float, value)) for value in values], bins=NUM_BINS)
    return {str(edge): float(count) for edge, count in zip(edges.tolist(), counts.tolist(), strict=False)}
