"""A model trained in a process of its own, in fastText's format: its library and the kernel find what it learnt."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fasttext
import pytest

from lakeloom.jobs import classifier_scores
from lakeloom.jobs.classifier_trainer import Settings, fit
from lakeloom.lakehouse.errors import Incomplete

pytest.importorskip("floret")  # it has no wheels for Python 3.13

WORDS = {
    "hq": ["proof", "theory", "énergie", "because", "answer", "the", "of"],
    "cc": ["buy", "shoes", "price", "click", "the", "of"],
}
SMALL = Settings(lr=1.0, dim=6, buckets=500, epochs=3)


def lines(path: Path, seed: int, num: int = 300) -> Path:
    """Lines of words of which a third are the other label's."""
    chosen = random.Random(seed)  # noqa: S311
    rows = []
    for number in range(num):
        label, other = ("hq", "cc") if number % 2 else ("cc", "hq")
        words = [chosen.choice(WORDS[label if chosen.random() < 0.66 else other]) for _ in range(9)]
        rows.append(f"__label__{label} {' '.join(words)}\n")
    path.write_text("".join(rows), "utf-8")
    return path


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, word_ngrams=1), replace(SMALL, buckets=9, word_ngrams=4)])
def test_the_kernel_measures_what_the_trainer_does(tmp_path: Path, settings: Settings) -> None:
    train, other = lines(tmp_path / "train", 1), lines(tmp_path / "other", 2)
    told = list[str]()
    fit(train, tmp_path / "m.bin", settings, told.append)
    assert "100.0%" in told[-1]
    asked = f"input={str(train)!r}, lr={settings.lr}, dim={settings.dim}, bucket={settings.buckets}, thread=1"
    asked += f", epoch={settings.epochs}, wordNgrams={settings.word_ngrams}, verbose=0"
    code = f"import floret; print(*floret.train_supervised({asked}).test({str(other)!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    num, precision, _ = map(float, found.stdout.split())
    scores = classifier_scores.score(tmp_path / "m.bin", other)
    assert (len(scores.positives) + len(scores.negatives), scores.metrics["accuracy"]) == (num, precision)
    assert 0.7 < precision < 1


def test_the_file_is_one_that_fasttext_reads(tmp_path: Path) -> None:
    train = lines(tmp_path / "train", 1)
    fit(train, tmp_path / "m.bin", SMALL, lambda line: None)
    model = fasttext.load_model(str(tmp_path / "m.bin"))
    assert model.predict("proof \u00e9nergie theory because")[0] == ("__label__hq",)
    assert model.predict("buy shoes click")[0] == ("__label__cc",)
    fit(train, tmp_path / "again.bin", SMALL, lambda line: None)
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "m.bin").read_bytes()


def test_what_the_trainer_says_last_is_the_error(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match=r"m\.bin ended with exit code 1: .*nowhere"):
        fit(tmp_path / "nowhere", tmp_path / "m.bin", SMALL, lambda line: None)
