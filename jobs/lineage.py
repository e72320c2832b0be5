"""The chain from a page to the models and back: lakeloom trace URL, doc_id, model, dataset or shard.

Forward: record of the crawl, documents by recipe, clusters, datasets, sequences, models, scores. Back: scores, model,
dataset, corpus and its table's version, recipe, pools. A chain is a tree of named nodes, printed or given as JSON.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakeloom.jobs import trace_models, trace_pages
from lakeloom.jobs.tracenode import Node
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

_DOC_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class TraceConfig:
    """What is traced, and how it is shown; see conf/job/trace.yaml."""

    lakehouse: LakehouseConfig
    what: str
    models: str
    tokens: bool
    json: bool


def run(spark: SparkSession, cfg: TraceConfig) -> Report:
    """The chain as notes, a line a node. ConfigError where nothing of that name is known."""
    lake, models = Lakehouse(spark, cfg.lakehouse), Path(cfg.models)
    found: list[Node] = []
    if "://" not in cfg.what:
        found = trace_models.find(lake, models, cfg.what)
    if not found and ("://" in cfg.what or _DOC_ID.fullmatch(cfg.what)):
        found = trace_pages.find(lake, models, cfg.what, with_tokens=cfg.tokens)
    if not found:
        raise ConfigError(
            f"trace: nothing is called {cfg.what!r}; give a URL as crawled, a doc_id, the name, folder or SHA-256 "
            "of a model, the name or export id of a dataset, or DATASET/shard_00000000"
        )
    if cfg.json:
        lines = [json.dumps([node.as_json() for node in found], ensure_ascii=False)]
    else:
        lines = [line for node in found for line in _tree(node)]
    return Report("trace", len(found), len(found), notes=tuple(lines))


def _tree(node: Node, indent: str = "") -> Iterator[str]:
    said = ", ".join(f"{name} {value}" for name, value in node.facts.items() if value is not None and value != "")
    yield f"{indent}{node.kind} {node.name}" + (f": {said}" if said else "")
    for one in node.leads_to:
        yield from _tree(one, f"{indent}  ")
