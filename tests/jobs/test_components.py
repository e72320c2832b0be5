"""Components against a union-find, on graphs that are hard in different ways, all in one table."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs.components import components

Edges = list[tuple[str, str]]

pytestmark = pytest.mark.spark


def smallest_reachable(edges: Edges) -> dict[str, str]:
    """Union-find: each node's smallest node."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            node = parent[node]
        return node

    for left, right in edges:
        one, other = sorted((root(left), root(right)))
        parent[other] = one
    return {node: root(node) for node in parent}


def graphs(seed: int) -> Edges:
    """Chains of 50 (in order, shuffled, zigzag), stars around the least and the greatest, a cycle, 40 random."""
    rng = random.Random(seed)  # noqa: S311 (a test's graphs, not a secret)
    zigzag = [node for pair in zip(range(25), range(49, 24, -1), strict=True) for node in pair]
    chains = {"o": list(range(50)), "p": rng.sample(range(50), 50), "q": zigzag}
    edges = [(f"{name}{a:02}", f"{name}{b:02}") for name, chain in chains.items() for a, b in pairwise(chain)]
    edges += [("s00", f"s{leaf:02}") for leaf in range(1, 60)] + [(f"t{leaf:02}", "t99") for leaf in range(60)]
    edges += [(f"c{node:02}", f"c{(node + 1) % 30:02}") for node in range(30)]
    for number in range(40):
        size, count = rng.randint(2, 30), rng.randint(1, 40)
        edges += [(f"r{number}-{rng.randrange(size):02}", f"r{number}-{rng.randrange(size):02}") for _ in range(count)]
    rng.shuffle(edges)
    return [(b, a) if rng.random() < 0.5 else (a, b) for a, b in edges]


@pytest.mark.parametrize(("seed", "num_partitions"), [(1, 1), (2, 2), (3, 7)])
def test_labels_are_the_smallest_reachable_node(
    spark: SparkSession, tmp_path: Path, seed: int, num_partitions: int
) -> None:
    edges = graphs(seed)
    table = spark.createDataFrame(edges, "a STRING, b STRING").repartition(num_partitions)
    found = [(row["node"], row["component"]) for row in components(table, tmp_path).toLocalIterator()]
    loops = {a for a, b in edges if a == b} - {node for a, b in edges if a != b for node in (a, b)}
    expected = {node: label for node, label in smallest_reachable(edges).items() if node not in loops}
    assert sorted(found) == sorted(expected.items())


def test_no_edges_no_components(spark: SparkSession, tmp_path: Path) -> None:
    assert components(spark.createDataFrame([], "a STRING, b STRING"), tmp_path).count() == 0
