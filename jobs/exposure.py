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
    found = [*modelfolders.find(folder), *modelfolders.unfinished(folder)]
    by_export = {one.export_id: one for one in datasets}
    rows = {one.model_sha: row for one in found if (row := _direct(one, by_export))}
    while new := _inherited(found, rows):
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


def _inherited(found: Sequence[ModelFolder], rows: Mapping[str, Row]) -> dict[str, Row]:
    """Rows of the models that have none, and began with one that has; or with a checkpoint of it, which may be gone."""
    had = {
        name: rows[one.model_sha] for one in found if one.model_sha in rows for name in (one.model_sha, one.train_id)
    }
    new = dict[str, Row]()
    for one in found:
        first = had.get(one.start_sha or "") or had.get(one.start_train_id or "")
        if first and one.model_sha not in rows:
            new[one.model_sha] = (one.name, one.model_sha, *first[2:5], f"begins with {first[0]}")
    return new


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
