"""Makes the embedded sample pool, or says what another pool holds.

The sample is real text without a download: the documentation of the installed packages as web pages in WARC
files. The same environment gives the same bytes; the manifest is written last, and a second run that finds it
does nothing.
"""

import json
import logging
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from pyspark.sql import SparkSession
from rich.progress import Progress

from lakeloom.jobs.sample_pages import sample_pages
from lakeloom.jobs.sample_site import Page
from lakeloom.jobs.sample_warc import write_file
from lakeloom.lakehouse.ids import file_sha
from lakeloom.lakehouse.pools import (
    MANIFEST,
    SAMPLE_GENERATOR,
    PoolConfig,
    fingerprint,
    list_files,
    sample_folder,
)
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import LakehouseConfig

log = logging.getLogger(__name__)

NUM_FILES = 8


@dataclass(frozen=True)
class PoolJobConfig:
    """`pool` and `lakehouse` are shared groups; `workers` counts the processes that write the sample."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    workers: int


def run(spark: SparkSession | None, cfg: PoolJobConfig) -> Report:
    """Files and bytes of the pool, after making it if it is the sample; rows are files. Needs no session."""
    root = Path(cfg.lakehouse.root).absolute()
    facts: dict[str, str | int | float] = {"pool": cfg.pool.name}
    if cfg.pool.kind == "sample":
        facts["made"] = make_sample(cfg.pool, root, cfg.workers)
        facts["folder"] = str(sample_folder(cfg.pool, root))
    files = list_files(cfg.pool, root)
    facts["num_bytes"] = sum(file.num_bytes for file in files)
    return Report("pool", len(files), len(files), facts=facts)


def make_sample(pool: PoolConfig, root: Path, workers: int) -> int:
    """Writes the sample of this environment unless it is there; number of pages written."""
    folder = sample_folder(pool, root)
    if (folder / MANIFEST).is_file():
        log.info("sample pool %s is there already", folder)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    mark = fingerprint(pool.max_pages)[:12]
    pages = sample_pages(pool.max_pages)
    size = -(-len(pages) // NUM_FILES)
    parts = {f"sample-{mark}-{i:05}.warc.gz": pages[i * size : (i + 1) * size] for i in range(NUM_FILES)}
    _write({folder / name: part for name, part in parts.items()}, workers)
    _write_manifest(folder, sorted(parts), pool.max_pages)
    log.info("sample pool %s: %d pages in %d files", folder, len(pages), len(parts))
    return len(pages)


def _write(parts: dict[Path, list[Page]], workers: int) -> None:
    """Each file by one process; a fresh interpreter each, since a driver with a JVM must not be forked."""
    with Progress(disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("writing the sample pool", total=len(parts))
        if workers == 1:
            for path, pages in parts.items():
                write_file(path, pages)
                progress.advance(task)
            return
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
            for done in as_completed([processes.submit(write_file, path, pages) for path, pages in parts.items()]):
                done.result()
                progress.advance(task)


def _write_manifest(folder: Path, names: list[str], max_pages: int) -> None:
    files = [
        {"name": name, "num_bytes": (folder / name).stat().st_size, "sha256": file_sha(folder / name)} for name in names
    ]
    facts = {
        "generator": SAMPLE_GENERATOR,
        "fingerprint": fingerprint(max_pages),
        "max_pages": max_pages,
        "files": files,
    }
    partial = folder / f".{MANIFEST}.{os.getpid()}.partial"
    partial.write_text(json.dumps(facts, indent=1, sort_keys=True), "utf-8")
    partial.replace(folder / MANIFEST)
