"""Quality by a model's opinion: fastText classifiers as DCLM reads them, and letters per token of a tokenizer."""

from functools import cache
from pathlib import Path
from typing import Protocol, cast

import fasttext
import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex

_LOW = "__label__cc"


class _Model(Protocol):
    def predict(self, text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Best label and its probability."""
        ...


@signal
def high_quality_probability(index: TextIndex, *, model_file: Path) -> pa.DoubleArray:
    """Probability of "high quality": 1 - p where the best label is __label__cc, p where it is any other.

    The text is stripped, its lines joined by blanks; an empty one is scored too. DCLM's fastText enricher.
    """
    model = _model(model_file)
    return index.doubles(np.array([np.nan if text is None else _score(model, text) for text in index.strings]))


def _score(model: _Model, text: str) -> float:
    labels, scores = model.predict(" ".join(text.strip().splitlines()))
    if not labels:
        return float("nan")
    return 1.0 - float(scores[0]) if labels[0] == _LOW else float(scores[0])


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
def _model(path: Path) -> _Model:
    return cast(_Model, fasttext.load_model(str(path)))


@cache
def _tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))
