"""The sources of a mixture, opened: the documents of each, and an identity that changes when they do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from delta import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.jobs import corpora, text_files, withdrawn
from lakeloom.jobs.documents import sums_of_ids
from lakeloom.jobs.mixture import Source
from lakeloom.lakehouse import pools
from lakeloom.lakehouse.errors import ConfigError, Incomplete, LakeloomError, raised_by_worker, unknown
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.pools import SourceFile
from lakeloom.lakehouse.references import PLACES
from lakeloom.lakehouse.shards import MANIFEST
from lakeloom.lakehouse.store import Lakehouse, newest
from lakeloom.lakehouse.tables import TABLES

_VERSION = 1  # raise it when the same source would give other documents


@dataclass(frozen=True)
class Opened:
    """A source with its documents (rows of text_files.DOCUMENTS), at one version of a table where it is one."""

    source: Source
    source_id: str
    documents: DataFrame
    version: int | None = None
    reference: str | None = None  # JSON of what a DCLM reference says of itself
    files: tuple[SourceFile, ...] = ()  # none of a table, which stays as it was at its version
    hashes: Sequence[Json] = ()  # text_files.identity of the files


def open_source(lake: Lakehouse, source: Source) -> Opened:
    """Find the source and read what identifies it. ConfigError names the source and what is wrong with it."""
    kinds = {"dataset": _dataset, "table": _table, "files": _files, "reference": _reference}
    with _named(source):
        return _allowed(lake, kinds[source.kind](lake, source))


def refuse_changed(lake: Lakehouse, opened: Opened) -> None:
    """Incomplete where the source's files are others than when it was opened: what was read since may be of either."""
    with _named(opened.source):
        now = text_files.identity(lake.spark, opened.files) if opened.files else []
        for before, after in zip(opened.hashes, now, strict=True):
            if before != after:
                raise Incomplete(f"file {after[0]} changed while it was read; nothing was published, run the job again")


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Errors of ours, with the source's name; what else Spark says of a source is a ConfigError."""
    try:
        yield
    except LakeloomError as error:
        raise type(error)(f"source {source.name!r}: {error}") from error
    except PySparkException as error:  # an executor's, or on a cluster elsewhere that of a wrong name
        ours = raised_by_worker(str(error)) or ConfigError(str(error).strip().splitlines()[0])
        raise type(ours)(f"source {source.name!r}: {ours}") from error


def _allowed(lake: Lakehouse, opened: Opened) -> Opened:
    """Without what was taken down; a source that has such documents is another one."""
    if not lake.exists(withdrawn.TABLE):
        return opened
    rows = opened.documents.withColumn("doc_id", F.col("origin"))
    left = withdrawn.without(lake, rows, by_text=True)
    number = rows.count() - left.count()
    if not number:
        return opened
    source_id = identity("without", opened.source_id, number, lake.version(withdrawn.TABLE))
    return replace(opened, source_id=source_id, documents=left.drop("doc_id"))


def _dataset(lake: Lakehouse, source: Source) -> Opened:
    """Told apart by which documents there are: others' commits to gold.corpus change nothing, a takedown does."""
    corpus_id, commit = corpora.find(lake, source.place)
    version = max(lake.version(corpora.CORPUS), commit.version)
    rows = lake.read(corpora.CORPUS, version).where(F.col("corpus_id") == corpus_id)
    found = rows.agg(F.count("*").alias("n"), *sums_of_ids(F.lit(True))).first()
    assert found is not None  # noqa: S101 (an aggregate without groups has one row)
    absent = F.lit(None).cast("string")
    documents = rows.select("text", "url", F.col("doc_id").alias("origin"), "split", absent.alias("error"))
    said: list[Json] = [corpus_id, found["n"], found["one"] or 0, found["other"] or 0]
    return Opened(source, _identity("dataset", *said), documents, version)


