"""The evaluation items that documents are searched for: their n-grams, as rows of silver.eval_items and as a table.

An item is searched by what it asks; by that with its choices or answer where it asks in fewer words than are searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lakeloom.evaluate import questions, tasks
from lakeloom.evaluate.questions import Question
from lakeloom.evaluate.tasks import Absent, Task, TaskFile
from lakeloom.filters import overlap, scaffold
from lakeloom.filters.kernel import Hashes, Ints
from lakeloom.filters.overlap import Lookup, Ngrams
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.tables import table

TABLE = "silver.eval_items"
_VERSION = 1  # raise it when the same files would give other n-grams
_COLUMNS = ("firsts", "seconds", "bitmap", "lengths")


@dataclass(frozen=True)
class ItemSet:
    """Task files, and which n-grams of theirs are looked for: of `ngram` words, or of all words where they are fewer.

    Items of fewer than `min_words` words can't be told from common phrases.
    """

    files: tuple[tuple[Task, TaskFile], ...]
    absent: tuple[Absent, ...]
    ngram: int
    min_words: int

    @property
    def itemset_id(self) -> str:
        """Identity of the files' content and the n-grams."""
        named = sorted((task.name, file.sha256) for task, file in self.files)
        return identity("items", _VERSION, named, self.ngram, self.min_words)


def find(wanted: Sequence[Task], folder: Path | None, ngram: int, min_words: int) -> ItemSet:
    """The tasks' files in the folder. ConfigError where there is none at all."""
    files = list[tuple[Task, TaskFile]]()
    absent = list[Absent]()
    for task in wanted:
        found = tasks.locate(task, folder)
        if isinstance(found, Absent):
            absent.append(found)
        else:
            files.append((task, found))
    if not files:
        why = "; ".join(sorted({one.reason for one in absent})[:3])
        raise ConfigError(
            f"none of {len(wanted)} tasks has data to search for ({why}); say evaluate.data=FOLDER, "
            "a folder with llm-foundry's scripts/eval/local_data"
        )
    return ItemSet(tuple(files), tuple(absent), ngram, min_words)


def write(items: ItemSet, folder: Path) -> None:
    """rows.parquet with the rows of silver.eval_items, and the n-grams' lookup table for `load`."""
    found = list[Ngrams]()
    with pq.ParquetWriter(folder / "rows.parquet", table(TABLE).schema) as writer:
        for task, file in items.files:
            asked = questions.read(task, file)
            hashes, begins, ends = searched(asked, items.min_words)
            own = overlap.ngrams(hashes, begins, ends, items.ngram, items.min_words)
            writer.write_batch(_rows(items.itemset_id, task.name, asked, ends - begins, own))
            found.append(own)
    made = overlap.lookup(found, items.min_words)
    for name in _COLUMNS:
        np.save(folder / f"{name}.npy", getattr(made, name))


def load(folder: Path, min_words: int) -> Lookup:
    """The table that `write` left, mapped into memory: the processes of a machine share it."""
    # Copy on write: nothing is written, and kernels are compiled once for arrays that could be.
    columns = {name: np.load(folder / f"{name}.npy", mmap_mode="c").view(np.ndarray) for name in _COLUMNS}
    return Lookup(**columns, head=min_words)


def searched(asked: Sequence[Question], min_words: int) -> tuple[Hashes, Ints, Ints]:
    """The words of a task's items that are searched for: hashes, and where each item's begin and end."""
    hashes, bounds = overlap.words(pa.array([one.text for one in asked], pa.string()))
    begins, ends = scaffold.trimmed(hashes, bounds[:-1], bounds[1:])
    whole, places = overlap.words(pa.array([f"{one.text} {one.rest}" for one in asked], pa.string()))
    is_short = ends - begins < min_words
    whole_begins = len(hashes) + places[:-1] + begins - bounds[:-1]
    begins = np.where(is_short, whole_begins, begins)
    return np.concatenate([hashes, whole]), begins, np.where(is_short, len(hashes) + places[1:], ends)


def _rows(itemset_id: str, task: str, asked: Sequence[Question], num_words: Ints, found: Ngrams) -> pa.RecordBatch:
    sizes = np.bincount(found.rows, minlength=len(asked))
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    values = {
        "itemset_id": pa.array([itemset_id] * len(asked)),
        "task": pa.array([task] * len(asked)),
        "item_id": pa.array([one.item_id for one in asked], pa.string()),
        "num_words": pa.array(num_words, pa.int32()),
        "num_ngrams": pa.array(sizes, pa.int32()),
        "ngrams": pa.ListArray.from_arrays(offsets, pa.array(found.firsts.view(np.int64))),
        "checks": pa.ListArray.from_arrays(offsets, pa.array(found.seconds.view(np.int64))),
        "places": pa.ListArray.from_arrays(offsets, pa.array(found.places, pa.int32())),
    }
    return pa.RecordBatch.from_pydict(values, schema=table(TABLE).schema)
