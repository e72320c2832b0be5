import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.lakehouse import shard_writer
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.shards import DatasetFacts, Manifest, ShardReader

SEQUENCES = np.random.default_rng(0).integers(0, 60_000, (11, 9), np.uint32)
FACTS = DatasetFacts(
    name="tiny",
    export_id="e" * 32,
    corpus_id="c" * 32,
    recipe="raw",
    recipe_hash="r" * 32,
    pool="p",
    tokenizer_sha="t" * 64,
    tokenizer_file="tokenizer.model",
    vocab_size=60_000,
    eot=0,
    seq_len=9,
    num_sequences=11,
    num_tokens=99,
    seed=0,
    source_table="gold.corpus",
    source_version=1,
)


def export(folder: Path, *cuts: int, ext: str = "bin") -> Path:
    aside = shard_writer.begin(folder, FACTS.export_id)
    shards = [
        shard_writer.write_shard(aside, number, part, seq_len=9, dtype="uint16", ext=ext)
        for number, part in enumerate(np.split(SEQUENCES, cuts))
    ]
    shard_writer.publish(aside, folder, FACTS, shard_writer.Accounting(99, 0, 1), shards)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return export(tmp_path / "tiny", 4, 4, 9)


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 11), max_size=4).map(sorted),
    order=st.permutations(range(11)),
    ext=st.sampled_from(["bin", "json.gz"]),
)
def test_any_cut_into_shards_and_any_form_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], order: list[int], ext: str
) -> None:
    reader = ShardReader(Manifest.load(export(tmp_path_factory.mktemp("cut") / "tiny", *cuts, ext=ext)))
    assert len(reader) == 11
    for index in order:
        assert np.array_equal(reader[index], SEQUENCES[index])


@pytest.mark.parametrize("index", [-1, 11])
def test_there_is_nothing_outside(dataset: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"sequence {index} of 11"):
        ShardReader(Manifest.load(dataset))[index]


@pytest.mark.parametrize("name", ["manifest.jsonl", "dataset.json"])
def test_a_folder_that_is_not_ours_says_what_is_missing(dataset: Path, name: str) -> None:
    (dataset / name).unlink()
    with pytest.raises(ConfigError, match=f"no exported dataset: it has no {name}"):
        Manifest.load(dataset)


def rewrite(path: Path, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
    """Change the first JSON line of a file."""
    first, *rest = path.read_text("utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
    path.write_text("\n".join([json.dumps(change(json.loads(first))), *rest]), "utf-8")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("manifest.jsonl", {"num_bytes": 1}, "bytes, the manifest says 1"),
        ("manifest.jsonl", {"num_sequences": 5, "num_tokens": 45}, "sums to 12 num_sequences, dataset.json says 11"),
        ("manifest.jsonl", {"num_tokens": 1}, "4 sequences of 9 tokens, 1 in all"),
        ("manifest.jsonl", {"seq_len": 3, "num_tokens": 12}, "dataset.json says 9 a sequence"),
        ("manifest.jsonl", {"dtype": "float32"}, "dtype 'float32'; choices: uint16, uint32"),
        ("manifest.jsonl", {"ext": "pyd"}, "members 'pyd'; choices: bin, json.gz"),
        ("manifest.jsonl", {"shard": "../../etc/passwd"}, "is no shard name"),
        ("manifest.jsonl", {"shard": "shard_00000009"}, "shard_00000009.tar is missing"),
        ("manifest.jsonl", {"sha256": None}, r"manifest.jsonl:1: missing or of the wrong type: sha256"),
        ("dataset.json", {"num_tokens": 100}, "sums to 99 num_tokens, dataset.json says 100"),
        ("dataset.json", {"name": "../../outside"}, "name='../../outside': letters, digits"),
        ("dataset.json", {"name": "/etc/x"}, "name='/etc/x': letters, digits"),
        ("dataset.json", {"name": ".."}, r"name='\.\.': letters, digits"),
        ("dataset.json", {"tokenizer_file": "../../../id_rsa"}, "tokenizer_file='../../../id_rsa': letters, digits"),
        ("dataset.json", {"seed": "0", "eot": None}, "missing or of the wrong type: eot, seed"),
    ],
)
def test_contradictions_are_bad_input(dataset: Path, file: str, change: dict[str, object], said: str) -> None:
    rewrite(dataset / file, lambda line: line | change)
    with pytest.raises(BadInput, match=said):
        Manifest.load(dataset)


def test_a_dataset_of_an_earlier_version_reads_the_same(dataset: Path) -> None:
    expected = Manifest.load(dataset)
    rewrite(dataset / "manifest.jsonl", lambda line: {key: line[key] for key in line if key != "num_pads"})
    rewrite(dataset / "dataset.json", lambda line: {key: line[key] for key in line if key not in ("pad", "num_pads")})
    assert Manifest.load(dataset) == expected
    assert shard_writer.Accounting.load(dataset) == shard_writer.Accounting(99, 0, 1)


@pytest.mark.parametrize("content", ["{", "3", "[]"])
def test_broken_json_is_bad_input(dataset: Path, content: str) -> None:
    (dataset / "dataset.json").write_text(content, "utf-8")
    with pytest.raises(BadInput, match=r"dataset\.json: (not JSON|expected a JSON object)"):
        Manifest.load(dataset)


def test_a_changed_byte_is_found_by_verify(dataset: Path) -> None:
    path = dataset / "shard_00000002.tar"
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    manifest = Manifest.load(dataset)
    with pytest.raises(BadInput, match=r"shard_00000002\.tar: SHA-256"):
        manifest.verify()


def pad(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes().ljust(size, b"\0")[:size])


def test_a_tar_of_other_members_is_bad_input(dataset: Path) -> None:
    path = dataset / "shard_00000000.tar"
    size = path.stat().st_size
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("else.txt"))
    pad(path, size)
    with pytest.raises(BadInput, match=r"member 'else.txt' of 0 bytes; expected '00000000_00000000.bin' of 18"):
        ShardReader(Manifest.load(dataset))[0]


def test_a_tar_with_fewer_members_is_bad_input(dataset: Path) -> None:
    path = dataset / "shard_00000000.tar"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: 2 * 1024])
    pad(path, size)
    with pytest.raises(BadInput, match="2 sequences, the manifest says 4"):
        ShardReader(Manifest.load(dataset))[0]


def test_noise_is_bad_input(dataset: Path) -> None:
    path = dataset / "shard_00000000.tar"
    path.write_bytes(b"\x01" * path.stat().st_size)
    with pytest.raises(BadInput, match="no readable tar"):
        ShardReader(Manifest.load(dataset))[0]
