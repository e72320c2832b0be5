"""The lakeloom command: `lakeloom JOB key=value ...`. Also the door for notebooks: run(spark, load("curate", ...)).

Exit codes: 0 done, 1 failed, 2 the request was wrong.
"""

import importlib
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.markup import escape

from lakeloom.jobs import config, screen
from lakeloom.lakehouse.errors import ConfigError, LakeloomError, raised_by_worker, unknown
from lakeloom.lakehouse.report import Report

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Job:
    """Where a job is: its module's `run` and the dataclass that is its configuration, and its node in conf/."""

    module: str
    config: str
    about: str
    node: str = ""
    needs_spark: bool = True
    has_check: bool = False  # the module's check(cfg) refuses a wrong request before a session is made


JOBS: dict[str, Job] = {
    "demo": Job("demo", "DemoConfig", "the whole road, small: two datasets of one pool, trained, scored, compared"),
    "pool": Job("pool", "PoolJobConfig", "make the sample pool, or list another's files", "sample", needs_spark=False),
    "ingest": Job("ingest", "IngestConfig", "crawl files to pages and dead letters, each file once", has_check=True),
    "curate": Job("curate", "CurateConfig", "pages through a recipe: what was measured, and which step dropped what"),
    "retune": Job("retune", "RetuneConfig", "a recipe with other thresholds, from what an earlier one measured"),
    "dedup": Job("dedup", "DedupConfig", "clusters of exact and near duplicates among the kept documents"),
    "decontaminate": Job("decontaminate", "DecontaminateConfig", "evaluation items in the kept documents, and where"),
    "cut": Job("cut", "CutConfig", "parts of the remaining documents that repeat: lines, paragraphs, BFF, substrings"),
    "choose": Job("choose", "ChooseConfig", "a dataset version: kept documents, one of each cluster, held-out split"),
    "mix": Job("mix", "MixConfig", "a dataset version of several sources, by weights, tokens, epochs", has_check=True),
    "fit_tokenizer": Job("fit_tokenizer", "FitTokenizerConfig", "train a sentencepiece tokenizer on the pool"),
    "fit_classifier": Job(
        "fit_classifier", "FitClassifierConfig", "train a fastText classifier of pages from two tables", has_check=True
    ),
    "export": Job("export", "ExportConfig", "tokenise, pack and shuffle a dataset into webdataset shards"),
    "verify_export": Job(
        "verify_export", "VerifyExportConfig", "all tokens of a dataset against its manifest", needs_spark=False
    ),
    "import_dataset": Job(
        "import_dataset", "ImportDatasetConfig", "a dataset that DCLM's tools tokenised, for train", needs_spark=False
    ),
    "train": Job("train", "TrainConfig", "train a scale's model on exported shards (DeepSpeed)", needs_spark=False),
    "train_order": Job(
        "train_order", "TrainOrderConfig", "which sequences the steps of a training run see", needs_spark=False
    ),
    "import_model": Job(
        "import_model", "ImportModelConfig", "a checkpoint of DCLM's trainer (open_lm) as a model", needs_spark=False
    ),
    "export_hf": Job("export_hf", "ExportHfConfig", "a model in Hugging Face's format", needs_spark=False),
    "evaluate": Job("evaluate", "EvaluateConfig", "bits per byte and lm-eval tasks of a model", needs_spark=False),
    "publish": Job("publish", "PublishConfig", "models' scores into gold.scores"),
    "explain": Job("explain", "ExplainConfig", "a page's way through a recipe: lakeloom explain https://loom.example/"),
    "explain_duplicates": Job(
        "explain_duplicates", "ExplainDuplicatesConfig", "a document's cluster: lakeloom explain-duplicates DOC"
    ),
    "duplicates": Job("duplicates", "DuplicatesConfig", "sizes of clusters, the largest, the most repeated domains"),
    "funnel": Job("funnel", "FunnelConfig", "how many pages each step of a recipe dropped"),
    "leaderboard": Job("leaderboard", "LeaderboardConfig", "all models' scores, side by side"),
    "report": Job("report", "ReportConfig", "funnel, loss curves and scores as one HTML page"),
    "registry": Job("registry", "RegistryConfig", "sources, datasets, models, scores: lakeloom registry list"),
    "trace": Job("lineage", "TraceConfig", "from a page to the models, and back: lakeloom trace https://loom.example/"),
    "takedown": Job("takedown", "TakedownConfig", "pages out of all tables and datasets: lakeloom takedown URLS"),
    "maintain": Job("maintain", "MaintainConfig", "VACUUM and OPTIMIZE, but nothing that datasets or models cite"),
    "plan": Job("plan", "PlanConfig", "what a scale asks for: pages, tokens, core-hours, GPU-hours, storage, cost"),
    "sql": Job("sql", "SqlConfig", 'a query over the tables: lakeloom sql "select count(*) from bronze.pages"'),
}  # fmt: skip

_SETTING = re.compile(r"[+~]{0,2}[A-Za-z_][\w.]*=")
# Jobs of which one word is no setting: its key, and an example.
_FIRST_WORDS = {
    "sql": ("query", '"select pool, count(*) from bronze.pages group by pool"'),
    "explain": ("page", "https://loom.example/ (or a doc_id)"),
    "explain_duplicates": ("page", "https://loom.example/ (or a doc_id)"),
    "trace": ("what", "https://loom.example/ (or a doc_id, dataset, shard or model)"),
}

