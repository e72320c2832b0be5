import time
from pathlib import Path

import pytest

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.shards import DatasetFacts
from lakeloom.train import tracking

pytestmark = pytest.mark.slow  # a fresh store is seconds of migrations

FACTS = DatasetFacts(
    name="toy",
    export_id="e" * 40,
    corpus_id="c",
    recipe="raw",
    recipe_hash="r",
    pool="p",
    tokenizer_sha="t",
    tokenizer_file="tok",
    vocab_size=8,
    eot=0,
    seq_len=4,
    num_sequences=1,
    num_tokens=4,
    seed=0,
    source_table="gold.corpus",
    source_version=5,
)
ABOUT = tracking.Description("toy-tiny-s0", {"lr": 0.1}, {"recipe": "raw"}, FACTS)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/deep/mlflow.db"


def test_a_run_is_found_with_its_curve_and_dataset(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with tracking.start(uri, "train", ABOUT) as tracker:
        for step in range(1, 4):
            tracker.log(step, {"loss": 10.0 - step, "lr": 0.1})
    store = tracking.client(uri)
    run = store.get_run(tracker.run_id)
    assert (run.info.run_name, run.info.status) == ("toy-tiny-s0", "FINISHED")
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["recipe"] == "raw"
    assert [point.value for point in store.get_metric_history(tracker.run_id, "loss")] == [9.0, 8.0, 7.0]
    assert run.inputs is not None
    dataset = run.inputs.dataset_inputs[0]
    assert (dataset.dataset.name, dataset.dataset.digest) == ("toy", "e" * 36)
    assert {tag.key: tag.value for tag in dataset.tags}["source_version"] == "5"
    assert dataset.dataset.source_type == "delta_table"
    assert list(tmp_path.iterdir()) == []  # nothing in the working folder


def test_a_stopped_run_goes_on_in_the_same_run(uri: str) -> None:
    first = tracking.start(uri, "train", ABOUT)
    first.log(1, {"loss": 3.0})
    first.end("KILLED")
    with tracking.start(uri, "train", ABOUT, first.run_id) as second:
        second.log(2, {"loss": 2.0})
    store = tracking.client(uri)
    assert second.run_id == first.run_id
    assert store.get_run(first.run_id).info.status == "FINISHED"
    assert [point.step for point in store.get_metric_history(first.run_id, "loss")] == [1, 2]


def test_a_run_that_is_in_another_store_is_named(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"MLflow run 0{32} is not in this store.*train.tracking_uri"):
        tracking.start(uri, "train", ABOUT, "0" * 32)


def test_the_machine_is_watched(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    store = tracking.client(uri)

    def busy(run_id: str) -> list[float]:
        return [point.step for point in store.get_metric_history(run_id, "system/cpu_utilization_percentage")]

    def watched(run_id: str, points: int) -> str:
        with tracking.start(uri, "train", ABOUT, run_id) as tracker:
            until = time.monotonic() + 30
            while len(busy(tracker.run_id)) < points and time.monotonic() < until:
                time.sleep(0.05)
        return tracker.run_id

    run_id = watched("", 2)
    first = busy(run_id)
    watched(run_id, len(first) + 2)  # a run that goes on counts on
    assert len(busy(run_id)) >= len(first) + 2
    assert busy(run_id) == sorted(set(busy(run_id)))
    assert "system/system_memory_usage_megabytes" in store.get_run(run_id).data.metrics


def test_an_error_marks_the_run_as_failed(uri: str) -> None:
    with pytest.raises(ZeroDivisionError), tracking.start(uri, "train", ABOUT) as tracker:
        raise ZeroDivisionError
    assert tracking.client(uri).get_run(tracker.run_id).info.status == "FAILED"


def test_without_a_store_nothing_is_tracked() -> None:
    with tracking.start(None, "train", ABOUT) as tracker:
        tracker.log(1, {"loss": 1.0})
    assert tracker.run_id == ""
