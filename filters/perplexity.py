"""How surprised a language model of Wikipedia is by a text: CC-Net's KenLM perplexity (arXiv 1911.00359)."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sentencepiece import SentencePieceProcessor

from lakeloom.filters import resources
from lakeloom.filters.normalizers import CONTROL, PUNCTUATION
from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError

_DIGIT = re.compile(r"\d")
_REPLACED = str.maketrans({**PUNCTUATION, **dict.fromkeys(CONTROL, "")})


@signal
def kenlm_perplexity(index: TextIndex, *, model_file: Path, pieces_file: Path) -> pa.DoubleArray:
    """10 to the power of minus the mean log score of the text's pieces and end, rounded to one decimal.

    Digits are read as 0, newlines are deleted: words across lines are glued, as in DCLM's ken_lm_perplexity_enricher.
    """
    model, pieces = _model(model_file), _pieces(pieces_file)
    values = [np.nan if text is None else _perplexity(model, pieces, text) for text in index.strings]
    return index.doubles(np.array(values, np.float64))


def _perplexity(model: Any, pieces: SentencePieceProcessor, text: str) -> float:
    words = pieces.encode(normalized(text), out_type=str)
    return float(round(10.0 ** (-model.score(" ".join(words)) / (len(words) + 1)), 1))


def normalized(text: str) -> str:
    """The text as CC-Net's model was trained: digits as 0, ASCII punctuation, no control characters."""
    return _DIGIT.sub("0", text.strip()).translate(_REPLACED)


@cache
def _model(path: Path) -> Any:
    try:
        import kenlm  # no wheels: it needs a compiler, so only who uses it installs it
    except ImportError as error:
        raise ConfigError(
            "perplexity needs the package kenlm: pip install kenlm (it is compiled on the spot)"
        ) from error
    return resources.model(path, kenlm.Model, "model of KenLM's")


@cache
def _pieces(path: Path) -> SentencePieceProcessor:
    return resources.model(path, lambda name: SentencePieceProcessor(model_file=name), "model of sentencepiece's")
