"""make bench-dedup DIR=folder: megabytes of text a second and core, from text to signatures and to clusters.

Measured in CPU time of all processes, on the texts of a folder (.jsonl.zst files whose lines have a `text`), altered
until there is a gigabyte, with some copies and near copies among them. Asked for: signatures at 40 MB/s in one process
and 20 through Spark; exact dedup from Delta to clusters at 40, near dedup at 6; cost that grows as the corpus does; and
near copies of one page, two thirds of a corpus, in at most three times the time of one without them. Beside them rensa,
datasketch and datatrove, on the same texts in the same run, where `make bench-peers` has installed them.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from lakeloom.filters import minhash
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cli, config, dedup, signatures
from lakeloom.jobs.bench_filters import Line, cheapest, show
from lakeloom.jobs.bench_ingest import since, tree_cpu_s
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.oracle_filters import rows
from lakeloom.lakehouse.errors import BadInput, ConfigError, LakeloomError
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tables import table

KERNEL, ARROW, EXACT, NEAR, SKEW = 40.0, 20.0, 40.0, 6.0, 3.0  # MB/s a core, and times the time
GROWTH = (1, 4, 16)  # parts of the corpus
PEERS = Path(".bench/bin/python")
_PEER_MB = 20
_CHANGED = 7  # of so many words in a row one is another: two copies of a text then share few runs of five
_PART = 2_000  # documents in a part of the file
_POOL = PoolConfig("bench", "jsonl", "", "", "", "", 0, 0)
_RAW = Recipe.from_config({"name": "raw", "steps": []})


def texts(place: Path) -> list[str]:
    """The texts of a folder's .jsonl.zst files, or of one."""
    files = [place] if place.is_file() else sorted(place.rglob("*.jsonl.zst"))
    found = [str(row["text"]) for path in files for row in rows(path) if row.get("text")]
    if not found:
        raise BadInput(f"bench: no texts in {place}; give a folder of .jsonl.zst files whose lines have a `text`")
    return found


def altered(given: Sequence[str], megabytes: float) -> Iterator[str]:
    """So many megabytes of texts: the given ones, then those with every seventh word another, copies among them."""
    size, turn = 0.0, 0
    while True:
        for number, text in enumerate(given):
            yield (made := _copy(text, turn, number))
            size += len(made.encode()) / 1e6
            if size >= megabytes:
                return
        turn += 1


def _copy(text: str, turn: int, number: int) -> str:
    """In each turn a fifth is what an earlier turn gave, half of that with one word more."""
    kind = number % 10
    if turn and kind < 2:
        earlier = _copy(text, 0, number)
        return f"{earlier} {turn}" if kind else earlier
    words = text.split(" ")
    if turn:
        words[turn % _CHANGED :: _CHANGED] = [f"{word}{turn}" for word in words[turn % _CHANGED :: _CHANGED]]
    return " ".join(words)


def skewed(given: Sequence[str], number: int, *, share: float) -> Iterator[str]:
    """So many texts of one length, a share of them near copies of one."""
    words = next(text for text in given if len(text) > 3_000).split(" ")[:300]
    for place in range(number):
        if place < share * number:
            yield " ".join([*words, str(place)])
        else:
            yield " ".join(f"{word}{place}" if at % 3 == 0 else word for at, word in enumerate(words))


def write(made: Iterator[str], path: Path) -> float:
    """Kept rows of silver.documents as Parquet files; megabytes of their text."""
    path.mkdir()
    size, number = 0, 0
    for part, group in enumerate(_groups(made)):
        ids = pa.array([f"{number + place:032x}" for place in range(len(group))])
        pq.write_table(pa.table({"doc_id": ids, "text": pa.array(group)}), path / f"{part:05}.parquet")
        number += len(group)
        size += sum(len(text.encode()) for text in group)
    return size / 1e6


