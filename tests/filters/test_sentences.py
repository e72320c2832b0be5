"""Sentences as the libraries see them; a missing model of Punkt's stops the job, not a page."""

from pathlib import Path

import pyarrow as pa
import pytest

from lakeloom.filters.sentences import num_sentences, punkt, sentences
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError

TEXT = "One sentence. And\nanother one! A third?\n\nA heading\n\n"


def test_blingfire_ends_sentences_at_empty_lines_not_at_newlines() -> None:
    assert sentences(TEXT) == ["One sentence.", "And\nanother one!", "A third?", "A heading"]
    assert num_sentences(TextIndex.of(pa.array([TEXT, "", " \n", None]))).to_pylist() == [4, 0, 0, None]


def test_an_untrained_punkt_ends_none_at_newlines() -> None:
    assert sentences(TEXT, tokenizer="nltk") == ["One sentence.", "And\nanother one!", "A third?", "A heading"]
    assert sentences("no stop\n\nA heading", tokenizer="nltk") == ["no stop\n\nA heading"]
    assert sentences("", tokenizer="nltk") == []


def test_without_punkts_english_model_the_job_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    punkt.cache_clear()
    with pytest.raises(ConfigError, match=r"nltk\.downloader punkt_tab"):
        num_sentences(TextIndex.of(pa.array([""])), tokenizer="nltk", is_english=True)
