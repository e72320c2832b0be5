"""Dataset versions of gold.corpus by name: what export, and a mix, takes of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import functions as F

from lakeloom.jobs.markers import UNKNOWN
from lakeloom.lakehouse.errors import ConfigError, unknown
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.report import Sheet, Value
from lakeloom.lakehouse.store import Commit, Lakehouse

CORPUS, MIXES = "gold.corpus", "gold.mixes"
_MADE_BY = ("choose", "mix")  # the jobs whose transactions the table has


@dataclass(frozen=True)
class Corpus:
    """A dataset version: its rows of gold.corpus, and what it was made of."""

    corpus_id: str
    source: Commit
    dataset: str
    recipe: str
    recipe_hash: str
    pool: str


def find(lake: Lakehouse, name: str) -> tuple[str, Commit]:
    """The newest dataset of this name, or the one with this corpus_id; a mix that is not complete is none."""
    if not lake.exists(CORPUS):
        raise ConfigError(f"no dataset {name!r}: {CORPUS} of {lake.cfg.root} is empty; run lakeloom choose first")
    rows = lake.read(CORPUS)
    found = rows.where((F.col("dataset") == name) | (F.col("corpus_id") == name)).select("corpus_id").distinct()
    named = [row["corpus_id"] for row in found.collect()]
    there = [(commit.version, corpus_id, commit) for corpus_id in named if (commit := _commit(lake, corpus_id))]
    if not there:
        names = [row["dataset"] for row in rows.select("dataset").distinct().limit(100).collect()]
        raise unknown("dataset", name, names)
    _, newest, commit = max(there)
    return newest, commit


def mixed(lake: Lakehouse, name: str) -> Corpus:
    """The newest mix of this name, or the one with this corpus_id, for export."""
    if not lake.exists(MIXES):
        raise ConfigError(f"no mixed dataset {name!r}: {MIXES} of {lake.cfg.root} is empty; run lakeloom mix first")
    rows = lake.read(MIXES)
    ours = rows.where((F.col("dataset") == name) | (F.col("corpus_id") == name))
    sources, datasets = dict[str, list[str]](), dict[str, str]()
    for row in ours.select("corpus_id", "dataset", "source").orderBy("source").collect():
        sources.setdefault(row["corpus_id"], []).append(row["source"])
        datasets[row["corpus_id"]] = row["dataset"]
    if not sources:
        raise unknown("mixed dataset", name, [row["dataset"] for row in rows.select("dataset").distinct().collect()])
    commits = [(commit.version, corpus_id, commit) for corpus_id in sources if (commit := _commit(lake, corpus_id))]
    _, corpus_id, commit = max(commits)
    return Corpus(corpus_id, commit, datasets[corpus_id], "mix", corpus_id, "+".join(sources[corpus_id]))


def _commit(lake: Lakehouse, corpus_id: str) -> Commit | None:
    if not lake.exists(MIXES) or lake.read(MIXES).where(F.col("corpus_id") == corpus_id).isEmpty():
        return lake.commit(CORPUS, f"choose/{corpus_id}")
    return lake.commit(CORPUS, f"mix/{corpus_id}")


def described(lake: Lakehouse, corpus_id: str) -> dict[str, Json]:
    """What a reference of DCLM's says of a mix: what it cites, and its mixing YAML, parsed, with places for markers."""
    rows = lake.read(MIXES).where(F.col("corpus_id") == corpus_id).orderBy("source").collect()
    given = [json.loads(row["reference"] or "{}") for row in rows]
    cited = [{"uuid": "", "name": row["source"]} | _named(one) for row, one in zip(rows, given, strict=True)]
    sources: list[Json] = [{"source": row["source"], "markers": [row["place"]]} for row in rows]
    # A file of no source is left out: DCLM's reader wants that said.
    frequencies: dict[str, Json] = {UNKNOWN: 0.0} | {row["source"]: row["epochs"] for row in rows}
    return {"sources": [*cited], "sampling_yaml": {"sources": sources, "sampling_frequencies": frequencies}}


def _named(reference: Mapping[str, Json]) -> dict[str, Json]:
    return {name: reference[name] for name in ("uuid", "name") if reference.get(name)}


_COLUMNS = ("source", "documents", "copies", "tokens", "wanted", "share", "epochs", "of documents", "dropped")


def sheet(lake: Lakehouse, corpus_id: str) -> Sheet | None:
    """The achieved mix; nothing for a dataset that is no mix."""
    if not lake.exists(MIXES):
        return None
    rows = lake.read(MIXES).where(F.col("corpus_id") == corpus_id).orderBy("source").collect()
    if not rows:
        return None
    tokens, wanted = (sum(row[name] for row in rows) for name in ("num_tokens", "wanted_tokens"))
    cells: list[tuple[Value, ...]] = [
        (
            row["source"],
            row["num_taken"],
            row["num_rows"] - row["num_taken"] if row["num_rows"] > row["num_taken"] else 0,
            row["num_tokens"],
            f"{row['wanted_tokens'] / wanted:.2%}" if wanted else "-",
            f"{row['num_tokens'] / tokens:.2%}" if tokens else "-",
            f"{row['num_tokens'] / row['available_tokens']:.3f}" if row["available_tokens"] else "-",
            row["num_documents"],
            sum(row["dropped"].values()),
        )
        for row in rows
    ]
    return Sheet(f"mix {rows[0]['dataset']}", _COLUMNS, tuple(cells))
