"""Datasets that DCLM's tools tokenised, made here as its two writers make them, and what must not be in one."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from lakeloom.jobs import cli
from lakeloom.lakehouse.errors import BadInput, ConfigError, LakeloomError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.lakehouse.tokens import train_sentencepiece

SEQUENCES = np.random.default_rng(1).integers(0, 280, (10, 7))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "small.model"
    path.write_bytes(train_sentencepiece(["abcdefg hijk"] * 3, 280))
    return path


Member = tuple[str, bytes]


def member(shard: int, index: int, sequence: Sequence[int]) -> Member:
    return f"{shard:08d}_{index:08d}_{uuid4()}.json.gz", gzip.compress(
        json.dumps([int(one) for one in sequence]).encode()
    )


def tar(path: Path, members: Sequence[Member]) -> None:
    with tarfile.open(path, "w") as file:
        for name, content in members:
            one = tarfile.TarInfo(name)
            one.size = len(content)
            file.addfile(one, io.BytesIO(content))


@pytest.fixture(params=["shard_{:08d}", "{:08d}"])
def dclm(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Three shards, listed in the order in which they were done; no newline at the end, as DCLM writes it."""
    folder = tmp_path / "dclm"
    folder.mkdir()
    lines: list[str] = []
    for number, part in ((2, SEQUENCES[:4]), (0, SEQUENCES[4:9]), (1, SEQUENCES[9:])):
        name = str(request.param).format(number)
        tar(folder / f"{name}.tar", [member(number, index, one) for index, one in enumerate(part)])
        lines.append(json.dumps({"num_sequences": len(part), "shard": name}))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return folder


def imported(folder: Path, tokenizer: Path, *words: str) -> Report:
    root = f"lakehouse.root={folder.parent / 'lake'}"
    named = (f"import_dataset.folder={folder}", f"import_dataset.tokenizer_file={tokenizer}")
    return cli.run("import_dataset", None, cli.load("import_dataset", root, *named, *words))


def first(folder: Path) -> Path:
    """The tar that the manifest names first."""
    line: dict[str, str] = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    return folder / f"{line['shard']}.tar"


@pytest.mark.parametrize("members", ["bin", "json.gz"])
def test_sequences_and_their_order_stay(dclm: Path, tokenizer: Path, members: str) -> None:
    report = imported(dclm, tokenizer, f"import_dataset.members={members}")
    reader = ShardReader(Manifest.load(Path(str(report.facts["folder"]))), is_checked=True)
    assert [reader[index].tolist() for index in range(len(reader))] == SEQUENCES.tolist()
    assert (report.rows_out, report.facts["num_tokens"]) == (10, 70)
    assert report.facts["documents_ended"] == (SEQUENCES == 0).sum()
    assert {shard.ext for shard in reader.manifest.shards} == {members}
    cli.run("verify_export", None, cli.load("verify_export", f"verify_export.folder={report.facts['folder']}"))
    again = imported(dclm, tokenizer, f"import_dataset.members={members}")
    assert (again.facts["was_there"], again.facts["folder"]) == (1, report.facts["folder"])


def test_pads_are_named_and_counted(dclm: Path, tokenizer: Path) -> None:
    changed = SEQUENCES[:4].copy()
    changed[3, 4:] = 282
    tar(first(dclm), [member(2, index, one) for index, one in enumerate(changed)])
    with pytest.raises(BadInput, match=r"has token 282, the tokenizer has 280; name DCLM's PAD"):
        imported(dclm, tokenizer)
    report = imported(dclm, tokenizer, "import_dataset.pad=282")
    dataset = Manifest.load(Path(str(report.facts["folder"]))).dataset
    assert (report.facts["num_pads"], dataset.vocab_size, dataset.pad) == (3, 283, 282)
    cli.run("verify_export", None, cli.load("verify_export", f"verify_export.folder={report.facts['folder']}"))


def with_member(name: str, content: bytes) -> Callable[[Path], None]:
    rest = [member(2, index, one) for index, one in enumerate(SEQUENCES[:3])]
    return lambda folder: tar(first(folder), [*rest, (name, content)])


