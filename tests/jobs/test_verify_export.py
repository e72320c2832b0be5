import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from lakeloom.jobs import cli
from lakeloom.lakehouse import shard_writer
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shards import Manifest, Shard
from tests.lakehouse.test_shards import FACTS, SEQUENCES, export


def verify(*words: str) -> Report:
    return cli.run("verify_export", None, cli.load("verify_export", *words))


@pytest.fixture(params=["bin", "json.gz"])
def dataset(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = export(tmp_path / "shards" / "tiny-0123", 3, 6, 9, ext=str(request.param))
    (folder / "tokenizer.model").write_bytes(b"a model")
    describe(folder, tokenizer_sha=hashlib.sha256(b"a model").hexdigest())
    return folder


def change(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_sound_dataset_is_counted(dataset: Path, tmp_path: Path) -> None:
    report = verify(f"verify_export.folder={dataset}")
    assert (report.rows_out, report.facts["num_tokens"], report.facts["shards"]) == (11, 99, 4)
    for name in ("tiny", "tiny-0123"):
        found = verify(f"verify_export.dataset={name}", f"lakehouse.root={tmp_path}")
        assert found.facts["folder"] == str(dataset)


def test_the_first_shards_that_differ_are_named(dataset: Path) -> None:
    change(dataset / "shard_00000001.tar", 600)
    with pytest.raises(BadInput, match=r"^1 of 4 shards differ: .*shard_00000001\.tar: SHA-256"):
        verify(f"verify_export.folder={dataset}")
    for number in (0, 2, 3):
        path = dataset / f"shard_0000000{number}.tar"
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"^4 of 4 shards differ: .*shard_00000000\.tar: \d+ bytes.*; and 1 more$"):
        verify(f"verify_export.folder={dataset}")


def relabel(folder: Path, **changes: object) -> None:
    """Write the first line of the manifest anew, with the shard's own size and SHA-256."""
    first, *rest = (folder / "manifest.jsonl").read_text().splitlines()
    (folder / "manifest.jsonl").write_text("\n".join([json.dumps(json.loads(first) | changes), *rest]) + "\n")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_pads": 1}, "27 tokens, 0 of them pads; the manifest says 27, 1 of them pads"),
        ({"num_sequences": 2, "num_tokens": 18}, "3 sequences, the manifest says 2"),
    ],
)
def test_a_manifest_that_lies_is_found(dataset: Path, changes: dict[str, object], said: str) -> None:
    relabel(dataset, **changes)
    with pytest.raises(BadInput, match=said):
        verify(f"verify_export.folder={dataset}")


def describe(folder: Path, **changes: object) -> None:
    found = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(found | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_size": 50_000}, r"4 of 4 shards differ: .*sequence \d has token 5\d{4}, the vocabulary has 50000"),
        ({"tokenizer_sha": "0" * 64}, "tokenizer.model: SHA-256 is"),
        ({"tokenizer_file": "other.model"}, "other.model is missing"),
        ({"num_sequences": 12}, "sums to 11 num_sequences"),
        ({"tokens_in": 100}, "100 tokens in and 0 pads are not 99 tokens out and 0 left over"),
    ],
)
def test_a_description_that_lies_is_found(dataset: Path, changes: dict[str, object], said: str) -> None:
    describe(dataset, **changes)
    with pytest.raises(BadInput, match=said):
        verify(f"verify_export.folder={dataset}")


def test_a_tar_of_no_line_is_found(dataset: Path) -> None:
    shutil.copyfile(dataset / "shard_00000000.tar", dataset / "shard_00000009.tar")
    with pytest.raises(BadInput, match=r"shard_00000009\.tar is in no line"):
        verify(f"verify_export.folder={dataset}")


def test_a_dataset_that_is_not_there_is_named(dataset: Path, tmp_path: Path) -> None:
    root = f"lakehouse.root={tmp_path}"
    for words, said in (
        ([root], "say which dataset"),
        ([root, "verify_export.dataset=other"], r"other is no dataset in .*; say one of these whole: tiny-0123"),
        (["verify_export.folder=/nowhere"], "is no exported dataset"),
    ):
        with pytest.raises(ConfigError, match=said):
            verify(*words)
    shutil.copytree(dataset, dataset.with_name("tiny-4567"))
    with pytest.raises(ConfigError, match=r"is the name of several .*: tiny-0123, tiny-4567"):
        verify(root, "verify_export.dataset=tiny")


def test_pads_are_counted_again(tmp_path: Path) -> None:
    padded = np.where(np.arange(99).reshape(11, 9) > 95, 60_002, SEQUENCES)
    facts = replace(FACTS, vocab_size=60_003, pad=60_002, tokenizer_sha=hashlib.sha256(b"").hexdigest())
    aside = shard_writer.begin(tmp_path / "data", FACTS.export_id)
    (aside / FACTS.tokenizer_file).touch()
    shard = shard_writer.write_shard(aside, 0, padded.astype(np.uint32), seq_len=9, dtype="uint16", pad=60_002)
    shard_writer.publish(aside, tmp_path / "data", facts, shard_writer.Accounting(96, 0, 1, 3), [shard])
    assert shard.num_pads == 3
    assert verify(f"verify_export.folder={tmp_path / 'data'}").rows_out == 11
    assert Manifest.load(tmp_path / "data").shards == (Shard(**asdict(shard)),)
