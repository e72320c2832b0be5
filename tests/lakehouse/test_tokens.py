import io
import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.tokens import EOT, Tokenizer, train_sentencepiece

WORDS = ["the", "cat", "sat", "on", "a", "mat", "while", "two", "owls", "read", "old", "books", "by", "candle"]
# Every line another one, so that there are enough pairs to merge.
TEXTS = [" ".join(WORDS[(i * j + j) % len(WORDS)] for j in range(i % 17 + 3)) for i in range(200)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\t\u2581\0the cat"), max_size=60)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "small.model"
    path.write_bytes(train_sentencepiece(TEXTS, 320))
    return Tokenizer.load(path)


@pytest.fixture(scope="module")
def neox(shared: Path) -> Tokenizer:
    return Tokenizer.load(shared / "data" / "tokenizer" / "gpt-neox-20b.tokenizer.json")


@pytest.fixture(scope="module")
def pages(shared: Path) -> list[str]:
    packed = (shared / "oracle" / "pages.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as stream:
        return [json.loads(line)["text"] for line in io.TextIOWrapper(stream, "utf-8", newline="\n")]


def test_training_twice_gives_the_same_bytes() -> None:
    assert train_sentencepiece(TEXTS, 320) == train_sentencepiece(iter(TEXTS), 320)


def test_trained_model_has_the_size_asked_for_and_eot_first(trained: Tokenizer) -> None:
    assert (trained.kind, trained.vocab_size, trained.eot, trained.dtype) == ("sentencepiece", 320, 0, "uint16")


def test_too_small_a_sample_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no sentencepiece model of 4096 pieces"):
        train_sentencepiece(["a few words"], 4096)


@settings(deadline=None)
@given(text=TEXT)
def test_sentencepiece_gives_every_text_back(trained: Tokenizer, text: str) -> None:
    assert trained.decode(trained.encode(text)) == text


@settings(deadline=None)
@given(left=TEXT)
def test_sentencepiece_puts_nothing_before_a_text(trained: Tokenizer, left: str) -> None:
    """Evaluation tokenizes context and continuation apart."""
    assert trained.encode(left + "\n") == trained.encode(left) + trained.encode("\n")
    assert trained.decode(trained.encode(left) + trained.encode(" cat")) == left + " cat"


def test_eot_written_in_a_page_is_text(trained: Tokenizer) -> None:
    assert trained.eot not in trained.encode(f"a {EOT} b")
    assert trained.decode([*trained.encode("a"), trained.eot]) == "a"


@settings(deadline=None)
@given(texts=st.lists(st.none() | TEXT, max_size=5))
def test_a_batch_is_its_texts(trained: Tokenizer, texts: list[str | None]) -> None:
    values, offsets = trained.encode_batch(pa.array(texts, pa.string()))
    assert values.dtype == np.dtype(np.uint32)
    assert (len(offsets), offsets[0], offsets[-1]) == (len(texts) + 1, 0, len(values))
    for number, text in enumerate(texts):
        assert values[offsets[number] : offsets[number + 1]].tolist() == trained.encode(text or "")


@pytest.mark.slow
def test_neox_gives_hugging_face_ids_on_every_oracle_page(neox: Tokenizer, pages: list[str]) -> None:
    reference = tokenizers.Tokenizer.from_file(str(neox.path))
    expected = reference.encode_batch(pages, add_special_tokens=False)
    values, offsets = neox.encode_batch(pa.array(pages, pa.string()))
    assert len(pages) == 1895
    assert np.diff(offsets).tolist() == [len(one.ids) for one in expected]
    assert np.array_equal(values, np.concatenate([one.ids for one in expected]))


@settings(deadline=None)
@given(texts=st.lists(st.none() | TEXT, max_size=6), start=st.integers(0, 3))
def test_neox_batches_are_their_texts_wherever_arrow_has_them(
    neox: Tokenizer, texts: list[str | None], start: int
) -> None:
    for array in (pa.array(texts, pa.string()).slice(start), pa.array(["x", None, *texts], pa.string())[2:]):
        values, offsets = neox.encode_batch(array)
        assert (len(offsets), offsets[0], offsets[-1]) == (len(array) + 1, 0, len(values))
        for number, text in enumerate(array.to_pylist()):
            assert values[offsets[number] : offsets[number + 1]].tolist() == neox.encode(text or "")


def test_neox_is_read_by_the_fast_package(neox: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Tokenizer.load(neox.path)
    assert caplog.messages == []
    assert (neox.kind, neox.vocab_size, neox.eot, neox.dtype) == ("tokenizer_json", 50277, 0, "uint16")


@pytest.mark.parametrize(
    ("text", "ids"),
    [("", []), ("    x", [50274, 89]), (f"a{EOT}b", [66, 0, 67]), ("cafe\u0301", [68, 2320, 860])],
)
def test_neox_ids(neox: Tokenizer, text: str, ids: list[int]) -> None:
    reference = tokenizers.Tokenizer.from_file(str(neox.path)).encode(text, add_special_tokens=False).ids
    assert neox.encode(text) == reference == ids


def test_a_file_that_gigatoken_does_not_read_is_read_by_tokenizers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tokenizers.models.WordLevel({"[UNK]": 0, "cat": 1, "sat": 2, EOT: 3}, unk_token="[UNK]")  # noqa: S106
    words = tokenizers.Tokenizer(model)
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "words.json"))
    with caplog.at_level(logging.WARNING):
        tokenizer = Tokenizer.load(tmp_path / "words.json")
    assert "slower" in caplog.text
    assert tokenizer.encode("sat cat dog") == [2, 1, 0]
    assert (tokenizer.eot, tokenizer.vocab_size) == (3, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "is no tokenizer.json"),
        (b"", "is empty"),
        (b"\x7fELF", "is no sentencepiece model"),
        (None, "no readable tokenizer file"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_a_config_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "odd"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Tokenizer.load(path)


def test_a_json_without_an_end_of_text_is_a_config_error(tmp_path: Path) -> None:
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "t.json"))  # noqa: S106
    with pytest.raises(ConfigError, match="no token that ends a document"):
        Tokenizer.load(tmp_path / "t.json")
