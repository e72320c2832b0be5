"""Tiny model and dataset folders, made of the real parts."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import zstandard

from lakeloom.evaluate.harness import Model
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.tokens import Tokenizer, train_sentencepiece
from lakeloom.train import checkpoint
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder

SENTENCE = "the river of data runs past a quiet mill where every page is read, counted and kept in order"


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Nineteen short documents."""
    words = SENTENCE.split()
    return [" ".join(words[i:] + words[:i]) + f". Line {i}.\n" for i in range(len(words))]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Tokenizer:
    """Bytes and a few pieces."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(train_sentencepiece(texts, 300))
    return Tokenizer.load(path)


@pytest.fixture
def make_model(tokenizer: Tokenizer) -> Callable[..., Model]:
    """Makes a random model; its output is scaled so that it has opinions."""

    def make(seed: int = 0, seq_len: int = 64, batch_tokens: int = 512) -> Model:
        config = ModelConfig(tokenizer.vocab_size, seq_len, dim=32, num_layers=2, num_heads=2, ffn_hidden=64)
        decoder = Decoder(config)
        decoder.initialize(seed)
        decoder.requires_grad_(False)
        decoder.output.weight *= 4
        return Model(decoder.eval(), tokenizer, batch_tokens=batch_tokens)

    return make


@pytest.fixture
def make_model_folder(tmp_path: Path, make_model: Callable[..., Model], tokenizer: Tokenizer) -> Callable[..., Path]:
    """Makes a finished model's folder, as train leaves it."""

    def make(seed: int = 0, run_id: str = "") -> Path:
        folder, decoder = tmp_path / f"model-{seed}", make_model(seed).decoder
        config: dict[str, Json] = {
            "model": asdict(decoder.config),
            "scale": {"name": "tiny"},
            "seed": seed,
            "dataset": {"name": "rivers", "export_id": identity("rivers"), "recipe": "raw"},
            "tokenizer_sha": tokenizer.sha,
            "tokenizer_file": tokenizer.path.name,
        }
        facts = {"name": f"rivers-tiny-s{seed}", "train_id": identity(seed), "run_id": run_id}
        state = checkpoint.State(decoder.state_dict(), {}, 1)
        checkpoint.save(folder, state, config, {**facts, "step": 1, "tokens": 4096, "loss": 5.5}, tokenizer.path)
        return folder

    return make


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[[str, list[str]], Path]:
    """Makes a dataset folder of no shards, with a holdout."""

    def make(name: str, documents: list[str]) -> Path:
        folder = tmp_path / f"dataset-{name}"
        folder.mkdir()
        texts = "name export_id corpus_id recipe recipe_hash pool tokenizer_sha tokenizer_file source_table"
        numbers = "vocab_size eot seq_len num_sequences num_tokens seed source_version"
        facts = dict.fromkeys(texts.split(), "-") | dict.fromkeys(numbers.split(), 0) | {"name": name}
        (folder / "dataset.json").write_text(json.dumps(facts))
        (folder / "manifest.jsonl").write_text("")
        rows = [{"doc_id": f"doc{i}", "url": "", "text": text} for i, text in enumerate(documents)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "holdout.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
        return folder

    return make
