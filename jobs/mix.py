"""A dataset version of several sources, mixed by weights, tokens or epochs, that export takes like any other.

1. The tokens of each source's documents are counted once (lengths.py); all that follows is decided by that table.
2. A document is held out by the hash of its text, or as the dataset that it is from has it; what is held out in one
   source is trained on in none, and comes once. The others are taken, and repeated, by the hash of seed, source and
   document. So a larger share has all that a smaller one has, whatever the files, their order or the partitions.
3. The texts go to gold.corpus, their counts are compared with what was decided, and gold.mixes publishes them.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import choose, corpora, fit_tokenizer, lengths, mix_sources, mixture, mixture_file
from lakeloom.jobs.mix_decisions import Part, Rule, Stock, Taken
from lakeloom.jobs.mix_sources import Opened
from lakeloom.jobs.mixture import Limits
from lakeloom.lakehouse import names
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Commit, Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig

log = logging.getLogger(__name__)

_VERSION = 1  # raise it when the same sources would give another corpus
_CORPUS, _MIXES = corpora.CORPUS, corpora.MIXES


@dataclass(frozen=True)
class MixConfig:
    """The mixture, how much of it, and what may be repeated; see conf/job/mix.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    tokenizer: TokenizerConfig
    dataset: str
    file: str
    sources: list[dict[str, Any]]
    inputs: list[str]
    tokens: int
    allow_repeats: bool
    max_epochs: float
    holdout_share: float
    seed: int

    def __post_init__(self) -> None:
        names.check(self.dataset, "mix.dataset")
        if not 0 <= self.holdout_share < 1:
            raise ConfigError(f"mix.holdout_share={self.holdout_share}: it must be from 0 to below 1")
        if not 1 <= self.max_epochs < 1000:
            raise ConfigError(f"mix.max_epochs={self.max_epochs}: it must be from 1 to below 1000")
        if self.tokens < 0:
            raise ConfigError(f"mix.tokens={self.tokens}: it must be 0 (what the weights give) or more")

    @property
    def limits(self) -> Limits:
        """Of the whole and of repeats."""
        return Limits(self.tokens, self.allow_repeats, self.max_epochs)


def check(cfg: MixConfig) -> None:
    """Refuse a wrong mixture before a session is made."""
    mixture_file.load(cfg.file, cfg.sources, cfg.inputs)


def run(spark: SparkSession, cfg: MixConfig) -> Report:
    """Append the mixed documents once, with their split. Rows out are documents that are in it, each counted once."""
    sources = mixture_file.load(cfg.file, cfg.sources, cfg.inputs)
    lake = Lakehouse(spark, cfg.lakehouse)
    tokenizer = Tokenizer.load(fit_tokenizer.find(lake, cfg.pool.name, cfg.tokenizer))
    opened = [mix_sources.open_source(lake, source) for source in sources]
    corpus_id = _identify(cfg, opened, tokenizer)
    txn = f"mix/{corpus_id}"
    was_there = lake.commit(_MIXES, txn) is not None
    if not was_there:
        _publish(lake, cfg, opened, tokenizer, corpus_id)
    return _report(lake, corpus_id, was_there=was_there)


def _identify(cfg: MixConfig, opened: Sequence[Opened], tokenizer: Tokenizer) -> str:
    """The corpus_id: of what the sources have now, how much is wanted of each, and by which tokens."""
    wanted = sorted((one.source.name, one.source_id, one.source.amount, one.source.value) for one in opened)
    parts: list[Json] = [list(part) for part in wanted]
    return identity("mix", _VERSION, cfg.dataset, parts, cfg.tokens, tokenizer.sha, cfg.holdout_share, cfg.seed)


def _publish(lake: Lakehouse, cfg: MixConfig, opened: Sequence[Opened], tokenizer: Tokenizer, corpus_id: str) -> None:
    """Count, decide, write the texts, compare, and last the rows of gold.mixes."""
    rule = Rule(cfg.seed, cfg.holdout_share)
    parts = [Part(one, lengths.find(lake, one, tokenizer)) for one in opened]
    stock = rule.stock(parts)
    for part in parts:
        _refuse_empty(part, stock[part.name])
    available = {name: one.available_tokens for name, one in stock.items()}
    epochs = mixture.epochs([part.opened.source for part in parts], available, cfg.limits)
    taken = rule.taken(parts, epochs)
    if not any(one.num_rows for one in taken.values()):
        raise Incomplete(f"mix {cfg.dataset!r} takes no document to train on; nothing was written")
    held = rule.held(parts)
    rows = [
        rule.texts(part, epochs[part.name], held, has_equals=stock[part.name].has_equals)
        for part in parts
        if taken[part.name].num_rows or taken[part.name].num_holdout
    ]
    about = {"corpus_id": corpus_id, "dataset": cfg.dataset, "dedup_id": None}
    texts = reduce(DataFrame.unionByName, rows).withColumns({name: F.lit(value) for name, value in about.items()})
    commit = lake.append(texts, _CORPUS, txn=f"mix/{corpus_id}", ours=F.col("corpus_id") == corpus_id)
    _check(lake, commit, corpus_id, parts, taken)
    made = [_row(cfg, part, stock[part.name], taken[part.name], epochs[part.name]) for part in parts]
    lake.append(_rows(lake, made, corpus_id, tokenizer), _MIXES, txn=f"mix/{corpus_id}")