def with_link(folder: Path) -> None:
    with tarfile.open(first(folder), "w") as file:
        one = tarfile.TarInfo("00000000_00000000_x.json.gz")
        one.type, one.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(one)


def with_negative_size(folder: Path) -> None:
    one = tarfile.TarInfo("00000002_00000000_x.json.gz")
    one.size = -512
    first(folder).write_bytes(one.tobuf(tarfile.GNU_FORMAT) + bytes(tarfile.RECORDSIZE))


def with_line(line: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "manifest.jsonl").write_text(line)

    return write


SOUND = gzip.compress(json.dumps(SEQUENCES[3].tolist()).encode())
NAME = "00000002_00000003_x.json.gz"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_member("../../evil.json.gz", SOUND), "member '../../evil.json.gz' is no sequence of DCLM's"),
        (with_member("a.pkl", b"\x80\x04N."), "member 'a.pkl' is no sequence"),
        (with_link, "is no file but a link"),
        (with_negative_size, "is of -512 bytes; refused"),
        (with_member(NAME, b"\x80\x04N."), f"member '{NAME}': no JSON list in gzip"),
        (with_member(NAME, gzip.compress(b"[1, 2, 3]")), "3 tokens, expected 7"),
        (with_member(NAME, gzip.compress(b"[1, 2, 3, 4, 5, 6, 7.5]")), "not a list of whole numbers"),
        (with_member(NAME, gzip.compress(b"[1, 2, 3, 4, 5, 6, 280]")), "has token 280, the tokenizer has 280"),
        (with_member(NAME, gzip.compress(b"[1, 2, 3, 4, 5, 6, 70000]")), "don't fit uint16"),
        (with_member(NAME, bytes(100_000)), "has 100000 bytes, more than 7 tokens take"),
        (with_line('{"num_sequences": "4", "shard": "shard_00000002"}'), "manifest.jsonl:1: expected shard"),
        (with_line('{"num_sequences": 4, "shard": "../shard_00000002"}'), "is no shard name"),
        (with_line('{"num_sequences": 4, "shard": "pipe:cat /etc/passwd"}'), "is no shard name"),
        (with_line('{"num_sequences": 4, "shard": "shard_00000077"}'), "is missing, or no plain file"),
        (with_line("not json"), "manifest.jsonl:1: not JSON"),
        (with_line(""), "lists no shard"),
    ],
)
def test_what_is_no_dataset_is_refused_and_nothing_published(
    dclm: Path, tokenizer: Path, change: Callable[[Path], None], said: str
) -> None:
    change(dclm)
    with pytest.raises(BadInput, match=said):
        imported(dclm, tokenizer)
    shards = dclm.parent / "lake" / "shards"
    assert not shards.exists() or list(shards.iterdir()) == []


def test_what_ends_an_import_leaves_no_folder_aside(
    dclm: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        imported(dclm, tokenizer)
    assert list((dclm.parent / "lake" / "shards").iterdir()) == []


def test_counts_must_be_the_manifests(dclm: Path, tokenizer: Path) -> None:
    tar(first(dclm), [member(2, index, one) for index, one in enumerate(SEQUENCES[:3])])
    with pytest.raises(BadInput, match=r"3 sequences, manifest\.jsonl says 4"):
        imported(dclm, tokenizer)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import_dataset.members=pkl"], "no choice 'pkl'"),
        (["import_dataset.name=a/b"], "letters, digits"),
        (["import_dataset.pad=-3"], "an id is 0 or more"),
    ],
)
def test_wrong_settings_are_named(dclm: Path, tokenizer: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        imported(dclm, tokenizer, *words)


def test_no_folder_and_no_tokens_are_named(dclm: Path, tokenizer: Path) -> None:
    with pytest.raises(LakeloomError, match=r"has no manifest\.jsonl"):
        imported(dclm.parent, tokenizer)
    for line in (dclm / "manifest.jsonl").read_text().splitlines():
        tar(dclm / f"{json.loads(line)['shard']}.tar", [])
    with pytest.raises(BadInput, match="has no sequence with a token"):
        imported(dclm, tokenizer)
