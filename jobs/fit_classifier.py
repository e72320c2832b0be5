"""Trains a classifier of pages from two tables, good pages and others, and registers it with their versions.

The same table versions and settings are trained once, and registered once in each store. The samples pass through the
driver line by line (samples.py), since the trainer is one process.
"""

import json
import logging
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyspark.sql import SparkSession

from lakeloom.filters.fasttextfile import MAX_BUCKETS, MAX_DIM, MAX_N
from lakeloom.filters.quality import HIGH, LOW
from lakeloom.jobs import classifier_scores, classifier_trainer, samples
from lakeloom.jobs.classifier_trainer import Settings
from lakeloom.jobs.samples import Samples, Source
from lakeloom.lakehouse import names, wholefile
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import file_sha, identity
from lakeloom.lakehouse.report import Report, Sheet
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.train import classifiers
from lakeloom.train.classifiers import Classifier, TableVersion

log = logging.getLogger(__name__)

_VERSION = 1  # raise it when the same tables and settings would give another model
# Settings from 1 to this; some are what a reader of the model takes for sound.
_MOST = {
    "dim": MAX_DIM,
    "word_ngrams": MAX_N,
    "buckets": MAX_BUCKETS,
    **dict.fromkeys(["max_pages", "epochs", "min_count", "threads"], 10**9),
}


@dataclass(frozen=True)
class FitClassifierConfig:
    """The tables, the sample of each, and fastText's settings; see conf/job/fit_classifier.yaml."""

    lakehouse: LakehouseConfig
    name: str
    positives: str
    positives_where: str
    negatives: str
    negatives_where: str
    column: str
    max_pages: int
    holdout_share: float
    lr: float
    dim: int
    epochs: int
    word_ngrams: int
    min_count: int
    buckets: int
    seed: int
    threads: int
    tracking_uri: str | None
    experiment: str

    def __post_init__(self) -> None:
        names.check(self.name, "fit_classifier.name")
        if not 0 <= self.holdout_share < 1:
            raise ConfigError(f"fit_classifier.holdout_share={self.holdout_share}: it must be from 0 to below 1")
        if not 0 < self.lr <= 10:
            raise ConfigError(f"fit_classifier.lr={self.lr}: it must be above 0, and 10 at most")
        for name, most in _MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"fit_classifier.{name}={getattr(self, name)}: it must be from 1 to {most:,}")

    @property
    def settings(self) -> Settings:
        """The trainer's part."""
        counts = (self.epochs, self.word_ngrams, self.min_count, self.buckets)
        return Settings(self.lr, self.dim, *counts, seed=self.seed, threads=self.threads)


def check(cfg: FitClassifierConfig) -> None:
    """Refuse a machine without what the job needs, before a session is made."""
    if find_spec("floret") is None:
        raise ConfigError(
            "fit_classifier needs the package floret: pip install floret (from Python 3.13 on that compiles it)"
        )
    if cfg.tracking_uri is not None and find_spec("mlflow") is None:
        raise ConfigError("fit_classifier.tracking_uri needs MLflow: pip install mlflow, or say tracking_uri=null")


def run(spark: SparkSession, cfg: FitClassifierConfig) -> Report:
    """Rows are the pages read for the samples; not used are those of a text that was, or of a label with max_pages."""
    check(cfg)
    lake = Lakehouse(spark, cfg.lakehouse)
    sources = {
        HIGH: samples.source(lake, cfg.positives, cfg.positives_where, cfg.column, "fit_classifier.positives"),
        LOW: samples.source(lake, cfg.negatives, cfg.negatives_where, cfg.column, "fit_classifier.negatives"),
    }
    about = [one.identity() for one in sources.values()]
    made_of = identity("classifier", _VERSION, cfg.name, about, cfg.max_pages, cfg.holdout_share, asdict(cfg.settings))
    folder = lake.folder("classifiers")
    pointer = folder / f"{made_of}.json"
    facts = json.loads(pointer.read_text("utf-8")) if pointer.is_file() else {}
    is_there = bool(facts) and (folder / facts["file"]).is_file()
    if not is_there:
        facts = _train(lake, cfg, sources, folder)
        _save(pointer, facts)
    if cfg.tracking_uri is not None and _store(cfg.tracking_uri) not in facts["registered"]:
        facts["registered"][_store(cfg.tracking_uri)] = _register(cfg, sources, facts, folder / facts["file"])
        _save(pointer, facts)
    return _report(cfg, facts, folder / facts["file"], sources, is_there=is_there)


