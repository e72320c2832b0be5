"""Where a document's tokens are in an exported dataset: shard, sequence, token; and back.

Packing and placement are functions of the documents alone (lakehouse/packing.py, export_tasks.Placement): only the
documents of the same cell must be tokenised again to count what comes before one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakeloom.jobs import choose
from lakeloom.jobs.export_tasks import Placement
from lakeloom.lakehouse import takedowns
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import shuffle_key
from lakeloom.lakehouse.packing import Packing, with_eot
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import loaded

MEASURED = pa.schema(
    [
        ("doc_id", pa.string()),
        ("cell", pa.int32()),
        ("key", pa.binary()),
        ("num_tokens", pa.int64()),
        ("tokens", pa.binary()),  # of those that are looked for
    ]
)
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Span:
    """Tokens of one sequence: its shard, its row there, the first, how many; `skipped` of the document come before."""

    shard: int
    row: int
    start: int
    length: int
    skipped: int


@dataclass(frozen=True)
class Layout:
    """What decides where a dataset's documents are, as its dataset.json says it."""

    packing: Packing
    placement: Placement
    cells: tuple[int, ...]  # sequences of each

    @classmethod
    def load(cls, manifest: Manifest) -> "Layout":
        """Of a dataset folder; ConfigError where its export did not write down its cells."""
        facts, described = manifest.dataset, takedowns.describe(manifest.folder)
        if "cells" not in described or "shard_sequences" not in described:
            raise ConfigError(
                f"{manifest.folder}: its export did not write down how many sequences each cell has; delete the folder "
                "and export the dataset again"
            )
        cells = tuple(cast("list[int]", described["cells"]))
        packing = Packing(facts.seq_len, len(cells), facts.seed, manifest.shards[0].dtype)
        starts = list(accumulate(cells, initial=0))
        placement = Placement(tuple(starts[:-1]), starts[-1], cast("int", described["shard_sequences"]), facts.seed)
        return cls(packing, placement, cells)

    def spans(self, cell: int, start: int, length: int) -> list[Span]:
        """Where `length` tokens from token `start` of a cell on are; those that filled no sequence are nowhere."""
        size = self.packing.seq_len
        last = min((start + length - 1) // size, self.cells[cell] - 1)
        index = np.arange(start // size, last + 1, dtype=np.int64)
        places = self.placement.positions(np.full(len(index), cell, np.int32), index)
        shards, rows = np.divmod(places, self.placement.shard_sequences)
        found: list[Span] = []
        for number, shard, row in zip(index.tolist(), shards.tolist(), rows.tolist(), strict=True):
            first, end = max(start, number * size), min(start + length, (number + 1) * size)
            found.append(Span(shard, row, first - number * size, end - first, first - start))
        return found


@dataclass(frozen=True)
class Located:
    """A document of the train split: its tokens with their EOT, and where they are."""

    doc_id: str
    tokens: bytes
    num_tokens: int
    spans: tuple[Span, ...]


def locate(lake: Lakehouse, manifest: Manifest, doc_ids: Collection[str]) -> list[Located]:
    """The documents, as far as they are in gold.corpus; one that was taken out before has no place any more."""
    layout, wanted = Layout.load(manifest), frozenset(doc_ids)
    rows = _measured(lake, manifest, layout, wanted)
    before = Window.partitionBy("cell").orderBy("key").rowsBetween(Window.unboundedPreceding, -1)
    placed = rows.withColumn("start", F.coalesce(F.sum("num_tokens").over(before), F.lit(0)))
    found = placed.where(F.col("tokens").isNotNull()).orderBy("doc_id").collect()
    return [
        Located(
            row["doc_id"],
            bytes(row["tokens"]),
            row["num_tokens"],
            tuple(layout.spans(row["cell"], row["start"], row["num_tokens"])),
        )
        for row in found
    ]


def _measured(lake: Lakehouse, manifest: Manifest, layout: Layout, wanted: frozenset[str]) -> DataFrame:
    """Rows of MEASURED: of the cells that the wanted documents are in, also those that were taken out before."""
    facts, taken = manifest.dataset, [one for one in takedowns.of_dataset(manifest.folder) if one.num_tokens]
    gone = frozenset(one.doc_id for one in taken)
    keys = {doc_id: shuffle_key(facts.seed, doc_id) for doc_id in wanted | gone}
    cells = frozenset(layout.packing.cell(keys[doc_id]) for doc_id in wanted)
    measure = partial(
        _measure, layout.packing, manifest.folder / facts.tokenizer_file, facts.tokenizer_sha, (cells, wanted, gone)
    )
    corpus = lake.read("gold.corpus").where((F.col("corpus_id") == facts.corpus_id) & (F.col("split") == choose.TRAIN))
    rows = corpus.select("doc_id", "text").mapInArrow(measure, ddl(MEASURED))
    lost = [
        (one.doc_id, layout.packing.cell(keys[one.doc_id]), bytearray(keys[one.doc_id]), one.num_tokens, None)
        for one in taken
    ]
    return rows.union(lake.spark.createDataFrame(lost, ddl(MEASURED)))


def _measure(
    packing: Packing,
    tokenizer: Path,
    sha: str,
    chosen: tuple[frozenset[int], frozenset[str], frozenset[str]],
    batches: Batches,
) -> Batches:
    cells, wanted, gone = chosen
    found = loaded(tokenizer, sha)
    for batch in batches:
        names = batch.column("doc_id").to_pylist()
        is_in = [name not in gone and packing.cell(shuffle_key(packing.seed, name)) in cells for name in names]
        part = batch.filter(pa.array(is_in, pa.bool_()))
        encoded = with_eot(found.encode_batch(part.column("text")), found.eot)
        values, names = encoded.values.astype(packing.dtype), part.column("doc_id").to_pylist()
        spans = zip(names, pairwise(encoded.offsets.tolist()), strict=True)
        kept = [values[start:end].tobytes() if name in wanted else None for name, (start, end) in spans]
        keys = [shuffle_key(packing.seed, name) for name in names]
        columns = [names, map(packing.cell, keys), keys, np.diff(encoded.offsets), kept]
        arrays = [pa.array(list(column), one.type) for column, one in zip(columns, MEASURED, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=MEASURED)
