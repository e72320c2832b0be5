"""gold.corpus to webdataset shards: tokenise, pack, shuffle; the same bytes on any number of partitions.

1. Documents go to cells by their shuffle key and are packed there in its order (lakehouse/packing.py).
2. The sequences of all cells are numbered, cell after cell; a keyed permutation of the numbers gives each its
   shard and its place there. So the shuffle is global and exact, and all shards but the last are equal, without
   ranks from a sort. Between both steps the sequences lie in a scratch folder.
3. Each shard is written by one task as its sorted rows stream in. The driver gets a row a cell and a shard.

The folder has its name when it is complete, after the counts of tokens and documents have been checked.
"""

import logging
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import choose, export_tasks, fit_tokenizer
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.export_tasks import PLACED, WRITTEN, Placement
from lakeloom.lakehouse import checkout
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.packing import PACKED, TOKENISED, Packing
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shard_writer import Accounting, begin, publish, write_holdout
from lakeloom.lakehouse.shards import DatasetFacts, Manifest, Shard
from lakeloom.lakehouse.store import Commit, Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig

log = logging.getLogger(__name__)

_VERSION = 1  # raise it when the same input would give other bytes
_CORPUS, _SHARDS = "gold.corpus", "gold.shards"


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

    def __post_init__(self) -> None:
        for name in ("context", "num_cells", "shard_sequences"):
            if getattr(self, name) < 1:
                raise ConfigError(f"export.{name}={getattr(self, name)}: it must be at least 1")


class _Plan(NamedTuple):
    """What one export is made of, and where it goes."""

    export_id: str
    corpus_id: str
    source: Commit
    tokenizer: Tokenizer
    packing: Packing
    folder: Path


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
        "was_there": int(not is_new),
    }
    versions = {_CORPUS: plan.source.version, _SHARDS: commit.version}
    return Report("export", counts.num_documents, counts.num_documents, versions=versions, facts=facts)


def _plan(lake: Lakehouse, cfg: ExportConfig) -> _Plan:
    corpus_id = choose.identify(lake, cfg.choose)
    source = choose.find(lake, corpus_id)
    if source is None:
        raise ConfigError(
            f"dataset {cfg.choose.dataset!r} of pool {cfg.choose.pool.name!r} isn't chosen yet from its documents "
            "as they are now; run lakeloom choose with the same settings first"
        )
    tokenizer = Tokenizer.load(fit_tokenizer.find(lake, cfg.choose.pool.name, cfg.tokenizer))
    packing = Packing(cfg.context + 1, cfg.num_cells, cfg.seed, tokenizer.dtype)
    sizes = (cfg.shard_sequences, cfg.holdout_max_bytes)
    export_id = identity("export", _VERSION, corpus_id, tokenizer.sha, asdict(packing), *sizes)
    folder = lake.folder("shards") / f"{cfg.choose.dataset}-{export_id[:12]}"
    return _Plan(export_id, corpus_id, source, tokenizer, packing, folder)


def _export(lake: Lakehouse, cfg: ExportConfig, plan: _Plan) -> None:
    """All files of the dataset into a folder aside, checked, then published."""
    aside = begin(plan.folder, plan.export_id)
    tokenizer_file = f"tokenizer{plan.tokenizer.path.suffix}"
    shutil.copyfile(plan.tokenizer.path, aside / tokenizer_file)
    corpus = lake.read(_CORPUS).where(F.col("corpus_id") == plan.corpus_id)  # old versions may have lost their files
    train = corpus.where(F.col("split") == choose.TRAIN).select("doc_id", "text")
    packed = _packed(train, plan, aside / tokenizer_file, aside / "packed")
    counts, starts = _counts(packed, plan)
    shards = _written(packed, plan, cfg, starts, aside)
    facts = _facts(cfg, plan, tokenizer_file, shards)
    _check(facts, counts, train.count())
    held_out = corpus.where(F.col("split") == choose.HOLDOUT).select("doc_id", "url", "text").orderBy("doc_id")
    num_held_out = write_holdout(aside, (row.asDict() for row in held_out.toLocalIterator()), cfg.holdout_max_bytes)
    log.info("%s: %s held-out documents beside the shards", plan.folder.name, num_held_out)
    shutil.rmtree(aside / "packed")
    # By these a takedown finds a document's sequences again.
    more: dict[str, Json] = {"cells": [end - start for start, end in pairwise(starts)]}
    more |= {"shard_sequences": cfg.shard_sequences, "code_commit": checkout.commit()}
    publish(aside, plan.folder, facts, counts, shards, **more)


