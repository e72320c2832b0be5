"""What is said of a classifier by its probabilities on held-out pages."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

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


def test_the_area_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    made = Scores(rng.integers(0, 20, 300) / 20, rng.integers(0, 15, 200) / 20)
    labels = [1] * 300 + [0] * 200
    expected = roc_auc_score(labels, np.concatenate([made.positives, made.negatives]))
    assert made.metrics["auc"] == pytest.approx(expected)


def test_a_bound_keeps_its_share_of_the_others() -> None:
    made = Scores(np.linspace(0.5, 1, 100), np.linspace(0, 0.995, 200))
    rows = {row[0]: row[1:] for row in made.bounds().rows}
    for share in (0.5, 0.2, 0.1, 0.05, 0.01):
        bound, kept = rows[f"{share:.0%}"]
        assert (made.negatives >= float(bound or 0)).sum() == round(200 * share)
        assert kept == f"{(made.positives >= float(bound or 0)).mean():.1%}"
    assert scores([0.5], []).bounds().rows == ()
