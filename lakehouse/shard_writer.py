"""Writing an exported dataset: tar shards of raw little-endian tokens, dataset.json, and the manifest last.

The format is webdataset's (ustar, one member a sequence) and is read by lakehouse/shards.py. The same
sequences give the same bytes: members carry no time, owner or machine. A dataset is written into a folder
aside and becomes visible by one rename, so that what is visible is complete.
"""

import hashlib
import io
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

from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.shards import DATASET, MANIFEST, DatasetFacts, Shard

MARK = ".export"  # names the export that a folder aside belongs to
EXT = "bin"
HOLDOUT = "holdout.jsonl.zst"


@dataclass(frozen=True)
class Accounting:
    """Tokens of all documents with their EOTs, those that filled no sequence, and the documents."""

    tokens_in: int
    tokens_remainder: int
    num_documents: int

    @classmethod
    def load(cls, folder: Path) -> "Accounting":
        """Of a published dataset."""
        described: dict[str, int] = json.loads((folder / DATASET).read_text("utf-8"))
        return cls(*(described[item.name] for item in fields(cls)))


def shard_name(number: int) -> str:
    """Name of a shard, and of its file without the suffix."""
    return f"shard_{number:08d}"


def write_shard(
    folder: Path, number: int, sequences: Iterable[npt.NDArray[np.uint32]], *, seq_len: int, dtype: str
) -> Shard:
    """Write one tar, streaming; it has its name when it is complete. Ids beyond the dtype are a BadInput."""
    name = shard_name(number)
    # Two attempts at one task may run at once: each has its own file, and the bytes are the same.
    aside = folder / f".{name}.{uuid4().hex}"
    count = 0
    with tarfile.open(aside, "w", format=tarfile.USTAR_FORMAT) as tar:
        for count, sequence in enumerate(sequences, 1):
            if len(sequence) != seq_len:
                raise BadInput(f"{name}: sequence {count - 1} has {len(sequence)} tokens, expected {seq_len}")
            _add(tar, f"{number:08d}_{count - 1:08d}.{EXT}", _content(sequence, dtype))
    with aside.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    num_bytes = aside.stat().st_size
    aside.replace(folder / f"{name}.tar")
    return Shard(name, count, count * seq_len, num_bytes, sha256, seq_len, dtype, EXT)


def _content(sequence: npt.NDArray[np.uint32], dtype: str) -> bytes:
    kind = np.dtype(dtype).newbyteorder("<")
    if len(sequence) and int(sequence.max()) > np.iinfo(kind).max:
        raise BadInput(f"token id {sequence.max()} doesn't fit {dtype}")
    return sequence.astype(kind).tobytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # mtime, uid, gid 0 and no owner's name, as they come
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


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
    for unfinished in aside.glob(".shard_*"):
        unfinished.unlink()
    described = asdict(facts) | asdict(accounting) | more
    (aside / DATASET).write_text(json.dumps(described, indent=1) + "\n", "utf-8")
    lines = "".join(json.dumps(asdict(shard)) + "\n" for shard in shards)
    (aside / MANIFEST).write_text(lines, "utf-8")
    if folder.exists():
        raise ConfigError(f"{folder} appeared during the export; nothing was overwritten")
    aside.rename(folder)
    (folder / MARK).unlink()
