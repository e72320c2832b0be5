"""The two shuffles of an export: documents to packed sequences of their cells, sequences to their places in shards."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.jobs import export_tasks
from lakeloom.jobs.export_tasks import PLACED, Placement
from lakeloom.lakehouse.packing import PACKED, TOKENISED, Packing
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.shard_source import WebDatasetSource
from lakeloom.lakehouse.shards import Shard, listed


def packed(documents: DataFrame, packing: Packing, tokenizer: Path, sha: str) -> DataFrame:
    """Documents (doc_id, text) to rows of PACKED: sequences by cell and index, and a row of totals for each cell."""
    tokenised = documents.mapInArrow(partial(export_tasks.tokenise, packing, tokenizer, sha), ddl(TOKENISED))
    cells = tokenised.repartition("cell").sortWithinPartitions("cell", "key", "part")
    return cells.mapInArrow(packing.packed, ddl(PACKED))


def saved(rows: DataFrame, packing: Packing, placement: Placement, folder: Path, **options: str) -> tuple[Shard, ...]:
    """The sequences of rows of PACKED in shards of a new folder, each at its place; the driver gets the manifest."""
    sequences = rows.where(F.col("index").isNotNull()).select("cell", "index", "tokens")
    placed = sequences.mapInArrow(placement.place, ddl(PLACED))
    by_shard = placed.repartition("shard").sortWithinPartitions("shard", "place")
    rows.sparkSession.dataSource.register(WebDatasetSource)
    shape: Mapping[str, str | int] = {"seq_len": packing.seq_len, "dtype": packing.dtype, "pad": packing.pad}
    by_shard.write.format("webdataset").mode("append").options(**shape, **options).save(str(folder))
    return listed(folder)
