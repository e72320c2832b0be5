from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.order import permuted
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.train.data import Batches


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.binary(max_size=8))
def test_a_permutation_hits_every_position_once(size: int, key: bytes) -> None:
    image = permuted(np.arange(size, dtype=np.uint64), size, key)
    assert np.array_equal(np.sort(image), np.arange(size))


def test_the_permutation_is_written_in_stone() -> None:
    # A resumed run must see the order it began with, in every later version of this code and of numpy.
    assert permuted(np.arange(8, dtype=np.uint64), 1000, b"0/0").tolist() == PINNED


PINNED = [235, 97, 712, 439, 284, 432, 283, 221]


def test_permutations_look_random() -> None:
    image = permuted(np.arange(10_000, dtype=np.uint64), 10_000, b"1/0").astype(np.float64)
    other = permuted(np.arange(10_000, dtype=np.uint64), 10_000, b"1/1").astype(np.float64)
    bound = 4 / np.sqrt(10_000)
    assert abs(np.corrcoef(image, np.arange(10_000))[0, 1]) < bound
    assert abs(np.corrcoef(image[1:], image[:-1])[0, 1]) < bound
    assert abs(np.corrcoef(image, other)[0, 1]) < bound


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 5), step=st.integers(0, 60), world=st.sampled_from([1, 2, 4, 8]))
def test_shares_join_to_the_batch_of_one_process(toy: Path, seed: int, step: int, world: int) -> None:
    batches = Batches(ShardReader(Manifest.load(toy)), seed, global_batch=16)
    shares = [batches.batch(step, rank, world) for rank in range(world)]
    assert np.array_equal(np.concatenate(shares), batches.batch(step))


def test_both_forms_of_members_give_the_same_batches(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    sequences = np.arange(20 * 17).reshape(20, 17) % 60
    raw, packed = (
        Batches(ShardReader(Manifest.load(make_dataset(tmp_path / ext, sequences, ext=ext))), seed=3, global_batch=8)
        for ext in ("bin", "json.gz")
    )
    for step in range(6):
        assert np.array_equal(raw.batch(step), packed.batch(step))


def test_a_token_outside_the_vocabulary_is_named(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    sequences = np.arange(20 * 17).reshape(20, 17) % 60
    sequences[13, 4] = 62
    folder = make_dataset(tmp_path / "odd", sequences, vocab_size=61)
    batches = Batches(ShardReader(Manifest.load(folder)), 0, 20)
    with pytest.raises(BadInput, match=r"sequence 3 of shard_00000001 has token 62, the vocabulary has 61; export"):
        batches.batch(0)


def test_every_epoch_sees_every_sequence_once_in_another_order(toy: Path) -> None:
    batches = Batches(ShardReader(Manifest.load(toy)), seed=0, global_batch=8)
    order = np.concatenate([batches.indices(step) for step in range(50)])
    assert np.array_equal(np.sort(order[:200]), np.arange(200))
    assert np.array_equal(np.sort(order[200:]), np.arange(200))
    assert not np.array_equal(order[:200], order[200:])
    assert not np.array_equal(
        order[:200], np.concatenate([Batches(batches.reader, 1, 8).indices(s) for s in range(25)])
    )
