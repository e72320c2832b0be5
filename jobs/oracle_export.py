"""make oracle-export POOL=folder [TOKENIZER=file] [ARGS=export.leftovers=pad]: a dataset on 1 and on 7 partitions.

The folder's archives are ingested and curated by the recipe raw, once. For each number of partitions the documents
then come in another order, in files of their own, to a lakehouse of their own, and are exported there. Exit 1 where the
manifests differ, a token or a document is lost, what the shards give back is not the documents' own tokens, or the
`webdataset` library reads other bytes than lakeloom does. Without TOKENIZER the pool's sentencepiece model is trained.
"""

import gzip
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from lakeloom.jobs import choose, cli, config, export, fit_tokenizer
from lakeloom.jobs.export import ExportConfig
from lakeloom.jobs.oracle_dedup import Check, show
from lakeloom.lakehouse.errors import LakeloomError
from lakeloom.lakehouse.ids import shuffle_key
from lakeloom.lakehouse.members import DTYPES, Tokens
from lakeloom.lakehouse.order import permuted
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tokens import Tokenizer

PARTITIONS = (1, 7)
_DOCUMENTS = "silver.documents"
_ROWS = 500  # texts that are tokenised at once


@dataclass(frozen=True)
class Exported:
    """One export: its report, its manifest and the SHA-256 of the manifest's file."""

    partitions: int
    cfg: ExportConfig
    report: Report
    manifest: Manifest
    sha256: str


def prepare(session: SparkSession, root: Path, overrides: Sequence[str]) -> tuple[Lakehouse, tuple[str, ...]]:
    """Ingest, curate and, where no file is named, a tokenizer; the lakehouse and the words of later jobs."""
    words = (*overrides, "recipe=raw", "dedup.methods=[]", "choose.holdout_share=0")
    source = (*words, f"lakehouse.root={root / 'source'}")
    for job in ("ingest", "curate"):
        cli.run(job, session, cli.load(job, *source))
    lake = Lakehouse(session, LakehouseConfig(str(root / "source"), ""))
    if not any(word.startswith("tokenizer.path=") for word in words):
        found = fit_tokenizer.run(session, cli.load("fit_tokenizer", *source))
        words = (*words, f"tokenizer.path={config.quoted(str(found.facts['tokenizer']))}")
    return lake, words


def exports(source: Lakehouse, root: Path, words: Sequence[str], partitions: Sequence[int]) -> Iterator[Exported]:
    """The same documents, shuffled into so many files, chosen and exported on so many partitions."""
    session = source.spark
    settings = ("spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled")
    before = {name: str(session.conf.get(name)) for name in settings}
    try:
        for number in partitions:
            for name, value in zip(settings, (str(number), "false"), strict=True):
                session.conf.set(name, value)
            lake = Lakehouse(session, LakehouseConfig(str(root / f"on-{number}"), ""))
            mixed = source.read(_DOCUMENTS).repartition(number, F.xxhash64("doc_id", F.lit(number)))
            mixed = mixed.sortWithinPartitions(F.xxhash64("doc_id", F.lit(number), F.lit("order")))
            lake.append(mixed, _DOCUMENTS, txn="oracle")
            cfg: ExportConfig = cli.load("export", *words, f"lakehouse.root={lake.cfg.root}")
            choose.run(session, cfg.choose)
            report = export.run(session, cfg)
            manifest = Manifest.load(Path(str(report.facts["folder"])))
            manifest.verify()
            content = (manifest.folder / "manifest.jsonl").read_bytes()
            yield Exported(number, cfg, report, manifest, hashlib.sha256(content).hexdigest())
    finally:
        for name, value in before.items():
            session.conf.set(name, value)


@dataclass(frozen=True)
class Streams:
    """Tokens of the documents, tokenised here one batch after the other: of each cell, in the order of packing.

    With leftovers=pad each is filled up with the dataset's pad.
    """

    cells: tuple[Tokens, ...]
    num_documents: int
    num_pads: int = 0

    @classmethod
    def of(cls, lake: Lakehouse, cfg: ExportConfig, tokenizer: Tokenizer, pad: int) -> "Streams":
        found: list[list[tuple[bytes, Tokens]]] = [[] for _ in range(cfg.num_cells)]
        rows = lake.read(_DOCUMENTS).where("dropped_by is null and num_chars > 0").select("doc_id", "text")
        for batch in _batches((row["doc_id"], row["text"]) for row in rows.toLocalIterator()):
            encoded = tokenizer.encode_batch(pa.array([text for _, text in batch], pa.string()))
            for number, (doc_id, _) in enumerate(batch):
                ids = encoded.values[encoded.offsets[number] : encoded.offsets[number + 1]]
                key = shuffle_key(cfg.seed, doc_id)
                joined = np.append(ids, np.uint32(tokenizer.eot)).astype(np.uint32)
                found[int.from_bytes(key[:8], "big") % cfg.num_cells].append((key, joined))
        empty = np.empty(0, np.uint32)
        cells = [np.concatenate([empty, *[ids for _, ids in sorted(cell, key=lambda one: one[0])]]) for cell in found]
        fills = [-len(cell) % (cfg.context + 1) if pad >= 0 else 0 for cell in cells]
        filled = [
            np.append(cell, np.full(fill, pad)).astype(np.uint32) for cell, fill in zip(cells, fills, strict=True)
        ]
        return cls(tuple(filled), sum(map(len, found)), sum(fills))

    @property
    def num_tokens(self) -> int:
        """Without pads."""
        return sum(map(len, self.cells)) - self.num_pads


