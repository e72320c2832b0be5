"""What the report says, read from the tables and from the folders of models; a few rows a dataset and model."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Row
from pyspark.sql import functions as F

from lakeloom.evaluate import compare, leaderboard, scores
from lakeloom.evaluate.estimates import Item
from lakeloom.jobs import corpora, duplicates, funnel
from lakeloom.jobs.report_page import Dataset
from lakeloom.jobs.report_pictures import Bar, Curve
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.report import Sheet, Value
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.train import journal

_DOCUMENTS, _CORPUS, _SHARDS, _FUNNEL = "silver.documents", "gold.corpus", "gold.shards", "ops.funnel"
_CLUSTERS, _PAGES = "silver.clusters", "bronze.pages"
TABLES = (_PAGES, _DOCUMENTS, _FUNNEL, _CLUSTERS, _CORPUS, corpora.MIXES, _SHARDS, "gold.scores")
_CHOSEN = "one of each cluster"
_MOST = 10  # clusters, and domains, that are named
_OF_A_MIX = "What each source gave to train on, in documents and tokens, and what was wanted of it."
_STEPS = ("step", "in", "out", "dropped", "share", "errors", "cpu s")


@dataclass(frozen=True)
class Model:
    """A finished model's folder."""

    folder: Path
    name: str
    dataset: str
    export_id: str
    scale: str
    seed: int
    model_sha: str
    train_id: str
    run_id: str


@dataclass(frozen=True)
class _Counts:
    """Pages of a dataset's pool on their way into it."""

    pages: int
    kept: int
    train: int
    holdout: int


def models(folder: Path) -> tuple[list[Model], list[str]]:
    """The finished models under a folder, and the names of folders that hold none (yet)."""
    folders = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    finished = [path for path in folders if (path / "manifest.json").is_file()]
    means = [path / "average" for path in finished if (path / "average" / "manifest.json").is_file()]
    return [_model(path) for path in (*finished, *means)], [path.name for path in folders if path not in finished]


def curves(found: Sequence[Model]) -> tuple[Curve, ...]:
    """Training losses of each model, named so that no two are called the same."""
    made: list[Curve] = []
    names = Counter(model.name for model in found)
    for model in found:
        lines = journal.read(model.folder) if (model.folder / journal.NAME).is_file() else []
        steps = [step for step in lines if "loss" in step]  # one that was skipped may have none
        name = model.name if names[model.name] == 1 else f"{model.name} {model.train_id[:6]}"
        if steps:
            made.append(Curve(name, tuple(step["tokens"] for step in steps), tuple(step["loss"] for step in steps)))
    return tuple(made)


def datasets(lake: Lakehouse, export_ids: Iterable[tuple[str, str]]) -> tuple[Dataset, ...]:
    """Exports, given as (dataset, export_id); what this lakehouse doesn't know of one is said to be absent."""
    wanted = sorted(set(export_ids))
    names = Counter(name for name, _ in wanted)
    found = {row["export_id"]: row for row in _exports(lake, [export_id for _, export_id in wanted])}
    return tuple(
        _dataset(lake, name if names[name] == 1 else f"{name} {export_id[:6]}", export_id, found.get(export_id))
        for name, export_id in wanted
    )


def versions(lake: Lakehouse) -> dict[str, int]:
    """Newest versions of the tables that the report reads."""
    return {name: lake.version(name) for name in TABLES if lake.exists(name)}


def differences(board: Sequence[leaderboard.Row], found: Sequence[Model]) -> tuple[Sheet, ...]:
    """The best model of each scale against the others of it, on the items that both were given."""
    folders = {model.model_sha: model.folder for model in found}
    sheets: list[Sheet] = []
    for scale in sorted({row.scale for row in board}):
        best, *others = [row for row in board if row.scale == scale]
        first = _items(folders.get(best.model_sha))
        for other in others:
            second = _items(folders.get(other.model_sha))
            rows = tuple(_difference(one) for one in compare.differences(second, first))
            if rows:
                sheets.append(Sheet(f"{best.model} minus {other.model}", _DIFFERENCE, rows))
    return tuple(sheets)


def model_sheet(table: Sequence[dict[str, Value]], found: Sequence[Model]) -> Sheet:
    """Every model of gold.scores and of the folders, with the identities to find it again."""
    rows: dict[str, tuple[Value, ...]] = {}
    for score in table:
        names = (score["model"], score["dataset"], score["scale"], score["seed"])
        rows[str(score["model_sha"])] = (*names, "not here", score["model_sha"], score["run_id"] or None)
    for model in found:
        names = (model.name, model.dataset, model.scale, model.seed)
        rows[model.model_sha] = (*names, model.train_id, model.model_sha, model.run_id or None)
    columns = ("model", "dataset", "scale", "seed", "train id", "model sha", "MLflow run")
    return Sheet("models", columns, tuple(sorted(rows.values(), key=str)))


