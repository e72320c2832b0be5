from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.packing import PACKED, TOKENISED, Packing, pack, with_eot
from lakeloom.lakehouse.tokens import EOT, Encoded, Tokenizer, train_sentencepiece

IDS = st.lists(st.integers(1, 70_000), max_size=40)


def encoded(documents: list[list[int]]) -> Encoded:
    values = np.array([one for ids in documents for one in ids], np.uint32)
    return Encoded(values, np.cumsum([0, *map(len, documents)]))


@pytest.mark.parametrize(
    ("documents", "expected"),
    [([], []), ([[]], [9]), ([[1, 2]], [1, 2, 9]), ([[], [1], [2, 3]], [9, 1, 9, 2, 3, 9])],
)
def test_with_eot(documents: list[list[int]], expected: list[int]) -> None:
    values, offsets = with_eot(encoded(documents), 9)
    assert values.tolist() == expected
    assert np.diff(offsets).tolist() == [len(ids) + 1 for ids in documents]


@given(stream=IDS, cuts=st.lists(st.integers(0, 40), max_size=5), seq_len=st.integers(1, 9))
def test_pack_loses_and_makes_no_token_in_any_batches(stream: list[int], cuts: list[int], seq_len: int) -> None:
    carried, found = np.empty(0, np.uint32), list[list[int]]()
    for part in np.split(np.array(stream, np.uint32), sorted(min(cut, len(stream)) for cut in cuts)):
        sequences, carried = pack(carried, part, seq_len)
        found += sequences.tolist()
    assert [len(sequence) for sequence in found] == [seq_len] * (len(stream) // seq_len)
    assert [one for sequence in found for one in sequence] + carried.tolist() == stream


def tokenised(documents: list[tuple[int, bytes, list[int]]], dtype: str) -> pa.Table:
    rows = [
        {"cell": cell, "key": key, "part": 0, "num_tokens": len(ids), "tokens": np.array(ids, dtype).tobytes()}
        for cell, key, ids in sorted(documents)
    ]
    return pa.Table.from_pylist(rows, schema=TOKENISED)


@settings(deadline=None)
@given(
    documents=st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=4, max_size=4), IDS), max_size=12),
    rows=st.integers(1, 12),
    seq_len=st.integers(1, 20),
    pad=st.sampled_from([-1, 90_000]),
)
def test_cells_are_packed_alike_in_any_batches(
    documents: list[tuple[int, bytes, list[int]]], rows: int, seq_len: int, pad: int
) -> None:
    packing = Packing(seq_len, num_cells=4, seed=0, dtype="uint32", pad=pad)
    batches = tokenised(documents, "<u4").to_batches(max_chunksize=rows)
    found = pa.Table.from_batches(packing.packed(iter(batches)), PACKED).to_pylist()
    assert {row["cell"] for row in found} == {cell for cell, _, _ in documents}
    for cell, group in groupby(found, key=lambda row: row["cell"]):
        *sequences, account = group
        stream = [one for number, _, ids in sorted(documents) if number == cell for one in ids]
        num_pads = -len(stream) % seq_len if pad > 0 else 0
        padded = stream + [pad] * num_pads
        assert [row["index"] for row in sequences] == list(range(len(padded) // seq_len))
        assert {len(row["tokens"]) for row in sequences} <= {4 * seq_len}
        joined = b"".join(row["tokens"] for row in [*sequences, account])
        assert np.frombuffer(joined, "<u4").tolist() == padded
        assert account["num_pads"] == num_pads
        assert (account["index"], account["tokens_in"]) == (None, len(stream))
        assert account["num_documents"] == sum(number == cell for number, _, _ in documents)


def test_tokenised_rows_are_the_documents_with_eot(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tokenizer") / "t.model"
    path.write_bytes(train_sentencepiece(["abcdefg hijk"] * 3, 275))
    tokenizer = Tokenizer.load(path)
    texts = ["abc", "", "k h" * 30, None]
    batch = pa.RecordBatch.from_pydict({"doc_id": ["a", "b", "c", "d"], "text": pa.array(texts, pa.string())})
    packing = Packing(5, num_cells=3, seed=1, dtype=tokenizer.dtype)
    found = packing.tokenised(batch, tokenizer).to_pylist()
    expected = [[*tokenizer.encode(text or ""), tokenizer.eot] for text in texts]
    assert [np.frombuffer(row["tokens"], "<u2").tolist() for row in found] == expected
    assert [row["num_tokens"] for row in found] == [len(ids) for ids in expected]
    assert {row["cell"] for row in found} <= {0, 1, 2}
    reversed_rows = packing.tokenised(batch.take(pa.array([3, 2, 1, 0])), tokenizer).to_pylist()
    assert reversed_rows[::-1] == found
    other = Packing(5, num_cells=3, seed=2, dtype=tokenizer.dtype).tokenised(batch, tokenizer).to_pylist()
    assert [row["key"] for row in other] != [row["key"] for row in found]


def test_an_id_over_the_dtypes_limit_is_named(tmp_path: Path) -> None:
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({EOT: 0, "a": 1, "b": 70_000}, unk_token="a"))  # noqa: S106
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "words.json"))
    tokenizer = Tokenizer.load(tmp_path / "words.json")
    batch = pa.RecordBatch.from_pydict({"doc_id": ["a"], "text": ["a b"]})
    with pytest.raises(BadInput, match="token id 70000 doesn't fit uint16"):
        Packing(5, num_cells=1, seed=1, dtype="uint16").tokenised(batch, tokenizer)
    (row,) = Packing(5, num_cells=1, seed=1, dtype=tokenizer.dtype).tokenised(batch, tokenizer).to_pylist()
    assert np.frombuffer(row["tokens"], "<u4").tolist() == [1, 70_000, 0]


def test_a_long_document_is_several_rows(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tokenizer") / "t.model"
    path.write_bytes(train_sentencepiece(["abcdefg hijk"] * 3, 275))
    tokenizer = Tokenizer.load(path)
    texts = ["abc", "xyz" * 800_000, "", "abc"]
    batch = pa.RecordBatch.from_pydict({"doc_id": ["a", "b", "c", "d"], "text": texts})
    packing = Packing(5, num_cells=1, seed=1, dtype=tokenizer.dtype)
    whole = packing.tokenised(batch, tokenizer)
    assert whole["part"].to_pylist() == [0, 0, 0, 0]
    found = packing.in_parts(whole).to_pylist()
    assert packing.in_parts(whole.slice(2)) == whole.slice(2)
    assert [row["part"] for row in found] == [0, 0, 1, 2, 0, 0]
    assert max(row["num_tokens"] for row in found) == 1 << 20
    long = b"".join(row["tokens"] for row in found[1:4])
    assert tokenizer.decode(np.frombuffer(long, "<u2").tolist()) == texts[1]
    ordered = pa.Table.from_pylist(sorted(found, key=lambda row: (row["key"], row["part"])), schema=TOKENISED)
    *_, account = pa.Table.from_batches(packing.packed(iter(ordered.to_batches(2))), PACKED).to_pylist()
    assert (account["num_documents"], account["tokens_in"]) == (4, sum(row["num_tokens"] for row in found))