def _save(pointer: Path, facts: dict[str, Any]) -> None:
    wholefile.write(pointer, json.dumps(facts, indent=1).encode() + b"\n")


def _store(uri: str) -> str:
    """What a store is known by in a file: its address may hold a password."""
    return identity("mlflow", uri)


def _train(lake: Lakehouse, cfg: FitClassifierConfig, sources: dict[str, Source], folder: Path) -> dict[str, Any]:
    """Sample, train and measure; what there is to say of it."""
    with TemporaryDirectory(dir=folder, prefix=".partial-") as work:
        sample = Samples(Path(work, "train.txt"), Path(work, "holdout.txt"), cfg.holdout_share, cfg.max_pages)
        sample.write(samples.lines(lake, sources, cfg.max_pages, cfg.seed), list(sources))
        _check_sample(sample, sources)
        log.info("training on %s pages", sum(sample.num_pages.values()) - sum(sample.num_held.values()))
        model = Path(work, "model.bin")
        classifier_trainer.fit(sample.train, model, cfg.settings, log.info)
        sha = file_sha(model)
        scores = classifier_scores.score(model, sample.holdout)
        path = folder / f"{cfg.name}-{sha[:12]}.bin"
        model.replace(path)
    return {
        "file": path.name,
        "sha256": sha,
        "num_read": sample.num_read,
        "num_in_both": sample.num_in_both,
        "pages": sample.num_pages,
        "held_out": sample.num_held,
        "metrics": scores.metrics,
        "bounds": asdict(scores.bounds()),
        "registered": {},
    }


def _register(cfg: FitClassifierConfig, sources: dict[str, Source], facts: dict[str, Any], path: Path) -> list[str]:
    """Run and version in MLflow."""
    tables = [
        TableVersion(label, one.table, one.version, one.where, facts["pages"].get(label, 0))
        for label, one in sources.items()
    ]
    settings = {"column": cfg.column, "max_pages": cfg.max_pages, "holdout_share": cfg.holdout_share}
    made = Classifier(cfg.name, path, facts["sha256"], settings | asdict(cfg.settings), facts["metrics"], tuple(tables))
    return list(classifiers.register(str(cfg.tracking_uri), cfg.experiment, made))


def _check_sample(sample: Samples, sources: dict[str, Source]) -> None:
    """Refuse a label without pages to train on."""
    for setting, (label, one) in zip(("positives", "negatives"), sources.items(), strict=True):
        num_pages, num_held = sample.num_pages[label], sample.num_held[label]
        if num_pages == num_held:
            raise ConfigError(
                f"fit_classifier.{setting}: no page to train on: {one.table}, version {one.version}, has {num_pages} "
                f"where {one.where or 'true'}, {num_held} of them held out; choose other rows, or a lower holdout_share"
            )
        if num_pages < sample.max_pages:
            log.info("%s: %s pages, fewer than max_pages=%s", setting, num_pages, sample.max_pages)


def _report(
    cfg: FitClassifierConfig, facts: dict[str, Any], path: Path, sources: dict[str, Source], *, is_there: bool
) -> Report:
    """What is stored of a classifier, trained now or before."""
    used = sum(facts["pages"].values())
    said: dict[str, str | int | float] = {
        "classifier": str(path),
        "sha256": facts["sha256"],
        "positives": f"{sources[HIGH].table}@{sources[HIGH].version}",
        "negatives": f"{sources[LOW].table}@{sources[LOW].version}",
        **{f"{label}_pages": facts["pages"].get(label, 0) for label in sources},
        "held_out": sum(facts["held_out"].values()),
        "in_both": facts["num_in_both"],
        **{name: round(value, 4) for name, value in facts["metrics"].items()},
        "was_there": int(is_there),
    }
    if cfg.tracking_uri is not None:
        said["mlflow_run"], said["model_version"] = facts["registered"][_store(cfg.tracking_uri)]
    bounds = facts["bounds"]
    sheet = Sheet(bounds["title"], tuple(bounds["columns"]), tuple(map(tuple, bounds["rows"])))
    num_read = facts["num_read"]
    sheets = (sheet,) if sheet.rows else ()
    return Report("fit_classifier", num_read, used, num_read - used, facts=said, sheets=sheets)