_DIFFERENCE = ("score", "difference", "\u00b1", "items", "clear")


def _difference(one: compare.Difference) -> tuple[Value, ...]:
    unit, digits = (1, 4) if one.task.startswith("bpb/") else (100, 1)
    error = "-" if one.stderr is None else f"{unit * one.stderr:.{digits}f}"
    signed = f"{unit * one.value:+.{digits}f}".replace("-", "\u2212")
    return one.task, signed, error, one.num_items, "yes" if one.is_significant else "no"


def _items(folder: Path | None) -> dict[str, list[Item]]:
    """Items of a model by task; of several evaluations, the one of most items counts, as on the leaderboard."""
    found: dict[str, list[Item]] = {}
    for file in sorted((folder / scores.FOLDER).glob("*.json")) if folder else []:
        for task, items in scores.load_items(file).items():
            found[task] = max(found.get(task, []), items, key=len)
    return found


def _model(folder: Path) -> Model:
    try:
        config, manifest = (json.loads((folder / name).read_text("utf-8")) for name in ("config.json", "manifest.json"))
        return Model(
            folder=folder,
            name=str(manifest["name"]),
            dataset=str(config["dataset"]["name"]),
            export_id=str(config["dataset"]["export_id"]),
            scale=str(config["scale"]["name"]),
            seed=int(config["seed"]),
            model_sha=str(manifest["model_sha"]),
            train_id=str(manifest["train_id"]),
            run_id=str(manifest["run_id"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: no model of lakeloom train, though it has a manifest.json: {error!r}") from error


def _exports(lake: Lakehouse, export_ids: list[str]) -> list[Row]:
    """A row an export: what it was made of, and its sums."""
    if not lake.exists(_SHARDS):
        return []
    same = ("export_id", "corpus_id", "recipe_hash", "tokenizer_sha", "seed", "source_table", "source_version")
    sums = [F.sum(name).alias(name) for name in ("num_sequences", "num_tokens", "num_bytes")]
    rows = lake.read(_SHARDS).where(F.col("export_id").isin(export_ids))
    return rows.groupBy(*same).agg(F.count("*").alias("num_shards"), *sums).collect()


def _dataset(lake: Lakehouse, name: str, export_id: str, export: Row | None) -> Dataset:
    if export is None:
        said = (("export id", export_id), ("shards", "absent from gold.shards of this lakehouse"))
        return Dataset(name, said, (), Sheet(name, _STEPS, ()), "This dataset was not made in this lakehouse.")
    mix = corpora.sheet(lake, export["corpus_id"])
    if mix is not None:
        sources = ", ".join(str(row[0]) for row in mix.rows)
        of_mix: tuple[tuple[str, Value], ...] = (
            ("mix of", sources),
            *_made(export, *_splits(lake, export["corpus_id"])),
        )
        return Dataset(name, of_mix, (), mix, _OF_A_MIX)
    source = _source(lake, export["corpus_id"], export["recipe_hash"])
    pool, recipe = (source["pool"], source["recipe"]) if source else ("absent", "absent")
    counts = _counts(lake, pool, export["recipe_hash"], export["corpus_id"])
    steps = _steps(lake, pool, export["recipe_hash"], counts)
    names: tuple[tuple[str, Value], ...] = (("pool", pool), ("recipe", recipe), ("recipe hash", export["recipe_hash"]))
    facts = (*names, *_made(export, counts.train, counts.holdout))
    bars = (Bar("pages", counts.pages, 0), *[Bar(str(s[0]), int(s[2] or 0), int(s[3] or 0)) for s in steps if s[3]])
    sizes, sheets = _duplicates(lake, pool, export["recipe_hash"], source["dedup_id"] if source else None)
    funnel_of = Sheet(f"funnel of {name}", _STEPS, tuple(steps))
    return Dataset(name, facts, bars, funnel_of, _note(steps, counts), tuple(sizes), sheets)


def _made(export: Row, num_train: int, num_holdout: int) -> tuple[tuple[str, Value], ...]:
    """What was exported, and of how many documents."""
    return (
        ("corpus id", export["corpus_id"]),
        ("corpus", f"{export['source_table']} version {export['source_version']}"),
        ("documents", f"{num_train:,} to train, {num_holdout:,} held out"),
        ("export id", export["export_id"]),
        ("tokens", export["num_tokens"]),
        ("sequences", export["num_sequences"]),
        ("shards", f"{export['num_shards']:,} of {export['num_bytes']:,} bytes in all"),
        ("tokenizer sha", export["tokenizer_sha"]),
        ("shuffle seed", export["seed"]),
    )


def _source(lake: Lakehouse, corpus_id: str, recipe_hash: str) -> Row | None:
    """Pool, recipe and dedup_id of a corpus, from one of its documents: a page's identity is its pool's."""
    if not (lake.exists(_CORPUS) and lake.exists(_DOCUMENTS)):
        return None
    one = lake.read(_CORPUS).where(F.col("corpus_id") == corpus_id).select("doc_id", "dedup_id").limit(1)
    documents = lake.read(_DOCUMENTS).where(F.col("recipe_hash") == recipe_hash)
    return documents.join(one, "doc_id", how="inner").select("pool", "recipe", "dedup_id").first()


def _duplicates(
    lake: Lakehouse, pool: str, recipe_hash: str, dedup_id: str | None
) -> tuple[list[Bar], tuple[Sheet, ...]]:
    """Sizes of the clusters that a corpus was chosen by, the largest of them, and the domains that repeat most."""
    if dedup_id is None or not (lake.exists(_CLUSTERS) and lake.exists(_PAGES)):
        return [], ()
    clusters = lake.read(_CLUSTERS).where(F.col("dedup_id") == dedup_id)
    documents = lake.read(_DOCUMENTS).where((F.col("recipe_hash") == recipe_hash) & F.col("dropped_by").isNull())
    own, pages = documents.where(F.col("pool") == pool), lake.read(_PAGES).where(F.col("pool") == pool)
    sizes = duplicates.sizes_of(clusters)
    return sizes, (
        duplicates.size_sheet(sizes),
        duplicates.ways(clusters),
        duplicates.largest(documents, clusters, _MOST),
        duplicates.domains(own, pages, clusters, _MOST),
    )


def _counts(lake: Lakehouse, pool: str, recipe_hash: str, corpus_id: str) -> _Counts:
    if not (lake.exists(_CORPUS) and lake.exists(_DOCUMENTS)):
        return _Counts(0, 0, 0, 0)
    ours = (F.col("pool") == pool) & (F.col("recipe_hash") == recipe_hash)
    kept = F.count_if(F.col("dropped_by").isNull()).alias("kept")
    [pages] = lake.read(_DOCUMENTS).where(ours).agg(F.count("*").alias("pages"), kept).collect()
    return _Counts(pages["pages"], pages["kept"], *_splits(lake, corpus_id))


def _splits(lake: Lakehouse, corpus_id: str) -> tuple[int, int]:
    """Documents of a corpus to train on, and held out."""
    splits = lake.read(_CORPUS).where(F.col("corpus_id") == corpus_id).groupBy("split").agg(F.count("*").alias("n"))
    by_split = {row["split"]: row["n"] for row in splits.collect()}
    return by_split.get("train", 0), by_split.get("holdout", 0)


def _steps(lake: Lakehouse, pool: str, recipe_hash: str, counts: _Counts) -> list[tuple[Value, ...]]:
    """The recipe's steps, summed over all runs, and the choice of one document of each cluster."""
    num_chosen = counts.train + counts.holdout
    chosen = _step(_CHOSEN, counts.kept, num_chosen, counts.kept - num_chosen)
    if not lake.exists(_FUNNEL):
        return [chosen]
    total = funnel.total(lake, pool, recipe_hash).collect()
    measured = ("step", "rows_in", "rows_out", "dropped", "errors", "cpu_s")
    return [*[_step(*(row[name] for name in measured)) for row in total], chosen]


def _step(
    name: str, rows_in: int, rows_out: int, dropped: int, errors: int | None = None, cpu_s: float | None = None
) -> tuple[Value, ...]:
    return name, rows_in, rows_out, dropped, f"{dropped / rows_in:.1%}" if rows_in else "-", errors, cpu_s


def _note(steps: Sequence[tuple[Value, ...]], counts: _Counts) -> str:
    recipe = steps[:-1]
    note = "Pages as they are in the tables now: those that came after this dataset was chosen are in its last step."
    quiet = sum(1 for step in recipe if not step[3])
    if quiet:
        note = f"{quiet} of {len(recipe)} steps dropped no page and are in the table only. {note}"
    if recipe and recipe[-1][2] != counts.kept:
        note = f"ops.funnel says {recipe[-1][2]:,} pages are kept, silver.documents {counts.kept:,}. {note}"
    return note
