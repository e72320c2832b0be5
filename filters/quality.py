"""Quality by a model's opinion: fastText classifiers as DCLM reads them, and letters per token of a tokenizer."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lakeloom.filters import resources
from lakeloom.filters.fasttextfile import LABEL
from lakeloom.filters.fasttextscorer import scorer
from lakeloom.filters.kernel import Bytes, Ints, kernel
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

HIGH, LOW = "hq", "cc"  # labels of DCLM's classifiers; any but cc counts as hq
_BLANK = 32


@signal
def high_quality_probability(index: TextIndex, *, model_file: Path) -> pa.DoubleArray:
    """Probability of "high quality": 1 - p where the likeliest label is __label__cc, p where it is any other.

    The text is stripped, its lines joined by blanks; an empty one is scored too. DCLM's fastText enricher.
    """
    starts, ends = index.stripped()
    best = scorer(model_file)(as_lines(index.data, starts, ends), starts, ends)
    scores = np.where(best.are(LABEL + LOW), 1.0 - best.scores, best.scores)
    return index.doubles(np.where(best.labels >= 0, scores, np.nan))


def one_line(text: pa.StringArray) -> pa.StringArray:
    """Each text as the classifier reads it, and as its trainer is to: " ".join(text.strip().splitlines())."""
    index = TextIndex.of(text)
    starts, ends = index.stripped()
    return TextIndex(as_lines(index.data, starts, ends), starts, ends, index.is_valid).text


@kernel
def as_lines(data: Bytes, starts: Ints, ends: Ints) -> Bytes:
    """A copy of the buffer in which each text is one line: blanks for what str.splitlines() splits at."""
    out = data.copy()
    for number in range(len(starts)):
        place = starts[number]
        while place < ends[number]:
            byte, width = data[place], 1
            is_end = 10 <= byte <= 13 or 28 <= byte <= 30
            if byte == 0xC2 and place + 1 < ends[number]:  # U+0085
                is_end, width = data[place + 1] == 0x85, 2
            elif byte == 0xE2 and place + 2 < ends[number]:  # U+2028 and U+2029
                is_end, width = data[place + 1] == 0x80 and (data[place + 2] == 0xA8 or data[place + 2] == 0xA9), 3
            if is_end:
                out[place : place + width] = _BLANK
            place += width
    return out


@signal
def letters_per_token(index: TextIndex, *, tokenizer: Path) -> pa.DoubleArray:
    """Letters (str.isalpha) per token of a tokenizer.json; null without tokens.

    DCLM's alphabetic_characters_to_tokens_filter.
    """
    encoder = _tokenizer(tokenizer)
    letters = [0 if text is None else sum(map(str.isalpha, text)) for text in index.strings]
    tokens = [0 if text is None else len(encoder.encode(text).ids) for text in index.strings]
    return index.ratio(np.array(letters), np.array(tokens))


@cache
def _tokenizer(path: Path) -> Tokenizer:
    return resources.model(path, Tokenizer.from_file, "tokenizer.json")
