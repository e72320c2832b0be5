"""A model of DCLM's trainer as a model folder, which evaluate scores and train starts from. Needs no session."""

from pyspark.sql import SparkSession

from lakeloom.lakehouse.report import Report
from lakeloom.train.config import ImportModelConfig

__all__ = ["ImportModelConfig", "run"]


def run(_spark: SparkSession | None, cfg: ImportModelConfig) -> Report:
    """Rows are models; facts name the folder."""
    from lakeloom.train import checkpoint, openlm  # torch takes seconds to import

    folder = openlm.run(cfg)
    sha = str((checkpoint.manifest(folder) or {})["model_sha"])
    return Report("import_model", 1, 1, facts={"model": str(folder), "model_sha": sha})
