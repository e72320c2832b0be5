"""Pages that must go: out of every table and exported dataset, and kept out; `lakeloom takedown FILE-OR-URLS`.

In this order, so that a run that is killed is finished by the next, of any words or none: what was asked for is put on
the list (ops.takedowns), which other jobs obey from then on; exported datasets lose the documents' tokens; tables lose
their rows, gold.corpus first, by which the tokens were found; old versions lose their files, where allowed.
"""

import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import citations, exposure, takedown_shards, withdrawn
from lakeloom.jobs.withdrawn import Found
from lakeloom.lakehouse import takedowns
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report, Sheet
from lakeloom.lakehouse.shard_writer import UNFINISHED
from lakeloom.lakehouse.shards import ASIDE
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import TABLES, table
from lakeloom.lakehouse.takedowns import Request

log = logging.getLogger(__name__)

_LAST = withdrawn.SOURCES  # the crawl's own last: a run that is killed finds there what is left to do
_ROWS = [name for name, one in TABLES.items() if "doc_id" in one.schema.names and name not in (*_LAST, withdrawn.TABLE)]
_PAIRS, _SIGNATURES, _DEAD = "silver.pairs", "silver.signatures", "bronze.dead_letters"
_NAMED = 5
# What jobs that were killed may leave in the lakehouse's folder.
_LEFT = (
    "scratch/*", "staging/*", "classifiers/.partial-*",
    "shards/.*.partial", f"shards/*/{ASIDE}", f"shards/*/{UNFINISHED}*",
)  # fmt: skip


@dataclass(frozen=True)
class TakedownConfig:
    """What is to go, and how far; see conf/job/takedown.yaml."""

    lakehouse: LakehouseConfig
    words: list[str]
    models: str
    vacuum: bool
    dry_run: bool
    strict: bool


def run(spark: SparkSession, cfg: TakedownConfig) -> Report:
    """Rows are requests, dropped those for which nothing was found. With `strict` that is a ConfigError, at the end."""
    lake = Lakehouse(spark, cfg.lakehouse)
    requests = takedowns.parse(cfg.words)
    if not requests and not lake.exists(withdrawn.TABLE):
        raise ConfigError("takedown needs what to take down: URLs, doc_ids, SHA-256 of texts, or a file of them")
    found = withdrawn.documents(lake, requests)
    unknown = _unknown(lake, requests, found)
    doc_ids = sorted({one.doc_id for one in found} | set(withdrawn.listed_ids(lake) if _is_listed(lake) else ()))
    if cfg.dry_run:
        counts, datasets = _counted(lake, doc_ids), takedown_shards.affected(lake, doc_ids)
    else:
        withdrawn.record(lake, requests, found)
        datasets = takedown_shards.take_out(lake, doc_ids)
        counts = _erase(lake, doc_ids, requests)
        if cfg.vacuum:
            _vacuum(lake)
    report = _report(lake, cfg, requests, doc_ids, unknown)
    sheets = (_table_sheet(counts, cfg), _dataset_sheet(datasets, cfg), _model_sheet(lake, cfg, datasets))
    report = replace(report, sheets=tuple(sheet for sheet in sheets if sheet.rows), notes=_notes(lake, cfg, unknown))
    if cfg.strict and unknown:
        raise ConfigError(f"takedown.strict=true: nothing is known of {_names(unknown)}; all else was done")
    return report


def _is_listed(lake: Lakehouse) -> bool:
    return lake.exists(withdrawn.TABLE)


def _unknown(lake: Lakehouse, requests: Sequence[Request], found: Sequence[Found]) -> list[Request]:
    """Requests for which nothing is or was there."""
    known = {one.request for one in found}
    if _is_listed(lake):
        rows = lake.read(withdrawn.TABLE).where(F.col("doc_id").isNotNull()).select("kind", "request_sha").distinct()
        known |= {f"{row['kind']}/{row['request_sha']}" for row in rows.toLocalIterator()}
    return [one for one in requests if one.key not in known]


def _keys(lake: Lakehouse, doc_ids: Collection[str]) -> DataFrame:
    return lake.spark.createDataFrame([(doc_id,) for doc_id in doc_ids], "doc_id STRING")


def _tables(lake: Lakehouse) -> list[str]:
    return [name for name in (*_ROWS, *_LAST) if lake.exists(name)]


def _counted(lake: Lakehouse, doc_ids: Collection[str]) -> dict[str, int]:
    """Rows of each table that would go."""
    keys = F.broadcast(_keys(lake, doc_ids))
    return {name: lake.read(name).join(keys, "doc_id", how="left_semi").count() for name in _tables(lake)}


def _erase(lake: Lakehouse, doc_ids: Collection[str], requests: Sequence[Request]) -> dict[str, int]:
    """Delete the documents' rows; by table how many."""
    keys = _keys(lake, doc_ids)
    gone = {_PAIRS: _erase_pairs(lake, keys), _DEAD: _erase_dead(lake, keys, requests)}
    for name, number in _counted(lake, doc_ids).items():
        gone[name] = lake.erase(name, keys, F.expr("t.doc_id = k.doc_id")) if number else 0
        log.info("%s: %s rows deleted", name, gone[name])
    return gone


