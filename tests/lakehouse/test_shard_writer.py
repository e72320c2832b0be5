import json
import tarfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from webdataset import autodecode, tariterators

from lakeloom.lakehouse import shard_writer
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.shard_writer import Accounting, begin, publish, write_holdout, write_shard
from lakeloom.lakehouse.shards import DatasetFacts, Manifest, ShardReader

SEQUENCES = np.arange(7 * 5, dtype=np.uint32).reshape(7, 5) * 1500
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
    seq_len=5,
    num_sequences=7,
    num_tokens=35,
    seed=0,
    source_table="gold.corpus",
    source_version=1,
)


def export(folder: Path, dtype: str = "uint16", ext: str = "bin") -> Path:
    aside = begin(folder, FACTS.export_id)
    shards = [
        write_shard(aside, number, iter(part), seq_len=5, dtype=dtype, ext=ext)
        for number, part in enumerate([SEQUENCES[:4], SEQUENCES[4:]])
    ]
    publish(aside, folder, FACTS, Accounting(36, 1, 9), shards)
    return folder


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_what_is_written_is_read_back(tmp_path: Path, dtype: str) -> None:
    manifest = Manifest.load(export(tmp_path / "tiny", dtype))
    manifest.verify()
    reader = ShardReader(manifest)
    assert np.array_equal(np.stack([reader[number] for number in range(len(reader))]), SEQUENCES)
    assert manifest.dataset == FACTS
    assert json.loads((tmp_path / "tiny" / "dataset.json").read_text()) == asdict(FACTS) | {
        "tokens_in": 36,
        "tokens_remainder": 1,
        "num_documents": 9,
        "num_pads": 0,
    }


def test_the_same_sequences_give_the_same_files(tmp_path: Path) -> None:
    first, second = export(tmp_path / "a" / "tiny"), export(tmp_path / "b" / "tiny")
    names = sorted(path.name for path in first.iterdir())
    assert names == ["dataset.json", "manifest.jsonl", "shard_00000000.tar", "shard_00000001.tar"]
    assert names == sorted(path.name for path in second.iterdir())
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]


def test_members_carry_no_time_owner_or_machine(tmp_path: Path) -> None:
    with tarfile.open(export(tmp_path / "tiny") / "shard_00000001.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [f"00000001_{index:08d}.bin" for index in range(3)]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members} == {
        (0, 0, 0, "", "", 0o644, tarfile.REGTYPE)
    }


def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    """Its tar reader and grouping, on streams that we close (its own opener leaves them to the garbage collector)."""
    samples: list[Any] = []
    for path in sorted(export(tmp_path / "tiny").glob("*.tar")):
        with path.open("rb") as stream:
            members = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            samples += tariterators.group_by_keys(members)
    assert [sample["__key__"] for sample in samples][3:5] == ["00000000_00000003", "00000001_00000000"]
    assert np.array_equal(np.stack([np.frombuffer(sample["bin"], "<u2") for sample in samples]), SEQUENCES)


def test_a_shard_is_what_tarfile_writes(tmp_path: Path) -> None:
    for ext in ("bin", "json.gz"):
        path = export(tmp_path / ext, ext=ext) / "shard_00000000.tar"
        with (
            tarfile.open(path) as source,
            tarfile.open(tmp_path / "again.tar", "w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for member in source:
                one = tarfile.TarInfo(member.name)
                one.size = member.size
                tar.addfile(one, source.extractfile(member))
        assert path.read_bytes() == (tmp_path / "again.tar").read_bytes()


def test_webdataset_decodes_json_members_as_dclms_trainer_does(tmp_path: Path) -> None:
    """open_lm: wds.decode(), then the key json.gz."""
    found: list[list[int]] = []
    for path in sorted(export(tmp_path / "tiny", ext="json.gz").glob("*.tar")):
        with path.open("rb") as stream:
            members = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            found += [autodecode.Decoder([])(sample)["json.gz"] for sample in tariterators.group_by_keys(members)]
    assert np.array_equal(np.array(found), SEQUENCES)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_the_manifest_says_where_each_sequence_is(tmp_path: Path, dtype: str) -> None:
    """Enough to read one by a seek, or by a range request, without the tar's headers."""
    sequences = np.arange(70 * 300, dtype=np.uint32).reshape(70, 300)
    shard = write_shard(tmp_path, 3, sequences, seq_len=300, dtype=dtype)
    content = (tmp_path / "shard_00000003.tar").read_bytes()
    for number in (0, 1, 69):
        start = shard.first_offset + number * shard.stride
        found = np.frombuffer(content[start : start + 300 * np.dtype(dtype).itemsize], dtype)
        assert np.array_equal(found, sequences[number])
    packed = write_shard(tmp_path, 4, sequences, seq_len=300, dtype=dtype, ext="json.gz")
    assert (packed.first_offset, packed.stride) == (0, 0)


def test_pads_are_counted(tmp_path: Path) -> None:
    shard = write_shard(tmp_path, 0, SEQUENCES, seq_len=5, dtype="uint16", pad=int(SEQUENCES[2, 2]))
    assert shard.num_pads == 1
    assert write_shard(tmp_path, 1, SEQUENCES, seq_len=5, dtype="uint16").num_pads == 0


def test_holdout_is_json_lines_up_to_the_bound(tmp_path: Path) -> None:
    documents = [
        {"doc_id": str(number), "url": "http://a/", "text": "caf\u00e9\u2028\n" * number} for number in range(20)
    ]
    assert write_holdout(tmp_path, documents, 10_000) == 20
    with zstandard.open(tmp_path / "holdout.jsonl.zst", "rt", encoding="utf-8", newline="\n") as file:
        assert [json.loads(line) for line in file] == documents
    first = len(json.dumps(documents[0], ensure_ascii=False).encode()) + 1
    assert [write_holdout(tmp_path, documents, first + more) for more in (-1, 0)] == [0, 1]


def test_an_id_over_the_limit_and_a_short_sequence_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="65536 doesn't fit uint16"):
        write_shard(tmp_path, 0, [np.array([1, 65_536], np.uint32)], seq_len=2, dtype="uint16")
    with pytest.raises(BadInput, match="sequence 0 has 1 tokens, expected 2"):
        write_shard(tmp_path, 0, [np.array([1], np.uint32)], seq_len=2, dtype="uint16")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_begins_anew_and_is_not_visible(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    (begin(folder, FACTS.export_id) / ".shard_00000000.half").write_bytes(b"torn")
    assert not folder.exists()
    aside = begin(folder, FACTS.export_id)
    assert [path.name for path in aside.iterdir()] == [shard_writer.MARK]
    (aside / ".shard_00000000.lost").write_bytes(b"torn")
    publish(aside, folder, replace(FACTS, num_sequences=0, num_tokens=0), Accounting(0, 0, 0), [])
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "manifest.jsonl"]


def test_a_foreign_folder_aside_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / ".tiny.partial"
    foreign.mkdir()
    (foreign / "precious").write_text("x")
    with pytest.raises(ConfigError, match="in the way"):
        begin(tmp_path / "tiny", FACTS.export_id)
    begin(tmp_path / "other", "f" * 32)
    with pytest.raises(ConfigError, match="in the way"):
        begin(tmp_path / "other", FACTS.export_id)
    assert (foreign / "precious").read_text() == "x"


def test_a_folder_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    aside = begin(folder, FACTS.export_id)
    folder.mkdir()
    with pytest.raises(ConfigError, match="nothing was overwritten"):
        publish(aside, folder, FACTS, Accounting(0, 0, 0), [])
    assert list(folder.iterdir()) == []
