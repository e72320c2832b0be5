"""A step of a chain: what it is called, what is known of it, and what it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakeloom.lakehouse.ids import Json


@dataclass(frozen=True)
class Node:
    """One thing of a chain."""

    kind: str
    name: str
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])
    leads_to: tuple["Node", ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The same for machines."""
        made: dict[str, Json] = {"kind": self.kind, "name": self.name, **self.facts}
        return made | ({"leads_to": [node.as_json() for node in self.leads_to]} if self.leads_to else {})