def _packed(documents: DataFrame, plan: _Plan, tokenizer: Path, scratch: Path) -> DataFrame:
    """Sequences by cell and index, and a row of totals for each cell; computed once, into `scratch`."""
    tokenise = partial(export_tasks.tokenise, plan.packing, tokenizer, plan.tokenizer.sha)
    tokenised = documents.mapInArrow(tokenise, ddl(TOKENISED))
    cells = tokenised.repartition("cell").sortWithinPartitions("cell", "key")
    cells.mapInArrow(plan.packing.packed, ddl(PACKED)).write.parquet(str(scratch))
    return documents.sparkSession.read.schema(ddl(PACKED)).parquet(str(scratch))


def _counts(packed: DataFrame, plan: _Plan) -> tuple[Accounting, list[int]]:
    """Tokens and documents of all cells, and the number of sequences before each cell (last: of all)."""
    remainder = F.sum(F.when(F.col("index").isNull(), F.octet_length("tokens")))
    totals = (F.count("index").alias("sequences"), F.sum("tokens_in").alias("tokens"))
    more = (F.sum("num_documents").alias("documents"), remainder.alias("remainder"))
    cells = {row["cell"]: row for row in packed.groupBy("cell").agg(*totals, *more).collect()}
    sequences = [cells[cell]["sequences"] if cell in cells else 0 for cell in range(plan.packing.num_cells)]
    found = {name: sum(row[name] for row in cells.values()) for name in ("tokens", "documents", "remainder")}
    counts = Accounting(found["tokens"], found["remainder"] // plan.packing.itemsize, found["documents"])
    return counts, list(accumulate(sequences, initial=0))


def _written(packed: DataFrame, plan: _Plan, cfg: ExportConfig, starts: list[int], aside: Path) -> list[Shard]:
    """The shards, in order; the driver gets one row for each."""
    if not starts[-1]:
        raise Incomplete(f"dataset {cfg.choose.dataset!r} fills no sequence of {plan.packing.seq_len} tokens")
    placement = Placement(tuple(starts[:-1]), starts[-1], cfg.shard_sequences, cfg.seed)
    sequences = packed.where(F.col("index").isNotNull()).select("cell", "index", "tokens")
    placed = sequences.mapInArrow(placement.place, ddl(PLACED))
    by_shard = placed.repartition("shard").sortWithinPartitions("shard", "place")
    written = by_shard.mapInArrow(partial(export_tasks.write, plan.packing, aside), ddl(WRITTEN))
    return sorted((Shard(**row.asDict()) for row in written.collect()), key=lambda shard: shard.shard)


def _facts(cfg: ExportConfig, plan: _Plan, tokenizer_file: str, shards: list[Shard]) -> DatasetFacts:
    return DatasetFacts(
        name=cfg.choose.dataset,
        export_id=plan.export_id,
        corpus_id=plan.corpus_id,
        recipe=cfg.choose.recipe.name,
        recipe_hash=cfg.choose.recipe.hash,
        pool=cfg.choose.pool.name,
        tokenizer_sha=plan.tokenizer.sha,
        tokenizer_file=tokenizer_file,
        vocab_size=plan.tokenizer.vocab_size,
        eot=plan.tokenizer.eot,
        seq_len=plan.packing.seq_len,
        num_sequences=sum(shard.num_sequences for shard in shards),
        num_tokens=sum(shard.num_tokens for shard in shards),
        seed=cfg.seed,
        source_table=_CORPUS,
        source_version=plan.source.version,
    )


def _check(facts: DatasetFacts, counts: Accounting, num_documents: int) -> None:
    """Tokens of the documents = tokens in the shards + remainder; every document was tokenised once."""
    if facts.num_tokens + counts.tokens_remainder != counts.tokens_in:
        raise Incomplete(
            f"dataset {facts.name!r}: {counts.tokens_in} tokens went in, {facts.num_tokens} are in the shards, "
            f"{counts.tokens_remainder} are left over; nothing was published"
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
