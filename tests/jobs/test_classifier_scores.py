"""What is said of a classifier by its probabilities on held-out pages."""

import numpy as np
import pytest

from lakeloom.jobs.classifier_scores import Scores


def scores(positives: list[float], negatives: list[float]) -> Scores:
    return Scores(np.array(positives), np.array(negatives))


CASES = [
    ([0.9, 0.8, 0.2], [0.1, 0.7, 0.3, 0.2], {"accuracy": 5 / 7, "precision": 2 / 3, "recall": 2 / 3, "auc": 9.5 / 12}),
    ([0.1], [0.2], {"accuracy": 0.5, "precision": 0.0, "recall": 0.0, "auc": 0.0}),
    ([0.5], [0.5], {"accuracy": 0.5, "precision": 0.5, "recall": 1.0, "auc": 0.5}),
    ([], [0.5], {}),
    ([0.5], [], {}),
]


@pytest.mark.parametrize(("positives", "negatives", "expected"), CASES)
def test_metrics(positives: list[float], negatives: list[float], expected: dict[str, float]) -> None:
    assert scores(positives, negatives).metrics == pytest.approx(expected)


def test_the_area_is_the_chance_that_a_good_page_is_above_another() -> None:
    rng = np.random.default_rng(0)
    made = Scores(rng.integers(0, 20, 30) / 20, rng.integers(0, 15, 40) / 20)
    wins = [
        1.0 if good > other else 0.5 if good == other else 0.0 for good in made.positives for other in made.negatives
    ]
    assert made.metrics["auc"] == pytest.approx(sum(wins) / len(wins))


def test_a_bound_keeps_its_share_of_the_others() -> None:
    made = Scores(np.linspace(0.5, 1, 100), np.linspace(0, 0.995, 200))
    rows = made.bounds().rows
    assert [row[1] for row in rows] == ["50.0%", "20.0%", "10.0%", "5.0%", "1.0%"]
    for bound, others, good in rows:
        assert others == f"{(made.negatives >= float(bound or 0)).mean():.1%}"
        assert good == f"{(made.positives >= float(bound or 0)).mean():.1%}"
    assert scores([0.5], []).bounds().rows == ()


def test_few_or_equal_pages_have_fewer_bounds() -> None:
    few = scores([0.9], [0.1, 0.2, 0.3, 0.4, 0.5]).bounds().rows
    assert few == ((0.4, "40.0%", "100.0%"), (0.5, "20.0%", "100.0%"))
    ties = scores([0.9], [0.2] * 10).bounds().rows
    assert ties == ((0.2, "100.0%", "100.0%"),)
