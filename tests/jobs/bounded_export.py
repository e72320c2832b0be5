"""The shuffles of an export in little memory, run as a program: prints counts and the workers' peaks as JSON.

Spark may use some 20 MB for shuffles and sorts (a tenth of what a heap of 512 MB leaves), and gets ten times as many of
text. Then a document of 50 MB. Argument: a folder.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import tokenizers
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import config, sequences
from lakeloom.jobs.export_tasks import Placement
from lakeloom.jobs.scratch import stored
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.tokens import EOT, Tokenizer

WORDS = "the cat sat on the mat while two owls read old books by candle"
NUM_DOCUMENTS, DOCUMENT, LONG = 2_000, 100_000, 50_000_000


def text(number: int, num_bytes: int) -> str:
    """So many bytes; of every number another text."""
    line = f"{number * 7919:x} {WORDS} {number}\n"
    return (line * (num_bytes // len(line) + 1))[:num_bytes]


def tokenizer(folder: Path) -> Tokenizer:
    """A small byte-level BPE."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(special_tokens=[EOT], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([WORDS] * 50, trainer)
    made.save(str(folder / "tokenizer.json"))
    return Tokenizer.load(folder / "tokenizer.json")


def peaks_mb() -> list[float]:
    """The largest resident sizes of the Python workers."""
    found: list[float] = []
    for process in psutil.Process().children(recursive=True):
        status = Path(f"/proc/{process.pid}/status").read_text()
        if "python" in process.name():
            found.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    return sorted(found)


def written(session: SparkSession, texts: Iterator[str], folder: Path) -> dict[str, int]:
    """Text to shards; what was counted."""
    folder.mkdir()
    with pq.ParquetWriter(folder / "texts.parquet", pa.schema({"doc_id": pa.string(), "text": pa.string()})) as file:
        for number, one in enumerate(texts):
            file.write_table(pa.table({"doc_id": [str(number)], "text": [one]}), row_group_size=1)
    loaded = tokenizer(folder)
    packing = Packing(2049, 4, 0, loaded.dtype)
    documents = session.read.parquet(str(folder / "texts.parquet"))
    rows = stored(sequences.packed(documents, packing, loaded.path, loaded.sha), folder / "packed")
    totals = (F.sum("num_documents"), F.sum("tokens_in"), F.count("index"))
    found = rows.agg(*totals).first()
    counts = {row["cell"]: row["n"] for row in rows.groupBy("cell").agg(F.count("index").alias("n")).collect()}
    assert found is not None
    starts = list(accumulate((counts.get(cell, 0) for cell in range(4)), initial=0))
    placement = Placement(tuple(starts[:-1]), starts[-1], 512, 0)
    shards = sequences.saved(rows, packing, placement, folder / "shards")
    return {
        "documents": found[0],
        "tokens_in": found[1],
        "sequences": found[2],
        "in_shards": sum(shard.num_sequences for shard in shards),
    }


def main(folder: Path) -> None:
    local: SparkConfig = config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={folder}"]))
    options = local.options | {"spark.memory.fraction": "0.1"}
    session = spark(replace(local, memory="512m", options=options))
    corpus = written(session, (text(number, DOCUMENT) for number in range(NUM_DOCUMENTS)), folder / "corpus")
    peaks = peaks_mb()
    long = written(session, iter([text(1, LONG), "short"]), folder / "long")
    print(json.dumps({"corpus": corpus, "long": long, "peaks": peaks, "after": peaks_mb()}))  # noqa: T201
    session.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
