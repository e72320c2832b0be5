"""lakeloom registry: sources, datasets, models and evaluations, in tables and as DCLM's reference JSONs.

Each command first registers what the lakehouse has made since. A row stays as it was registered: a dataset whose files
are others by now is told as changed, and gets a row of its own only where a takedown changed it.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import modelfolders, registrations
from lakeloom.jobs.registrations import Registration
from lakeloom.lakehouse import expdb, inspection, references, takedowns
from lakeloom.lakehouse.errors import BadInput, ConfigError, unknown
from lakeloom.lakehouse.ids import Json, file_sha, identity
from lakeloom.lakehouse.references import KINDS
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.shard_writer import HOLDOUT
from lakeloom.lakehouse.shards import DATASET, Manifest
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table

log = logging.getLogger(__name__)

Row = dict[str, Json]
_SHOWN = ("uuid", "name", "origin", "state")
_WIDTH = 200
# What the hashes of a dataset are of, beside its manifest.
_FILES_OF = {"described_sha": DATASET, "tokenizer_sha": "the tokenizer", "holdout_sha": HOLDOUT}
_CITED = ("source_table", "source_version", "recipe_hash", "code_commit", "seed")


@dataclass(frozen=True)
class RegistryConfig:
    """A verb and its words; see conf/job/registry.yaml."""

    lakehouse: LakehouseConfig
    words: list[str]
    models: str
    columns: list[str]
    deep: bool


def run(spark: SparkSession, cfg: RegistryConfig) -> Report:
    """One of VERBS. Rows are those of the registry that it is about."""
    lake = Lakehouse(spark, cfg.lakehouse)
    verb, *words = cfg.words or ["list"]
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS, "lakeloom registry")
    sync(lake, Path(cfg.models))
    return VERBS[verb](lake, cfg, words)


def sync(lake: Lakehouse, models: Path) -> int:
    """Register what is new in folders and tables; the number of rows."""
    known = {kind: _rows(lake, kind) for kind in KINDS}
    new = [one for one in registrations.found(lake, models) if _is_new(one, known[one.kind])]
    return _append(lake, new)


def _is_new(one: Registration, known: Sequence[Row]) -> bool:
    if any(row["uuid"] == one.row["uuid"] for row in known):
        return False
    if one.kind != "datasets":
        return True
    same = [row for row in known if row["export_id"] == one.row["export_id"]]
    return all(cast("int", row["num_takedowns"]) < cast("int", one.row["num_takedowns"]) for row in same)


def _rows(lake: Lakehouse, kind: str) -> list[Row]:
    """All rows of a table of the registry: a few hundred."""
    name = KINDS[kind].table
    if not lake.exists(name):
        return []
    return [row.asDict() for row in lake.read(name).orderBy("name", "registered_at", "uuid").toLocalIterator()]


def _append(lake: Lakehouse, new: Sequence[Registration]) -> int:
    for kind in {one.kind: None for one in new}:
        rows = [one.row for one in new if one.kind == kind]
        schema = table(KINDS[kind].table).schema
        values = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
        made = lake.spark.createDataFrame(values).withColumn("registered_at", F.current_timestamp())
        names = sorted(str(row["uuid"]) for row in rows)
        lake.append(made, KINDS[kind].table, txn=f"register/{identity(names)}")
    return len(new)


def state(row: Row, *, deep: bool) -> str:
    """What became of what was registered: unchanged, changed (and how), gone, or not looked at."""
    if row["path"] is None:
        return "not here" if row["origin"] == "dclm" else "unchanged"  # a pool's uuid is of its files
    path = Path(str(row["path"]))
    if not path.is_file():
        return "gone"
    if "model_sha" in row:
        return _model_state(row, path.parent, deep=deep)
    if said := _difference(row, path):
        lost = " by a takedown" if _num_takedowns(path.parent) > cast("int", row.get("num_takedowns") or 0) else ""
        return f"changed{lost}: {said}"
    if deep and row["origin"] == "lakeloom" and "export_id" in row:
        return _verified(path.parent)
    return "unchanged"


def _difference(row: Row, path: Path) -> str:
    """The first file that is another than was registered, "" where none is; a row may be older than a hash."""
    found: dict[str, str | None] = {"content_sha": file_sha(path)}
    is_export = row["origin"] == "lakeloom" and "export_id" in row
    found |= registrations.dataset_shas(path.parent) if is_export else {}
    for column, sha in found.items():
        if row.get(column) not in (None, sha):
            now = f"has SHA-256 {sha[:12]}" if sha else "is gone"
            return f"{_FILES_OF.get(column, path.name)} {now}, registered was {str(row[column])[:12]}"
    return ""


def _model_state(row: Row, folder: Path, *, deep: bool) -> str:
    try:
        model = modelfolders.load(folder)
    except BadInput as error:
        return f"changed: {error}"
    if model.model_sha != row["model_sha"]:
        return "changed: its manifest has other weights"
    for name, sha in model.files.items():
        if (deep or name == modelfolders.CONFIG) and not _has_sha(folder / name, sha):
            return f"changed: {name} is not the file that its manifest lists"
    return "unchanged, every file" if deep else "unchanged"


def _has_sha(path: Path, sha: str) -> bool:
    return path.is_file() and file_sha(path) == sha


def _num_takedowns(folder: Path) -> int:
    return len(takedowns.of_dataset(folder)) if (folder / DATASET).is_file() else 0


def _verified(folder: Path) -> str:
    try:
        manifest = Manifest.load(folder)
        inspection.inspect_dataset(manifest)
        manifest.verify()
    except BadInput as error:
        return f"changed: {error}"
    return "unchanged, every shard"


def _list(lake: Lakehouse, cfg: RegistryConfig, words: Sequence[str]) -> Report:
    kinds = [_kind(word) for word in words] or list(KINDS)
    return _report(lake, [(kind, row) for kind in kinds for row in _rows(lake, kind)], cfg)


def _show(lake: Lakehouse, cfg: RegistryConfig, words: Sequence[str]) -> Report:
    """Every field of what has a name, uuid or content hash (or begins so), and whether it is as it was registered."""
    if not words:
        raise ConfigError("lakeloom registry show needs a name, a uuid or a content hash")
    rows = [one for word in words for one in _named(lake, word)]
    sheets = [_fields(kind, row, deep=cfg.deep) for kind, row in rows]
    changed = sum(state(row, deep=cfg.deep).startswith(("changed", "gone")) for _, row in rows)
    facts: dict[str, str | int | float] = {"changed": changed}
    return Report("registry", len(rows), len(rows), facts=facts, sheets=tuple(sheets))


def _named(lake: Lakehouse, word: str) -> list[tuple[str, Row]]:
    every = [(kind, row) for kind in KINDS for row in _rows(lake, kind)]
    exact = [one for one in every if word in (one[1]["name"], one[1]["uuid"], one[1]["content_sha"])]
    near = [one for one in every if any(str(one[1][key]).startswith(word) for key in ("name", "uuid", "content_sha"))]
    if not (exact or near):
        raise unknown("name, uuid or content hash", word, sorted({str(row["name"]) for _, row in every}), "registry")
    return exact or near


def _query(lake: Lakehouse, cfg: RegistryConfig, words: Sequence[str]) -> Report:
    """Rows of a table that pass all filters: DCLM's expdb.py over the same columns."""
    if not words:
        raise ConfigError("lakeloom registry query needs a table: " + ", ".join(KINDS))
    kind, filters = _kind(words[0]), expdb.parse(words[1:])
    rows = _joined(lake, kind)
    kept = [row for row in rows if all(passes(row) for _, passes in filters)]
    columns = ["name", "uuid", *dict.fromkeys([*(column for column, _ in filters), *cfg.columns])]
    columns = list(dict.fromkeys(columns))
    cells = tuple(tuple(_cell(row.get(column)) for column in columns) for row in kept)
    return Report("registry", len(rows), len(kept), len(rows) - len(kept), sheets=(Sheet(kind, tuple(columns), cells),))