def _table(lake: Lakehouse, source: Source) -> Opened:
    """A table of the lakehouse by name, any other Delta table by its folder or its catalog's name."""
    name, spark = source.place, lake.spark
    if name in TABLES:
        lake.read(name)  # an empty one is refused with the job that fills it
        table = lake.delta(name)
    elif "/" in name:
        name = name if "://" in name else str(Path(name).expanduser().absolute())
        if not DeltaTable.isDeltaTable(spark, name):
            raise ConfigError(f"no Delta table in {name}")
        table = DeltaTable.forPath(spark, name)
    elif "." in name:
        table = DeltaTable.forName(spark, name)
    else:
        raise unknown("table", name, TABLES, "a folder has a slash in it, a catalog's table a dot")
    latest = newest(table)
    version = latest if source.version is None else source.version
    if version > latest:
        raise ConfigError(f"{name} has no version {version}, its newest is {latest}")
    detail = table.detail().select("id").first()
    if name in TABLES:
        rows = lake.read(name, version)
    else:
        reader = spark.read.format("delta").option("versionAsOf", version)
        rows = reader.load(name) if "/" in name else reader.table(name)
    documents = _of_table(rows, source)
    said: list[Json] = [detail["id"] if detail else "", version, source.column, source.where]
    return Opened(source, _identity("table", *said), documents, version)


def _of_table(rows: DataFrame, source: Source) -> DataFrame:
    kinds = dict(rows.dtypes)
    if kinds.get(source.column) != "string":
        texts = [name for name, kind in kinds.items() if kind == "string"]
        raise unknown("column of texts", source.column, texts, source.place)
    chosen = rows.where(source.where) if source.where else rows
    text = F.make_valid_utf8(F.col(source.column))
    absent = F.lit(None).cast("string")
    return chosen.select(
        text.alias("text"),
        (F.col("url") if kinds.get("url") == "string" else absent).alias("url"),
        (F.col("doc_id") if kinds.get("doc_id") == "string" else absent).alias("origin"),
        absent.alias("split"),
        F.when(F.coalesce(text, F.lit("")) == "", "no_text").alias("error"),
    )


def _files(lake: Lakehouse, source: Source) -> Opened:
    files = source.files or _listed(lake, source.place)
    return _opened(lake, source, files)


def _listed(lake: Lakehouse, place: str) -> tuple[SourceFile, ...]:
    """Files of texts: a Delta table's may be of any version, and beside shards of tokens lies what is held out."""
    if "://" not in place and (Path(place).expanduser() / "_delta_log").is_dir():
        raise ConfigError(f"{place} is a Delta table; say table: {place}")
    files = pools.text_files(place)
    if any(file.path.rpartition("/")[2] == MANIFEST for file in files):
        raise ConfigError(
            f"{place} holds a {MANIFEST}: shards of tokens; name the texts, or the dataset, of which it is"
        )
    return tuple(files)


def _opened(lake: Lakehouse, source: Source, files: tuple[SourceFile, ...]) -> Opened:
    said = text_files.identity(lake.spark, files)
    documents = text_files.documents(lake.spark, files, source.column)
    return Opened(source, _identity("files", source.column, list(said)), documents, files=files, hashes=said)


def _reference(lake: Lakehouse, source: Source) -> Opened:
    """A data set of DCLM's by its reference JSON (specification, section 7.1)."""
    facts = read_reference(Path(source.place).expanduser())
    url, ending = str(facts["dataset_url"]), str(facts.get("data_key") or "")
    files = tuple(file for file in _listed(lake, url) if file.path.endswith(ending))
    if not files:
        raise ConfigError(f"{url}: no file ends with the reference's data_key {ending!r}")
    kept = {name: facts.get(name) for name in ("uuid", "name", "sources")}
    return replace(_opened(lake, source, files), reference=json.dumps(kept, sort_keys=True))


def read_reference(path: Path) -> Mapping[str, object]:
    """A reference whose data are texts. ConfigError where they are tokens, or where it says no folder."""
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no reference JSON of DCLM's: {error}") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("dataset_url"), str) or not facts["dataset_url"]:
        raise ConfigError(f"{path} has no dataset_url, the folder of its JSON lines{_archives(facts)}")
    if facts.get("tokenized"):
        made_by = facts.get("tokenizer") or "a tokenizer that it doesn't name"
        raise ConfigError(
            f"{path}: {facts.get('name')!r} is tokenised already, by {made_by}; a mix takes texts and tokenises them "
            "with its own tokenizer: name the reference of the texts that it was made of"
        )
    return facts


def _archives(facts: object) -> str:
    """What a reference without a folder has instead."""
    found = [name for name in PLACES[1:] if isinstance(facts, dict) and facts.get(name)]
    return f", but {found[0]}, archives of pages; lakeloom ingest takes texts out of those" if found else ""


def _identity(kind: str, *said: Json) -> str:
    return identity("source", _VERSION, kind, *said)
