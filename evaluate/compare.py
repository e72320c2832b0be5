"""Paired difference of two evaluations on the same items, so that what is hard for both cancels out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakeloom.evaluate.estimates import Item, ratio


@dataclass(frozen=True)
class Difference:
    """b - a of one task, on items that both have: higher is better for accuracy, lower for bits per byte."""

    task: str
    value: float
    stderr: float | None
    num_items: int

    @property
    def is_significant(self) -> bool:
        """Whether it is beyond two standard errors."""
        return self.stderr is not None and abs(self.value) > 2 * self.stderr


def differences(a: Mapping[str, Sequence[Item]], b: Mapping[str, Sequence[Item]]) -> list[Difference]:
    """Of every task in which both have items in common, in a's order."""
    found = [_difference(task, a[task], b[task]) for task in a if task in b]
    return [one for one in found if one is not None]


def _difference(task: str, a: Sequence[Item], b: Sequence[Item]) -> Difference | None:
    other = {item.item_id: item for item in b}
    paired = [
        Item(item.item_id, other[item.item_id].value - item.value, item.weight, item.group)
        for item in a
        if item.item_id in other
    ]
    if not paired:
        return None
    found = ratio(paired)
    return Difference(task, found.value, found.stderr, found.num_items)
