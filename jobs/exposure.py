"""Which models were trained on documents that datasets have lost: those of the folders, and those that have scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark.sql import functions as F

from lakeloom.jobs import choose, modelfolders
from lakeloom.jobs.modelfolders import ModelFolder
from lakeloom.jobs.takedown_shards import Affected
from lakeloom.lakehouse.report import Value
from lakeloom.lakehouse.store import Lakehouse

_SCORES = "gold.scores"
Row = tuple[Value, ...]  # model, model sha, dataset, documents trained on, held out, how


def models(lake: Lakehouse, folder: Path, datasets: Sequence[Affected]) -> list[Row]:
    """Models that had the documents, directly or by the model that they began with."""
    found, by_export = modelfolders.find(folder), {one.export_id: one for one in datasets}
    rows = {one.model_sha: row for one in found if (row := _direct(one, by_export))}
    while new := {one.model_sha: _inherited(one, rows) for one in found if _inherits(one, rows)}:
        rows |= new
    return [*rows.values(), *_scored(lake, by_export, {one.model_sha for one in found})]


def _direct(model: ModelFolder, datasets: Mapping[str, Affected]) -> Row | None:
    dataset = datasets.get(model.export_id)
    if dataset is None:
        return None
    splits = [split for number, split in dataset.taken.values() if number >= model.num_takedowns]
    num_train = splits.count(choose.TRAIN)
    how = "trained on them" if num_train else "validated on them"
    held = len(splits) - num_train
    return (model.name, model.model_sha, dataset.name, num_train, held, how) if splits else None


def _inherits(model: ModelFolder, rows: Mapping[str, Row]) -> bool:
    return model.start_sha in rows and model.model_sha not in rows


def _inherited(model: ModelFolder, rows: Mapping[str, Row]) -> Row:
    first = rows[str(model.start_sha)]
    return (model.name, model.model_sha, first[2], first[3], first[4], f"begins with {first[0]}")


def _scored(lake: Lakehouse, datasets: Mapping[str, Affected], here: set[str]) -> list[Row]:
    """Models of gold.scores whose folder is elsewhere: whether they were trained before is not known."""
    if not datasets or not lake.exists(_SCORES):
        return []
    scores = lake.read(_SCORES).where(F.col("export_id").isin(list(datasets)))
    rows = scores.select("model", "model_sha", "export_id").distinct().orderBy("model", "model_sha").collect()
    return [
        (row["model"], row["model_sha"], one.name, one.num_train, one.num_held, "perhaps: its folder is elsewhere")
        for row in rows
        if row["model_sha"] not in here and (one := datasets[row["export_id"]])
    ]
