"""make bench POOL=folder: CPU seconds of an ingest beside a bare FastWARC + resiliparse loop over the same files.

Both read the same list, the files repeated until there are enough pages, in two processes. CPU is that of the whole
process tree (driver, JVM, Python workers, readers), user and system. They take turns, and the cheapest run of each is
compared: what else the machine does (caches, a busy sibling of the core) can only add to a run. The session's start,
and what it does for the first time (classes, compilation, Python daemons), is shown by a line of its own: an ingest of
one file into other tables.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from pyspark.sql import SparkSession
from rich.console import Console

from lakeloom.jobs import cli, config, ingest
from lakeloom.lakehouse.errors import BadInput, ConfigError, LakeloomError
from lakeloom.lakehouse.session import SparkConfig, spark

GOAL = 1.3  # times the CPU seconds of the bare loop
_TURNS = 3
_BARE = """
import sys
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
pages = 0
for path in sys.argv[1:]:
    for record in ArchiveIterator(open(path, "rb"), record_types=WarcRecordType.response):
        body = record.reader.read()
        extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True)
        pages += 1
print(pages)
"""


def tree_cpu_s() -> dict[int, float]:
    """CPU seconds so far of this process and each of those under it, with their children that ended, by process id."""
    spent = dict[int, float]()
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent[process.pid] = times.user + times.system + times.children_user + times.children_system
    return spent


def since(before: dict[int, float]) -> float:
    """CPU seconds since then. Workers that ended meanwhile were idle ones, and nobody inherits their time."""
    return sum(spent - before.get(process, 0.0) for process, spent in tree_cpu_s().items())


def archives(folder: Path) -> list[Path]:
    """The folder's WARC files, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".warc" in path.name)
    if not files:
        raise ConfigError(f"bench: no .warc files in {folder}; give POOL=folder")
    return files


def repeated(files: Sequence[Path], into: Path, copies: int) -> list[Path]:
    """Links to the files, so many times each."""
    into.mkdir()
    links = list[Path]()
    for copy in range(copies):
        for path in files:
            links.append(into / f"{copy:03d}-{path.name}")
            links[-1].symlink_to(path.absolute())
    return links


@dataclass(frozen=True)
class Cost:
    """What reading took: pages, CPU seconds of all processes, seconds on the clock."""

    pages: int
    cpu_s: float
    wall_s: float


def bare(files: Sequence[Path]) -> Cost:
    """The loop that does nothing but read and extract, in two processes, as the ingest has two tasks."""
    before, started = tree_cpu_s(), time.monotonic()
    loops = [
        subprocess.Popen([sys.executable, "-c", _BARE, *map(str, files[nth::2])], stdout=subprocess.PIPE, text=True)  # noqa: S603
        for nth in range(2)
    ]
    pages = sum(int(loop.communicate()[0] or 0) for loop in loops)
    if any(loop.returncode for loop in loops):
        raise BadInput("bench: the bare loop failed on these files (its error is above); it knows sound archives only")
    return Cost(pages, since(before), time.monotonic() - started)


def ingested(session: SparkSession, pool: Path, lake: Path) -> Cost:
    """An ingest of the folder into new tables."""
    before, started = tree_cpu_s(), time.monotonic()
    report = ingest.run(session, cli.load("ingest", f"pool={pool}", f"lakehouse.root={lake}"))
    return Cost(report.rows_out, since(before), time.monotonic() - started)


def main(folder: str, num_pages: int) -> int:
    """Print both costs and their ratio; exit code 1 where the ingest costs more than 1.3 times the loop."""
    console = Console(width=120)
    with TemporaryDirectory(prefix="lakeloom-bench-") as scratch:
        top = Path(scratch)
        files = archives(Path(folder))
        repeated(files[:1], top / "first", 1)
        links = repeated(files, top / "pool", -(-num_pages // max(1, bare(files).pages)))
        session = spark(config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={scratch}/first-lake"])))
        costs = [("first, one file", ingested(session, top / "first", top / "first-lake"))]
        for turn in range(_TURNS):
            costs.append(("bare loop", bare(links)))
            costs.append(("ingest", ingested(session, top / "pool", top / f"lake-{turn}")))
        session.stop()
    for name, cost in costs:
        speed = f"{cost.pages / cost.cpu_s:,.0f} pages/s a core, {cost.wall_s:.1f} s wall"
        console.print(f"{name:<15}: {cost.pages:,} pages, {cost.cpu_s:.1f} CPU s, {speed}")
    loop, whole = (min(cost.cpu_s for name, cost in costs if name == wanted) for wanted in ("bare loop", "ingest"))
    console.print(f"{'ratio':<15}: {whole / loop:.2f} (goal: {GOAL:.2f} or less)")
    return 0 if whole <= GOAL * loop else 1


if __name__ == "__main__":
    try:
        if len(sys.argv) < 2:
            raise ConfigError("usage: make bench POOL=folder [PAGES=20000]")
        sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
