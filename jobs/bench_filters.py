"""make bench-filters POOL=folder: pages a second of the RefinedWeb recipe's kernels, of language id, and through Spark.

Three questions, in CPU time of one core. Do the kernels pass 2,200 pages a second (a hundred times DCLM's 22), beside
the same recipe in plain Python, whose every value must be the same? Does language id pass 1,000? Does the same work
from Delta to Delta cost at most 1.5 times the kernels and 20 % on top? The cheapest of three runs counts: what else
the machine does can only add to one. The pages are repeated until Spark has enough of them; its start is not counted,
nor what it does for the first time (a curate of the pages once, shown by a line of its own).
"""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from lakeloom.filters.chain import Chain
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cli, config, curate, ingest, plain_filters
from lakeloom.jobs.bench_ingest import repeated, since, tree_cpu_s
from lakeloom.lakehouse.errors import BadInput, ConfigError, LakeloomError
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.store import Lakehouse

KERNELS, LANGUAGE, SPARK = 2200.0, 1000.0, 1.5 * 1.2  # pages/s a core, pages/s a core, times the kernels' CPU
_ROWS, _PLAIN_S = 1000, 10.0
_LANGUAGE_STEP = "language_score"


@dataclass(frozen=True)
class Line:
    """One measurement: its name, the value with its unit, and whether it is as good as asked (None: nothing is)."""

    name: str
    value: str
    is_enough: bool | None = None


