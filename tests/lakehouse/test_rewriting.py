"""Tokens are taken out of shards, the rest stays, and a swap that is stopped anywhere is finished or never was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.jobs.export_tasks import Placement
from lakeloom.jobs.locate import Layout
from lakeloom.lakehouse import rewriting, takedowns
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.packing import Packing
from lakeloom.lakehouse.shards import Manifest, ShardReader
from tests.lakehouse.test_shard_writer import SEQUENCES, export

GONE = SEQUENCES[5, 1:4].astype("<u2").tobytes()


def tokens(folder: Path) -> Any:
    reader = ShardReader(Manifest.load(folder))
    return np.stack([reader[number] for number in range(len(reader))])


def take_out(folder: Path) -> None:
    rewriting.begin(folder)
    shard = rewriting.rewrite(folder, 1, [(1, 1, GONE)])
    rewriting.publish(folder, takedowns.describe(folder) | {"takedowns": []}, [shard])


@pytest.mark.parametrize("ext", ["bin", "json.gz"])
def test_the_tokens_become_eot_and_nothing_else_changes(tmp_path: Path, ext: str) -> None:
    folder = export(tmp_path / "tiny", ext=ext)
    first, before = (folder / "shard_00000000.tar").read_bytes(), Manifest.load(folder)
    take_out(folder)
    expected = SEQUENCES.copy()
    expected[5, 1:4] = 0
    assert np.array_equal(tokens(folder), expected)
    after = Manifest.load(folder)
    after.verify()
    assert after.shards[0] == before.shards[0] and after.shards[1].sha256 != before.shards[1].sha256
    assert after.shards[1].ext == ext
    assert (folder / "shard_00000000.tar").read_bytes() == first
    names = {path.name for path in folder.iterdir()}
    assert names == {"dataset.json", "manifest.jsonl", "shard_00000000.tar", "shard_00000001.tar"}


def test_other_tokens_than_the_documents_are_never_overwritten(tmp_path: Path) -> None:
    folder = export(tmp_path / "tiny")
    rewriting.begin(folder)
    with pytest.raises(Incomplete, match="shard_00000001, sequence 2: other tokens than the document's"):
        rewriting.rewrite(folder, 1, [(2, 1, GONE)])
    assert np.array_equal(tokens(folder), SEQUENCES)


def test_a_shard_that_is_broken_is_named_and_stays_so(tmp_path: Path) -> None:
    folder = export(tmp_path / "tiny")
    shard = folder / "shard_00000001.tar"
    content = bytearray(shard.read_bytes())
    content[512 + 2 * len(SEQUENCES[0]) - 1] ^= 1  # in another sequence than the document's
    shard.write_bytes(content)
    rewriting.begin(folder)
    with pytest.raises(
        BadInput, match=r"shard_00000001\.tar: SHA-256 is .*; copy the dataset again, or export it anew"
    ):
        rewriting.rewrite(folder, 1, [(1, 1, GONE)])
    assert shard.read_bytes() == content


def test_what_a_failed_task_left_is_not_put_in_place(tmp_path: Path) -> None:
    folder = export(tmp_path / "tiny")
    names = {path.name for path in folder.iterdir()}
    left = rewriting.begin(folder) / ".shard_00000001.0123"
    left.write_bytes(b"tokens of others")
    shard = rewriting.rewrite(folder, 1, [(1, 1, GONE)])
    rewriting.publish(folder, takedowns.describe(folder) | {"takedowns": []}, [shard])
    assert {path.name for path in folder.iterdir()} == names
    Manifest.load(folder).verify()


@pytest.mark.parametrize("number", range(6))
def test_a_run_that_is_stopped_anywhere_is_finished_by_the_next(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, left, replace = export(tmp_path / "tiny"), [number], Path.replace

    def stopped(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        try:
            take_out(folder)
        except KeyboardInterrupt:
            assert number < 5  # the shard, the new manifest, then the three files
    if (folder / "manifest.jsonl").exists():
        assert np.array_equal(tokens(folder), SEQUENCES) or number == 5
    else:
        with pytest.raises(
            ConfigError, match=r"has no manifest\.jsonl: a takedown was stopped .* run lakeloom takedown"
        ):
            Manifest.load(folder)
    if not rewriting.finish(folder) and number < 5:
        take_out(folder)
    assert (tokens(folder)[5, 1:4] == 0).all()
    Manifest.load(folder).verify()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 40), max_size=9), min_size=1, max_size=4), st.integers(2, 9), st.integers(1, 5))
def test_a_document_is_found_where_it_was_packed(lengths: list[list[int]], seq_len: int, per_shard: int) -> None:
    """Every document of every cell has tokens of its own: its number."""
    cells = tuple(sum(cell) // seq_len for cell in lengths)
    starts = tuple(sum(cells[:cell]) for cell in range(len(cells)))
    layout = Layout(Packing(seq_len, len(cells), 1, "uint16"), Placement(starts, sum(cells), per_shard, 1), cells)
    placed: dict[tuple[int, int], list[int]] = {}
    for cell, documents in enumerate(lengths):
        stream = [number for number, length in enumerate(documents) for _ in range(length)]
        index = np.arange(cells[cell], dtype=np.int64)
        places = layout.placement.positions(np.full(len(index), cell, np.int32), index)
        for number, place in enumerate(places.tolist()):
            placed[divmod(int(place), per_shard)] = stream[number * seq_len : (number + 1) * seq_len]
        for number, length in enumerate(documents):
            spans = layout.spans(cell, sum(documents[:number]), length)
            assert sum(span.length for span in spans) <= length
            for span in spans:
                row = placed.get((span.shard, span.row))
                if row is not None and span.length:
                    assert row[span.start : span.start + span.length] == [number] * span.length
    assert sum(map(len, placed.values())) == sum(cells) * seq_len


def test_requests_are_urls_hashes_or_files_of_them(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("# a letter\n\nhttps://a.example/x y\n".replace(" y", "") + "a" * 32 + "\n")
    found = takedowns.parse([str(tmp_path / "gone.txt"), "a" * 32, "b" * 64])
    assert [one.kind for one in found] == ["url", "doc_id", "text_sha"]
    assert "example" not in found[0].sha and len(found[0].sha) == 64
    for wrong in ("a.example", "c" * 33, "https://a.example/ x"):
        with pytest.raises(ConfigError, match="nothing was taken down"):
            takedowns.parse([wrong])


def test_a_broken_list_of_takedowns_is_named(tmp_path: Path) -> None:
    folder = export(tmp_path / "tiny")
    described = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(described | {"takedowns": [{"doc": 1}]}))
    with pytest.raises(BadInput, match="takedowns are not as lakeloom writes them"):
        takedowns.of_dataset(folder)
