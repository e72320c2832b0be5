import math

import pytest

from lakeloom.evaluate.compare import Difference, differences
from lakeloom.evaluate.estimates import Item


def items(*values: float) -> list[Item]:
    return [Item(str(i), value, 1.0) for i, value in enumerate(values)]


def test_the_difference_is_b_minus_a_and_its_error_is_paired() -> None:
    a, b = items(0, 0, 1, 1), items(1, 0, 1, 1)
    expected = math.sqrt((0.75**2 + 3 * 0.25**2) / 3 / 4)
    [found] = differences({"copa": a}, {"copa": b})
    assert (found.value, found.num_items) == (0.25, 4)
    assert found.stderr == pytest.approx(expected)
    assert differences({"copa": b}, {"copa": a})[0].value == -0.25


def test_equal_answers_have_no_difference_and_no_error() -> None:
    same = items(0, 1, 1)
    assert differences({"copa": same}, {"copa": same}) == [Difference("copa", 0.0, 0.0, 3)]


def test_only_items_and_tasks_of_both_count() -> None:
    a, b = {"x": items(1, 1), "y": items(1)}, {"x": items(0, 1, 1), "z": items(1)}
    assert [(one.task, one.num_items) for one in differences(a, b)] == [("x", 2)]
    assert differences({"x": items(1)}, {"x": [Item("other", 1, 1)]}) == []


def test_bits_per_byte_are_compared_by_bytes() -> None:
    a = [Item("long", 100.0, 80.0), Item("short", 10.0, 20.0)]
    b = [Item("long", 90.0, 80.0), Item("short", 15.0, 20.0)]
    found = differences({"bpb/x": a}, {"bpb/x": b})[0]
    rest = [-10 + 0.05 * 80, 5 + 0.05 * 20]
    assert found.value == pytest.approx(-0.05)
    assert found.stderr == pytest.approx(math.sqrt(2 * sum(one**2 for one in rest)) / 100)
    assert not found.is_significant
