"""From a page to the models and back, on a dataset whose sequences are decoded to see that the page is in them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeloom.jobs import cli, lineage, takedown
from lakeloom.jobs.export import ExportConfig
from lakeloom.jobs.lineage import TraceConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tokens import Tokenizer
from tests.jobs.planted import NEEDLES, url
from tests.jobs.test_takedown import asked, chosen


def chain(lake: Lakehouse, what: str) -> list[dict[str, Any]]:
    shipped: TraceConfig = replace(cli.load("trace", "trace.what=x"), lakehouse=lake.cfg, what=what, json=True)
    (line,) = lineage.run(lake.spark, replace(shipped, models=f"{lake.cfg.root}/models")).notes
    found: list[dict[str, Any]] = json.loads(line)
    return found


def nodes(found: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for node in found:
        if node["kind"] == kind:
            yield node
        yield from nodes(node.get("leads_to", []), kind)


@pytest.mark.spark
def test_a_page_leads_to_models_and_a_model_to_its_pages(
    lake: Lakehouse, planted_tokenizer: Tokenizer, filled: tuple[ExportConfig, Path]
) -> None:
    _, folder = filled
    train, held, _ = chosen(lake)
    [page] = chain(lake, url(train))
    assert (page["kind"], page["name"], page["warc_file"], page["warc_offset"]) == ("page", train, "file", 7)
    assert {(one["name"], one["kept"]) for one in nodes([page], "document of recipe")} == {
        ("raw", True),
        ("other", True),
    }
    [dataset] = nodes([page], "dataset")
    manifest = Manifest.load(folder)
    reader, numbers = ShardReader(manifest), [one.shard for one in manifest.shards]
    places = [place.removesuffix("]").split("[") for place in dataset["sequences"]]
    texts = [planted_tokenizer.decode(reader[numbers.index(shard) * 50 + int(row)].tolist()) for shard, row in places]
    assert len(texts) > 5 and all(NEEDLES[train] in text for text in texts[1:-1])
    every = [planted_tokenizer.decode(reader[number].tolist()) for number in range(len(reader))]
    assert sum(NEEDLES[train] in text for text in every) == sum(NEEDLES[train] in text for text in texts)
    assert [one["name"] for one in nodes([dataset], "model")] == ["one", "two", "far"]
    [other] = chain(lake, held)
    assert [one["split"] for one in nodes([other], "dataset")] == ["holdout"]
    # And back.
    [model] = chain(lake, "one")
    facts = manifest.dataset
    [corpus], [recipe], [pool] = (list(nodes([model], kind)) for kind in ("corpus", "recipe", "pool"))
    assert (corpus["name"], corpus["version"]) == (facts.corpus_id, facts.source_version)
    assert (recipe["recipe_hash"], recipe["kept"], pool["name"], pool["pages"]) == (facts.recipe_hash, 220, "tiny", 20)
    [shard] = chain(lake, f"{folder.name}/shard_00000001")
    assert shard["sequences"] == 50 and {one["name"] for one in nodes([shard], "model")} == {"one"}
    assert [one["name"] for one in chain(lake, facts.export_id[:12])] == ["tiny"]
    # A page that was taken down is still known by who asks for it.
    takedown.run(lake.spark, asked(lake, url(train)))
    [gone] = chain(lake, url(train))
    [dataset] = nodes([gone], "dataset")
    assert gone["taken_down"] and dataset["taken_out"] and "url" not in gone
    assert [one["name"] for one in nodes([dataset], "model")] == ["one", "two", "far"]
    with pytest.raises(ConfigError, match=r"nothing is called 'https://nowhere.example/'"):
        chain(lake, "https://nowhere.example/")
