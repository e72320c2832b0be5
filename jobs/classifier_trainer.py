"""A classifier of texts, trained by fastText's own code (floret, its build that is kept up) and written in its format.

It is a process of its own, python -m lakeloom.jobs.classifier_trainer SETTINGS: nothing could interrupt it in ours, and
its memory (vectors of all words and buckets) goes with it. One thread gives the same model each time, several do not:
they write to the same vectors without locks.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lakeloom.filters import fasttextwriter
from lakeloom.lakehouse.errors import Incomplete


@dataclass(frozen=True)
class Settings:
    """fastText's, by longer names; DCLM's classifier has its defaults with word n-grams of two."""

    lr: float = 0.1
    dim: int = 100
    epochs: int = 5
    word_ngrams: int = 2
    min_count: int = 1
    buckets: int = 2_000_000  # of word n-grams
    seed: int = 0
    threads: int = 1


def fit(lines: Path, path: Path, settings: Settings, watch: Callable[[str], None]) -> None:
    """Train on a file of lines `__label__name text` and write the model; `watch` is told how far it is.

    Raises Incomplete with the trainer's last words if it fails.
    """
    request = json.dumps({"lines": str(lines), "path": str(path), "settings": asdict(settings)})
    command = [sys.executable, "-m", "lakeloom.jobs.classifier_trainer", request]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        last = ""
        try:
            for line in process.stderr or ():  # a carriage return ends a line, too
                if line.startswith("Progress"):
                    watch(" ".join(line.split()))
                elif line.strip():
                    last = line.strip()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise Incomplete(f"the trainer of {path.name} ended with exit code {process.returncode}: {last}")


def _train(lines: Path, path: Path, settings: Settings) -> None:
    """Train and write in this process."""
    import floret

    model = floret.train_supervised(
        input=str(lines),
        lr=settings.lr,
        dim=settings.dim,
        epoch=settings.epochs,
        wordNgrams=settings.word_ngrams,
        minCount=settings.min_count,
        bucket=settings.buckets,
        seed=settings.seed,
        thread=settings.threads,
        loss="softmax",
        mode="fasttext",
        verbose=2,
    )
    words, word_counts = model.get_words(include_freq=True)
    labels, label_counts = model.get_labels(include_freq=True)
    matrices = model.get_input_matrix(), model.get_output_matrix()
    counts = settings.epochs, settings.min_count, settings.word_ngrams
    trained = fasttextwriter.Trained(words, word_counts, labels, label_counts, *matrices, *counts)
    fasttextwriter.write(path, trained)


def _main() -> None:
    request = json.loads(sys.argv[1])
    _train(Path(request["lines"]), Path(request["path"]), Settings(**request["settings"]))


if __name__ == "__main__":
    _main()
