"""make bench-export DIR=folder TOKENIZER=file [MB=1000]: megabytes a second and core, from text to shards to batches.

Measured in CPU time of all processes, on the texts of a folder (.jsonl.zst files whose lines have a `text`), altered
until there are so many megabytes. Asked for: GPT-NeoX's ids and packed sequences through Spark at 25 MB of text a
second and core, and 15 times what the `tokenizers` package does on one core in the same run, with the same ids on every
text that both encode; shuffle and shards at 30 MB of tokens; random sequences from the shards at 20 million tokens.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import tokenizers
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from lakeloom.jobs import config, sequences
from lakeloom.jobs.bench_dedup import altered, speed, texts, write
from lakeloom.jobs.bench_filters import Line, cheapest, show
from lakeloom.jobs.bench_ingest import since, tree_cpu_s
from lakeloom.jobs.export_tasks import Placement
from lakeloom.jobs.scratch import stored
from lakeloom.lakehouse.errors import BadInput, ConfigError, LakeloomError
from lakeloom.lakehouse.members import Form
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.shards import Manifest, Shard, ShardReader
from lakeloom.lakehouse.tokens import Tokenizer

TOKENISE, TIMES, WRITE, LOADER = 25.0, 15.0, 30.0, 20.0  # MB/s, times tokenizers, MB/s, million tokens/s; of a core
_REFERENCE_MB = 20
_SHARD, _CELLS, _SEED = 8192, 8, 0
_BATCH, _STEPS = 256, 40


def reference(tokenizer: Tokenizer, given: Sequence[str], megabytes: float = _REFERENCE_MB) -> tuple[float, Line]:
    """MB/s of the tokenizers package on one core; BadInput unless its ids are ours on every text."""
    plain = tokenizers.Tokenizer.from_file(str(tokenizer.path))
    some = list(altered(given, megabytes))
    megabytes = sum(len(text.encode()) for text in some) / 1e6
    started = time.process_time()
    found = plain.encode_batch(some, add_special_tokens=False)
    rate = megabytes / (time.process_time() - started)
    ours = tokenizer.encode_batch(pa.array(some, pa.string()))
    for number, one in enumerate(found):
        if not np.array_equal(ours.values[ours.offsets[number] : ours.offsets[number + 1]], one.ids):
            raise BadInput(f"bench: other ids than those of tokenizers for the text that begins {some[number][:40]!r}")
    said = f"{megabytes:,.0f} MB: {rate:.2f} MB/s a core; the same ids on all of {len(some):,} texts"
    return rate, Line("tokenizers", said)


def kernel(tokenizer: Tokenizer, packing: Packing, given: Sequence[str]) -> Line:
    """Text to rows for the shuffle, in this process: the cheapest of three runs."""
    batch = pa.RecordBatch.from_pydict({"doc_id": [str(number) for number in range(len(given))], "text": given})
    spent = cheapest(lambda: packing.tokenised(batch, tokenizer), 3)
    return speed("ids alone", batch.column("text").nbytes / 1e6, spent, TOKENISE)


def through_spark(
    documents: DataFrame, tokenizer: Tokenizer, packing: Packing, folder: Path
) -> tuple[DataFrame, float]:
    """Packed sequences in a folder, and the CPU seconds for them."""
    before = tree_cpu_s()
    rows = stored(sequences.packed(documents, packing, tokenizer.path, tokenizer.sha), folder)
    return rows, since(before)


def placed(rows: DataFrame) -> Placement:
    """Places of all sequences."""
    counts = {row["cell"]: row["n"] for row in rows.groupBy("cell").agg(F.count("index").alias("n")).collect()}
    starts = list(accumulate((counts.get(cell, 0) for cell in range(_CELLS)), initial=0))
    return Placement(tuple(starts[:-1]), starts[-1], _SHARD, _SEED)


def loader(folder: Path, form: Form, shards: Sequence[Shard], vocab_size: int) -> Line:
    """Batches of random sequences: training's own, from shards in the page cache."""
    from lakeloom.train import scratch
    from lakeloom.train.data import Batches

    num = sum(shard.num_sequences for shard in shards)
    facts = scratch.facts(form.seq_len, num, vocab_size)
    batches = Batches(ShardReader(Manifest(folder, facts, tuple(shards))), _SEED, _BATCH)
    for index in range(0, num, _SHARD):  # opens every shard
        batches.reader[index]
    started = time.process_time()
    tokens = sum(batches.batch(step).size for step in range(_STEPS))
    rate = tokens / (time.process_time() - started) / 1e6
    said = f"{tokens:,} tokens in random order: {rate:.1f} million/s a core (goal: {LOADER:g} or more)"
    return Line("loader", said, rate >= LOADER)


def measured(
    session: SparkSession, given: Sequence[str], tokenizer: Tokenizer, top: Path, megabytes: float
) -> Iterator[Line]:
    """All measurements, with their goals. What Spark does for the first time is not counted."""
    packing = Packing(2049, _CELLS, _SEED, tokenizer.dtype)
    rate, line = reference(tokenizer, given)
    yield line
    yield kernel(tokenizer, packing, given)
    for name, size in (("first", megabytes / 5), ("all", megabytes)):
        written = write(altered(given, size), top / f"{name}-texts")
        documents = session.read.parquet(str(top / f"{name}-texts"))
        rows, spent = through_spark(documents, tokenizer, packing, top / f"{name}-packed")
        placement, before = placed(rows), tree_cpu_s()
        shards = sequences.saved(rows, packing, placement, top / name)
        saving = since(before)
    yield speed("ids and packing", written, spent, TOKENISE)
    times = written / spent / rate
    yield Line("beside tokenizers", f"{times:.1f} times (goal: {TIMES:g} or more)", times >= TIMES)
    tokens = sum(shard.num_tokens for shard in shards) * packing.itemsize / 1e6
    yield speed("shuffle and shards", tokens, saving, WRITE)
    yield loader(top / name, Form(packing.seq_len, packing.dtype), shards, tokenizer.vocab_size)


def main(place: str, tokenizer: str, megabytes: float) -> int:
    """Print the measurements; exit code 1 where one is below its goal."""
    console = Console(width=140)
    given, loaded = texts(Path(place)), Tokenizer.load(Path(tokenizer).absolute())
    if loaded.kind != "tokenizer_json":
        raise ConfigError(f"bench: {tokenizer} is a {loaded.kind} file; give a tokenizer.json, such as GPT-NeoX's")
    with TemporaryDirectory(prefix="lakeloom-bench-") as scratch:
        session = spark(config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={scratch}/lake"])))
        code = show(console, measured(session, given, loaded, Path(scratch), megabytes))
        session.stop()
    return code


if __name__ == "__main__":
    try:
        megabytes = sys.argv[3] if len(sys.argv) > 3 else "1000"
        if len(sys.argv) < 3 or not all(sys.argv[1:3]) or not megabytes.isdecimal() or not int(megabytes):
            raise ConfigError("usage: make bench-export DIR=folder TOKENIZER=tokenizer.json [MB=1000]")
        sys.exit(main(sys.argv[1], sys.argv[2], int(megabytes)))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
