import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.lakehouse import members
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.members import Form
from lakeloom.lakehouse.shard_writer import write_shard

FORM = Form(4, "uint16", "json.gz")
DTYPE = st.sampled_from(["uint16", "uint32"])


@settings(deadline=None)
@given(dtype=DTYPE, ids=st.lists(st.integers(0, 65_535), max_size=30), index=st.integers(0, 10**8 - 1))
def test_json_comes_back_and_has_a_name_of_its_content(dtype: str, ids: list[int], index: int) -> None:
    form, sequence = Form(len(ids), dtype, "json.gz"), np.array(ids, np.uint32)
    name, content = members.member(form, 7, index, sequence)
    assert members.member(form, 7, index, sequence.astype(np.uint16)) == (name, content)
    assert json.loads(gzip.decompress(content)) == ids
    assert np.array_equal(members.tokens(content, form, "here"), sequence)
    first, second, rest = name.split("_")
    assert (int(first), int(second), len(rest)) == (7, index, 32 + len(".json.gz"))
    changed, _ = members.member(Form(len(ids) + 1, dtype, "json.gz"), 7, index, np.append(sequence, np.uint32(1)))
    assert changed != name


@pytest.mark.parametrize(("largest", "dtype"), [(0, "uint16"), (65_535, "uint16"), (65_536, "uint32")])
def test_the_smallest_dtype_that_holds(largest: int, dtype: str) -> None:
    assert members.smallest(largest) == dtype


def test_ids_over_all_limits_are_named() -> None:
    with pytest.raises(BadInput, match="4294967296 doesn't fit uint32"):
        members.smallest(1 << 32)
    for ext in members.EXTS:
        with pytest.raises(BadInput, match="65536 doesn't fit uint16"):
            members.member(Form(1, "uint16", ext), 0, 0, np.array([65_536], np.uint32))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not gzip", "no JSON list in gzip"),
        (gzip.compress(b"[1, 2, 3"), "no JSON list in gzip"),
        (gzip.compress(b"[1, 2, 3]")[:-9], "no JSON list in gzip|more than"),
        (gzip.compress(b"\x80\x04\x95pickle"), "no JSON list in gzip"),
        (gzip.compress(b'{"a": 1}'), "not a list of whole numbers"),
        (gzip.compress(b"[1, 2, 3, 4.0]"), "not a list of whole numbers"),
        (gzip.compress(b"[1, 2, 3, true]"), "not a list of whole numbers"),
        (gzip.compress(b'[1, 2, 3, "4"]'), "not a list of whole numbers"),
        (gzip.compress(b"[1, 2, 3]"), "3 tokens, expected 4"),
        (gzip.compress(b"[1, 2, 3, -1]"), "from -1 to 3 don't fit uint16"),
        (gzip.compress(b"[1, 2, 3, 65536]"), "from 1 to 65536 don't fit uint16"),
        (gzip.compress(b"[1, 2, 3, 4]" + b" " * 10**7), "more than 50 bytes of JSON"),
        (gzip.compress(b"[1, 2, 3, 4]") + b"more", "something behind"),
        (gzip.compress(b"[" * 100), "no JSON list in gzip"),
    ],
)
def test_json_that_is_no_sequence_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=f"here: .*({said})"):
        members.tokens(content, FORM, "here")


def member(**facts: object) -> tarfile.TarInfo:
    one = tarfile.TarInfo("00000000_00000000_x.json.gz")
    for name, value in facts.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (member(name="../00000000.json.gz"), "is no sequence of DCLM's"),
        (member(name="/etc/passwd"), "is no sequence of DCLM's"),
        (member(name="00000000_00000000_x.pkl"), "is no sequence of DCLM's"),
        (member(name="a/b.json.gz"), "is no sequence of DCLM's"),
        (member(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is no file but a link"),
        (member(type=tarfile.LNKTYPE, linkname="x"), "is no file but a link"),
        (member(type=tarfile.CHRTYPE), "is no file but a link, a device"),
        (member(type=tarfile.DIRTYPE), "is no file but a link, a device or a folder"),
    ],
)
@pytest.mark.parametrize("places", [members.foreign_places, lambda path: members.places(path, FORM, 0, 1)])
def test_members_that_are_no_sequences_are_refused(
    tmp_path: Path, one: tarfile.TarInfo, said: str, places: Callable[[Path], object]
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(one, io.BytesIO())
    with pytest.raises(BadInput, match=said if places is members.foreign_places else "member .*; expected"):
        list(places(tmp_path / "a.tar"))  # type: ignore[call-overload]  # both give an iterator


def test_a_tar_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        one = member(size=2000)
        tar.addfile(one, io.BytesIO(bytes(2000)))
        tar.addfile(one, io.BytesIO(bytes(2000)))
    path.write_bytes(path.read_bytes()[:1800])
    with pytest.raises(BadInput, match="no readable tar"):
        list(members.foreign_places(path))


def block(kind: bytes, size: int, **facts: object) -> bytes:
    """A header; GNU's form has negative sizes, too."""
    return member(type=kind, size=size, **facts).tobuf(tarfile.GNU_FORMAT)


def sparse(version: int, content: bytes) -> bytes:
    names = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"} if version else {"GNU.sparse.map": "0,5"}
    one = member(pax_headers=names, size=len(content))
    return one.tobuf(tarfile.PAX_FORMAT) + content.ljust(tarfile.BLOCKSIZE, b"\0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (block(tarfile.REGTYPE, -512), "is of -512 bytes; refused"),
        (block(tarfile.REGTYPE, -(1 << 70)), "is of -1180591620717411303424 bytes; refused"),
        (block(tarfile.XHDTYPE, -512), "no readable tar: "),
        (block(tarfile.XGLTYPE, -512), "no readable tar: "),
        (block(tarfile.GNUTYPE_LONGNAME, -1), "no readable tar: "),
        (sparse(1, b"abc\n"), "no readable tar: ValueError"),
        (sparse(1, b"1\n0\n5\n"), "is sparse; refused"),
        (sparse(0, b"12345"), "is sparse; refused"),
        (block(tarfile.XHDTYPE, 0) * 2000 + block(tarfile.REGTYPE, 0), "no readable tar: RecursionError"),
    ],
    ids=["size", "large", "pax", "global pax", "longname", "no map", "sparse 1.0", "sparse 0.1", "2,000 headers"],
)
def test_headers_that_tarfile_believes_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content + bytes(tarfile.RECORDSIZE))
    with pytest.raises(BadInput, match=said):
        list(members.foreign_places(path))


@settings(deadline=None, max_examples=20)
@given(number=st.integers(0, 30), seq_len=st.integers(1, 700), dtype=DTYPE)
def test_members_are_where_tarfile_finds_them(
    tmp_path_factory: pytest.TempPathFactory, number: int, seq_len: int, dtype: str
) -> None:
    folder, form = tmp_path_factory.mktemp("tar"), Form(seq_len, dtype)
    sequences = np.arange(number * seq_len, dtype=np.uint32).reshape(number, seq_len) % 65_000
    write_shard(folder, 3, sequences, seq_len=seq_len, dtype=dtype)
    path = folder / "shard_00000003.tar"
    with tarfile.open(path) as tar:
        expected = [(one.offset_data, one.size) for one in tar]
    assert members.places(path, form, 3, number) == expected
    assert members.places(path, form, 3, number + 1) == expected  # told otherwise, it looks
    content = bytearray(path.read_bytes())
    content[-1] = 1
    path.write_bytes(content)
    assert members.places(path, form, 3, number) == expected
