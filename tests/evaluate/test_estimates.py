import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.evaluate import tasks
from lakeloom.evaluate.estimates import Estimate, Item, centred, composite, composite_error, ratio


def items(values: list[float], group: str = "") -> list[Item]:
    return [Item(f"{group}{i}", value, 1.0, group) for i, value in enumerate(values)]


def test_the_error_of_a_share_is_the_binomial_one() -> None:
    found = ratio(items([1, 1, 1, 0]))
    assert (found.value, found.num_items) == (0.75, 4)
    assert found.stderr == pytest.approx(math.sqrt(0.75 * 0.25 / 3))


def test_groups_count_alike_whatever_their_size() -> None:
    found = ratio(items([1, 0], "a") + items([1, 1, 1, 1, 0, 0, 0, 0], "b") + items([0, 0], "c"))
    errors = [0.25 / 1, 0.25 / 7, 0.0]
    assert found.value == pytest.approx(1 / 3)
    assert found.stderr == pytest.approx(math.sqrt(sum(errors)) / 3)


def test_a_single_item_has_no_error_and_none_is_refused() -> None:
    assert ratio(items([1])) == Estimate(1.0, None, 1)
    assert ratio(items([1, 0]) + items([1], "b")).stderr is None
    with pytest.raises(ValueError, match="no items"):
        ratio([])


def test_the_error_of_a_ratio_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(100, 2000, 400)
    values = weights * rng.normal(1.2, 0.2, 400)
    found = ratio([Item(str(i), v, w) for i, (v, w) in enumerate(zip(values, weights, strict=True))])
    drawn = rng.integers(0, 400, (2000, 400))
    bootstrap = (values[drawn].sum(1) / weights[drawn].sum(1)).std()
    assert found.value == pytest.approx(values.sum() / weights.sum())
    assert found.stderr == pytest.approx(bootstrap, rel=0.06)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.5, 5)), min_size=2, max_size=20))
def test_twice_the_items_change_the_error_only(pairs: list[tuple[float, float]]) -> None:
    once = [Item(str(i), v, w) for i, (v, w) in enumerate(pairs)]
    found, doubled = ratio(once), ratio(once + once)
    n = len(once)
    assert doubled.value == pytest.approx(found.value)
    expected = (found.stderr or 0.0) * math.sqrt((2 * n / (2 * n - 1)) / (n / (n - 1)) / 2)
    assert doubled.stderr == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("accuracy", "baseline", "value"), [(0.25, 25, 0), (1, 25, 1), (0, 50, -1), (0.3, 0, 0.3)])
def test_centred_accuracy(accuracy: float, baseline: float, value: float) -> None:
    assert centred(accuracy, baseline) == pytest.approx(value)


def test_composites_are_dclms_published_ones(shared: Path) -> None:
    lines = (shared / "data" / "eval" / "aggregates.jsonl").read_text("utf-8").split("\n")
    compared = 0
    for run in [json.loads(line) for line in lines if line]:
        for group, version in (("core", 1), ("core", 2), ("extended", 1), ("extended", 2)):
            published = run["aggregated"].get(f"{group.capitalize()}_v{version}")
            found = composite(run["metrics"], group, version=version)
            if isinstance(published, float):
                assert found == pytest.approx(published, abs=1e-12)
                compared += 1
            elif published is not None:
                assert found is None
    assert compared >= 100


def test_a_composite_needs_each_of_its_tasks() -> None:
    accuracies = {task.name: 0.5 for task in tasks.choose(["core"])}
    assert composite(accuracies) is not None
    del accuracies["squad"]
    assert composite(accuracies) is None


def test_the_error_of_a_composite() -> None:
    core = tasks.choose(["core"])
    errors = {task.name: 0.01 * (1 - task.baseline_v2 / 100) for task in core}
    assert composite_error(errors) == pytest.approx(0.01 / math.sqrt(22))
