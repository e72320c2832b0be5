"""A dataset that DCLM's tools tokenised, as a dataset folder that train reads. Needs no session.

Sequences and their order stay; each shard is written anew, so that all that is published was checked.
"""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pyspark.sql import SparkSession

from lakeloom.lakehouse import foreign, names
from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.foreign import ForeignShard
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.members import EXTS, Form, Tokens
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shard_writer import Accounting, begin, publish, write_shard
from lakeloom.lakehouse.shards import DatasetFacts, Manifest, Shard
from lakeloom.lakehouse.store import LakehouseConfig
from lakeloom.lakehouse.tokens import Tokenizer

log = logging.getLogger(__name__)

_VERSION = 1  # raise it when the same input would give other bytes


@dataclass(frozen=True)
class ImportDatasetConfig:
    """The folder, its tokenizer, and what becomes of it; see conf/job/import_dataset.yaml."""

    lakehouse: LakehouseConfig
    folder: str
    tokenizer_file: str
    name: str
    pad: int | None
    members: str

    def __post_init__(self) -> None:
        if self.members not in EXTS:
            raise unknown("choice", self.members, EXTS, "import_dataset.members")
        names.check(self.name, "import_dataset.name")
        if self.pad is not None and self.pad < 0:
            raise ConfigError(f"import_dataset.pad={self.pad}: an id is 0 or more; null: there are no pads")


class _Plan(NamedTuple):
    """What is imported, and where it goes."""

    cfg: ImportDatasetConfig
    shards: list[ForeignShard]
    tokenizer: Tokenizer
    form: Form
    folder: Path
    export_id: str


@dataclass
class _Seen:
    """What passed by: tokens, ends of documents, pads."""

    num_tokens: int = 0
    num_ends: int = 0
    num_pads: int = 0


def run(_spark: SparkSession | None, cfg: ImportDatasetConfig) -> Report:
    """Rows are sequences. Nothing is published unless every one of them is sound."""
    plan = _plan(cfg)
    is_new = not plan.folder.exists()
    if is_new:
        _import(plan)
    manifest = Manifest.load(plan.folder)
    dataset, counts = manifest.dataset, Accounting.load(plan.folder)
    if dataset.export_id != plan.export_id:
        raise ConfigError(f"{plan.folder} is in the way: it is dataset {dataset.export_id}; move it away")
    facts: dict[str, str | int | float] = {
        "dataset": dataset.name,
        "folder": str(plan.folder),
        "export_id": plan.export_id,
        "shards": len(manifest.shards),
        "num_tokens": dataset.num_tokens,
        "num_pads": counts.num_pads,
        "documents_ended": counts.num_documents,
        "was_there": int(not is_new),
    }
    return Report("import_dataset", dataset.num_sequences, dataset.num_sequences, facts=facts)


def _plan(cfg: ImportDatasetConfig) -> _Plan:
    tokenizer = Tokenizer.load(Path(cfg.tokenizer_file).absolute())
    shards = foreign.listed(Path(cfg.folder).absolute())
    form = foreign.form(shards, tokenizer.vocab_size, -1 if cfg.pad is None else cfg.pad)
    shas = [shard.sha256 for shard in shards]
    export_id = identity("import", _VERSION, shas, tokenizer.sha, cfg.pad, cfg.members, cfg.name)
    folder = Path(cfg.lakehouse.root, "shards", f"{cfg.name}-{export_id[:12]}").absolute()
    return _Plan(cfg, shards, tokenizer, form, folder, export_id)


def _import(plan: _Plan) -> None:
    """All files of the dataset into a folder aside, checked, then published."""
    plan.folder.parent.mkdir(parents=True, exist_ok=True)
    aside, seen = begin(plan.folder, plan.export_id), _Seen()
    try:
        shutil.copyfile(plan.tokenizer.path, aside / _tokenizer_file(plan))
        written = [_written(plan, aside, number, seen) for number in range(len(plan.shards))]
        promised = sum(shard.num_sequences for shard in plan.shards) * plan.form.seq_len
        num_tokens = sum(shard.num_tokens for shard in written)
        if not promised == num_tokens == seen.num_tokens:
            raise Incomplete(f"{promised} tokens are promised, {seen.num_tokens} were read, {num_tokens} written")
        counts = Accounting(num_tokens - seen.num_pads, 0, seen.num_ends, seen.num_pads)
        publish(aside, plan.folder, _facts(plan, written), counts, written)
    except BaseException:  # a full disk, or a hand: the folder would stay until this import is tried again
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _written(plan: _Plan, aside: Path, number: int, seen: _Seen) -> Shard:
    log.info("shard %s of %s", number + 1, len(plan.shards), extra={"done": number, "total": len(plan.shards)})
    form, shard = plan.form, plan.shards[number]
    sequences = _counted(shard.sequences(form, plan.tokenizer.vocab_size), plan, seen)
    ext = plan.cfg.members
    return write_shard(aside, number, sequences, seq_len=form.seq_len, dtype=form.dtype, ext=ext, pad=form.pad)


def _counted(sequences: Iterator[Tokens], plan: _Plan, seen: _Seen) -> Iterator[Tokens]:
    for sequence in sequences:
        seen.num_tokens += len(sequence)
        seen.num_ends += int(np.count_nonzero(sequence == plan.tokenizer.eot))
        seen.num_pads += int(np.count_nonzero(sequence == plan.form.pad)) if plan.form.pad >= 0 else 0
        yield sequence


def _tokenizer_file(plan: _Plan) -> str:
    return f"tokenizer{plan.tokenizer.path.suffix}"


def _facts(plan: _Plan, shards: list[Shard]) -> DatasetFacts:
    """What nobody told us (recipe, pool, tables) is empty."""
    return DatasetFacts(
        name=plan.cfg.name,
        export_id=plan.export_id,
        corpus_id="",
        recipe="",
        recipe_hash="",
        pool="",
        tokenizer_sha=plan.tokenizer.sha,
        tokenizer_file=_tokenizer_file(plan),
        vocab_size=max(plan.tokenizer.vocab_size, plan.form.pad + 1),
        eot=plan.tokenizer.eot,
        seq_len=plan.form.seq_len,
        num_sequences=sum(shard.num_sequences for shard in shards),
        num_tokens=sum(shard.num_tokens for shard in shards),
        seed=0,
        source_table="",
        source_version=0,
        pad=plan.form.pad,
    )
