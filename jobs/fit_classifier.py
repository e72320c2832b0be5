"""Trains a classifier of pages from two tables, good pages and others, and registers it with their versions.

The same table versions and settings are trained once. Its samples pass through the driver line by line (labelled.py),
since the trainer is one process.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyspark.sql import SparkSession

from lakeloom.filters import fasttexttrainer
from lakeloom.filters.fasttexttrainer import Settings
from lakeloom.filters.quality import HIGH, LOW
from lakeloom.jobs import classifier_scores, labelled
from lakeloom.jobs.labelled import Samples, Source
from lakeloom.lakehouse import wholefile
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.report import Report, Sheet
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.train import classifiers
from lakeloom.train.classifiers import Classifier, TableVersion

log = logging.getLogger(__name__)

_VERSION = 1  # raise it when the same tables and settings would give another model


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
        if not self.name or not all(one.isalnum() or one in "._-" for one in self.name):
            raise ConfigError(f"fit_classifier.name={self.name!r}: letters, digits, '.', '_' and '-' only")
        if not 0 <= self.holdout_share < 1:
            raise ConfigError(f"fit_classifier.holdout_share={self.holdout_share}: it must be from 0 to below 1")
        if not 0 < self.lr <= 10:
            raise ConfigError(f"fit_classifier.lr={self.lr}: it must be above 0, and 10 at most")
        for name in ("max_pages", "dim", "epochs", "word_ngrams", "min_count", "buckets", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"fit_classifier.{name}={getattr(self, name)}: it must be 1 or more")

    @property
    def settings(self) -> Settings:
        """The trainer's part."""
        counts = (self.epochs, self.word_ngrams, self.min_count, self.buckets)
        return Settings(self.lr, self.dim, *counts, seed=self.seed, threads=self.threads)


def check(_cfg: FitClassifierConfig) -> None:
    """Refuse a machine without the trainer, before a session is made."""
    if find_spec("floret") is None:
        raise ConfigError("no trainer: floret has wheels for Python 3.11 and 3.12; pip install floret compiles it here")


def run(spark: SparkSession, cfg: FitClassifierConfig) -> Report:
    """Rows are the pages that were read for the samples; those not used have a text that was used already."""
    check(cfg)
    lake = Lakehouse(spark, cfg.lakehouse)
    sources = {
        HIGH: labelled.source(lake, cfg.positives, cfg.positives_where, cfg.column, "fit_classifier.positives"),
        LOW: labelled.source(lake, cfg.negatives, cfg.negatives_where, cfg.column, "fit_classifier.negatives"),
    }
    about = [one.identity() for one in sources.values()]
    made_of = identity("classifier", _VERSION, cfg.name, about, cfg.max_pages, cfg.holdout_share, asdict(cfg.settings))
    folder = lake.folder("classifiers")
    pointer = folder / f"{made_of}.json"
    is_there = pointer.is_file()
    if not is_there:
        wholefile.write(pointer, json.dumps(_train(lake, cfg, sources, folder), indent=1).encode() + b"\n")
    facts = json.loads(pointer.read_text("utf-8"))
    return _report(facts, folder / facts["file"], sources, is_there=is_there)


def _train(lake: Lakehouse, cfg: FitClassifierConfig, sources: dict[str, Source], folder: Path) -> dict[str, Any]:
    """Sample, train, measure, register; what there is to say of it."""
    with TemporaryDirectory(dir=folder, prefix=".partial-") as work:
        samples = Samples(Path(work, "train.txt"), Path(work, "holdout.txt"), cfg.holdout_share, cfg.max_pages)
        samples.write(labelled.lines(lake, sources, cfg.max_pages, cfg.seed), list(sources))
        _check(samples, sources)
        log.info("training on %s pages", sum(samples.num_pages.values()) - sum(samples.num_held.values()))
        model = Path(work, "model.bin")
        fasttexttrainer.fit(samples.train, model, cfg.settings, log.info)
        with model.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        scores = classifier_scores.score(model, samples.holdout)
        path = folder / f"{cfg.name}-{sha[:12]}.bin"
        model.replace(path)
    tables = tuple(
        TableVersion(label, one.table, one.version, one.where, samples.num_pages[label])
        for label, one in sources.items()
    )
    run_id, version = "", ""
    if cfg.tracking_uri is not None:
        settings = {"column": cfg.column, "max_pages": cfg.max_pages, "holdout_share": cfg.holdout_share}
        made = Classifier(cfg.name, path, sha, settings | asdict(cfg.settings), scores.metrics, tables)
        run_id, version = classifiers.register(cfg.tracking_uri, cfg.experiment, made)
    return {
        "file": path.name,
        "sha256": sha,
        "num_read": samples.num_read,
        "num_in_both": samples.num_in_both,
        "pages": samples.num_pages,
        "held_out": samples.num_held,
        "metrics": scores.metrics,
        "bounds": asdict(scores.bounds()),
        "mlflow_run": run_id,
        "model_version": version,
    }


def _check(samples: Samples, sources: dict[str, Source]) -> None:
    """Refuse a label without pages to train on."""
    for setting, (label, one) in zip(("positives", "negatives"), sources.items(), strict=True):
        if samples.num_pages[label] == samples.num_held[label]:
            raise ConfigError(
                f"fit_classifier.{setting}: no page to train on in {one.table}, version {one.version}, "
                f"where {one.where or 'true'}; see what it has: lakeloom sql"
            )


def _report(facts: dict[str, Any], path: Path, sources: dict[str, Source], *, is_there: bool) -> Report:
    """What is stored of a classifier, trained now or before."""
    used = sum(facts["pages"].values())
    said: dict[str, str | int | float] = {
        "classifier": str(path),
        "sha256": facts["sha256"],
        **{f"{label}_pages": facts["pages"].get(label, 0) for label in sources},
        "held_out": sum(facts["held_out"].values()),
        "in_both": facts["num_in_both"],
        **{name: round(value, 4) for name, value in facts["metrics"].items()},
        "was_there": int(is_there),
    }
    if facts["mlflow_run"]:
        said |= {"mlflow_run": facts["mlflow_run"], "model_version": facts["model_version"]}
    versions = {one.table: one.version for one in sources.values()}
    bounds = facts["bounds"]
    sheet = Sheet(bounds["title"], tuple(bounds["columns"]), tuple(map(tuple, bounds["rows"])))
    return Report(
        "fit_classifier",
        facts["num_read"],
        used,
        facts["num_read"] - used,
        versions,
        said,
        (sheet,) if sheet.rows else (),
    )
