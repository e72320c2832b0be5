import json
from pathlib import Path

import pytest

from lakeloom.train.optim import learning_rate


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (15, 0.6), (19, 0.2 + 0.8 * 0.0244717418524)]
)
def test_rate_warms_up_and_cools_down(step: int, rate: float) -> None:
    assert learning_rate(step, peak=1.0, final=0.2, warmup=10, num_steps=20) == pytest.approx(rate)


def test_a_cool_down_is_a_line() -> None:
    rates = [learning_rate(step, peak=1.0, final=0.2, warmup=0, num_steps=4, decay="linear") for step in range(4)]
    assert rates == pytest.approx([1.0, 0.8, 0.6, 0.4])


def test_rates_are_open_lms(shared: Path) -> None:
    expected = json.loads((shared / "oracle" / "model" / "expected.json").read_text("utf-8"))
    made = expected["hyperparameters"]
    for line in expected["training"]:
        rate = learning_rate(
            line["step"],
            peak=made["lr"],
            final=made["cooldown_end_lr"],
            warmup=made["warmup"],
            num_steps=made["steps"],
        )
        assert rate == pytest.approx(line["lr"], rel=1e-12)
