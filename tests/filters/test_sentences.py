"""Sentences as the libraries see them; a missing model of Punkt's stops the job, not a page."""

import string
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.sentences import num_sentences, punkt, sentences
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError

TEXT = "One sentence. And\nanother one! A third?\n\nA heading\n\n"


def test_blingfire_ends_sentences_at_empty_lines_not_at_newlines() -> None:
    assert sentences(TEXT) == ["One sentence.", "And\nanother one!", "A third?", "A heading"]
    assert num_sentences(TextIndex.of(pa.array([TEXT, "", " \n", None]))).to_pylist() == [4, 0, 0, None]


WORDS = st.sampled_from(["a", " ", "Ab cd. ", "end.", "End", " A", "\n", "\n\n", '"', ")", "(", "1.", "\u3002"])
SIGNS = st.sampled_from(
    [*string.punctuation, " ", "\n", "\t", *"\u00ab\u00b7\u00bb\u2013\u2014\u2022\u2026", "\u3002", "\u00a0"]
)
LENGTHS = st.sampled_from([1, 3, 499, 501, 1999, 2001, 2002, 2600, 5000])
PARTS = st.tuples(st.lists(WORDS, max_size=6).map("".join), st.builds(str.__mul__, SIGNS, LENGTHS)).map("".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=5).map("".join))
@example("Ab. " + "." * 5000 + " Cd. Ef" + "!" * 3000 + "\n\nGh")
def test_long_runs_of_a_sign_are_cut_and_the_count_stays(text: str) -> None:
    text += " a" * 25_000
    assert num_sentences(TextIndex.of(pa.array([text]))).to_pylist() == [len(sentences(text))]


@pytest.mark.parametrize("sign", ["!", "#", "(", '"', ".", "\u2026", "\u2014"])
def test_a_million_of_one_sign_takes_less_than_a_second(sign: str) -> None:
    started = time.process_time()
    assert num_sentences(TextIndex.of(pa.array([sign * 1_000_000]))).to_pylist() == [1]
    assert time.process_time() - started < 1


def test_an_untrained_punkt_ends_none_at_newlines() -> None:
    assert sentences(TEXT, tokenizer="nltk") == ["One sentence.", "And\nanother one!", "A third?", "A heading"]
    assert sentences("no stop\n\nA heading", tokenizer="nltk") == ["no stop\n\nA heading"]
    assert sentences("", tokenizer="nltk") == []


def test_without_punkts_english_model_the_job_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    punkt.cache_clear()
    with pytest.raises(ConfigError, match=r"nltk\.downloader punkt_tab"):
        num_sentences(TextIndex.of(pa.array([""])), tokenizer="nltk", is_english=True)
