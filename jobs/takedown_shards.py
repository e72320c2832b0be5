"""The shards and held-out documents of exported datasets without what was taken down.

The tokens of a document become EOT in the sequences that have it, so that no other sequence moves; dataset.json says
which documents those were, and how long, since what was packed after them is found by counting.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import cast

import pyarrow as pa
from pyspark.sql import functions as F

from lakeloom.jobs import choose, locate
from lakeloom.jobs.locate import Located
from lakeloom.lakehouse import rewriting, takedowns
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shards import DATASET, Manifest, Shard
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.takedowns import Taken

log = logging.getLogger(__name__)

_CORPUS, _SHARDS = "gold.corpus", "gold.shards"
_WRITTEN = pa.schema([(one.name, pa.int64() if one.type is int else pa.string()) for one in fields(Shard)])
_EDITS = "shard BIGINT, row BIGINT, start BIGINT, tokens BINARY"
Batches = Iterator[pa.RecordBatch]
ByCorpus = Mapping[str, Mapping[str, str]]  # corpus_id -> doc_id -> split


@dataclass(frozen=True)
class Affected:
    """An exported dataset that has, or had, documents that were taken down."""

    name: str
    export_id: str
    where: str
    taken: Mapping[str, tuple[int, str]]  # doc_id -> its number among the dataset's takedowns, split
    num_sequences: int | None = None  # changed by this run
    num_shards: int | None = None

    @property
    def num_train(self) -> int:
        """Documents that were trained on."""
        return sum(split == choose.TRAIN for _, split in self.taken.values())

    @property
    def num_held(self) -> int:
        """Documents that were held out."""
        return len(self.taken) - self.num_train


def folders(lake: Lakehouse) -> list[Path]:
    """Exported datasets."""
    if "://" in lake.cfg.root:
        return []
    found = sorted(path.parent for path in lake.folder("shards").glob(f"*/{DATASET}"))
    return [folder for folder in found if not folder.name.startswith(".")]


def affected(lake: Lakehouse, doc_ids: Collection[str]) -> list[Affected]:
    """Datasets that would lose documents, or have lost some, with nothing changed."""
    listed, corpora = frozenset(doc_ids), _corpora(lake, doc_ids)
    found = [_affected(Manifest.load(folder), listed, corpora) for folder in folders(lake)]
    return [one for one in found if one.taken] + _elsewhere(lake, corpora)


def take_out(lake: Lakehouse, doc_ids: Collection[str]) -> list[Affected]:
    """Rewrite the datasets that have one of the documents; they and those that had one before."""
    listed, corpora = frozenset(doc_ids), _corpora(lake, doc_ids)
    found: list[Affected] = []
    for folder in folders(lake):
        if rewriting.finish(folder):
            log.info("%s: the files of an earlier takedown were put in place", folder.name)
        manifest = Manifest.load(folder)
        one = _affected(manifest, listed, corpora)
        new = {doc_id: split for doc_id, (_, split) in one.taken.items() if doc_id not in _taken(folder)}
        if new:
            sizes = _rewrite(lake, manifest, new)
            one = Affected(one.name, one.export_id, one.where, one.taken, *sizes)
        if one.taken:
            _update_rows(lake, Manifest.load(folder))
            found.append(one)
    return found + _elsewhere(lake, corpora)


def _corpora(lake: Lakehouse, doc_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """The documents' corpora and splits, as far as gold.corpus still has them."""
    if not (doc_ids and lake.exists(_CORPUS)):
        return {}
    keys = lake.spark.createDataFrame([(doc_id,) for doc_id in doc_ids], "doc_id STRING")
    rows = lake.read(_CORPUS).join(F.broadcast(keys), "doc_id", how="left_semi")
    found = defaultdict[str, dict[str, str]](dict)
    for row in rows.select("corpus_id", "doc_id", "split").toLocalIterator():
        found[row["corpus_id"]][row["doc_id"]] = row["split"]
    return found


def _taken(folder: Path) -> dict[str, tuple[int, str]]:
    return {one.doc_id: (number, one.split) for number, one in enumerate(takedowns.of_dataset(folder))}


def _affected(manifest: Manifest, listed: frozenset[str], corpora: ByCorpus) -> Affected:
    facts, taken = manifest.dataset, _taken(manifest.folder)
    new = sorted(item for item in corpora.get(facts.corpus_id, {}).items() if item[0] not in taken)
    more = {doc_id: (len(taken) + number, split) for number, (doc_id, split) in enumerate(new)}
    ours = {doc_id: place for doc_id, place in taken.items() if doc_id in listed}
    return Affected(facts.name, facts.export_id, manifest.folder.name, ours | more)


