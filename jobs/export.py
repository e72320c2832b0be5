"""gold.corpus to webdataset shards: tokenise, pack, shuffle; the same bytes on any number of partitions.

1. Documents go to cells by their shuffle key and are packed there in its order (lakehouse/packing.py).
2. The sequences of all cells are numbered, cell after cell; a keyed permutation of the numbers gives each its
   shard and its place there. So the shuffle is global and exact, and all shards but the last are equal, without
   ranks from a sort. Between both steps the sequences lie in a scratch folder.
3. Each shard is written by one task as its sorted rows stream in (the data source `webdataset`, lakehouse/sources.py).
   The driver gets a row a cell, and the shards' manifest.

The folder has its name when it is complete, after the counts of tokens and documents have been checked.
"""

import logging
import shutil
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import choose, corpora, fit_tokenizer, sequences
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.corpora import Corpus
from lakeloom.jobs.export_tasks import Placement
from lakeloom.jobs.scratch import stored
from lakeloom.lakehouse import checkout
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete, unknown
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.members import BIN, EXTS, smallest
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shard_writer import Accounting, begin, publish, write_holdout
from lakeloom.lakehouse.shards import DatasetFacts, Manifest, Shard
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig

log = logging.getLogger(__name__)

_VERSION = 1  # raise it when the same input would give other bytes
_CORPUS, _SHARDS = "gold.corpus", "gold.shards"
DROP, PAD = "drop", "pad"
_WRITTEN = "written"  # the shards' own folder until the others of the dataset are beside them
_PAD_AFTER = 2  # DCLM's PAD is the size of the vocabulary and so much more


@dataclass(frozen=True)
class ExportConfig:
    """The dataset version, its tokenizer and the shape of its shards; see conf/job/export.yaml."""

    lakehouse: LakehouseConfig
    choose: ChooseConfig
    tokenizer: TokenizerConfig
    context: int
    seed: int
    num_cells: int
    shard_sequences: int
    holdout_max_bytes: int
    members: str = BIN
    leftovers: str = DROP
    mix: str = ""  # a dataset that mix made, instead of choose's

    def __post_init__(self) -> None:
        for name in ("context", "num_cells", "shard_sequences"):
            if getattr(self, name) < 1:
                raise ConfigError(f"export.{name}={getattr(self, name)}: it must be at least 1")
        for name, choices in (("members", EXTS), ("leftovers", (DROP, PAD))):
            if getattr(self, name) not in choices:
                raise unknown("choice", getattr(self, name), choices, f"export.{name}")


class _Plan(NamedTuple):
    """What one export is made of, and where it goes."""

    export_id: str
    corpus: Corpus
    tokenizer: Tokenizer
    packing: Packing
    folder: Path

    @property
    def vocab_size(self) -> int:
        """Ids of the shards are below."""
        return max(self.tokenizer.vocab_size, self.packing.pad + 1)


def run(spark: SparkSession, cfg: ExportConfig) -> Report:
    """Write the dataset's folder and its rows of gold.shards, once. Incomplete if a token or page is lost."""
    lake = Lakehouse(spark, cfg.lakehouse)
    plan = _plan(lake, cfg)
    is_new = not plan.folder.exists()
    if is_new:
        _export(lake, cfg, plan)
    manifest = _published(plan)
    txn = f"export/{plan.export_id}"
    commit = lake.commit(_SHARDS, txn) or lake.append(_rows(lake, plan, manifest), _SHARDS, txn=txn)
    counts = Accounting.load(plan.folder)
    facts: dict[str, str | int | float] = {
        "dataset": manifest.dataset.name,
        "folder": str(plan.folder),
        "export_id": plan.export_id,
        "shards": len(manifest.shards),
        "num_sequences": manifest.dataset.num_sequences,
        "num_tokens": manifest.dataset.num_tokens,
        "tokens_in": counts.tokens_in,
        "tokens_remainder": counts.tokens_remainder,
        "num_pads": counts.num_pads,
        "was_there": int(not is_new),
    }
    versions = {_CORPUS: plan.corpus.source.version, _SHARDS: commit.version}
    return Report("export", counts.num_documents, counts.num_documents, versions=versions, facts=facts)