def _joined(lake: Lakehouse, kind: str) -> list[Row]:
    """References as columns; an evaluation also has its model's tokens, params and dataset, and its tokenizer."""
    flat = {name: {row["uuid"]: _flat(row) for row in _rows(lake, name)} for name in KINDS}
    rows = list(flat[kind].values())
    for row in rows if kind == "evaluations" else ():
        model = flat["models"].get(row.get("model_uuid"), {})
        dataset = flat["datasets"].get(model.get("dataset_uuid"), {})
        more = {name: model.get(f"hyperparameters.{name}") for name in ("tokens", "params")}
        row |= {**more, "dataset": model.get("dataset_name"), "tokenizer": dataset.get("tokenizer")}
    return rows


def _flat(row: Row) -> Row:
    reference = expdb.flat(json.loads(str(row["reference"])))
    return {**{name: row[name] for name in (*_CITED, "uuid", "name", "origin")}, **reference, "uuid": row["uuid"]}


def _import(lake: Lakehouse, _cfg: RegistryConfig, words: Sequence[str]) -> Report:
    """Reference JSONs, or folders of them, to rows; each uuid once. BadInput where one is registered otherwise."""
    paths = [path for word in words for path in _json_files(Path(word), "*.json")]
    if not paths:
        raise ConfigError("lakeloom registry import needs JSON files of DCLM's exp_data, or folders of them")
    known = {(kind, row["uuid"]): (row, "registered") for kind in KINDS for row in _rows(lake, kind)}
    new: list[Registration] = []
    for path in paths:
        one = registrations.foreign(path)
        other, where = known.setdefault((one.kind, one.row["uuid"]), (one.row, str(path)))
        if other is one.row:
            new.append(one)
        elif json.loads(str(other["reference"])) != json.loads(str(one.row["reference"])):
            raise BadInput(
                f"{path}: {one.kind} {one.row['name']!r}: its uuid {one.row['uuid']} is there with another content "
                f"({where}); nothing done"
            )
    number = _append(lake, new)
    facts: dict[str, str | int | float] = {"imported": number}
    return Report("registry", len(paths), number, len(paths) - number, facts=facts, notes=_left_out(words))


