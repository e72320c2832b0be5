import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakeloom.evaluate import scores
from lakeloom.evaluate.estimates import Item
from lakeloom.evaluate.scores import ItemRow, ModelFacts, Score, Scores
from lakeloom.jobs import report
from lakeloom.jobs.report import ReportConfig
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.shards import DatasetFacts
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table
from lakeloom.train.journal import Journal

# MLflow's search uses what SQLAlchemy means to take away.
pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

EVIL = '<script src="http://evil.example/x.js">'
PAGES = 40
# Name of a dataset, pages that its recipe drops at its two steps, and those that go as duplicates.
DATASETS = {"raw": (0, 0, 3), EVIL: (10, 4, 2)}


@dataclass
class Parsed(HTMLParser):
    """What a browser makes of the page; strict about tags."""

    words: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.path.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.path[-1:] != ["style"]:
            self.words += data.split()


def parsed(html: str) -> Parsed:
    page = Parsed()
    page.feed(html)
    page.close()
    assert page.path == []
    return page


def append(lake: Lakehouse, name: str, rows: list[dict[str, object]]) -> None:
    schema = table(name).schema
    whole = [{column: row.get(column) for column in schema.names} for row in rows]
    lake.append(lake.spark.createDataFrame(pa.Table.from_pylist(whole, schema)), name, txn=f"test/{name}")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def facts(name: str) -> DatasetFacts:
    """dataset.json of an export whose identities are made from its name."""
    return DatasetFacts(
        name=name,
        export_id=sha(f"export {name}")[:32],
        corpus_id=sha(f"corpus {name}")[:32],
        recipe=f"recipe of {name}",
        recipe_hash=sha(f"recipe {name}")[:32],
        pool="pond",
        tokenizer_sha=sha("t"),
        tokenizer_file="tokenizer.model",
        vocab_size=100,
        eot=0,
        seq_len=65,
        num_sequences=90,
        num_tokens=5850,
        seed=3,
        source_table="gold.corpus",
        source_version=1,
    )


def cluster(member: int) -> dict[str, object]:
    """A row of silver.clusters: of the second dataset's kept documents, the seventeenth stands for two more."""
    return {
        "dedup_id": f"dedup {EVIL}",
        "doc_id": f"{member:032d}",
        "cluster_id": f"{16:032d}",
        "is_representative": member == 16,
        "method": "minhash",
        "similarity": 0.9,
        "reason": "jaccard",
    }


def fill_tables(lake: Lakehouse) -> None:
    """Documents, funnel, corpus and shards of the datasets, as the jobs would leave them."""
    documents: list[dict[str, object]] = []
    steps: list[dict[str, object]] = []
    corpus: list[dict[str, object]] = []
    for name, (*dropped, duplicates) in DATASETS.items():
        about = {"pool": "pond", "recipe": f"recipe of {name}", "recipe_hash": facts(name).recipe_hash}
        gone = ["first_step"] * dropped[0] + ["second_step"] * dropped[1]
        for number in range(PAGES):
            dropped_by = gone[number] if number < len(gone) else None
            documents.append({**about, "doc_id": f"{number:032d}", "batch_id": "b", "dropped_by": dropped_by})
        left = PAGES
        for number, step in enumerate(("first_step", "second_step", "silent_step") if name != "raw" else ()):
            count = (*dropped, 0)[number]
            numbers = {"rows_in": left, "rows_out": left - count, "dropped": count, "errors": 0}
            left -= count
            steps.append({**about, **numbers, "run_id": "c", "job": "curate", "step_number": number, "step": step})
        chosen = range(len(gone) + duplicates, PAGES)
        dedup_id = f"dedup {name}" if name != "raw" else None
        for number in chosen:
            split = "holdout" if number % 8 == 0 else "train"
            row = {"corpus_id": facts(name).corpus_id, "doc_id": f"{number:032d}", "split": split}
            corpus.append({**row, "dedup_id": dedup_id})
    append(lake, "silver.documents", documents)
    append(lake, "ops.funnel", steps)
    append(lake, "gold.corpus", corpus)
    host: dict[str, object] = {"pool": "pond", "domain": "mill.example"}
    append(lake, "bronze.pages", [{**host, "doc_id": f"{number:032d}"} for number in range(PAGES)])
    append(lake, "silver.clusters", [cluster(member) for member in (14, 15, 16)])
    half = {"num_bytes": 1234, "num_tokens": 2925, "num_sequences": 45}
    shards = [{**asdict(facts(name)), **half, "dataset": name, "shard": f"s{n}"} for name in DATASETS for n in range(2)]
    append(lake, "gold.shards", shards)


