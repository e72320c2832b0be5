"""The funnel of curated pages on the screen, as a picture and as DCLM's files."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import curate, funnel
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.curate import CurateConfig
from lakeloom.jobs.funnel import FunnelConfig
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.store import Lakehouse
from tests.jobs.test_cut import uncut
from tests.jobs.test_decontaminate import unset
from tests.jobs.test_dedup import config as dedup_config
from tests.jobs.test_explain import add_pages

pytestmark = pytest.mark.spark

RECIPE = Recipe.from_config(
    {"name": "mine", "steps": [{"signal": "is_listed_host", "hosts": ["b.org"], "max": 0}, {"edit": "remove_urls"}]}
)
PAGES = [("http://a.org", "one", 1), ("http://[bad", "two", 1), ("http://b.org", "three", 1)]


def test_the_funnel_is_told_drawn_and_exported(lake: Lakehouse, tmp_path: Path) -> None:
    ours = replace(dedup_config(lake.cfg.root), recipe=RECIPE)
    clean = unset(lake, ours.pool, RECIPE)
    chosen = ChooseConfig(lake.cfg, ours.pool, RECIPE, ours, uncut(ours), clean, "mine", 0.1, 0, False)
    cfg = FunnelConfig(
        lake.cfg, ours.pool, RECIPE, chosen,
        str(tmp_path / "out"), str(tmp_path / "funnel.svg"), False,
    )  # fmt: skip
    add_pages(lake, PAGES)
    curate.run(lake.spark, CurateConfig(lake.cfg, ours.pool, RECIPE))
    report = funnel.run(lake.spark, cfg)
    assert [row[:4] + row[5:6] for row in report.sheets[0].rows] == [
        ("is_listed_host", 3, 1, 2, 1),
        ("remove_urls", 1, 1, 0, 0),
    ]
    assert "is_listed_host" in (tmp_path / "funnel.svg").read_text()
    [path] = (tmp_path / "out" / "stats").iterdir()
    setup, step, edit, finished, _ = [json.loads(line) for line in path.read_text().splitlines()]
    assert (step["removed"], step["errors"], step["kept"], step["pages_out"]) == (1, 1, 1, 1)
    assert edit["secs"] >= 0
    assert setup["source_name"] == "p"
    ended = datetime.strptime(finished["execution_end_time"], "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - ended < timedelta(minutes=30)
    with pytest.raises(ConfigError, match=r"funnel.svg is there already; funnel.overwrite=true"):
        funnel.run(lake.spark, cfg)
    assert funnel.run(lake.spark, replace(cfg, overwrite=True)).facts["picture"] == str(tmp_path / "funnel.svg")