def _json_files(path: Path, pattern: str) -> list[Path]:
    if not path.exists():
        raise ConfigError(f"lakeloom registry import: no file or folder {path}")
    return sorted(path.rglob(pattern)) if path.is_dir() else [path]


def _left_out(words: Sequence[str]) -> tuple[str, ...]:
    """DCLM packs the references that list millions of archives: too much for a row."""
    packed = [path for word in words if Path(word).is_dir() for path in _json_files(Path(word), "*.json.gz")]
    return tuple(f"{path} was left out: it is packed; unpack it to import it" for path in packed)


def _export(lake: Lakehouse, cfg: RegistryConfig, words: Sequence[str]) -> Report:
    """Reference JSONs of all rows, or of those named, in the folders of DCLM's exp_data."""
    if not words:
        raise ConfigError("lakeloom registry export needs a folder, and names or uuids if not all is meant")
    folder, names = Path(words[0]), words[1:]
    rows = [one for name in names for one in _named(lake, name)] if names else []
    rows = rows if names else [(kind, row) for kind in KINDS for row in _rows(lake, kind)]
    for kind, row in rows:
        reference = json.loads(str(row["reference"]))
        target = folder / references.folder_of(kind, reference) / f"{_file_name(row)}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(references.dump(reference), "utf-8")
    return Report("registry", len(rows), len(rows), facts={"folder": str(folder)})


def _file_name(row: Row) -> str:
    name = "".join(one if one.isalnum() or one in "._-" else "_" for one in str(row["name"]))
    return f"{name}-{str(row['uuid'])[:8]}"


def _sync(lake: Lakehouse, cfg: RegistryConfig, _words: Sequence[str]) -> Report:
    return _list(lake, cfg, ())


def _kind(word: str) -> str:
    if word not in KINDS:
        raise unknown("table of the registry", word, KINDS)
    return word


def _report(lake: Lakehouse, rows: Sequence[tuple[str, Row]], cfg: RegistryConfig) -> Report:
    sheets: list[Sheet] = []
    for kind in {kind: None for kind, _ in rows}:
        ours = [row | {"state": state(row, deep=cfg.deep).split(":")[0]} for name, row in rows if name == kind]
        short = [
            {**row, **{name: str(row[name] or "-")[:12] for name in ("recipe_hash", "code_commit")}} for row in ours
        ]
        cells = tuple(tuple(_cell(row[column]) for column in (*_SHOWN, *_CITED)) for row in short)
        sheets.append(Sheet(kind, (*_SHOWN, *_CITED), cells))
    names = [KINDS[kind].table for kind in KINDS if lake.exists(KINDS[kind].table)]
    versions = {name: lake.version(name) for name in names}
    return Report("registry", len(rows), len(rows), versions=versions, sheets=tuple(sheets))


def _fields(kind: str, row: Row, *, deep: bool) -> Sheet:
    about = {name: value for name, value in row.items() if name != "reference"} | {"state": state(row, deep=deep)}
    reference = {f"reference: {key}": value for key, value in expdb.flat(json.loads(str(row["reference"]))).items()}
    cells = tuple((name, _cell(value)) for name, value in {**about, **reference}.items())
    return Sheet(f"{kind}: {row['name']}", ("field", "value"), cells)


def _cell(value: object) -> Value:
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


VERBS: dict[str, Callable[[Lakehouse, RegistryConfig, Sequence[str]], Report]] = {
    "list": _list,
    "show": _show,
    "query": _query,
    "import": _import,
    "export": _export,
    "sync": _sync,
}