def _elsewhere(lake: Lakehouse, corpora: ByCorpus) -> list[Affected]:
    """Exports of gold.shards whose folder is not in this lakehouse."""
    if not corpora or not lake.exists(_SHARDS):
        return []
    here = {str(takedowns.describe(folder)["export_id"]) for folder in folders(lake)}
    exports = (
        lake.read(_SHARDS).where(F.col("corpus_id").isin(list(corpora))).select("dataset", "export_id", "corpus_id")
    )
    rows = exports.distinct().orderBy("dataset", "export_id").collect()
    return [
        Affected(
            row["dataset"],
            row["export_id"],
            "not here: delete its copies",
            {doc_id: (0, split) for doc_id, split in corpora[row["corpus_id"]].items()},
        )
        for row in rows
        if row["export_id"] not in here
    ]


def _rewrite(lake: Lakehouse, manifest: Manifest, new: Mapping[str, str]) -> tuple[int, int]:
    """New files for those that have the documents, then the swap; sequences and shards that were changed."""
    folder = manifest.folder
    train = [doc_id for doc_id, split in new.items() if split == choose.TRAIN]
    found = locate.locate(lake, manifest, train) if train else []
    if len(found) != len(train):
        raise ConfigError(f"{folder}: {len(train) - len(found)} documents of {_CORPUS} were not found again; run again")
    rewriting.begin(folder)
    edits = [_edit(one, span, manifest) for one in found for span in one.spans]
    shards = _written(lake, folder, edits) if edits else []
    rewriting.filter_holdout(folder, frozenset(new) - frozenset(train))
    sizes = {one.doc_id: one.num_tokens for one in found}
    lost = [asdict(Taken(doc_id, new[doc_id], sizes.get(doc_id, 0))) for doc_id in sorted(new)]
    described = takedowns.describe(folder)
    before = cast("Sequence[Json]", described.get("takedowns", []))
    rewriting.publish(folder, described | {"takedowns": [*before, *lost]}, shards)
    log.info("%s: %s documents taken out, %s shards rewritten", folder.name, len(new), len(shards))
    return len({(edit[0], edit[1]) for edit in edits}), len(shards)


def _edit(one: Located, span: locate.Span, manifest: Manifest) -> tuple[int, int, int, bytes]:
    size = len(one.tokens) // one.num_tokens
    tokens = one.tokens[span.skipped * size : (span.skipped + span.length) * size]
    return span.shard, span.row, span.start, tokens


def _written(lake: Lakehouse, folder: Path, edits: Sequence[tuple[int, int, int, bytes]]) -> list[Shard]:
    """A task a shard; the driver gets a row of each."""
    rows = lake.spark.createDataFrame([(*edit[:3], bytearray(edit[3])) for edit in edits], _EDITS)
    by_shard = rows.repartition("shard").sortWithinPartitions("shard", "row", "start")
    written = by_shard.mapInArrow(partial(_rewritten, folder), ddl(_WRITTEN))
    return [Shard(**row.asDict()) for row in written.collect()]


def _rewritten(folder: Path, batches: Batches) -> Batches:
    rows = (row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))
    for number, edits in groupby(rows, key=itemgetter(0)):
        shard = rewriting.rewrite(folder, number, [edit[1:] for edit in edits])
        yield pa.RecordBatch.from_pylist([asdict(shard)], schema=_WRITTEN)


def _update_rows(lake: Lakehouse, manifest: Manifest) -> None:
    """gold.shards as the manifest is now."""
    if not lake.exists(_SHARDS):
        return
    ours = lake.read(_SHARDS).where(F.col("export_id") == manifest.dataset.export_id)
    there = {row["shard"]: row["sha256"] for row in ours.select("shard", "sha256").toLocalIterator()}
    changed = [
        (manifest.dataset.export_id, one.shard, one.sha256, one.num_bytes)
        for one in manifest.shards
        if there.get(one.shard, one.sha256) != one.sha256
    ]
    if not changed:
        return
    new = lake.spark.createDataFrame(changed, "export_id STRING, shard STRING, sha256 STRING, num_bytes BIGINT")
    lake.update(_SHARDS, new, ("export_id", "shard"))
