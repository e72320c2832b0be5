"""Numbers with their errors: every score is a mean over groups of a ratio of sums, and has one formula.

Standard error of R = sum(value) / sum(weight) over n items, by the linearised ratio (Cochran, Sampling
Techniques, chapter 6): sqrt(n / (n - 1) * sum((value - R * weight)^2)) / sum(weight). With weight 1 it is the
textbook error of a mean. Groups: the mean of their ratios, the root of their summed squared errors divided by their
number. It is 0 where all items agree (0 of 50 right), which is not certainty: look at the number of items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakeloom.evaluate.tasks import load


@dataclass(frozen=True)
class Item:
    """One observation: right answers with weight 1, bits of a text with its bytes as weight."""

    item_id: str
    value: float
    weight: float
    group: str = ""


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error; the error is None where a group has a single item."""

    value: float
    stderr: float | None
    num_items: int


def ratio(items: Sequence[Item]) -> Estimate:
    """Mean over groups of sum(value) / sum(weight); needs an item, and a positive weight in each group."""
    if not items:
        raise ValueError("no items to estimate from")
    groups = sorted({item.group for item in items})
    parts = [_group(np.array([(i.value, i.weight) for i in items if i.group == name])) for name in groups]
    errors = [part.stderr for part in parts if part.stderr is not None]
    stderr = float(np.sqrt(np.sum(np.square(errors)))) / len(parts) if len(errors) == len(parts) else None
    return Estimate(float(np.mean([part.value for part in parts])), stderr, len(items))


def centred(accuracy: float, baseline: float) -> float:
    """0 for guessing, 1 for all right; baseline in percent (DCLM's aggregated_metrics.py)."""
    return (accuracy - baseline / 100) / (1 - baseline / 100)


def composite(accuracies: Mapping[str, float], group: str = "core", *, version: int = 2) -> float | None:
    """Mean centred accuracy of a group (core: 22 tasks, extended: 53), None where one of them is missing."""
    tasks = [task for task in load().values() if group in task.groups]
    if not all(task.name in accuracies for task in tasks):
        return None
    baselines = [task.baseline_v1 if version == 1 else task.baseline_v2 for task in tasks]
    return float(np.mean([centred(accuracies[t.name], b) for t, b in zip(tasks, baselines, strict=True)]))


def composite_error(errors: Mapping[str, float], group: str = "core") -> float:
    """Standard error of the composite, its tasks taken as independent."""
    tasks = [task for task in load().values() if group in task.groups]
    squares = [(errors[task.name] / (1 - task.baseline_v2 / 100)) ** 2 for task in tasks]
    return float(np.sqrt(np.sum(squares))) / len(tasks)


def _group(pairs: npt.NDArray[np.float64]) -> Estimate:
    values, weights = pairs[:, 0], pairs[:, 1]
    total, count = weights.sum(), len(pairs)
    value = float(values.sum() / total)
    if count < 2:
        return Estimate(value, None, count)
    rest = float(np.sum(np.square(values - value * weights)))
    return Estimate(value, float(np.sqrt(count / (count - 1) * rest) / total), count)
