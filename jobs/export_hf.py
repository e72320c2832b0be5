"""A finished model in the format of Hugging Face's transformers. Needs no session."""

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakeloom.lakehouse.report import Report


@dataclass(frozen=True)
class ExportHfConfig:
    """A model's folder, and the new one; see conf/job/export_hf.yaml."""

    model: str
    into: str


def run(_spark: SparkSession | None, cfg: ExportHfConfig) -> Report:
    """Rows are models; facts name the folder."""
    from lakeloom.train import hf  # torch takes seconds to import

    into = Path(cfg.into).absolute()
    hf.export(Path(cfg.model), into)
    return Report("export_hf", 1, 1, facts={"folder": str(into)})