def _erase_pairs(lake: Lakehouse, keys: DataFrame) -> int:
    """Pairs of the documents' texts: a text that another document has too is compared anew when it is needed."""
    if not (lake.exists(_PAIRS) and lake.exists(_SIGNATURES)):
        return 0
    ours = lake.read(_SIGNATURES).join(F.broadcast(keys), "doc_id", how="left_semi")
    texts = F.broadcast(ours.select(F.left("text_sha", F.lit(32)).alias("node")).distinct())
    ends = lake.read(_PAIRS).select(*table(_PAIRS).keys, F.explode(F.array("a", "b")).alias("node"))
    return _erase_found(lake, _PAIRS, ends.join(texts, "node", how="left_semi"))


def _erase_dead(lake: Lakehouse, keys: DataFrame, requests: Sequence[Request]) -> int:
    """Dead letters whose detail names a URL that was asked for, or that of a document that goes."""
    if not lake.exists(_DEAD):
        return 0
    names = lake.spark.createDataFrame([(one.said,) for one in requests if one.kind == "url"], "url STRING")
    for name in _LAST:
        if lake.exists(name):
            ours = lake.read(name).where("url <> ''").join(F.broadcast(keys), "doc_id", how="left_semi")
            names = names.union(ours.select("url"))
    names = F.broadcast(names.distinct())
    return _erase_found(lake, _DEAD, lake.read(_DEAD).join(names, F.expr("contains(detail, url)"), how="left_semi"))


def _erase_found(lake: Lakehouse, name: str, rows: DataFrame) -> int:
    """Delete these rows of a table, told apart by its keys."""
    keys = table(name).keys
    found = rows.select(*keys).distinct()
    if found.isEmpty():  # a merge that finds nothing would be a commit all the same
        return 0
    return lake.erase(name, found, F.expr(" and ".join(f"t.{key} <=> k.{key}" for key in keys)))


def _vacuum(lake: Lakehouse) -> None:
    """Delete the files of all old versions of these tables, and what killed jobs left in and beside them."""
    for name in (*_tables(lake), *(name for name in (_PAIRS, _DEAD, "gold.shards") if lake.exists(name))):
        if citations.has_other_files(lake, name):
            lake.vacuum(name, 0)
    if "://" in lake.cfg.root:
        return
    root = Path(lake.cfg.root).absolute()
    for path in (path for pattern in _LEFT for path in root.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _report(
    lake: Lakehouse,
    cfg: TakedownConfig,
    requests: Sequence[Request],
    doc_ids: Sequence[str],
    unknown: Sequence[Request],
) -> Report:
    versions = {name: lake.version(name) for name in (*_LAST, withdrawn.TABLE) if lake.exists(name)}
    facts: dict[str, str | int | float] = {"documents_on_the_list": len(doc_ids)}
    facts |= {"dry_run": 1} if cfg.dry_run else {"vacuum": int(cfg.vacuum)}
    number = len(requests)
    return Report("takedown", number, number - len(unknown), len(unknown), versions, facts)


def _table_sheet(counts: dict[str, int], cfg: TakedownConfig) -> Sheet:
    title = "rows that would go" if cfg.dry_run else "rows deleted"
    return Sheet(title, ("table", "rows"), tuple((name, number) for name, number in counts.items() if number))


def _dataset_sheet(datasets: Sequence[takedown_shards.Affected], cfg: TakedownConfig) -> Sheet:
    title = "datasets that would be rewritten" if cfg.dry_run else "dataset versions that had a document of the list"
    columns = ("dataset", "export id", "documents", "held out", "sequences changed", "shards changed", "where")
    rows = [
        (one.name, one.export_id, one.num_train, one.num_held, one.num_sequences, one.num_shards, one.where)
        for one in datasets
    ]
    return Sheet(title, columns, tuple(rows))


def _model_sheet(lake: Lakehouse, cfg: TakedownConfig, datasets: Sequence[takedown_shards.Affected]) -> Sheet:
    columns = ("model", "model sha", "dataset", "documents", "held out", "how")
    return Sheet("models that were trained on them", columns, tuple(exposure.models(lake, Path(cfg.models), datasets)))


def _notes(lake: Lakehouse, cfg: TakedownConfig, unknown: Sequence[Request]) -> tuple[str, ...]:
    notes: list[str] = []
    if unknown:
        notes.append(f"nothing is known of {_names(unknown)}; they are on the list, and kept out should they come")
    if cfg.dry_run:
        return (*notes, "nothing was changed")
    if not cfg.vacuum:
        notes.append(
            "old versions of the tables still have these rows: run again with takedown.vacuum=true while no other job "
            "is running, or lakeloom maintain after a week"
        )
    else:
        lost = [one for one in citations.cited(lake, Path(cfg.models)) if not citations.is_readable(lake, one)]
        notes += [f"{one.table} version {one.version}, cited by {one.by}, can't be read any more" for one in lost]
    if not cfg.dry_run:
        notes.append(
            "not rewritten: the pool's own archives, tokenizers and classifiers that were fitted to its texts, models' "
            "weights, and copies of shards elsewhere"
        )
    return tuple(notes)


def _names(requests: Sequence[Request]) -> str:
    more = f" and {len(requests) - _NAMED} more" if len(requests) > _NAMED else ""
    return ", ".join(one.said for one in requests[:_NAMED]) + more
