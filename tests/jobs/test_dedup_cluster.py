"""Clusters don't depend on the number of executors, nor on one that is killed in the middle of the band join."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakeloom.lakehouse.store import Lakehouse
from tests.jobs.test_dedup import PLANTED, config, filled, found, members, planted

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.spark
@pytest.mark.slow
def test_executors_and_one_that_dies_change_nothing(lake: Lakehouse, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.cluster_dedup", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "SPARK_LOCAL_DIRS": str(tmp_path / "shuffle")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads(done.stdout.splitlines()[-1])
    one = found(filled(lake, planted()), config(lake.cfg.root))
    assert members(one) == PLANTED
    assert (two["executors"], len(two["killed"])) == (2, 1)
    assert two["clusters"] == one
    assert two["clusters_after"] == one
