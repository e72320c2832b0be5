"""ops.takedowns, the list of what was taken down: kept, and applied to whatever other jobs read."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakeloom.lakehouse.ids import identity
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.takedowns import Request

TABLE = "ops.takedowns"
KEYS = "request STRING"  # kind/hash
# Where documents with their text and name are; first those that are furthest from the crawl.
SOURCES = ("gold.corpus", "silver.documents", "bronze.pages")


@dataclass(frozen=True)
class Found:
    """A document that a request means."""

    request: str  # kind/hash
    doc_id: str


def without(lake: Lakehouse, rows: DataFrame, *, by_text: bool = False) -> DataFrame:
    """The rows (doc_id, url; text) but those of documents that were taken down. Costs nothing where none was.

    A part of a page goes with it (part_of). With `by_text` also pages of a text that was asked for by its hash.
    """
    if not lake.exists(TABLE):
        return rows
    listed = lake.read(TABLE)
    doc_ids = listed.where(F.col("doc_id").isNotNull()).select(F.col("doc_id").alias("gone")).distinct()
    asked = listed.select("kind", "request_sha").distinct()
    is_asked_by_text = by_text and not asked.where(F.col("kind") == "text_sha").isEmpty()  # else no text is hashed
    left = _except(rows, doc_ids, "doc_id")
    left = _except(left, doc_ids, "part_of") if "part_of" in rows.columns else left
    left = _except(left, _hashes(asked, "doc_id"), "doc_id")
    left = _except(left, _hashes(asked, "url"), F.sha2("url", 256))
    return _except(left, _hashes(asked, "text_sha"), F.sha2("text", 256)) if is_asked_by_text else left


def documents(lake: Lakehouse, requests: Iterable[Request]) -> list[Found]:
    """Documents of all tables that these requests, or those of the list, mean; also the parts of a page."""
    asked = {key: {key} for key in {one.key for one in requests} | _listed(lake)}  # what to look for, and for whom
    names, found, seen = [name for name in SOURCES if lake.exists(name)], set[Found](), set[str]()
    while names and (keys := asked.keys() - seen):
        seen |= keys
        wanted = lake.spark.createDataFrame([(key,) for key in sorted(keys)], KEYS)
        by_text = any(key.startswith("text_sha/") for key in keys)
        for row in (row for name in names for row in _matches(lake.read(name), wanted, by_text=by_text).collect()):
            found |= {Found(request, row["doc_id"]) for request in asked[row["request"]]}
            # What was found by its URL has parts by its doc_id.
            asked.setdefault(f"doc_id/{row['doc_id']}", set()).update(asked[row["request"]])
    return sorted(found, key=lambda one: (one.doc_id, one.request))


def record(lake: Lakehouse, requests: Iterable[Request], found: Iterable[Found]) -> None:
    """Put requests and what was found for them on the list, once."""
    asked = {one.key: one for one in requests}
    pairs = sorted({(one.request, one.doc_id) for one in found})
    nothing = sorted(asked.keys() - {request for request, _ in pairs})
    rows = [*pairs, *[(key, None) for key in nothing]]
    if lake.exists(TABLE):
        there = {(f"{row['kind']}/{row['request_sha']}", row["doc_id"]) for row in lake.read(TABLE).toLocalIterator()}
        rows = [row for row in rows if row not in there]
    if not rows:
        return
    takedown_id = identity("takedown", [list(row) for row in rows])
    values = [(takedown_id, *key.split("/", 1), doc_id) for key, doc_id in rows]
    schema = "takedown_id STRING, kind STRING, request_sha STRING, doc_id STRING"
    made = lake.spark.createDataFrame(values, schema).withColumn("requested_at", F.current_timestamp())
    lake.append(made, TABLE, txn=f"takedown/{takedown_id}")


def listed_ids(lake: Lakehouse, asked: Request | None = None) -> list[str]:
    """The doc_ids that are to be nowhere; or those of them that a request meant."""
    rows = lake.read(TABLE).where(F.col("doc_id").isNotNull())
    if asked is not None:
        meant = (F.col("kind") == asked.kind) & (F.col("request_sha") == asked.sha)
        rows = rows.where(meant | (F.col("doc_id") == asked.sha))
    rows = rows.select("doc_id").distinct().orderBy("doc_id")
    return [row["doc_id"] for row in rows.toLocalIterator()]


def _listed(lake: Lakehouse) -> set[str]:
    if not lake.exists(TABLE):
        return set()
    rows = lake.read(TABLE).select("kind", "request_sha").distinct().toLocalIterator()
    return {f"{row['kind']}/{row['request_sha']}" for row in rows}


def _matches(rows: DataFrame, wanted: DataFrame, *, by_text: bool) -> DataFrame:
    names = [F.concat(F.lit("url/"), F.sha2("url", 256)), F.concat(F.lit("doc_id/"), "doc_id")]
    # Of a part its page, and of a document of a mix the document that it was there.
    names += [F.concat(F.lit("doc_id/"), name) for name in ("part_of", "origin") if name in rows.columns]
    if by_text:
        names.append(F.concat(F.lit("text_sha/"), F.sha2("text", 256)))
    each = rows.select("doc_id", F.explode(F.array(*names)).alias("request"))
    return each.join(F.broadcast(wanted), "request", how="inner").select("request", "doc_id").distinct()


def _hashes(asked: DataFrame, kind: str) -> DataFrame:
    return asked.where(F.col("kind") == kind).select(F.col("request_sha").alias("gone"))


def _except(rows: DataFrame, gone: DataFrame, name: str | Column) -> DataFrame:
    """Rows whose value is not among the gone; null stays."""
    value = F.col(name) if isinstance(name, str) else name
    keyed = rows.withColumn("gone_key", value)
    return keyed.join(F.broadcast(gone), F.col("gone_key") == F.col("gone"), how="left_anti").drop("gone_key")
