"""Bits per byte while training are those that evaluate gives the finished model."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard

from lakeloom.evaluate import bits
from lakeloom.evaluate.estimates import ratio
from lakeloom.evaluate.harness import Model
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.holdout import read
from lakeloom.lakehouse.tokens import Tokenizer, train_sentencepiece
from lakeloom.train import checkpoint, journal, loop, tracking, validation
from lakeloom.train.config import TrainConfig

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
TEXTS = [f"Page {n} of the river: {n * n} mills, caf\u00e9s and boats.\n" for n in range(40)] + ["", "\u4e2d\u6587"]


@pytest.fixture(scope="module")
def dataset(make_dataset: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences of a real tokenizer's ids, that tokenizer, and held-out documents."""
    folder = tmp_path_factory.mktemp("validation")
    model = folder / "fitted.model"
    model.write_bytes(train_sentencepiece(TEXTS, 320))
    tokenizer = Tokenizer.load(model)
    ids = np.array([token for text in TEXTS * 3 for token in (*tokenizer.encode(text), tokenizer.eot)], np.int64)
    sequences = ids[: len(ids) // 17 * 17].reshape(-1, 17)
    made = make_dataset(folder / "set", sequences, tokenizer.vocab_size, model.read_bytes())
    lines = "".join(json.dumps({"doc_id": str(n), "text": text}) + "\n" for n, text in enumerate(TEXTS))
    (made / "holdout.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    return made


@pytest.mark.parametrize(("precision", "micro_batch"), [("fp32", 4), ("fp32", 1), ("bf16", 8)])
def test_what_is_logged_is_what_evaluate_finds(
    make_config: MakeConfig, dataset: Path, precision: str, micro_batch: int, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    cfg = make_config(
        dataset=str(dataset),
        validations=3,
        validation_bytes=500,
        allow_repeats=True,
        precision=precision,
        micro_batch=micro_batch,
        loss_chunk=40,
        tracking_uri=uri,
    )
    result = loop.run(cfg)
    lines = journal.read(result.folder)
    measured = {int(line["step"]): line["bits_per_byte"] for line in lines if "bits_per_byte" in line}
    assert sorted(measured) == [4, 7, 10]
    documents = read(dataset, max_bytes=500).documents
    assert 500 <= sum(document.num_bytes for document in documents) < 600
    decoder = checkpoint.load_model(result.folder).requires_grad_(False)
    model = Model(decoder, Tokenizer.load(dataset / "toy.model"), batch_tokens=64)
    found = ratio([one.bits_per_byte for one in bits.measure(model, documents)]).value
    assert measured[10] == pytest.approx(found, rel=1e-5 if precision == "fp32" else 1e-2)
    assert measured[10] == result.bits_per_byte
    assert measured[10] < measured[4]
    params = tracking.client(uri).get_run(result.run_id).data.params
    assert params["validation_sha256"] == read(dataset).sha256
    history = tracking.client(uri).get_metric_history(result.run_id, "bits_per_byte")
    assert [(point.step, point.value) for point in history] == list(measured.items())


def test_nothing_held_out_is_no_validation(make_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    result = loop.run(make_config(validations=2))
    assert "has no held-out documents: no bits per byte while training" in caplog.text
    assert not any("bits_per_byte" in line for line in journal.read(result.folder))


def test_a_broken_file_is_named_before_training(make_config: MakeConfig, dataset: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in dataset.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "holdout.jsonl.zst").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match=r"holdout\.jsonl\.zst: no held-out documents"):
        loop.run(make_config(dataset=str(broken), validations=2, allow_repeats=True))
    assert not list(Path(tmp_path / "models").glob("*/losses.jsonl"))


def test_windows_hold_every_token_once(dataset: Path) -> None:
    held = validation.load(dataset, "toy.model", 16, 10**6)
    assert held is not None
    tokenizer = Tokenizer.load(dataset / "toy.model")
    assert held.num_bytes == sum(len(text.encode()) for text in TEXTS)
    counted = held.windows[:, 1:][held.is_counted]
    assert counted.tolist() == [token for text in TEXTS for token in tokenizer.encode(text)]
    assert held.bits_per_byte(math.log(2) * held.num_bytes) == pytest.approx(1)
    assert held.windows.shape[1] == 17


@pytest.mark.parametrize(("num_steps", "number"), [(10, 3), (7, 7), (5, 8), (100, 1)])
def test_measurements_are_spread_evenly(num_steps: int, number: int) -> None:
    found = sorted(validation.steps(num_steps, number))
    assert found[-1] == num_steps
    assert found[0] >= 1
    assert len(found) == min(number, num_steps)
    assert torch.tensor([0, *found]).diff().max() <= -(-num_steps // min(number, num_steps))