def write_model(root: Path, name: str, loss: float, bits: float) -> Path:
    """A model folder without its weights, with an evaluation; returns the folder."""
    folder = root / f"model-{sha(name)[:12]}"
    about = facts(name)
    config = {"dataset": asdict(about), "scale": {"name": "tiny"}, "seed": 7}
    last = loss + 4 * math.exp(-120 / 30)
    manifest = {"name": f"{name}-tiny-s7", "train_id": sha(f"train {name}")[:32], "run_id": sha(f"run {name}")[:32]}
    journal = Journal(folder / "losses.jsonl")
    journal.cut(0)
    for step in range(1, 121):
        journal.add(
            step, {"tokens": 256.0 * step, "loss": loss + 4 * math.exp(-step / 30) + 0.1 * (step % 3), "lr": 0.1}
        )
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    full = {**manifest, "model_sha": sha(f"model {name}"), "step": 120, "tokens": 30720, "loss": last}
    (folder / "manifest.json").write_text(json.dumps(full), "utf-8")
    model = ModelFacts(
        manifest["name"], sha(f"model {name}"), manifest["train_id"], manifest["run_id"], name, about.export_id,
        about.recipe, "tiny", 7, 30720, last, 64, about.tokenizer_sha,
    )  # fmt: skip
    held_out = Score("bpb/raw", "v", "bits_per_byte", bits, 0.02, 4, 4, 0, 0, None)
    copa = Score("copa", "v", "accuracy", 0.5, 0.25, 4, 4, 0, 0, 0.0)
    items = [ItemRow("bpb/raw", Item(f"i{n}", 100 * bits + n, 100.0), {}) for n in range(4)]
    found = Scores("e", model, 0, (held_out, copa), (), None, None, "20 tasks are missing")
    scores.save(found, folder, items)
    return folder


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ReportConfig:
    """A lakehouse with two datasets, a model of each and their scores."""
    root = tmp_path_factory.mktemp("report")
    lake = Lakehouse(spark, LakehouseConfig(str(root / "lake"), ""))
    fill_tables(lake)
    folders = [write_model(root / "lake" / "models", name, 3.0 + n, 1.5 - n / 4) for n, name in enumerate(DATASETS)]
    files = [scores.of_model(folder)[0] for folder in folders]
    append(lake, "gold.scores", [dict(row) for file in files for row in scores.table_rows(scores.load(file))])
    (root / "lake" / "models" / "half-done").mkdir()
    uri = f"sqlite:///{root / 'lake' / 'mlflow.db'}"
    return ReportConfig(lake.cfg, str(root / "lake" / "models"), str(root / "out" / "page.html"), uri)


@pytest.fixture(scope="module")
def html(spark: SparkSession, made: ReportConfig) -> str:
    done = report.run(spark, made)
    assert done.facts["page"] == made.path
    return Path(made.path).read_text("utf-8")


def test_every_tag_is_closed_and_titled(html: str) -> None:
    page = parsed(html)
    names = [name for name, _ in page.tags]
    assert {"title", "h1", "table", "caption", "th", "svg", "main"} <= set(names)
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert all(
        about.get("aria-label") or about.get("aria-hidden") or "y" in about
        for name, about in page.tags
        if name == "svg"
    )
    assert names.count("caption") == names.count("table")