def _batches(rows: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def read_back(reader: ShardReader, streams: Streams, seed: int) -> int:
    """Sequences that hold their part of their cell's documents, looked up where the shuffle put them."""
    seq_len, same, number = reader.manifest.dataset.seq_len, 0, 0
    if sum(len(stream) // seq_len for stream in streams.cells) != len(reader):
        return -1
    for stream in streams.cells:
        size = len(stream) // seq_len
        positions = permuted(np.arange(number, number + size, dtype=np.uint64), len(reader), f"shards/{seed}".encode())
        for row, position in zip(stream[: size * seq_len].reshape(-1, seq_len), positions.tolist(), strict=True):
            same += bool(np.array_equal(reader[position], row))
        number += size
    return same


def library_reads(manifest: Manifest) -> int:
    """Sequences that the webdataset library gives, in order and equal to ours."""
    from webdataset import tariterators  # of the extra `train`

    reader, same, index = ShardReader(manifest), 0, 0
    for shard in manifest.shards:
        with manifest.path(shard).open("rb") as stream:
            members = tariterators.tar_file_expander([{"url": shard.shard, "stream": stream}])
            for sample in tariterators.group_by_keys(members):
                same += index < len(reader) and bool(np.array_equal(_sequence(sample, shard.dtype), reader[index]))
                index += 1
    return same if index == len(reader) else -1


def _sequence(sample: dict[str, bytes], dtype: str) -> Tokens:
    if "bin" in sample:
        return np.frombuffer(sample["bin"], DTYPES[dtype])
    return np.array(json.loads(gzip.decompress(sample["json.gz"])), DTYPES[dtype])


def checks(one: Exported, first: Exported, streams: Streams) -> list[Check]:
    """Each promise of an export."""
    facts, reader = one.report.facts, ShardReader(one.manifest)
    num_sequences, num_tokens = len(reader), one.manifest.dataset.num_tokens
    left = sum(len(cell) % one.manifest.dataset.seq_len for cell in streams.cells)
    on = f"on {one.partitions} partitions"
    is_same = one.sha256 == first.sha256
    return [
        Check(f"shards {on}, manifest.jsonl {one.sha256[:16]}", len(one.manifest.shards), len(first.manifest.shards),
              is_same),
        Check(f"documents packed {on}, and with text", one.report.rows_in, streams.num_documents),
        Check(f"tokens in {on}, and of the documents with their ends", int(facts["tokens_in"]), streams.num_tokens),
        Check(f"tokens out and left over {on}, and in with pads", num_tokens + int(facts["tokens_remainder"]),
              int(facts["tokens_in"]) + int(facts["num_pads"])),
        Check(f"pads {on}, and room in the cells' last sequences", int(facts["num_pads"]), streams.num_pads),
        Check(f"tokens left over {on}, and of the documents' cells", int(facts["tokens_remainder"]), left),
        Check(f"sequences {on} that are the documents' tokens, of all", read_back(reader, streams, one.cfg.seed),
              num_sequences),
        Check(f"sequences {on} that the webdataset library reads alike, of all", library_reads(one.manifest),
              num_sequences),
    ]  # fmt: skip


def compare(session: SparkSession, root: Path, console: Console, overrides: Sequence[str]) -> bool:
    """Print the checks of each export; whether all hold."""
    source, words = prepare(session, root, overrides)
    first, streams, holds = None, None, True
    for one in exports(source, root, words, PARTITIONS):
        first = first or one
        if streams is None:
            dataset = one.manifest.dataset
            tokenizer = Tokenizer.load(one.manifest.folder / dataset.tokenizer_file)
            streams = Streams.of(source, one.cfg, tokenizer, dataset.pad)
            said = f"{streams.num_documents:,} documents, {streams.num_tokens:,} tokens of {tokenizer.kind}"
            console.print(f"{said} {tokenizer.sha[:16]}, {dataset.num_sequences:,} sequences", markup=False)
        holds &= show(console, checks(one, first, streams))
    return holds


def main(folder: str, tokenizer: str, words: Sequence[str]) -> int:
    """Print the counts and the checks; the exit code."""
    named = [f"tokenizer.path={config.quoted(str(Path(tokenizer).absolute()))}", "tokenizer=file"] if tokenizer else []
    overrides = [f"pool={Path(folder).absolute()}", *named, *words]
    with TemporaryDirectory(prefix="lakeloom-oracle-") as scratch:
        session = spark(config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={scratch}"])))
        holds = compare(session, Path(scratch), Console(width=120), overrides)
        session.stop()
    return 0 if holds else 1


if __name__ == "__main__":
    try:
        if len(sys.argv) < 2 or not sys.argv[1]:
            sys.stderr.write("usage: make oracle-export POOL=folder [TOKENIZER=file] [ARGS=export.leftovers=pad]\n")
            sys.exit(2)
        sys.exit(main(sys.argv[1], (sys.argv[2:] or [""])[0], sys.argv[3:]))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