def _plan(lake: Lakehouse, cfg: ExportConfig) -> _Plan:
    corpus = corpora.mixed(lake, cfg.mix) if cfg.mix else _chosen(lake, cfg.choose)
    tokenizer = Tokenizer.load(fit_tokenizer.find(lake, cfg.choose.pool.name, cfg.tokenizer))
    pad = tokenizer.vocab_size + _PAD_AFTER if cfg.leftovers == PAD else -1
    dtype = smallest(max(tokenizer.vocab_size - 1, pad))
    packing = Packing(cfg.context + 1, cfg.num_cells, cfg.seed, dtype, pad)
    export_id = identity("export", _VERSION, corpus.corpus_id, tokenizer.sha, *_parts(cfg, packing))
    folder = lake.folder("shards") / f"{corpus.dataset}-{export_id[:12]}"
    return _Plan(export_id, corpus, tokenizer, packing, folder)


def _chosen(lake: Lakehouse, cfg: ChooseConfig) -> Corpus:
    """The dataset that choose's settings name."""
    corpus_id = choose.identify(lake, cfg)
    source = choose.find(lake, corpus_id)
    if source is None:
        raise ConfigError(
            f"dataset {cfg.dataset!r} of pool {cfg.pool.name!r} isn't chosen yet from its documents "
            "as they are now; run lakeloom choose with the same settings first"
        )
    return Corpus(corpus_id, source, cfg.dataset, cfg.recipe.name, cfg.recipe.hash, cfg.pool.name)


def _parts(cfg: ExportConfig, packing: Packing) -> list[Json]:
    """What names an export beside corpus and tokenizer; settings that came later count where they are no default."""
    packed = {name: value for name, value in asdict(packing).items() if name != "pad"}
    parts: list[Json] = [packed, cfg.shard_sequences, cfg.holdout_max_bytes]
    return parts + [one for one, default in ((cfg.members, BIN), (cfg.leftovers, DROP)) if one != default]


def _export(lake: Lakehouse, cfg: ExportConfig, plan: _Plan) -> None:
    """All files of the dataset into a folder aside, checked, then published."""
    aside = begin(plan.folder, plan.export_id)
    tokenizer_file = f"tokenizer{plan.tokenizer.path.suffix}"
    shutil.copyfile(plan.tokenizer.path, aside / tokenizer_file)
    corpus = lake.read(_CORPUS).where(F.col("corpus_id") == plan.corpus.corpus_id)  # old versions may lack files
    train = corpus.where(F.col("split") == choose.TRAIN).select("doc_id", "text")
    rows = sequences.packed(train, plan.packing, aside / tokenizer_file, plan.tokenizer.sha)
    packed = stored(rows, aside / "packed")
    counts, starts = _counts(packed, plan)
    shards = _shards(packed, plan, cfg, starts, aside)
    facts = _facts(cfg, plan, tokenizer_file, shards)
    _check(facts, counts, shards, train.count())
    held_out = corpus.where(F.col("split") == choose.HOLDOUT).select("doc_id", "url", "text").orderBy("doc_id")
    num_held_out = write_holdout(aside, (row.asDict() for row in held_out.toLocalIterator()), cfg.holdout_max_bytes)
    log.info("%s: %s held-out documents beside the shards", plan.folder.name, num_held_out)
    for scratch in ("packed", _WRITTEN):
        shutil.rmtree(aside / scratch)
    # By these a takedown finds a document's sequences again.
    more: dict[str, Json] = {"cells": [end - start for start, end in pairwise(starts)]}
    more |= {"shard_sequences": cfg.shard_sequences, "code_commit": checkout.commit()}
    more |= corpora.described(lake, plan.corpus.corpus_id) if cfg.mix else {}
    publish(aside, plan.folder, facts, counts, shards, **more)


def _counts(packed: DataFrame, plan: _Plan) -> tuple[Accounting, list[int]]:
    """Tokens and documents of all cells, and the number of sequences before each cell (last: of all)."""
    remainder = F.sum(F.when(F.col("index").isNull(), F.octet_length("tokens")))
    totals = (F.count("index").alias("sequences"), F.sum("tokens_in").alias("tokens"))
    more = (F.sum("num_documents").alias("documents"), remainder.alias("remainder"), F.sum("num_pads").alias("pads"))
    cells = {row["cell"]: row for row in packed.groupBy("cell").agg(*totals, *more).collect()}
    per_cell = [cells[cell]["sequences"] if cell in cells else 0 for cell in range(plan.packing.num_cells)]
    found = {name: sum(row[name] for row in cells.values()) for name in ("tokens", "documents", "remainder", "pads")}
    left = found["remainder"] // plan.packing.itemsize
    counts = Accounting(found["tokens"], left, found["documents"], found["pads"])
    return counts, list(accumulate(per_cell, initial=0))


