"""A fastText model of either kind at work: the likeliest label of each text of a buffer, and its probability.

Models whose layout fasttextfile.py knows are scored by the kernel, others by the library.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fasttext
import numpy as np

from lakeloom.filters import fasttextfile, resources
from lakeloom.filters.fasttextkernel import best_labels
from lakeloom.filters.kernel import Bytes, Doubles, Ints

Best = tuple[list[str | None], Doubles]  # of each text the likeliest label, None without any, and its probability
Scorer = Callable[[Bytes, Ints, Ints], Best]

_LF = 10


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
        return [names[label] if label >= 0 else None for label in labels.tolist()], scores.astype(np.float64)

    return score


def _by_library(path: Path) -> Scorer:
    """The same for a model of another kind."""
    model: Any = resources.model(path, fasttext.load_model, "model that fastText reads")

    def score(data: Bytes, starts: Ints, ends: Ints) -> Best:
        spans = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        found = [model.predict(span[span != _LF].tobytes().decode()) for span in spans]
        labels = [names[0] if names else None for names, _ in found]
        return labels, np.array([scores[0] if scores else 0.0 for _, scores in found], np.float64)

    return score