def parts(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """The recipe without language id, and language id alone, dropping nothing."""
    others = tuple(step for step in recipe.steps if step.name != _LANGUAGE_STEP)
    alone = tuple(replace(step, bounds=()) for step in recipe.steps if step.name == _LANGUAGE_STEP)
    return replace(recipe, steps=others), replace(recipe, steps=alone)


def kernels(recipe: Recipe, batches: Sequence[pa.RecordBatch], turns: int) -> float:
    """CPU seconds of the recipe on these batches, in this process; compiled before."""
    chain = Chain(recipe)
    return cheapest(lambda: [chain.apply(batch) for batch in batches], turns)


def cheapest(work: Callable[[], object], turns: int) -> float:
    """CPU seconds of the cheapest run, the first not counted."""
    spent = list[float]()
    for _ in range(1 + turns):
        started = time.thread_time()
        work()
        spent.append(time.thread_time() - started)
    return min(spent[1:])


def plain(recipe: Recipe, batches: Sequence[pa.RecordBatch]) -> float:
    """Pages a second of plain Python on the first pages, ten seconds' worth; BadInput where a value is not the same."""
    chain, pages, spent = Chain(recipe), 0, 0.0
    for batch in batches:
        results = chain.apply(batch)
        rows = zip(
            batch["text"].to_pylist(),
            results.text.to_pylist(),
            results.dropped_by.to_pylist(),
            results.signals.to_pylist(),
            strict=True,
        )
        for given, text, dropped_by, signals in rows:
            started = time.thread_time()
            outcome = plain_filters.apply(recipe, given)
            spent += time.thread_time() - started
            pages += 1
            if outcome != plain_filters.Outcome(text, dropped_by, dict(signals)):
                raise BadInput(f"bench: kernels and plain Python differ on the page that begins {given[:40]!r}")
            if spent > _PLAIN_S:
                return pages / spent
    return pages / spent


def sources(place: Path) -> list[Path]:
    """The archives and JSON lines of a folder, or the one file."""
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    found = [path for path in files if ".warc" in path.name or ".jsonl" in path.name]
    found = [path for path in found if "manifest" not in path.name]
    if not found:
        raise ConfigError(f"bench: no .warc or .jsonl files in {place}; give POOL=folder")
    return found


def through_spark(session: SparkSession, recipe: Recipe, overrides: Sequence[str]) -> float:
    """CPU seconds of all processes for a curate of the pool by a recipe that it has not seen."""
    cfg: curate.CurateConfig = cli.load("curate", *overrides)
    before = tree_cpu_s()
    curate.run(session, replace(cfg, recipe=recipe))
    return since(before)


def unseen(recipe: Recipe, turn: int) -> Recipe:
    """The same work under another hash: the last step, which no other refers to, has another id."""
    last = replace(recipe.steps[-1], id=f"{recipe.steps[-1].id}_{turn}")
    return replace(recipe, steps=(*recipe.steps[:-1], last))


def in_process(recipe: Recipe, batches: Sequence[pa.RecordBatch], turns: int) -> list[Line]:
    """The kernels, language id and plain Python, without Spark."""
    chain, language = parts(recipe)
    num_pages = sum(batch.num_rows for batch in batches)
    size = sum(batch["text"].nbytes for batch in batches) / 1e6
    lines, fastest = [Line("pages", f"{num_pages:,}, {size:.1f} MB of text")], 0.0
    for name, part, goal in (("language id", language, LANGUAGE), ("kernels", chain, KERNELS)):
        spent = kernels(part, batches, turns)
        fastest = num_pages / spent
        text = f"{fastest:,.0f} pages/s a core, {size / spent:.1f} MB/s (goal: {goal:,.0f} pages/s or more)"
        lines.append(Line(name, text, fastest >= goal))
    slow = plain(chain, batches)
    text = f"{slow:,.1f} pages/s; the kernels, with the same values, {fastest / slow:,.0f} times as fast"
    return [*lines, Line("plain Python", text)]


def in_spark(
    session: SparkSession, recipe: Recipe, overrides: Sequence[str], num_pages: int, own_s: float, turns: int
) -> Line:
    """A curate of the pool beside the CPU seconds of its kernels."""
    spent = min(through_spark(session, unseen(recipe, turn), overrides) for turn in range(turns))
    text = f"{spent:.1f} CPU s beside the kernels' {own_s:.1f}: {spent / own_s:.2f} times (goal: {SPARK:.2f} or less)"
    return Line("through Spark", f"{num_pages:,} pages, {text}", spent <= SPARK * own_s)


def measured(session: SparkSession, files: Sequence[Path], top: Path, num_pages: int, turns: int = 3) -> list[Line]:
    """All measurements, with their goals."""
    repeated(files, top / "pool", 1)
    are_lines = all(".jsonl" in path.name for path in files)
    pool = ["pool=jsonl", f"pool.path={top}/pool"] if are_lines else [f"pool={top}/pool"]
    overrides = [*pool, f"lakehouse.root={top}/lake"]
    ingest.run(session, cli.load("ingest", *overrides))
    cfg: curate.CurateConfig = cli.load("curate", *overrides)
    lake = Lakehouse(session, cfg.lakehouse)
    pages = lake.read("bronze.pages").select("doc_id", "url", "text").orderBy("doc_id").limit(num_pages).toArrow()
    batches = pages.combine_chunks().to_batches(max_chunksize=_ROWS)
    lines = in_process(cfg.recipe, batches, turns)
    first = through_spark(session, cfg.recipe, overrides)
    lines.append(Line("Spark, first", f"{pages.num_rows:,} pages, {first:.1f} CPU s"))
    copies = -(-num_pages // pages.num_rows)
    own_s = kernels(cfg.recipe, batches, turns) * copies
    add_copies(lake, copies - 1)
    return [*lines, in_spark(session, cfg.recipe, overrides, copies * pages.num_rows, own_s, turns)]


def add_copies(lake: Lakehouse, copies: int) -> None:
    """So many more of each page, under ids of their own; in the batch of the first, so that jobs see them."""
    if copies:
        number = F.explode(F.sequence(F.lit(1), F.lit(copies)))
        rows = lake.read("bronze.pages").withColumn("copy", number)
        rows = rows.withColumn("doc_id", F.concat("doc_id", F.lit("/"), F.col("copy").cast("string"))).drop("copy")
        lake.append(rows, "bronze.pages", txn="copies")


def main(place: str, num_pages: int) -> int:
    """Print the measurements; exit code 1 where one is below its goal."""
    console = Console(width=120)
    files = sources(Path(place))
    with TemporaryDirectory(prefix="lakeloom-bench-") as scratch:
        session = spark(config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={scratch}/lake"])))
        lines = measured(session, files, Path(scratch), num_pages)
        session.stop()
    return show(console, lines)


def show(console: Console, lines: Iterable[Line]) -> int:
    """Print each line when it is there; exit code 1 where one is below its goal."""
    code = 0
    for line in lines:
        mark = {None: "    ", True: "ok  ", False: "FAIL"}[line.is_enough]
        console.print(f"{mark} {line.name:<16}: {line.value}", markup=False)
        code |= line.is_enough is False
    return code


if __name__ == "__main__":
    try:
        if len(sys.argv) < 2 or not sys.argv[1]:
            raise ConfigError("usage: make bench-filters POOL=folder [PAGES=100000]")
        sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