def _shards(packed: DataFrame, plan: _Plan, cfg: ExportConfig, starts: list[int], aside: Path) -> list[Shard]:
    """The shards, in order, in `aside`."""
    if not starts[-1]:
        raise Incomplete(f"dataset {plan.corpus.dataset!r} fills no sequence of {plan.packing.seq_len} tokens")
    placement = Placement(tuple(starts[:-1]), starts[-1], cfg.shard_sequences, cfg.seed)
    options = {"members": cfg.members, "owner": plan.export_id}
    shards = list(sequences.saved(packed, plan.packing, placement, aside / _WRITTEN, **options))
    for shard in shards:
        (aside / _WRITTEN / f"{shard.shard}.tar").rename(aside / f"{shard.shard}.tar")
    return shards


def _facts(cfg: ExportConfig, plan: _Plan, tokenizer_file: str, shards: list[Shard]) -> DatasetFacts:
    return DatasetFacts(
        name=plan.corpus.dataset,
        export_id=plan.export_id,
        corpus_id=plan.corpus.corpus_id,
        recipe=plan.corpus.recipe,
        recipe_hash=plan.corpus.recipe_hash,
        pool=plan.corpus.pool,
        tokenizer_sha=plan.tokenizer.sha,
        tokenizer_file=tokenizer_file,
        vocab_size=plan.vocab_size,
        eot=plan.tokenizer.eot,
        seq_len=plan.packing.seq_len,
        num_sequences=sum(shard.num_sequences for shard in shards),
        num_tokens=sum(shard.num_tokens for shard in shards),
        seed=cfg.seed,
        source_table=_CORPUS,
        source_version=plan.corpus.source.version,
        pad=plan.packing.pad,
    )


def _check(facts: DatasetFacts, counts: Accounting, shards: list[Shard], num_documents: int) -> None:
    """Tokens of the documents and pads = tokens in the shards + remainder; every document was tokenised once."""
    num_pads = sum(shard.num_pads for shard in shards)
    if facts.num_tokens + counts.tokens_remainder != counts.tokens_in + counts.num_pads or num_pads != counts.num_pads:
        raise Incomplete(
            f"dataset {facts.name!r}: {counts.tokens_in} tokens went in and {counts.num_pads} pads, {facts.num_tokens} "
            f"are in the shards with {num_pads} pads, {counts.tokens_remainder} are left over; nothing was published"
        )
    if counts.num_documents != num_documents:
        raise Incomplete(
            f"dataset {facts.name!r}: {counts.num_documents} of {num_documents} documents were packed; "
            "nothing was published"
        )


def _published(plan: _Plan) -> Manifest:
    """The manifest of the folder, if it is this export and complete."""
    try:
        manifest = Manifest.load(plan.folder)
    except (BadInput, ConfigError) as error:
        raise ConfigError(f"{plan.folder} is in the way and no complete export ({error}); move it away") from error
    if manifest.dataset.export_id != plan.export_id:
        raise ConfigError(f"{plan.folder} is in the way: it is export {manifest.dataset.export_id}; move it away")
    return manifest


def _rows(lake: Lakehouse, plan: _Plan, manifest: Manifest) -> DataFrame:
    """Rows of gold.shards; paths are relative to the lakehouse's folder."""
    facts = manifest.dataset
    rows = [
        {
            **asdict(shard),
            **asdict(facts),
            "num_sequences": shard.num_sequences,
            "num_tokens": shard.num_tokens,
            "dataset": facts.name,
            "path": f"shards/{plan.folder.name}/{shard.shard}.tar",
        }
        for shard in manifest.shards
    ]
    schema = table(_SHARDS).schema
    return lake.spark.createDataFrame([tuple(row[name] for name in schema.names) for row in rows], ddl(schema))
