"""Training started by Spark, as on Databricks: what the documentation says to type."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.ml.deepspeed.deepspeed_distributor import DeepspeedTorchDistributor
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

import lakeloom.train.__main__ as entry
from lakeloom.train import config, journal, launch
from lakeloom.train.config import TrainConfig

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    # pyspark leaves the pipe of its process open.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.mark.parametrize(
    "distributor",
    [
        lambda: TorchDistributor(num_processes=2, local_mode=True, use_gpu=False),
        lambda: DeepspeedTorchDistributor(numGpus=2, nnodes=1, localMode=True, useGpu=False),
    ],
    ids=["torch", "deepspeed"],
)
def test_a_distributor_trains_what_launch_trains(
    spark: SparkSession,
    make_config: Callable[..., TrainConfig],
    tmp_path: Path,
    distributor: Callable[[], TorchDistributor | DeepspeedTorchDistributor],
) -> None:
    assert spark.version
    cfg = make_config(nproc=2, micro_batch=2, models=str(tmp_path / "distributed"))
    config.save(cfg, tmp_path / "train.json")
    distributor().run(entry.__file__, str(tmp_path / "train.json"))
    [folder] = Path(cfg.models).iterdir()
    same = launch.run(make_config(nproc=2, micro_batch=2))
    assert [line["loss"] for line in journal.read(folder)] == [line["loss"] for line in journal.read(same.folder)]
