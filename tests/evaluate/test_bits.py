import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lakeloom.evaluate import bits
from lakeloom.evaluate.estimates import ratio
from lakeloom.evaluate.harness import Model
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.holdout import Document
from lakeloom.lakehouse.tokens import Tokenizer


@pytest.fixture
def documents(texts: list[str]) -> list[Document]:
    """Plain, empty, not ASCII, and longer than a window."""
    return [Document(str(i), text) for i, text in enumerate([*texts[:4], "", "caf\u00e9 \u4e2d", "".join(texts)])]


def test_a_uniform_model_needs_log2_of_the_vocabulary(
    make_model: Callable[..., Model], tokenizer: Tokenizer, documents: list[Document]
) -> None:
    model = make_model()
    model.decoder.output.weight.zero_()
    found = ratio([one.bits_per_byte for one in bits.measure(model, documents)])
    num_tokens = sum(len(tokenizer.encode(document.text)) for document in documents)
    num_bytes = sum(len(document.text.encode()) for document in documents)
    assert found.value == pytest.approx(math.log2(tokenizer.vocab_size) * num_tokens / num_bytes)
    assert found.num_items == len(documents)


def test_losses_are_those_of_windows_read_one_at_a_time(
    make_model: Callable[..., Model], tokenizer: Tokenizer, documents: list[Document]
) -> None:
    model, stream, owner = make_model(), list[int](), list[int]()
    for number, document in enumerate(documents):
        ids = tokenizer.encode(document.text)
        stream += [tokenizer.eot, *ids]
        owner += [-1, *[number] * len(ids)]
    expected = [0.0] * len(documents)
    for start in range(0, len(stream) - 1, model.seq_len):
        window = torch.tensor(stream[start : start + model.seq_len + 1])
        losses = torch.nn.functional.cross_entropy(model.decoder(window[None, :-1])[0], window[1:], reduction="none")
        for loss, number in zip(losses.tolist(), owner[start + 1 :], strict=False):
            if number >= 0:
                expected[number] += loss
    found = bits.measure(model, documents)
    assert [one.nats for one in found] == pytest.approx(expected, abs=1e-3)
    assert [one.num_tokens for one in found] == [owner.count(number) for number in range(len(documents))]
    assert [one.doc_id for one in found] == [document.doc_id for document in documents]


def test_batches_change_nothing(make_model: Callable[..., Model], documents: list[Document]) -> None:
    one = [found.nats for found in bits.measure(make_model(batch_tokens=64), documents)]
    two = [found.nats for found in bits.measure(make_model(batch_tokens=4096), documents)]
    assert one == pytest.approx(two, rel=1e-5)


def test_a_holdout_is_read_to_its_limit(make_dataset: Callable[[str, list[str]], Path]) -> None:
    folder = make_dataset("rivers", ["a", "line\u2028separator", "c"])
    whole, cut = bits.read(folder), bits.read(folder, 2)
    assert (whole.name, [one.text for one in whole.documents]) == ("rivers", ["a", "line\u2028separator", "c"])
    assert cut.documents == whole.documents[:2]
    assert cut.sha256 == whole.sha256


def test_wrong_folders_and_broken_files_are_named(
    tmp_path: Path, make_dataset: Callable[[str, list[str]], Path]
) -> None:
    with pytest.raises(ConfigError, match=r"has no holdout.jsonl.zst"):
        bits.read(tmp_path)
    with pytest.raises(BadInput, match="no held-out text in 1 documents"):
        bits.read(make_dataset("empty", [""]))
    folder = make_dataset("broken", ["a"])
    whole = (folder / "holdout.jsonl.zst").read_bytes()
    for wrong in (b"nonsense", whole[:-2], b""):
        (folder / "holdout.jsonl.zst").write_bytes(wrong)
        with pytest.raises(BadInput, match="no held-out"):
            bits.read(folder)
