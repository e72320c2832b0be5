"""A lakehouse with planted pages, made once for all tests of lineage, copied for each."""

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs.export import ExportConfig
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tokens import Tokenizer, train_sentencepiece
from tests.jobs.planted import PLANTED, fill_lakehouse
from tests.jobs.test_export import TEXTS, config


@pytest.fixture(scope="session")
def planted_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("planted") / "small.model"
    path.write_bytes(train_sentencepiece([*TEXTS.values(), *map(str, range(100))], 285))
    return Tokenizer.load(path)


@pytest.fixture(scope="session")
def planted_once(
    spark: SparkSession, planted_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    lake = Lakehouse(spark, LakehouseConfig(str(tmp_path_factory.mktemp("planted") / "lake"), ""))
    return Path(lake.cfg.root), fill_lakehouse(lake, planted_tokenizer)


@pytest.fixture
def filled(lake: Lakehouse, planted_tokenizer: Tokenizer, planted_once: tuple[Path, str]) -> tuple[ExportConfig, Path]:
    """A copy of it, with what a killed job left: the export's configuration, and the dataset's folder."""
    root, name = planted_once
    shutil.copytree(root, lake.cfg.root)
    (lake.folder("scratch") / "killed").mkdir()
    (lake.folder("scratch") / "killed" / "rows.json").write_text(" ".join(PLANTED.values()))
    return config(lake, planted_tokenizer), lake.folder("shards") / name