def _rows(lake: Lakehouse, made: Sequence[dict[str, object]], corpus_id: str, tokenizer: Tokenizer) -> DataFrame:
    schema, same = table(_MIXES).schema, {"corpus_id": corpus_id, "tokenizer_sha": tokenizer.sha}
    values = [tuple((row | same)[name] for name in schema.names) for row in made]
    return lake.spark.createDataFrame(values, ddl(schema))


def _refuse_empty(part: Part, stock: Stock) -> None:
    if not stock.num_documents:
        said = ", ".join(f"{number} {error}" for error, number in sorted(stock.dropped.items())) or "no records"
        raise ConfigError(
            f"source {part.name!r} has no document: {part.opened.source.place} gave {said}; nothing was published"
        )


def _check(lake: Lakehouse, commit: Commit, corpus_id: str, parts: Sequence[Part], taken: Mapping[str, Taken]) -> None:
    """What was written is what was decided, of sources that are as they were; else it goes, and nothing is published.

    What it was decided by goes, too: whichever of the two is wrong, the next run makes both anew.
    """
    try:
        _compare(lake.read(_CORPUS, commit.version).where(F.col("corpus_id") == corpus_id), taken)
        for part in parts:
            mix_sources.refuse_changed(lake, part.opened)
    except (BadInput, Incomplete):
        lake.remove(_CORPUS, F.col("corpus_id") == corpus_id)
        for part in parts:
            lengths.forget(lake, part.opened)
        raise


def _compare(written: DataFrame, taken: Mapping[str, Taken]) -> None:
    rows = written.groupBy("source", "split").agg(F.count("*").alias("n"))
    found = {(row["source"], row["split"]): int(row["n"]) for row in rows.collect()}
    for name, one in taken.items():
        wrote = (found.get((name, choose.TRAIN), 0), found.get((name, choose.HOLDOUT), 0))
        if wrote != (one.num_rows, one.num_holdout):
            raise Incomplete(
                f"source {name!r} gave {wrote[0]} rows to train on and {wrote[1]} held out, counted {one.num_rows} "
                f"and {one.num_holdout}: it changed meanwhile; nothing was published, run the job again"
            )


def _row(cfg: MixConfig, part: Part, stock: Stock, taken: Taken, epochs: float) -> dict[str, object]:
    """The source's row of gold.mixes."""
    opened = part.opened
    return {
        "dataset": cfg.dataset,
        "source": part.name,
        "source_id": opened.source_id,
        "kind": opened.source.kind,
        "place": opened.source.place,
        "source_version": opened.version,
        "reference": opened.reference,
        "amount": opened.source.amount,
        "value": opened.source.value,
        "epochs": epochs,
        "num_records": stock.num_documents + sum(stock.dropped.values()),
        "dropped": dict(stock.dropped),
        "num_documents": stock.num_documents,
        "available_tokens": stock.available_tokens,
        "wanted_tokens": epochs * stock.available_tokens,
        **asdict(taken),
        "seed": cfg.seed,
    }


def _report(lake: Lakehouse, corpus_id: str, *, was_there: bool) -> Report:
    rows = lake.read(_MIXES).where(F.col("corpus_id") == corpus_id).orderBy("source").collect()
    sums = {name: sum(row[name] for row in rows) for name in ("num_records", "num_taken", "num_holdout", "num_rows")}
    dropped = {f"{row['source']}/{error}": number for row in rows for error, number in sorted(row["dropped"].items())}
    facts: dict[str, str | int | float] = {
        "corpus_id": corpus_id,
        "train": sums["num_rows"],
        "holdout": sums["num_holdout"],
        "tokens": sum(row["num_tokens"] for row in rows),
        **dropped,
        "was_there": int(was_there),
    }
    if not sums["num_holdout"]:
        log.warning("no document is held out; a larger mix.holdout_share gives some")
    num_in, num_out = sums["num_records"], sums["num_taken"] + sums["num_holdout"]
    versions = {name: lake.version(name) for name in (lengths.TABLE, _CORPUS, _MIXES)}
    sheet = corpora.sheet(lake, corpus_id)
    sheets = (sheet,) if sheet else ()
    return Report("mix", num_in, num_out, num_in - num_out, versions=versions, facts=facts, sheets=sheets)
