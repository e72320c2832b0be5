"""Signatures against datasketch and plain Python on any text; recall and Jaccard against brute force."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from datasketch import MinHash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.minhash import (
    EMPTY,
    SCHEME,
    MinHashParams,
    bands,
    hash_shingle,
    jaccard,
    optimal,
    signatures,
)
from lakeloom.lakehouse.errors import ConfigError

FINEWEB = MinHashParams(num_hashes=112, num_bands=14, num_rows=8, ngram=5, seed=1)

LIKELY = st.sampled_from("aAbB  \n.,_'-09İΣςéßⅣ日本")
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | LIKELY)
PARAMS = st.builds(
    MinHashParams, st.just(24), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 9)
)


def shingles(text: str, ngram: int) -> set[bytes]:
    """The definition in plain Python."""
    words = re.findall(r"\w+", "".join(character.lower()[0] for character in text))
    runs = [words[first : first + ngram] for first in range(max(len(words) - ngram, 0) + 1)]
    return {" ".join(run).encode() for run in runs if run}


def signed_by_datasketch(text: str, params: MinHashParams) -> list[int]:
    signed = MinHash(params.num_hashes, params.seed, hashfunc=hash_shingle, scheme=SCHEME)
    signed.update_batch(shingles(text, params.ngram))
    return [int(value) for value in signed.hashvalues]


@settings(deadline=None)
@example(["", "!!!", "a", "one two three", "One  two\nTHREE", "日本語のテキスト", "x_y z9 İstanbul ΟΔΟΣ"], FINEWEB)
@given(st.lists(TEXT, max_size=6), PARAMS)
def test_signatures_equal_datasketch(texts: list[str], params: MinHashParams) -> None:
    found = signatures(pa.array(texts, pa.string()), params)
    assert found.shape == (len(texts), params.num_hashes)
    assert found.tolist() == [signed_by_datasketch(text, params) for text in texts]


def test_long_real_text_equals_datasketch(shared: Path) -> None:
    texts = [row["text"] for row in rows(shared / "oracle/pages.jsonl.zst")[:1500:100]]
    found = signatures(pa.array(texts), FINEWEB)
    assert found.tolist() == [signed_by_datasketch(text, FINEWEB) for text in texts]


@settings(deadline=None)
@given(TEXT, TEXT, st.integers(1, 5))
def test_jaccard_equals_sets(left: str, right: str, ngram: int) -> None:
    one, other = shingles(left, ngram), shingles(right, ngram)
    expected = len(one & other) / len(one | other) if one and other else None
    assert jaccard(pa.array([left]), pa.array([right]), ngram).to_pylist() == [expected]


@settings(deadline=None)
@given(st.lists(st.none() | TEXT, min_size=1, max_size=8), st.data())
def test_rows_do_not_depend_on_their_batch(texts: list[str | None], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(texts)))
    whole = pa.array(texts, pa.string())
    one_by_one = [bands_of(pa.array([text], pa.string()))[0] for text in texts]
    assert bands_of(whole) == one_by_one
    assert bands_of(whole.slice(first)) == one_by_one[first:]
    assert bands_of(whole.cast(pa.large_string())) == one_by_one


@pytest.mark.parametrize("text", [None, "", " \n", "!!! ... --- ", "\u0301"])
def test_no_word_no_bands(text: str | None) -> None:
    array = pa.array([text, "word"], pa.string())
    assert (signatures(array, FINEWEB)[0] == EMPTY).all()
    empty, full = bands_of(array)
    assert empty is None
    assert full is not None and len(full) == FINEWEB.num_bands
    assert jaccard(array, pa.array(["word", "word"]), 5).to_pylist() == [None, 1.0]


def test_a_band_is_equal_where_its_rows_are() -> None:
    signed = np.arange(32, dtype=np.uint32).reshape(2, 16)
    signed[1, 4:8] = signed[0, 4:8]
    signed[1, 8:12] = signed[0, 4:8]  # the same values in another band
    one, other = bands(signed, MinHashParams(16, 4, 4, 5, 1)).to_pylist()
    assert [left == right for left, right in zip(one, other, strict=True)] == [False, True, False, False]
    assert len({*one, *other}) == 7


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_hashes": 111}, "need as many hashes"),
        ({"num_bands": 0}, "must be 1 or more"),
        ({"ngram": 0}, "must be 1 or more"),
        ({"seed": -1}, "seed 0 or more"),
        ({"seed": 1 << 32}, "a seed below 4,294,967,296"),
        ({"num_hashes": 100_000}, "at most 16,384 hashes"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MinHashParams(**{"num_hashes": 112, "num_bands": 14, "num_rows": 8, "ngram": 5, "seed": 1} | wrong)


@pytest.mark.parametrize(("target", "num_hashes"), [(0.5, 64), (0.8, 112), (0.9, 256)])
def test_optimal_bands_are_steep_at_the_target(target: float, num_hashes: int) -> None:
    params = optimal(target, num_hashes, ngram=5, seed=1)
    assert params.num_bands * params.num_rows <= num_hashes
    assert params.recall(target - 0.25) < 0.2
    assert params.recall(min(target + 0.15, 1.0)) > 0.8


def rows(path: Path) -> list[dict[str, str]]:
    with (
        path.open("rb") as file,
        io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8") as lines,
    ):
        return [json.loads(line) for line in lines]


def bands_of(text: pa.StringArray) -> list[list[int] | None]:
    found: list[list[int] | None] = bands(signatures(text, FINEWEB), FINEWEB).to_pylist()
    return found


@pytest.fixture(scope="module")
def pairs(shared: Path) -> tuple[pa.StringArray, pa.StringArray, np.ndarray]:
    """Texts and true Jaccard of the oracle's pairs (brute force, at least 0.2)."""
    folder = shared / "oracle" / "dedup"
    text = {row["id"]: row["text"] for row in rows(folder / "documents.jsonl.zst")}
    found = rows(folder / "pairs.jsonl.zst")
    left, right = (pa.array([text[row[end]] for row in found]) for end in "ab")
    return left, right, np.array([float(row["jaccard"]) for row in found])


def test_jaccard_equals_the_oracle(pairs: tuple[pa.StringArray, pa.StringArray, np.ndarray]) -> None:
    left, right, true = pairs
    assert len(true) == 10_805
    assert np.abs(jaccard(left, right, 5).to_numpy() - true).max() <= 0.5e-6 + 1e-9  # the file has six decimals


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("num_bands", "num_rows"), [(14, 8), (20, 5), (9, 12)])
def test_recall_follows_the_curve(
    pairs: tuple[pa.StringArray, pa.StringArray, np.ndarray], num_bands: int, num_rows: int, seed: int
) -> None:
    """Per tenth of Jaccard from 0.5, within 5 binomial errors: pairs of one planted family are not independent."""
    left, right, true = pairs
    params = MinHashParams(112, num_bands, num_rows, 5, seed)
    one, other = (np.stack(bands(signatures(text, params), params).to_pylist()) for text in (left, right))
    is_candidate = (one == other).any(axis=1)
    curve = np.array([params.recall(value) for value in true])
    for tenth in range(5, 11):
        chosen = np.floor(true * 10).astype(int) == tenth
        error = np.sqrt((curve[chosen] * (1 - curve[chosen])).sum())
        missed = abs(is_candidate[chosen].sum() - curve[chosen].sum())
        assert missed <= 5 * error + 1, (tenth, missed, error)
    assert is_candidate[true >= 0.8].mean() >= curve[true >= 0.8].mean() - 0.02
