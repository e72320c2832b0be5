from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest

from lakeloom.evaluate import leaderboard as boards
from lakeloom.jobs import leaderboard
from lakeloom.jobs.leaderboard import LeaderboardConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Value
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table

Score = Mapping[str, Value]


def score(
    model: str, task: str, value: float | None, stderr: float | None = None, *, scale: str = "demo", items: int = 10
) -> Score:
    """A row of gold.scores; accuracy, unless the task says otherwise."""
    metric = {"train": "tokens", "core": "centred_accuracy"}.get(task, "accuracy")
    about = {"model_sha": f"sha-{model}-{scale}", "model": f"{model}-{scale}-s0", "dataset": model, "export_id": "e"}
    numbers = {"value": value, "stderr": stderr, "num_items": items, "num_fewshot": 0}
    return {
        **about,
        "scale": scale,
        "seed": 0,
        "task": task,
        "task_version": "v",
        "metric": metric,
        **numbers,
        "run_id": "r",
    }


def datasets(scores: Sequence[Score]) -> list[str]:
    """Datasets of the ranked models, in order."""
    board = boards.rows(scores)
    return [row.dataset for row in leaderboard.ranked(board, leaderboard.order_of(board))]


@pytest.mark.parametrize(
    ("name", "scores", "order", "best_first"),
    [
        ("lowest bits", [score("a", "bpb/x", 1.2), score("b", "bpb/x", 1.1)], ("bpb/x",), ["b", "a"]),
        (
            "only the held-out set of both counts",
            [score("a", "bpb/x", 1.2), score("b", "bpb/x", 1.1), score("b", "bpb/y", 9.0)],
            ("bpb/x",),
            ["b", "a"],
        ),
        (
            "CORE of both goes before bits",
            [score("a", "bpb/x", 1.2), score("b", "bpb/x", 1.1), score("a", "core", 0.3), score("b", "core", 0.2)],
            ("CORE",),
            ["a", "b"],
        ),
        (
            "CORE of one does not",
            [score("a", "bpb/x", 1.2), score("b", "bpb/x", 1.1), score("a", "core", 0.3), score("b", "core", None)],
            ("bpb/x",),
            ["b", "a"],
        ),
        ("nothing shared", [score("b", "bpb/x", 1.0), score("a", "bpb/y", 2.0)], (), ["a", "b"]),
        (
            "scales apart, the better one second",
            [score("a", "bpb/x", 1.2, scale="big"), score("b", "bpb/x", 1.1, scale="small")],
            ("bpb/x",),
            ["a", "b"],
        ),
    ],
)
def test_order(name: str, scores: Sequence[Score], order: tuple[str, ...], best_first: list[str]) -> None:
    assert leaderboard.order_of(boards.rows(scores)) == order
    assert datasets(scores) == datasets(scores[::-1]) == best_first


def test_a_few_models_are_columns_and_many_are_rows() -> None:
    few = boards.rows([score(name, "copa", 0.5, 0.05) for name in "abcd"])
    many = boards.rows([score(name, "copa", 0.5, 0.05) for name in "abcde"])
    assert leaderboard.sheet(few).columns == ("dataset", "a", "b", "c", "d")
    assert leaderboard.sheet(few).rows[-1] == ("copa", *["50.0 \u00b1 5.0"] * 4)
    assert leaderboard.sheet(many).columns == ("dataset", "scale", "seed", "copa")
    assert leaderboard.sheet(many).rows[4] == ("e", "demo", "0", "50.0 \u00b1 5.0")


@pytest.mark.spark
def test_the_job_shows_the_table_and_what_is_absent(lake: Lakehouse) -> None:
    scores = [
        score("raw", "bpb/raw", 1.9, 0.01), score("raw", "squad", None, items=0), score("raw", "train", 1e6),
        score("clean", "bpb/raw", 1.5, 0.01), score("clean", "train", 1e6),
    ]  # fmt: skip
    rows = pa.Table.from_pylist([dict(one) for one in scores], table("gold.scores").schema)
    lake.append(lake.spark.createDataFrame(rows), "gold.scores", txn="scores")
    report = leaderboard.run(lake.spark, LeaderboardConfig(lake.cfg))
    assert (report.rows_in, report.rows_out, report.dropped) == (2, 2, 0)
    assert report.facts == {"scores": 5, "best first by": "bpb/raw"}
    [sheet] = report.sheets
    assert sheet.columns == ("dataset", "clean", "raw")
    assert sheet.rows == (
        ("scale", "demo", "demo"),
        ("seed", "0", "0"),
        ("tokens", "1,000,000", "1,000,000"),
        ("bpb/raw", "1.5000 \u00b1 0.0100", "1.9000 \u00b1 0.0100"),
        ("squad", "-", "absent"),
    )


@pytest.mark.spark
def test_no_scores_is_a_wrong_request_that_names_the_cure(lake: Lakehouse) -> None:
    with pytest.raises(ConfigError, match="lakeloom evaluate for a model, then lakeloom publish"):
        leaderboard.run(lake.spark, LeaderboardConfig(lake.cfg))
    lake.create("gold.scores")
    with pytest.raises(ConfigError, match="has no scores"):
        leaderboard.run(lake.spark, LeaderboardConfig(lake.cfg))
