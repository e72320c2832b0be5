"""Reads a dataset's shards to the last token and compares them with its manifest and dataset.json. Needs no session."""

import logging
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakeloom.lakehouse import inspection
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import LakehouseConfig

log = logging.getLogger(__name__)

_NAMED = 3  # differing shards that an error names


@dataclass(frozen=True)
class VerifyExportConfig:
    """The dataset, by folder or by name; see conf/job/verify_export.yaml."""

    lakehouse: LakehouseConfig
    folder: str
    dataset: str


def run(_spark: SparkSession | None, cfg: VerifyExportConfig) -> Report:
    """Rows are sequences. BadInput names the first shards that differ."""
    manifest = Manifest.read(_folder(cfg))
    wrong: list[str] = []
    done, total = 0, sum(shard.num_bytes for shard in manifest.shards)
    for number, shard in enumerate(manifest.shards, 1):
        try:
            inspection.inspect(manifest, shard)
        except BadInput as error:
            wrong.append(str(error))
        done += shard.num_bytes
        progress = {"done": done, "total": total}
        log.info("%s of %s shards, %s differ", number, len(manifest.shards), len(wrong), extra=progress)
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise BadInput(f"{len(wrong)} of {len(manifest.shards)} shards differ: {'; '.join(wrong[:_NAMED])}{more}")
    inspection.inspect_dataset(manifest)
    dataset = manifest.dataset
    facts: dict[str, str | int | float] = {
        "dataset": dataset.name,
        "folder": str(manifest.folder),
        "export_id": dataset.export_id,
        "shards": len(manifest.shards),
        "num_tokens": dataset.num_tokens,
        "num_bytes": total,
        "tokenizer_sha": dataset.tokenizer_sha,
    }
    return Report("verify_export", dataset.num_sequences, dataset.num_sequences, facts=facts)


def _folder(cfg: VerifyExportConfig) -> Path:
    if bool(cfg.folder) == bool(cfg.dataset):
        raise ConfigError("say which dataset: either verify_export.folder=... or verify_export.dataset=its name")
    if cfg.folder:
        return Path(cfg.folder)
    top = Path(cfg.lakehouse.root, "shards")
    names = [path.name for path in top.iterdir() if not path.name.startswith(".")] if top.is_dir() else []
    found = sorted(name for name in names if cfg.dataset in (name, name.rpartition("-")[0]))
    if len(found) != 1:
        listed = ", ".join(found or sorted(names)) or "none"
        said = "is the name of several" if found else "is no dataset"
        raise ConfigError(f"verify_export.dataset={cfg.dataset} {said} in {top}; say one of these whole: {listed}")
    return top / found[0]
