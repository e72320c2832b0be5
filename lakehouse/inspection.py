"""A shard read to its last token and compared with what manifest.jsonl and dataset.json say of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lakeloom.lakehouse import members
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.ids import file_sha
from lakeloom.lakehouse.members import BIN, Tokens
from lakeloom.lakehouse.shard_writer import Accounting
from lakeloom.lakehouse.shards import DATASET, Manifest, Shard, places


def inspect(manifest: Manifest, shard: Shard) -> None:
    """Size, SHA-256, members, counts, ids below the vocabulary, pads; BadInput says what differs."""
    manifest.check_facts(shard)
    manifest.check(shard)
    path, dataset = manifest.path(shard), manifest.dataset
    num_tokens = num_pads = 0
    for place, sequence in enumerate(_sequences(path, shard)):
        largest = int(sequence.max(initial=0))
        if largest >= dataset.vocab_size:
            raise BadInput(f"{path}: sequence {place} has token {largest}, the vocabulary has {dataset.vocab_size}")
        num_tokens += len(sequence)
        num_pads += int((sequence == dataset.pad).sum()) if dataset.pad >= 0 else 0
    if (num_tokens, num_pads) != (shard.num_tokens, shard.num_pads):
        said = f"the manifest says {shard.num_tokens}, {shard.num_pads} of them pads"
        raise BadInput(f"{path}: {num_tokens} tokens, {num_pads} of them pads; {said}")


def _sequences(path: Path, shard: Shard) -> Iterator[Tokens]:
    content = np.memmap(path, np.uint8, "r")
    for place, (start, size) in enumerate(places(path, shard)):
        part = content[start : start + size]
        if shard.ext == BIN:
            yield part.view(shard.form.kind)
        else:
            yield members.tokens(part.tobytes(), shard.form, f"{path}: sequence {place}")


def inspect_dataset(manifest: Manifest) -> None:
    """The tokenizer's SHA-256, the sums of all shards, and that no other tar is beside them; BadInput if not so."""
    folder, dataset = manifest.folder, manifest.dataset
    tokenizer = folder / dataset.tokenizer_file
    if not tokenizer.is_file():
        raise BadInput(f"{tokenizer} is missing; {DATASET} names it")
    found = file_sha(tokenizer)
    if found != dataset.tokenizer_sha:
        raise BadInput(f"{tokenizer}: SHA-256 is {found}, {DATASET} says {dataset.tokenizer_sha}")
    others = sorted({path.stem for path in folder.glob("*.tar")} - {shard.shard for shard in manifest.shards})
    if others:
        raise BadInput(f"{folder / others[0]}.tar is in no line of the manifest, nor are {len(others) - 1} others")
    twice = len(manifest.shards) - len({shard.shard for shard in manifest.shards})
    if twice:
        raise BadInput(f"{folder}: {twice} shards have two lines in the manifest")
    manifest.check_sums()
    counts = Accounting.load(folder)
    if counts.tokens_in + counts.num_pads != dataset.num_tokens + counts.tokens_remainder:
        raise BadInput(
            f"{folder / DATASET}: {counts.tokens_in} tokens in and {counts.num_pads} pads are not {dataset.num_tokens} "
            f"tokens out and {counts.tokens_remainder} left over"
        )
