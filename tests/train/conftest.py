"""A tiny dataset folder and a configuration that trains on it in seconds."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lakeloom.lakehouse import shard_writer
from lakeloom.lakehouse.shards import DatasetFacts
from lakeloom.train.config import ScaleConfig, TrainConfig

MakeDataset = Callable[..., Path]
MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Toys are faster on one thread, and much faster where other processes want the second core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """make_dataset(folder, sequences): a dataset folder of those token sequences, in two shards."""

    def make(
        folder: Path,
        sequences: npt.NDArray[np.int64],
        vocab_size: int = 64,
        tokenizer: bytes = b"toy tokenizer",
        ext: str = "bin",
    ) -> Path:
        export_id = hashlib.sha256(sequences.tobytes()).hexdigest()[:32]
        facts = DatasetFacts(
            name="toy",
            export_id=export_id,
            corpus_id="c" * 32,
            recipe="raw",
            recipe_hash="r" * 32,
            pool="toy",
            tokenizer_sha=hashlib.sha256(tokenizer).hexdigest(),
            tokenizer_file="toy.model",
            vocab_size=vocab_size,
            eot=0,
            seq_len=sequences.shape[1],
            num_sequences=len(sequences),
            num_tokens=sequences.size,
            seed=0,
            source_table="gold.corpus",
            source_version=3,
        )
        aside = shard_writer.begin(folder, export_id)
        halves = np.array_split(sequences.astype(np.uint32), 2)
        shards = [
            shard_writer.write_shard(aside, number, half, seq_len=facts.seq_len, dtype="uint16", ext=ext)
            for number, half in enumerate(halves)
        ]
        (aside / "toy.model").write_bytes(tokenizer)
        shard_writer.publish(aside, folder, facts, shard_writer.Accounting(sequences.size, 0, 1), shards)
        return folder

    return make


@pytest.fixture(scope="session")
def toy(make_dataset: MakeDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 sequences of 17 tokens in which every token is the one before plus three: easy to learn."""
    starts = np.random.default_rng(0).integers(0, 64, 200)
    return make_dataset(tmp_path_factory.mktemp("toy") / "toy", (starts[:, None] + 3 * np.arange(17)) % 64)


@pytest.fixture
def make_config(toy: Path, tmp_path: Path) -> MakeConfig:
    """make_config(**changes): a run of 10 steps on the toy dataset, any field of scale or run changed."""

    def make(**changes: object) -> TrainConfig:
        scale: dict[str, object] = {
            "name": "tiny",
            "dim": 16,
            "num_layers": 2,
            "num_heads": 2,
            "ffn_hidden": 32,
            "vocab_size": None,
            "seq_len": 16,
            "multiplier": 1,
            "tokens": 10 * 8 * 16,
            "global_batch": 8,
            "accumulation": 2,
            "warmup": 3,
            "lr": 0.01,
            "cooldown_lr": 1e-4,
            "weight_decay": 0.1,
            "z_loss": 1e-4,
        }
        run: dict[str, object] = {
            "dataset": str(toy),
            "models": str(tmp_path / "models"),
            "seed": 0,
            "seeds": 1,
            "start": None,
            "decay": "cosine",
            "tracking_uri": None,
            "experiment": "train",
            "registered_model": None,
            "nproc": 1,
            "threads": 1,
            "device": "cpu",
            "precision": "fp32",
            "micro_batch": None,
            "compile": "auto",
            "attention": "auto",
            "loss_chunk": None,
            "zero_stage": 1,
            "allow_repeats": False,
            "verify": True,
            "validations": 0,
            "validation_bytes": 1000,
            "save_every": 0,
            "keep": 1,
            "keep_every": 0,
            "average": 0,
            "max_skipped": 2,
        }
        for name, value in changes.items():
            (scale if name in scale else run)[name] = value
        return TrainConfig(scale=ScaleConfig(**scale), **run)  # type: ignore[arg-type]  # the fields above

    return make
