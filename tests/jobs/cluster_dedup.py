"""Dedup of the planted documents on a cluster of two local executors, run as a program: prints the clusters as JSON.

Twice: as it is, then with one executor killed when the band join begins. Argument: a folder for the lakehouses.
"""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from lakeloom.jobs import config
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.store import Lakehouse
from tests.jobs.test_dedup import Rows, filled, found, planted
from tests.jobs.test_dedup import config as dedup_config


def executors() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if is_executor(process)]


def is_executor(process: psutil.Process) -> bool:
    try:
        return any("CoarseGrainedExecutorBackend" in word for word in process.cmdline())
    except psutil.Error:  # one that ended meanwhile, as those that set a file's permissions do
        return False


def kill_one(root: Path, killed: list[int]) -> None:
    """Kill an executor as soon as the texts are grouped and their bands are next."""
    while not list(root.glob("scratch/*/texts/_SUCCESS")):
        time.sleep(0.01)
    one = executors()[0]
    one.kill()
    killed.append(one.pid)


def deduplicated(session: SparkSession, root: Path) -> Rows:
    lake = Lakehouse(session, dedup_config(str(root)).lakehouse)
    return found(filled(lake, planted(), 4), dedup_config(str(root)))


def main(folder: Path) -> None:
    local: SparkConfig = config.build(SparkConfig, "spark", config.tree([]))
    cluster = replace(local, master="local-cluster[2,1,1024]", memory="1g")
    session = spark(replace(cluster, options=cluster.options | {"spark.executor.memory": "1g"}))
    both = deduplicated(session, folder / "both")
    num_executors, killed = len(executors()), list[int]()
    threading.Thread(target=kill_one, args=(folder / "killed", killed), daemon=True).start()
    after = deduplicated(session, folder / "killed")
    session.stop()
    said = {"executors": num_executors, "clusters": both, "killed": killed, "clusters_after": after}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