# Jobs that take any number of words that are no settings: the key of the list.
_MANY_WORDS = {"takedown": "words", "registry": "words"}


def load(name: str, *overrides: str) -> Any:
    """The configuration of a job, as its run() takes it; ConfigError names what is wrong."""
    if name not in JOBS:
        raise unknown("job", name, JOBS)
    job = JOBS[name]
    return config.build(getattr(_module(name), job.config), job.node or name, config.tree(overrides), overrides)


def run(name: str, spark: "SparkSession | None", cfg: Any) -> Report:
    """One job in an existing session. An error of ours that a Spark worker raised is raised here as itself."""
    job = cast("Callable[[SparkSession | None, Any], Report]", _module(name).run)
    if spark is None:
        return job(spark, cfg)
    from py4j.protocol import Py4JJavaError  # a failed write comes as the JVM's own exception
    from pyspark.errors import PySparkException

    try:
        return job(spark, cfg)
    except (PySparkException, Py4JJavaError) as error:
        ours = raised_by_worker(str(error))
        if ours is None:
            raise
        raise ours from error


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"lakeloom.jobs.{JOBS[name].module}")


def main(words: Sequence[str] | None = None) -> None:
    """Entry of the console script; ends the process with its exit code."""
    sys.exit(_main(list(sys.argv[1:] if words is None else words)))


class _Output(Console):
    """A screen or a pipe; whoever reads the pipe may leave (`lakeloom | head`), and the job is none the worse."""

    def on_broken_pipe(self) -> None:
        """End quietly; rich's own way is exit code 1."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


def _main(words: list[str]) -> int:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    console = _Output(highlight=False, width=None if sys.stdout.isatty() else 120)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    logging.getLogger().addHandler(logging.NullHandler())  # else py4j's own complaints about Ctrl-C would be printed
    if len(words) > 1 and words[0] == "help":
        words = [words[1], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        screen.list_jobs(console, {name: job.about for name, job in JOBS.items()})
        return 0
    name, *overrides = words
    name = name.replace("-", "_")  # explain-duplicates, fit-classifier
    try:
        if name not in JOBS:
            raise unknown("job", name, JOBS)
        if any(word in ("-h", "--help") for word in overrides):
            usage = f"{name} {_FIRST_WORDS[name][0].upper()}" if name in _FIRST_WORDS else name
            screen.explain(console, usage, JOBS[name].about, _settings(name))
            return 0
        _start(console, name, overrides)
    except LakeloomError as error:
        errors.print(f"[red]{type(error).__name__}[/red]: {escape(str(error))}")
        return error.exit_code
    except KeyboardInterrupt:
        errors.print("stopped; run the same command again to go on")
        return 130
    return 0


def _start(console: Console, name: str, words: list[str]) -> None:
    said, overrides = _said(name, words)
    plain = config.tree(overrides)
    plain[name] = {**(plain.get(name) or {}), **said}
    job = JOBS[name]
    cfg = config.build(getattr(_module(name), job.config), job.node or name, plain, overrides)
    if job.has_check:
        _module(name).check(cfg)
    with screen.progress(name):
        session = None
        if job.needs_spark:
            from lakeloom.lakehouse import session as sessions

            session = sessions.spark(config.build(sessions.SparkConfig, "spark", plain))
        report = run(name, session, cfg)
    screen.show(console, report)


def _said(name: str, words: list[str]) -> tuple[dict[str, str | list[str]], list[str]]:
    """What is no setting among a job's words: the query of sql, the page of explain; and the settings."""
    if name in _MANY_WORDS:
        said, words = _many(words)
        escaped = [word.replace("${", r"\${") for word in said]
        return ({_MANY_WORDS[name]: escaped} if said else {}), words
    if name not in _FIRST_WORDS:
        return {}, words
    key, example = _FIRST_WORDS[name]
    place = next((place for place, word in enumerate(words) if not _SETTING.match(word)), None)
    if place is None:
        raise ConfigError(f"{name} needs a {key}: lakeloom {name} {example}")
    word = words[place].replace("${", r"\${")  # no interpolation in what a user typed
    return {key: word}, [*words[:place], *words[place + 1 :]]


def _many(words: list[str]) -> tuple[list[str], list[str]]:
    """Words that are no settings of a group or job, and settings. What follows -f is none, as in DCLM's tools."""
    said, settings, is_literal = list[str](), list[str](), False
    for word in words:
        head = re.split(r"[.=]", word.lstrip("+~"))[0]
        is_setting = _SETTING.match(word) and head in {*config.GROUPS, *JOBS}
        if word == "-f" and not is_literal:
            is_literal = True
            continue
        (settings if is_setting and not is_literal else said).append(word)
        is_literal = False
    return said, settings


def _settings(name: str) -> str:
    """The commented YAML of a job's settings, or of its groups where it has none of its own."""
    folder = Path(str(importlib.import_module("lakeloom.conf").__file__)).parent
    own = folder / "job" / f"{name}.yaml"
    return own.read_text() if own.exists() else ""


logging.getLogger("py4j").setLevel(logging.WARNING)
