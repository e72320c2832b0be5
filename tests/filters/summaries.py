"""Summaries of all values on one machine, by NumPy as DCLM has them: what jobs/summaries.py must give by Spark."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np

from lakeloom.filters.aggregates import NUM_BINS, PERCENTILES, Summary
from lakeloom.filters.chain import Result
from lakeloom.filters.recipe import Recipe


def summaries(recipe: Recipe, results: Sequence[Result]) -> dict[tuple[str, str], Summary]:
    """By step and page key, over all results of the recipe; {} where no page has the key."""
    found: dict[tuple[str, str], Summary] = {}
    for aggregate in recipe.aggregates:
        pages = (dict(page or ()) for result in results for page in result.aggregated.to_pylist())
        values = [json.loads(page[aggregate.name]) for page in pages if aggregate.name in page]
        summary = histogram if aggregate.kind == "histogram" else percentiles
        found[aggregate.step, aggregate.key] = summary(values) if values else {}
    return found


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