def test_nothing_is_loaded_and_nothing_runs(html: str) -> None:
    page = parsed(html)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "img", "image", "iframe", "object", "embed", "a", "base", "use", "form"}
    attributes = {key for _, about in page.tags for key in about}
    assert not attributes & {"src", "href", "xlink:href", "srcset", "action"}
    assert not [key for key in attributes if key.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    assert EVIL not in html
    assert " ".join(EVIL.split()) in " ".join(page.words)


@pytest.mark.parametrize(
    "said",
    [
        "30,720",  # tokens of training
        "1.2500 \u00b1 0.0200",  # bits per byte
        "50.0 \u00b1 25.0",  # accuracy in percent
        "CORE absent absent",
        "bpb/raw \u22120.2500 0.0000 4 yes",  # the better minus the other, on the same items
        "first_step 40 30 10 25.0% 0 -",
        "second_step 30 26 4 13.3% 0 -",
        "silent_step 26 26 0 0.0% 0 -",
        "one of each cluster 26 24 2 7.7% - -",
        "one of each cluster 40 37 3 7.5% - -",
        # The picture: no bar for a step without effect.
        "pages 40 first_step 30 \u221225.0% second_step 26 \u221213.3% one of each cluster 24 \u22127.7%",
        "documents 21 to train, 3 held out",
        "tokens 5,850",
        "shards 2 of 2,468 bytes in all",
        "corpus gold.corpus version 1",
        "pool pond",
        "3 1 \u221266.7%",  # the picture of cluster sizes
        "3 1 3 2",  # and its table: documents in one, clusters, documents, removed
        "minhash 3 2 0.9",
        f"{16:032d} 3 0.9",
        "mill.example 26 2 7.7%",
        "Folders without a finished model: half-done.",
        "First by bpb/raw:",
        *[
            value
            for name in DATASETS
            for value in (facts(name).recipe_hash, facts(name).export_id, facts(name).corpus_id)
        ],
        *[sha(f"{kind} {name}")[:32] for kind in ("run", "train") for name in DATASETS],
        sha("model raw"),
        sha("t"),
    ],
)
def test_the_page_says_what_the_tables_hold(html: str, said: str) -> None:
    assert said in " ".join(parsed(html).words)


def test_the_curves_end_at_the_mean_of_the_last_steps(html: str) -> None:
    steps = [3.0 + 4 * math.exp(-step / 30) + 0.1 * (step % 3) for step in (119, 120)]
    assert f"raw-tiny-s7: {sum(steps) / 2:.3f} at the end" in html
    assert len(re.findall(r'<path class="(?:raw|mean) c\d"', html)) == 4


def test_a_second_run_gives_the_same_page_and_no_second_mlflow_run(
    spark: SparkSession, made: ReportConfig, html: str
) -> None:
    first, second = report.run(spark, made), report.run(spark, made)
    assert Path(made.path).read_text("utf-8") == html
    assert first.facts["mlflow_run"] == second.facts["mlflow_run"]
    from mlflow import MlflowClient

    store = MlflowClient(tracking_uri=made.tracking_uri)
    experiment = store.get_experiment_by_name(report.EXPERIMENT)
    assert experiment is not None
    assert len(store.search_runs([experiment.experiment_id])) == 1
    run_id = str(first.facts["mlflow_run"])
    kept = {file.path for file in store.list_artifacts(run_id)}
    assert kept == {"index.html", "losses.svg", "funnel_0.svg", "funnel_1.svg", "duplicates_0.svg"}
    folder = Path(made.path).parent
    assert Path(store.download_artifacts(run_id, "index.html", str(folder))).read_text("utf-8") == html
    parsed(Path(store.download_artifacts(run_id, "losses.svg", str(folder))).read_text("utf-8"))


def test_models_without_scores_or_tables_have_a_page(lake: Lakehouse, tmp_path: Path) -> None:
    write_model(tmp_path / "models", "elsewhere", 3.0, 1.0)
    cfg = ReportConfig(lake.cfg, str(tmp_path / "models"), str(tmp_path / "page.html"), None)
    done = report.run(lake.spark, cfg)
    words = " ".join(parsed(Path(cfg.path).read_text("utf-8")).words)
    assert "No scores yet" in words
    assert "This dataset was not made in this lakehouse." in words
    assert "Without published scores: elsewhere-tiny-s7." in words
    assert "mlflow_run" not in done.facts


def test_nothing_to_report_is_a_wrong_request(lake: Lakehouse, tmp_path: Path) -> None:
    cfg = ReportConfig(lake.cfg, str(tmp_path / "models"), str(tmp_path / "page.html"), None)
    with pytest.raises(ConfigError, match="nothing to report"):
        report.run(lake.spark, cfg)
    assert not Path(cfg.path).exists()


def test_a_folder_that_only_looks_like_a_model_is_named(lake: Lakehouse, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models", "raw", 3.0, 1.0)
    (folder / "config.json").write_text("{}", "utf-8")
    cfg = ReportConfig(lake.cfg, str(tmp_path / "models"), str(tmp_path / "page.html"), None)
    with pytest.raises(BadInput, match=f"{folder.name}: no model"):
        report.run(lake.spark, cfg)
