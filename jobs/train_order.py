"""Which sequences a training step sees, and in which shards they are: no model is made, nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.train.config import TrainConfig

if TYPE_CHECKING:
    from lakeloom.train.data import Batches

_MOST = 10_000  # rows that are listed


@dataclass(frozen=True)
class TrainOrderConfig:
    """The run, as `lakeloom train` takes it, and the steps; see conf/job/train_order.yaml."""

    train: TrainConfig
    first: int
    last: int | None

    def __post_init__(self) -> None:
        if self.first < 1 or self.end < self.first:
            raise ConfigError(
                f"train_order.first={self.first}, train_order.last={self.last}: steps are counted from 1, "
                "the first not after the last"
            )
        num_rows = (self.end - self.first + 1) * self.train.scale.global_batch
        if num_rows > _MOST:
            raise ConfigError(f"train_order: {num_rows:,} sequences, more than {_MOST:,}; give fewer steps")

    @property
    def end(self) -> int:
        """The last step."""
        return self.first if self.last is None else self.last


def run(_spark: SparkSession | None, cfg: TrainOrderConfig) -> Report:
    """A row a sequence, in the order of the batch: as the processes of a run share it, whatever their number."""
    from lakeloom.train.data import Batches

    manifest = Manifest.load(Path(cfg.train.dataset))
    batches = Batches(ShardReader(manifest), cfg.train.seed, cfg.train.scale.global_batch)
    rows = tuple(row for step in range(cfg.first, cfg.end + 1) for row in _rows(batches, step))
    facts: dict[str, str | int | float] = {
        "dataset": manifest.dataset.name,
        "export_id": manifest.dataset.export_id,
        "sequences_an_epoch": manifest.dataset.num_sequences,
        "epochs": round(cfg.end * batches.global_batch / manifest.dataset.num_sequences, 3),
    }
    columns = ("step", "place", "epoch", "sequence", "shard", "row in it")
    return Report("train_order", len(rows), len(rows), facts=facts, sheets=(Sheet("sequences", columns, rows),))


def _rows(batches: "Batches", step: int) -> Iterator[tuple[Value, ...]]:
    """Steps are counted from 1, as in losses.jsonl; places, epochs, sequences and rows from 0."""
    first = (step - 1) * batches.global_batch
    for place, sequence in enumerate(batches.indices(step - 1).tolist()):
        shard, row = batches.reader.place(sequence)
        yield step, place, (first + place) // len(batches.reader), sequence, shard, row
