"""A run that leaves nothing behind, for measuring the trainer and comparing it: sequences as a dataset, no tracking."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakeloom.lakehouse import shard_writer
from lakeloom.lakehouse.shards import DatasetFacts
from lakeloom.train.config import TrainConfig, checked

_RUN: dict[str, object] = {
    "seed": 0,
    "seeds": 1,
    "start": None,
    "decay": "cosine",
    "tracking_uri": None,
    "experiment": "scratch",
    "registered_model": None,
    "nproc": 1,
    "threads": None,
    "device": "auto",
    "precision": "auto",
    "micro_batch": None,
    "compile": "auto",
    "attention": "auto",
    "loss_chunk": None,
    "zero_stage": 1,
    "allow_repeats": True,
    "verify": False,
    "validations": 0,
    "validation_bytes": 1,
    "save_every": 0,
    "keep": 1,
    "keep_every": 0,
    "average": 0,
    "max_skipped": 0,
}


def configuration(scale: Mapping[str, object], dataset: Path, run: Mapping[str, object], where: str) -> TrainConfig:
    """A run at this scale on this dataset, with these fields of TrainConfig changed. Raises ConfigError."""
    return checked({**_RUN, **run, "scale": scale, "dataset": str(dataset), "models": str(dataset.parent)}, where)


def facts(seq_len: int, num_sequences: int, vocab_size: int) -> DatasetFacts:
    """Of sequences that are of no text: name and tokenizer say so."""
    return DatasetFacts(
        name="scratch",
        export_id="0" * 32,
        corpus_id="",
        recipe="",
        recipe_hash="",
        pool="",
        tokenizer_sha=hashlib.sha256(b"").hexdigest(),
        tokenizer_file="none",
        vocab_size=vocab_size,
        eot=0,
        seq_len=seq_len,
        num_sequences=num_sequences,
        num_tokens=num_sequences * seq_len,
        seed=0,
        source_table="",
        source_version=0,
    )


def write_dataset(folder: Path, sequences: npt.NDArray[np.uint32], vocab_size: int) -> None:
    """A dataset of one shard, in this order; its name and its tokenizer say that it is none of text."""
    described = facts(sequences.shape[1], len(sequences), vocab_size)
    aside = shard_writer.begin(folder, described.export_id)
    dtype = "uint16" if vocab_size <= 1 << 16 else "uint32"
    shard = shard_writer.write_shard(aside, 0, sequences, seq_len=described.seq_len, dtype=dtype)
    (aside / described.tokenizer_file).touch()
    shard_writer.publish(aside, folder, described, shard_writer.Accounting(sequences.size, 0, len(sequences)), [shard])
