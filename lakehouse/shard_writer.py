"""Writing an exported dataset: tar shards in a form of members.py, dataset.json, and the manifest last.

The format is webdataset's (ustar, one member a sequence) and is read by lakehouse/shards.py. The same
sequences give the same bytes: members carry no time, owner or machine. A dataset is written into a folder
aside and becomes visible by one rename, so that what is visible is complete.
"""

import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import zstandard

from lakeloom.lakehouse import members
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import Json, file_sha
from lakeloom.lakehouse.members import BIN, BLOCK, Form
from lakeloom.lakehouse.shards import DATASET, MANIFEST, DatasetFacts, Shard

MARK = ".export"  # names the export that a folder aside belongs to
HOLDOUT = "holdout.jsonl.zst"
UNFINISHED = ".shard_"  # what the name of a tar that is being written begins with


@dataclass(frozen=True)
class Accounting:
    """Tokens of all documents with their EOTs, those that filled no sequence, the documents, and the pads added."""

    tokens_in: int
    tokens_remainder: int
    num_documents: int
    num_pads: int = 0

    @classmethod
    def load(cls, folder: Path) -> "Accounting":
        """Of a published dataset."""
        described: dict[str, int] = json.loads((folder / DATASET).read_text("utf-8"))
        return cls(*(described.get(item.name, 0) for item in fields(cls)))


def shard_name(number: int) -> str:
    """Name of a shard, and of its file without the suffix."""
    return f"shard_{number:08d}"


def write_shard(
    folder: Path,
    number: int,
    sequences: Iterable[npt.NDArray[np.unsignedinteger]],
    *,
    seq_len: int,
    dtype: str,
    ext: str = BIN,
    pad: int = -1,
) -> Shard:
    """Write one tar, streaming; it has its name when it is complete. Ids beyond the dtype are a BadInput."""
    name, form = shard_name(number), Form(seq_len, dtype, ext, pad)
    # Two attempts at one task may run at once: each has its own file, and the bytes are the same.
    aside = folder / f"{UNFINISHED}{number:08d}.{uuid4().hex}"
    try:
        count, num_pads = _write_tar(aside, form, number, sequences)
        sha256, num_bytes = file_sha(aside), aside.stat().st_size
        aside.replace(folder / f"{name}.tar")
    finally:
        aside.unlink(missing_ok=True)
    places = members.regular(form)
    return Shard(name, count, count * seq_len, num_bytes, sha256, seq_len, dtype, ext, num_pads, *places)


def _write_tar(
    path: Path, form: Form, number: int, sequences: Iterable[npt.NDArray[np.unsignedinteger]]
) -> tuple[int, int]:
    """Numbers of sequences and pads."""
    count = num_pads = 0
    with path.open("wb", buffering=1 << 20) as file:
        for count, sequence in enumerate(sequences, 1):
            if len(sequence) != form.seq_len:
                found = f"sequence {count - 1} has {len(sequence)} tokens, expected {form.seq_len}"
                raise BadInput(f"{shard_name(number)}: {found}")
            member, content = members.member(form, number, count - 1, sequence)
            file.write(members.header(member, len(content)) + content + bytes(-len(content) % BLOCK))
            num_pads += int((sequence == form.pad).sum()) if form.pad >= 0 else 0
        file.write(bytes(2 * BLOCK))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
    return count, num_pads


def begin(folder: Path, export_id: str) -> Path:
    """An empty folder aside for the dataset `folder`; what this export left there before is deleted."""
    aside = folder.with_name(f".{folder.name}.partial")
    if aside.exists():
        mark = aside / MARK
        if not mark.is_file() or mark.read_text("ascii") != export_id:
            raise ConfigError(f"{aside} is in the way and not of export {export_id}; move or delete it")
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    (aside / MARK).write_text(export_id, "ascii")
    return aside


def write_holdout(folder: Path, documents: Iterable[Mapping[str, str]], max_bytes: int) -> int:
    """Held-out documents as JSON lines, until the next goes over max_bytes of them; the number written."""
    count = num_bytes = 0
    with zstandard.open(folder / HOLDOUT, "wb", cctx=zstandard.ZstdCompressor(level=6)) as file:
        for document in documents:
            line = json.dumps(dict(document), ensure_ascii=False).encode() + b"\n"
            num_bytes += len(line)
            if num_bytes > max_bytes:
                break
            file.write(line)
            count += 1
    return count


def publish(
    aside: Path,
    folder: Path,
    facts: DatasetFacts,
    accounting: Accounting,
    shards: Sequence[Shard],
    **more: Json,
) -> None:
    """Write dataset.json (with what `more` there is to say) and, last, the manifest; then give the folder its name."""
    described = asdict(facts) | asdict(accounting) | more
    (aside / DATASET).write_text(json.dumps(described, indent=1) + "\n", "utf-8")
    reveal(aside, folder, shards)


def reveal(aside: Path, folder: Path, shards: Sequence[Shard]) -> None:
    """Write the manifest of what is in a folder aside, and give the folder its name."""
    for unfinished in aside.glob(f"{UNFINISHED}*"):
        unfinished.unlink()
    lines = "".join(json.dumps(asdict(shard)) + "\n" for shard in shards)
    (aside / MANIFEST).write_text(lines, "utf-8")
    if folder.exists():
        raise ConfigError(f"{folder} appeared during the export; nothing was overwritten")
    aside.rename(folder)
    (folder / MARK).unlink()
