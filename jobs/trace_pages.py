"""Forward from a page: its record in the crawl, documents, clusters, datasets, sequences, models and their scores."""

from pathlib import Path

from pyspark.sql import Row
from pyspark.sql import functions as F

from lakeloom.jobs import choose, exposure, locate, takedown_shards, trace_models, withdrawn
from lakeloom.jobs.takedown_shards import Affected
from lakeloom.jobs.tracenode import Node
from lakeloom.lakehouse import takedowns
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.report import Value
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.takedowns import request

_PAGES, _DOCUMENTS, _CLUSTERS, _CORPUS = "bronze.pages", "silver.documents", "silver.clusters", "gold.corpus"
_ABOUT = ("pool", "url", "fetched_at", "warc_file", "warc_offset", "num_chars")
_LARGE = ("text", "html", "signals", "aggregated", "http_headers")
_MOST = 20  # pages of one URL


def find(lake: Lakehouse, models: Path, what: str, *, with_tokens: bool) -> list[Node]:
    """A node a document of that URL or doc_id, wherever it is; one that was taken down is said to be."""
    asked = request(what)
    found = [one.doc_id for one in withdrawn.documents(lake, [asked]) if one.request == asked.key]
    taken = withdrawn.listed_ids(lake, asked) if lake.exists(withdrawn.TABLE) else []
    roots = [one for one in found if _part_of(lake, one) not in found]
    names = list(dict.fromkeys([*roots, *taken]))[:_MOST]
    return [_page(lake, models, one, is_gone=one in taken, with_tokens=with_tokens) for one in names]


def _part_of(lake: Lakehouse, doc_id: str) -> str | None:
    if not lake.exists(_DOCUMENTS):
        return None
    row = lake.read(_DOCUMENTS).where(F.col("doc_id") == doc_id).select("part_of").first()
    return row["part_of"] if row else None


def _rows(lake: Lakehouse, name: str, doc_id: str) -> list[Row]:
    if not lake.exists(name):
        return []
    rows = lake.read(name).where(F.col("doc_id") == doc_id)
    return rows.select(*[column for column in rows.columns if column not in _LARGE]).collect()


def _page(lake: Lakehouse, models: Path, doc_id: str, *, is_gone: bool, with_tokens: bool) -> Node:
    about: dict[str, Json] = {}
    for row in _rows(lake, _PAGES, doc_id)[:1]:
        about = {name: str(row[name]) if name == "fetched_at" else row[name] for name in _ABOUT}
    about |= {"taken_down": True} if is_gone else {}
    documents = sorted(_rows(lake, _DOCUMENTS, doc_id), key=lambda row: (row["recipe"], row["recipe_hash"]))
    parts = _parts(lake, doc_id)
    nodes = [_document(row) for row in documents]
    clusters = [_cluster(row) for row in _rows(lake, _CLUSTERS, doc_id)]
    datasets = _datasets(lake, models, doc_id, with_tokens=with_tokens)
    more = [_page(lake, models, part, is_gone=is_gone, with_tokens=with_tokens) for part in parts]
    return Node("part" if documents and documents[0]["part_of"] else "page", doc_id, about,
                (*nodes, *clusters, *datasets, *more))  # fmt: skip


def _parts(lake: Lakehouse, doc_id: str) -> list[str]:
    if not lake.exists(_DOCUMENTS):
        return []
    rows = lake.read(_DOCUMENTS).where(F.col("part_of") == doc_id).select("doc_id").distinct().orderBy("doc_id")
    return [row["doc_id"] for row in rows.collect()]


def _document(row: Row) -> Node:
    outcome = f"step {row['dropped_at']} {row['dropped_by']}" if row["dropped_by"] else None
    facts: dict[str, Json] = {"recipe_hash": row["recipe_hash"], "dropped_by": outcome, "kept": outcome is None}
    return Node("document of recipe", str(row["recipe"]), facts | {"num_chars": row["num_chars"]})


def _cluster(row: Row) -> Node:
    facts: dict[str, Json] = {"dedup_id": row["dedup_id"], "stays": row["is_representative"], "reason": row["reason"]}
    return Node("cluster", str(row["cluster_id"]), facts)


def _datasets(lake: Lakehouse, models: Path, doc_id: str, *, with_tokens: bool) -> list[Node]:
    """Datasets that have the document or had it, and corpora that were not exported."""
    corpora = {row["corpus_id"]: row for row in _rows(lake, _CORPUS, doc_id)}
    found: list[Node] = []
    for folder in takedown_shards.folders(lake):
        manifest = Manifest.load(folder)
        chosen = corpora.pop(manifest.dataset.corpus_id, None)
        taken = {one.doc_id: (number, one) for number, one in enumerate(takedowns.of_dataset(folder))}
        if doc_id in taken:
            number, one = taken[doc_id]
            found.append(_dataset(lake, models, manifest, (number, one.split), {"taken_out": True}))
        elif chosen is not None:
            more = _sequences(lake, manifest, doc_id) if with_tokens and chosen["split"] == choose.TRAIN else {}
            found.append(_dataset(lake, models, manifest, (len(taken), chosen["split"]), more))
    facts = [(row["dataset"], row["split"], corpus) for corpus, row in corpora.items()]
    return found + [Node("corpus", str(name), {"split": split, "corpus_id": one}) for name, split, one in facts]


def _dataset(lake: Lakehouse, models: Path, manifest: Manifest, place: tuple[int, str], more: dict[str, Json]) -> Node:
    facts = manifest.dataset
    about: dict[str, Json] = {"export_id": facts.export_id, "corpus_id": facts.corpus_id, "split": place[1], **more}
    ours = Affected(facts.name, facts.export_id, manifest.folder.name, {"the document": place})
    had = exposure.models(lake, models, [ours])
    return Node("dataset", facts.name, about, tuple(_model(lake, row) for row in had))


def _sequences(lake: Lakehouse, manifest: Manifest, doc_id: str) -> dict[str, Json]:
    found = locate.locate(lake, manifest, [doc_id])
    places = [f"{manifest.shards[span.shard].shard}[{span.row}]" for one in found for span in one.spans]
    return {"tokens": sum(one.num_tokens for one in found), "sequences": places}


def _model(lake: Lakehouse, row: tuple[Value, ...]) -> Node:
    scores = trace_models.scores(lake, str(row[1]))
    return Node("model", str(row[0]), {"model_sha": row[1], "how": row[5]}, tuple(scores))