def _groups(made: Iterator[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for text in made:
        group.append(text)
        if len(group) == _PART:
            yield group
            group = []
    if group:
        yield group


@dataclass(frozen=True)
class Corpus:
    """A lakehouse with documents, and how large they are."""

    lake: Lakehouse
    cfg: DedupConfig
    num_documents: int
    megabytes: float

    @classmethod
    def of(cls, session: SparkSession, root: Path, made: Iterator[str]) -> "Corpus":
        megabytes = write(made, root.with_name(f"{root.name}-texts"))
        lake = Lakehouse(session, LakehouseConfig(str(root), ""))
        given = session.read.parquet(str(root.with_name(f"{root.name}-texts")))
        names = {"pool": _POOL.name, "batch_id": "bench", "recipe": "raw", "recipe_hash": _RAW.hash}
        values = {name: F.lit(value) for name, value in names.items()} | {"num_chars": F.length("text")}
        others = [name for name in table("silver.documents").schema.names if name not in {*values, "doc_id", "text"}]
        full = given.withColumns(values | {name: F.lit(None) for name in others})
        commit = lake.append(full, "silver.documents", txn="bench")
        shipped: DedupConfig = cli.load("dedup", "dedup.max_removed_share=1", "dedup.alarm_from=0")
        return cls(lake, replace(shipped, lakehouse=lake.cfg, pool=_POOL, recipe=_RAW), commit.num_rows, megabytes)

    def cpu_s(self, **changes: object) -> float:
        """CPU seconds of a dedup of it."""
        before = tree_cpu_s()
        dedup.run(self.lake.spark, replace(self.cfg, **changes))  # type: ignore[arg-type]  # fields by their names
        return since(before)

    def sign_cpu_s(self) -> float:
        """CPU seconds of signing it alone, without a table: mapInArrow and nothing else."""
        documents = self.lake.read("silver.documents")
        before = tree_cpu_s()
        signatures.sign(documents, self.cfg.scheme).write.format("noop").mode("overwrite").save()
        return since(before)


def kernel(given: Sequence[str], turns: int) -> Line:
    """Text to bands in this process."""
    text, params = pa.array(given, pa.string()), cli.load("dedup").params
    spent = cheapest(lambda: minhash.bands(minhash.signatures(text, params), params), turns)
    return speed("signatures", text.nbytes / 1e6, spent, KERNEL)


def speed(name: str, megabytes: float, cpu_s: float, goal: float) -> Line:
    """A line with its goal in MB/s a core."""
    rate = megabytes / cpu_s
    said = f"{megabytes:,.0f} MB in {cpu_s:.1f} CPU s: {rate:.1f} MB/s a core (goal: {goal:g} or more)"
    return Line(name, said, rate >= goal)


def growth(session: SparkSession, top: Path, given: Sequence[str], megabytes: float) -> Iterator[Line]:
    """Near dedup of 1, 4 and 16 sixteenths of a corpus, and the exponent of cost over size."""
    points = list[tuple[float, float]]()
    for part in GROWTH:
        corpus = Corpus.of(session, top / f"grown-{part}", altered(given, megabytes * part / GROWTH[-1]))
        spent = corpus.cpu_s()
        points.append((math.log(corpus.num_documents), math.log(spent)))
        said = f"{corpus.num_documents:,} documents, {corpus.megabytes:,.0f} MB, {spent:.1f} CPU s"
        yield Line(f"{part} x", said)
    (first, low), (last, high) = points[0], points[-1]
    exponent = (high - low) / (last - first)
    said = f"cost grows with the {exponent:.2f}th power of documents, 1 x to {GROWTH[-1]} x (goal: 1.1 or less)"
    yield Line("growth", said, exponent <= 1.1)


def skew(session: SparkSession, top: Path, given: Sequence[str], number: int) -> Line:
    """Two thirds near copies of one page beside none."""
    plain, copies = (
        Corpus.of(session, top / f"skew-{share}", skewed(given, number, share=share / 3)) for share in (0, 2)
    )
    one, other = plain.cpu_s(), copies.cpu_s()
    said = f"{number:,} documents, two thirds near copies of one: {other:.1f} CPU s, none: {one:.1f}; {other / one:.2f}"
    return Line("skew", f"{said} times (goal: {SKEW:g} or less)", other <= SKEW * one)


def peers(given: Sequence[str], scratch: Path) -> Iterator[Line]:
    """rensa, datasketch and datatrove on the first texts, each in a process of its own."""
    if not PEERS.exists():
        yield Line("peers", "not here; make bench-peers installs them in .bench")
        return
    path = scratch / "texts.jsonl"
    some = list(altered(given, _PEER_MB))
    path.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(some)))
    megabytes = sum(len(text.encode()) for text in some) / 1e6
    text, params = pa.array(some, pa.string()), cli.load("dedup").params
    own_s = cheapest(lambda: minhash.bands(minhash.signatures(text, params), params), 2)
    yield Line("ours, the same", f"{megabytes:,.0f} MB in {own_s:.1f} CPU s: {megabytes / own_s:.2f} MB/s a core")
    script = Path(__file__).with_name("bench_dedup_peers.py")
    for name in ("rensa", "datasketch", "datatrove"):
        done = subprocess.run(  # noqa: S603 (our own script)
            [str(PEERS), str(script), name, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            yield Line(name, f"failed: {done.stderr.strip().splitlines()[-1:]}")
        else:
            cpu_s = float(done.stdout.split()[-1])
            yield Line(name, f"{megabytes:,.0f} MB in {cpu_s:.1f} CPU s: {megabytes / cpu_s:.2f} MB/s a core")


def measured(session: SparkSession, given: Sequence[str], top: Path, megabytes: float, number: int) -> Iterator[Line]:
    """All measurements, with their goals. What Spark does for the first time is not counted."""
    Corpus.of(session, top / "first", altered(given, megabytes / 5)).cpu_s()
    yield kernel(given, 3)
    corpus = Corpus.of(session, top / "corpus", altered(given, megabytes))
    yield speed("mapInArrow", corpus.megabytes, corpus.sign_cpu_s(), ARROW)
    yield speed("exact, Delta", corpus.megabytes, corpus.cpu_s(methods=["text"]), EXACT)
    yield speed("near, Delta", corpus.megabytes, corpus.cpu_s(), NEAR)
    yield from growth(session, top, given, megabytes)
    yield skew(session, top, given, number)
    yield from peers(given, top)


def main(place: str, megabytes: float) -> int:
    """Print the measurements; exit code 1 where one is below its goal."""
    console = Console(width=140)
    given = texts(Path(place))
    with TemporaryDirectory(prefix="lakeloom-bench-") as scratch:
        session = spark(config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={scratch}/lake"])))
        code = show(console, measured(session, given, Path(scratch), megabytes, int(megabytes * 300)))
        session.stop()
    return code


if __name__ == "__main__":
    try:
        megabytes = sys.argv[2] if len(sys.argv) > 2 else "1000"
        if len(sys.argv) < 2 or not sys.argv[1] or not megabytes.isdecimal() or not int(megabytes):
            raise ConfigError("usage: make bench-dedup DIR=folder [MB=1000], a whole number of megabytes")
        sys.exit(main(sys.argv[1], int(megabytes)))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
