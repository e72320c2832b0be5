"""Sentences, counted by the libraries that DCLM counts them with: BlingFire, or NLTK's Punkt.

Punkt's English model is data that NLTK's wheel lacks: `python -m nltk.downloader punkt_tab` puts it into the user's
home or NLTK_DATA. Any other language has DCLM use an untrained Punkt, which needs none.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal, Protocol, cast

import numpy as np
import pyarrow as pa

from lakeloom.filters.steps import signal
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError

# BlingFire looks 500 characters ahead (measured): further from both ends of a run of one of these signs it ends no
# sentence. (It does at each U+3002.) Runs of several signs in turn stay as slow. In characters: texts from _LONG on are
# looked through, and runs cut to _MAX_RUN, twice 500 with room.
_SIGNS = "\u00ab\u00b7\u00bb\u2013\u2014\u2022\u2026"  # beside ASCII's
_LONG, _MAX_RUN = 50_000, 2_000
_RUN = re.compile(rf"([!-/:-@\[-`{{-~{_SIGNS}])\1{{{_MAX_RUN},}}")

Tokenizer = Literal["blingfire", "nltk"]
Spans = Iterable[tuple[int, int]]


class _Punkt(Protocol):
    def span_tokenize(self, text: str) -> Spans:
        """Where the sentences begin and end."""
        ...


@signal
def num_sentences(index: TextIndex, *, tokenizer: Tokenizer = "blingfire", is_english: bool = False) -> pa.DoubleArray:
    """Sentences that aren't blank. BlingFire ends one at an empty line too, Punkt at no newline."""
    if tokenizer == "nltk":
        punkt(is_english)  # a missing model stops the job, not each page
    read = [_shortened(text) if text and tokenizer == "blingfire" else text for text in index.strings]
    numbers = [
        np.nan if text is None else len(sentences(text, tokenizer=tokenizer, is_english=is_english)) for text in read
    ]
    return index.doubles(np.array(numbers, np.float64))


def _shortened(text: str) -> str:
    """The text with as many sentences, but without very long runs of one sign, where BlingFire takes 2 s a million."""
    return text if len(text) < _LONG else _RUN.sub(lambda run: run[1] * _MAX_RUN, text)


def sentences(text: str, *, tokenizer: Tokenizer = "blingfire", is_english: bool = False) -> list[str]:
    """The sentences of a text, stripped, without blank ones."""
    if not text:
        return []
    spans = _blingfire(text) if tokenizer == "blingfire" else punkt(is_english).span_tokenize(text)
    pieces = [text[start:end].strip() for start, end in spans]
    return [piece for piece in pieces if piece]


def _blingfire(text: str) -> Spans:
    import blingfire  # 40 MB: only where it is asked for

    return cast(Spans, blingfire.text_to_sentences_and_offsets(text)[1])


@cache
def punkt(is_english: bool) -> _Punkt:
    """The tokenizer; a ConfigError where the English model isn't on this machine."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTokenizer

    try:
        return cast(_Punkt, PunktTokenizer("english") if is_english else PunktSentenceTokenizer())
    except LookupError as error:
        raise ConfigError(
            "tokenizer nltk needs Punkt's English model, which is not on this machine; "
            "get it by `python -m nltk.downloader punkt_tab`, or use tokenizer blingfire"
        ) from error
