"""A fastText model of either kind at work: the likeliest label of each text of a buffer, and its probability.

Models whose layout fasttextfile.py knows are scored by the kernel, others by the library.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fasttext
import numpy as np

from lakeloom.filters import fasttextfile, resources
from lakeloom.filters.fasttextkernel import best_labels
from lakeloom.filters.kernel import Bytes, Doubles, Ints, Mask

_LF = 10


class Best(NamedTuple):
    """Of each text the number of its likeliest label among the names, -1 without any, and the label's probability."""

    names: list[str]
    labels: Ints
    scores: Doubles

    def are(self, name: str) -> Mask:
        """Which texts have the label of this name."""
        found: Mask = self.labels == (self.names.index(name) if name in self.names else len(self.names))
        return found


Scorer = Callable[[Bytes, Ints, Ints], Best]


@cache
def scorer(path: Path) -> Scorer:
    """A function of a buffer of UTF-8 and its texts' starts and ends; made once a process.

    As fastText reads one line, newlines are left out and glue what is beside them.
    """
    try:
        names, arrays = fasttextfile.read(path)
    except fasttextfile.Unsupported:
        return _by_library(path)

    def score(data: Bytes, starts: Ints, ends: Ints) -> Best:
        labels, scores = best_labels(data, starts, ends, arrays)
        return Best(names, labels, scores.astype(np.float64))

    return score


def _by_library(path: Path) -> Scorer:
    """The same for a model of another kind."""
    model: Any = resources.model(path, fasttext.load_model, "model that fastText reads")

    def score(data: Bytes, starts: Ints, ends: Ints) -> Best:
        spans = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        found = [model.predict(span[span != _LF].tobytes().decode()) for span in spans]
        names = sorted({labels[0] for labels, _ in found if labels})
        numbers = [names.index(labels[0]) if labels else -1 for labels, _ in found]
        scores = np.array([probabilities[0] if labels else 0.0 for labels, probabilities in found], np.float64)
        return Best(names, np.array(numbers, np.int64), scores)

    return score
