"""A classifier trained from two tables: the same from the same rows, as good as fastText says, registered."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fasttext
import pytest
from mlflow import MlflowClient
from pyspark.sql import functions as F

from lakeloom.jobs import cli, curate, fit_classifier, samples
from lakeloom.jobs.fit_classifier import FitClassifierConfig
from lakeloom.jobs.samples import Samples, Source
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.store import Lakehouse

pytestmark = pytest.mark.spark

GOOD = ["because", "the", "theory", "explains", "an", "answer", "with", "a", "proof", "of", "the", "question"]
OTHER = ["buy", "cheap", "shoes", "now", "click", "here", "for", "the", "best", "price", "in", "our", "online", "shop"]


def page(words: list[str], number: int) -> str:
    """Twenty words of a list, and its number."""
    return " ".join(words[(number * 7 + nth * (1 + number % 5)) % len(words)] for nth in range(20)) + f" {number}"


def add(lake: Lakehouse, pool: str, texts: Sequence[str | None], partitions: int = 1) -> None:
    """Pages of a pool."""
    rows = [(f"{pool}{number}", pool, pool, text) for number, text in enumerate(texts)]
    pages = lake.spark.createDataFrame(rows, "doc_id STRING, pool STRING, batch_id STRING, text STRING").repartition(
        partitions
    )
    lake.create("bronze.pages")
    others = [name for name in lake.read("bronze.pages").columns if name not in pages.columns]
    lake.append(pages.withColumns({name: F.lit(None) for name in others}), "bronze.pages", txn=f"{pool}/{len(rows)}")


def config(lake: Lakehouse, *words: str) -> FitClassifierConfig:
    made = cli.load(
        "fit_classifier",
        f"lakehouse.root={lake.cfg.root}",
        "fit_classifier.positives_where=pool = 'good'",
        "fit_classifier.negatives_where=pool = 'crawl'",
        "fit_classifier.buckets=1000",
        "fit_classifier.dim=8",
        "fit_classifier.holdout_share=0.2",
        "fit_classifier.tracking_uri=null",
        *words,
    )
    assert isinstance(made, FitClassifierConfig)
    return made


def tables(lake: Lakehouse, partitions: int = 1, order: int = 1) -> None:
    """Two hundred pages of each pool, one text in both, one twice, one null and one empty."""
    good = [page(GOOD, number) for number in range(200)]
    crawl = [page(OTHER, number) for number in range(200)]
    add(lake, "good", [*good, good[0], None][::order], partitions)
    add(lake, "crawl", [*crawl, good[1], " \n"][::order], partitions)


def test_the_same_rows_give_the_same_classifier_once(lake: Lakehouse, tmp_path: Path) -> None:
    tables(lake)
    report = fit_classifier.run(lake.spark, config(lake))
    facts = report.facts
    assert (facts["hq_pages"], facts["cc_pages"], facts["in_both"], facts["was_there"]) == (200, 200, 1, 0)
    assert (report.rows_in, report.rows_out, report.dropped) == (402, 400, 2)
    assert 40 < int(facts["held_out"]) < 120
    assert facts["accuracy"] == facts["auc"] == 1.0
    again = fit_classifier.run(lake.spark, config(lake))
    assert (again.facts["was_there"], again.facts["sha256"]) == (1, facts["sha256"])

    other = Lakehouse(lake.spark, replace(lake.cfg, root=str(tmp_path / "other")))
    tables(other, partitions=5, order=-1)
    assert fit_classifier.run(lake.spark, config(other)).facts["sha256"] == facts["sha256"]
    assert fit_classifier.run(lake.spark, config(lake, "fit_classifier.seed=1")).facts["sha256"] != facts["sha256"]


def test_the_classifier_is_fasttexts_and_decides_pages(lake: Lakehouse) -> None:
    tables(lake)
    path = Path(str(fit_classifier.run(lake.spark, config(lake)).facts["classifier"]))
    labels, _ = fasttext.load_model(str(path)).predict("the proof explains the theory")
    assert labels == ("__label__hq",)
    root = f"lakehouse.root={lake.cfg.root}"
    pool = ["pool.name=crawl", "pool.kind=warc"]
    recipe = Path(path.parent, "mine.yaml")
    recipe.write_text(
        f"name: mine\nsteps:\n- {{signal: high_quality_probability, model_file: {path}, min: 0.5}}\n", "utf-8"
    )
    report = curate.run(lake.spark, cli.load("curate", root, *pool, f"recipe={recipe}"))
    assert (report.rows_in, report.rows_out) == (202, 1)


def test_it_is_registered_with_the_versions_of_its_tables(lake: Lakehouse, tmp_path: Path) -> None:
    tables(lake)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    before = lake.version("bronze.pages")
    facts = fit_classifier.run(lake.spark, config(lake, f"fit_classifier.tracking_uri={uri}")).facts
    store = MlflowClient(uri)
    found = store.get_model_version("quality", "1")
    assert (found.run_id, found.tags["sha256"]) == (facts["mlflow_run"], facts["sha256"])
    assert (found.tags["hq"], found.tags["cc_where"]) == (f"bronze.pages@{before}", "pool = 'crawl'")
    run = store.get_run(str(facts["mlflow_run"]))
    assert (run.data.metrics["auc"], run.data.params["word_ngrams"], run.info.status) == (1.0, "2", "FINISHED")
    assert run.inputs is not None
    sources = {one.dataset.name: json.loads(one.dataset.source) for one in run.inputs.dataset_inputs}
    assert {name: source["delta_table_version"] for name, source in sources.items()} == {"hq": before, "cc": before}
    copy = store.download_artifacts(run.info.run_id, "model", str(tmp_path))
    assert [one.read_bytes() for one in Path(copy).iterdir()] == [Path(str(facts["classifier"])).read_bytes()]

    fit_classifier.run(lake.spark, config(lake, f"fit_classifier.tracking_uri={uri}", "fit_classifier.seed=1"))
    assert store.get_model_version("quality", "2").tags["sha256"] != found.tags["sha256"]


def test_an_earlier_version_of_any_delta_table_can_be_the_source(lake: Lakehouse, tmp_path: Path) -> None:
    tables(lake)
    folder = str(tmp_path / "mine")
    mine = lake.spark.createDataFrame([(page(GOOD, number),) for number in range(50)], "body STRING")
    mine.write.format("delta").save(folder)
    mine.limit(1).write.format("delta").mode("overwrite").save(folder)
    words = [f"fit_classifier.negatives={folder}@0", "fit_classifier.negatives_where=length(body) > 10"]
    with pytest.raises(ConfigError, match="no column 'text'"):
        fit_classifier.run(lake.spark, config(lake, *words))
    words += [f"fit_classifier.positives={folder}@1", "fit_classifier.positives_where=", "fit_classifier.column=body"]
    report = fit_classifier.run(lake.spark, config(lake, *words, "fit_classifier.holdout_share=0"))
    assert (report.facts["hq_pages"], report.facts["cc_pages"], report.facts["in_both"]) == (1, 49, 1)
    assert "auc" not in report.facts


MISTAKES = [
    ("positives=bronze.page", "nearest: bronze.pages"),
    ("positives=bronze.pages@99", "has no version 99"),
    ("positives=/nowhere", "no Delta table in /nowhere"),
    ("positives=gold.corpus", "is empty"),
    ("positives_where=pool = ", "positives_where: "),
    ("positives_where=pol = 'good'", "pol"),
    ("positives_where=pool = 'godo'", "positives: no page to train on: bronze.pages, version 2, has 0 where"),
    ("column=txt", "nearest: text"),
    ("holdout_share=1", "from 0 to below 1"),
    ("epochs=0", "from 1 to"),
    ("dim=5000", "from 1 to 4,096"),
    ("word_ngrams=21", "from 1 to 20"),
    ("buckets=300000000", "from 1 to 134,217,728"),
    ("lr=0", "above 0"),
    ("name=a/b", "letters, digits"),
]


def test_a_mistake_is_one_line_and_leaves_nothing(lake: Lakehouse) -> None:
    tables(lake)
    for word, message in MISTAKES:
        with pytest.raises(ConfigError, match=message) as caught:
            fit_classifier.run(lake.spark, config(lake, f"fit_classifier.{word}"))
        assert "\n" not in str(caught.value)
        assert list(lake.folder("classifiers").iterdir()) == []


def test_a_sample_is_bounded_and_what_looks_like_a_label_is_left_out(lake: Lakehouse, tmp_path: Path) -> None:
    add(lake, "good", [f"__label__cc good\u2028{number} __label__x\t__label__y" for number in range(2000)])
    sources = {"hq": Source("bronze.pages", lake.version("bronze.pages"), "pool = 'good'", "text")}
    sample = Samples(tmp_path / "train", tmp_path / "holdout", holdout_share=0.25, max_pages=400)
    sample.write(samples.lines(lake, sources, 400, seed=0), list(sources))
    train, holdout = (path.read_text().splitlines() for path in (sample.train, sample.holdout))
    assert len(train) + len(holdout) == 400
    assert len(holdout) == sample.num_held["hq"] == pytest.approx(100, abs=40)
    assert sample.num_read < 700
    for line in train + holdout:
        assert line.split()[:2] == ["__label__hq", "good"]
        assert line.count("__label__") == 1


def test_a_registration_that_failed_is_made_up_for(
    lake: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables(lake)
    sha = fit_classifier.run(lake.spark, config(lake)).facts["sha256"]
    uri = f"fit_classifier.tracking_uri=sqlite:///{tmp_path / 'mlflow.db'}"
    with monkeypatch.context() as patch:
        patch.setattr("lakeloom.train.classifiers.register", lambda *_: (_ for _ in ()).throw(OSError("no store")))
        with pytest.raises(OSError, match="no store"):
            fit_classifier.run(lake.spark, config(lake, uri))
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.log_artifact", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            fit_classifier.run(lake.spark, config(lake, uri))
    store = MlflowClient(uri.partition("=")[2])
    experiment = store.get_experiment_by_name("classifiers")
    assert experiment is not None
    assert [run.info.status for run in store.search_runs([experiment.experiment_id])] == ["FAILED"]
    for _ in range(2):
        facts = fit_classifier.run(lake.spark, config(lake, uri)).facts
        assert (facts["sha256"], facts["was_there"], facts["model_version"]) == (sha, 1, "1")
    Path(str(facts["classifier"])).unlink()
    assert fit_classifier.run(lake.spark, config(lake)).facts["was_there"] == 0
    assert Path(str(facts["classifier"])).is_file()


def test_a_machine_without_the_trainer_or_the_store_is_refused(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_store = config(lake, "fit_classifier.tracking_uri=sqlite:///m.db")
    monkeypatch.setattr(fit_classifier, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package floret"):
        fit_classifier.check(config(lake))
    monkeypatch.setattr(fit_classifier, "find_spec", lambda name: None if name == "mlflow" else name)
    with pytest.raises(ConfigError, match="needs MLflow"):
        fit_classifier.check(with_store)
    fit_classifier.check(config(lake))
