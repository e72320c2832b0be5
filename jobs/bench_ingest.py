"""make bench POOL=folder: CPU seconds of an ingest beside a bare FastWARC + resiliparse loop over the same files.

Both read the same list, the files repeated until there are enough pages; the session's start is not counted. CPU is
that of the whole process tree (driver, JVM, Python workers, extractors), user and system.
"""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console

from lakeloom.jobs import cli, config, ingest
from lakeloom.lakehouse.errors import ConfigError, LakeloomError
from lakeloom.lakehouse.session import SparkConfig, spark

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


def tree_cpu_s() -> float:
    """CPU seconds of this process and all its children, those that ended and were waited for included."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        spent = process.cpu_times()
        total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def repeated(folder: Path, into: Path, num_pages: int) -> list[Path]:
    """Links to the folder's archives, as often as it takes to have `num_pages`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".warc" in path.name)
    if not files:
        raise ConfigError(f"bench: no .warc files in {folder}; give POOL=folder")
    once = bare([str(path) for path in files])[0]
    links = list[Path]()
    for copy in range(-(-num_pages // max(1, once))):
        for path in files:
            links.append(into / f"{copy:03d}-{path.name}")
            links[-1].symlink_to(path.absolute())
    return links


def bare(files: list[str]) -> tuple[int, float]:
    """Pages and CPU seconds of the loop that does nothing but read and extract."""
    before = tree_cpu_s()
    done = subprocess.run([sys.executable, "-c", _BARE, *files], capture_output=True, text=True, check=True)  # noqa: S603
    return int(done.stdout), tree_cpu_s() - before


def main(folder: str, num_pages: int) -> int:
    """Print both costs and their ratio; exit code 1 where the ingest costs more than 1.3 times the loop."""
    console = Console(width=120)
    with TemporaryDirectory(prefix="lakeloom-bench-") as scratch:
        pool = Path(scratch, "pool")
        pool.mkdir()
        files = repeated(Path(folder), pool, num_pages)
        overrides = [f"pool={pool}", f"lakehouse.root={scratch}/lake"]
        session = spark(config.build(SparkConfig, "spark", config.tree(overrides)))
        session.range(1).count()
        before, started = tree_cpu_s(), time.monotonic()
        report = ingest.run(session, cli.load("ingest", *overrides))
        ours, wall = tree_cpu_s() - before, time.monotonic() - started
        session.stop()
        pages, loop = bare([str(path) for path in files])
    console.print(f"bare loop: {pages:,} pages, {loop:.1f} CPU s, {pages / loop:,.0f} pages/s a core")
    speed = f"{report.rows_out / ours:,.0f} pages/s a core, {wall:.1f} s wall"
    console.print(f"ingest   : {report.rows_out:,} pages, {ours:.1f} CPU s, {speed}")
    console.print(f"ratio    : {ours / loop:.2f} (goal: 1.30 or less)")
    return 0 if ours <= 1.3 * loop else 1


if __name__ == "__main__":
    try:
        if len(sys.argv) < 2:
            raise ConfigError("usage: make bench POOL=folder [PAGES=20000]")
        sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20_000))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
