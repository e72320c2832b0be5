from collections.abc import Mapping
from io import StringIO

from rich.console import Console

from lakeloom.evaluate import leaderboard
from lakeloom.evaluate.leaderboard import Cell, Value


def score(
    dataset: str, task: str, metric: str, value: float | None, stderr: float | None = None, num_items: int = 0
) -> Mapping[str, Value]:
    about: dict[str, Value] = {"model_sha": dataset, "model": f"{dataset}-demo-s1", "dataset": dataset}
    about |= {"scale": "demo", "seed": 1}
    return {**about, "task": task, "metric": metric, "value": value, "stderr": stderr, "num_items": num_items}


SCORES = [
    score("raw", "train", "tokens", 1048576.0),
    score("raw", "train", "loss", 4.25),
    score("raw", "bpb/raw", "bits_per_byte", 1.9, 0.01, 50),
    score("raw", "loss/raw", "nats_per_token", 4.5, 0.02, 50),
    score("raw", "loss/clean", "nats_per_token", 4.4, 0.02, 50),
    score("raw", "copa", "accuracy", 0.52, 0.05, 100),
    score("raw", "squad", "accuracy", None),
    score("raw", "core", "centred_accuracy", None),
    score("clean", "bpb/raw", "bits_per_byte", 1.5, 0.01, 50),
    score("clean", "copa", "accuracy", 0.61, None, 1),
    score("clean", "core", "centred_accuracy", None),
]


def test_the_table_in_markdown() -> None:
    found = leaderboard.rows(SCORES)
    assert leaderboard.markdown(found) == (
        "| dataset | scale | seed | tokens | train loss | val loss | bpb/raw | copa | squad | CORE |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| clean | demo | 1 | - | - | - | 1.5000 \u00b1 0.0100 | 61.0 | - | absent |\n"
        "| raw | demo | 1 | 1,048,576 | 4.250 | 4.500 \u00b1 0.020 | 1.9000 \u00b1 0.0100 "
        "| 52.0 \u00b1 5.0 | absent | absent |\n"
    )


def test_the_table_on_a_terminal_has_a_column_a_model() -> None:
    screen = StringIO()
    Console(file=screen, width=100).print(leaderboard.table(leaderboard.rows(SCORES)))
    lines = [
        " ".join(line.replace("\u2503", " ").replace("\u2502", " ").split()) for line in screen.getvalue().splitlines()
    ]
    assert "clean raw" in lines[1]
    assert "bpb/raw 1.5000 \u00b1 0.0100 1.9000 \u00b1 0.0100" in lines
    assert "CORE absent absent" in lines


def test_models_of_one_dataset_scale_and_seed_are_told_apart() -> None:
    plain = score("raw", "copa", "accuracy", 0.5)
    mean = {**plain, "model": "raw-demo-s1-average4", "model_sha": "b" * 64}
    other = {**plain, "model_sha": "c" * 64}  # of another learning rate, say
    theirs = {**plain, "model": "dclm-7b", "model_sha": "d" * 64}
    assert leaderboard.head(leaderboard.rows([plain])) == ["dataset", "scale", "seed"]
    assert leaderboard.head(found := leaderboard.rows([plain, mean, theirs])) == ["dataset", "scale", "seed", "model"]
    assert [row.variant for row in found] == ["", "average4", "dclm-7b"]
    assert leaderboard.markdown(found).splitlines()[3] == "| raw | demo | 1 | average4 | 50.0 |"
    assert [row.variant for row in leaderboard.rows([mean, {**plain, "model_sha": "a" * 64}, other])] == [
        "aaaaaa",
        "average4",
        "cccccc",
    ]


def test_core_decides_the_order_before_bits_do() -> None:
    scores = [*SCORES, score("raw", "core", "centred_accuracy", 0.1, 0.01, 9000)]
    assert [row.dataset for row in leaderboard.rows(scores)] == ["raw", "clean"]


def test_the_evaluation_of_most_items_counts_whatever_the_order() -> None:
    few, many = score("m", "copa", "accuracy", 0.3, 0.1, 10), score("m", "copa", "accuracy", 0.5, 0.05, 100)
    absent = score("m", "copa", "accuracy", None)
    for scores in ([few, many, absent], [absent, many, few]):
        assert leaderboard.rows(scores)[0].cells["copa"] == Cell(0.5, 0.05, 100)


def test_no_scores_make_an_empty_table() -> None:
    assert leaderboard.rows([]) == []
    assert leaderboard.markdown([]) == "| dataset | scale | seed |\n| --- | --- | --- |\n"
