"""Taking documents out of an exported dataset: shards with other tokens in their place, files swapped as one.

New files are made in a folder inside the dataset's; its manifest, written last, says that all are there. Then the old
manifest goes, the new files take the old ones' places and the new manifest comes: whoever reads in between finds no
dataset instead of a mixed one, and a swap that was stopped is finished by the next takedown.
"""

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from lakeloom.lakehouse.errors import BadInput, Incomplete
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.shard_writer import HOLDOUT, write_shard
from lakeloom.lakehouse.shards import ASIDE, DATASET, MANIFEST, Manifest, Shard, ShardReader, listed

Edit = tuple[int, int, bytes]  # row in the shard, first token in the row, the tokens that are to go


def begin(folder: Path) -> Path:
    """An empty folder for the new files. What an earlier run completed there is put in place, the rest is deleted."""
    finish(folder)
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    return aside


def finish(folder: Path) -> bool:
    """Put new files in place if they are complete; whether there were any. What a failed task left beside them goes."""
    aside = folder / ASIDE
    if not (aside / MANIFEST).is_file():
        return False
    wanted = {DATASET, HOLDOUT, *(f"{shard.shard}.tar" for shard in listed(aside))}
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in sorted(aside.iterdir()):
        if path.name in wanted:
            path.replace(folder / path.name)
        elif path.name != MANIFEST:
            path.unlink()
    (aside / MANIFEST).replace(folder / MANIFEST)
    shutil.rmtree(aside)
    return True


def publish(folder: Path, described: Mapping[str, Json], shards: Iterable[Shard]) -> None:
    """Write dataset.json and, last, the manifest with these shards instead of those of their names; then swap."""
    aside, new = folder / ASIDE, {shard.shard: shard for shard in shards}
    (aside / DATASET).write_text(json.dumps(described, indent=1) + "\n", "utf-8")
    lines: list[str] = []
    for line in (folder / MANIFEST).read_text("utf-8").splitlines():
        old: dict[str, Json] = json.loads(line)
        shard = new.get(str(old["shard"]))
        lines.append(json.dumps(old | (asdict(shard) if shard else {})) + "\n")
    (aside / f".{MANIFEST}").write_text("".join(lines), "utf-8")
    (aside / f".{MANIFEST}").replace(aside / MANIFEST)
    finish(folder)


def rewrite(folder: Path, number: int, edits: Sequence[Edit]) -> Shard:
    """A shard anew, with EOT in the place of some tokens. Incomplete where other tokens are there.

    BadInput where its SHA-256 is not the manifest's: what was broken would have a valid one.
    """
    manifest = Manifest.read(folder)  # not checked: that looks at every shard, for each shard
    old = manifest.shards[number]
    manifest.check_facts(old)
    facts = replace(manifest.dataset, num_sequences=old.num_sequences)
    reader = ShardReader(replace(manifest, shards=(old,), dataset=facts), is_checked=True)
    by_row = dict[int, list[Edit]]()
    for edit in edits:
        by_row.setdefault(edit[0], []).append(edit)
    sequences = (
        _edited(reader[row].astype(np.uint32), by_row.get(row, ()), old, manifest.dataset.eot)
        for row in range(old.num_sequences)
    )
    made = write_shard(
        folder / ASIDE, number, sequences, seq_len=old.seq_len, dtype=old.dtype, ext=old.ext, pad=manifest.dataset.pad
    )
    if (made.shard, made.num_sequences) != (old.shard, old.num_sequences):
        raise Incomplete(
            f"{folder}: {made.shard} of {made.num_sequences} sequences was to be {old.shard}; nothing changed"
        )
    return made


def _edited(sequence: npt.NDArray[np.uint32], edits: Sequence[Edit], shard: Shard, eot: int) -> npt.NDArray[np.uint32]:
    for row, start, tokens in edits:
        gone = np.frombuffer(tokens, np.dtype(shard.dtype).newbyteorder("<"))
        found = sequence[start : start + len(gone)]
        if not np.array_equal(found, gone):
            raise Incomplete(
                f"{shard.shard}, sequence {row}: other tokens than the document's are where it was packed; the "
                "dataset is not the one that its dataset.json describes, and was left as it is"
            )
        sequence[start : start + len(gone)] = eot
    return sequence


def filter_holdout(folder: Path, doc_ids: frozenset[str]) -> int:
    """The held-out documents without these, written anew where one of them was there; how many were."""
    source = folder / HOLDOUT
    if not source.is_file():
        return 0
    gone = sum(1 for _, doc_id in _held(source) if doc_id in doc_ids)
    if gone:
        with zstandard.open(folder / ASIDE / HOLDOUT, "wb", cctx=zstandard.ZstdCompressor(level=6)) as file:
            for line, doc_id in _held(source):
                if doc_id not in doc_ids:
                    file.write(line)
    return gone


def _held(path: Path) -> Iterator[tuple[bytes, str]]:
    try:
        with pa.input_stream(path, compression="zstd") as raw:
            for line in io.TextIOWrapper(raw, "utf-8", newline="\n"):
                yield line.encode(), str(json.loads(line)["doc_id"])
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: no held-out documents: {error!r}") from error
