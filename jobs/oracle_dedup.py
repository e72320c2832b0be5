"""make oracle-dedup DIR=folder: near duplicates that are known by brute force, against ours.

The folder has documents.jsonl.zst (id, text) and pairs.jsonl.zst (a, b, jaccard: every pair of at least 0.2, over
sets of 5-word runs). Shown is recall per tenth of Jaccard beside the curve of the bands, and what the job stated of
pairs. Exit 1 where recall leaves the curve by more than chance explains, a stated pair is not as alike as stated, the
job has other candidates than its kernels, a document without a word is in a cluster, or the number of partitions
changes clusters.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from lakeloom.filters import fingerprints, minhash
from lakeloom.filters.kernel import Doubles, Ints, Mask
from lakeloom.filters.minhash import MinHashParams
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import cli, clusters, config, dedup, near, screen
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.near import Measure
from lakeloom.jobs.oracle_filters import rows
from lakeloom.lakehouse.errors import BadInput, LakeloomError
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Sheet, Value
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

PRESETS = ("fineweb", "dclm", "target")
SEEDS = 40
# Standard errors that chance explains: some 30 means are looked at, and means of families of texts are skewed.
MOST_ERRORS = 5.0
PARTITIONS = (1, 2, 7, 64)
_NGRAM = 5  # the pairs' own
_DIGITS = 0.6e-6  # the pairs have six decimals
_POOL = PoolConfig("oracle", "jsonl", "", "", "", "", 0, 0)
_RAW = Recipe.from_config({"name": "raw", "steps": []})


@dataclass(frozen=True)
class Check:
    """A promise: the two numbers that must be equal, and whether what they count is the same."""

    name: str
    found: int
    expected: int
    is_same: bool = True

    @property
    def holds(self) -> bool:
        return self.is_same and self.found == self.expected


@dataclass(frozen=True)
class Truth:
    """Documents, and the pairs of them (places `one`, `other`) with their true Jaccard."""

    ids: list[str]
    text: pa.StringArray
    one: Ints
    other: Ints
    jaccard: Doubles

    @classmethod
    def read(cls, folder: Path) -> "Truth":
        """BadInput where a file is absent or a pair names no document."""
        try:
            documents = list(rows(folder / "documents.jsonl.zst"))
            pairs = list(rows(folder / "pairs.jsonl.zst"))
            place = {str(row["id"]): number for number, row in enumerate(documents)}
            one, other = (np.array([place[str(row[end])] for row in pairs], np.int64) for end in "ab")
            jaccard = np.array([float(row["jaccard"]) for row in pairs])
            text = pa.array([row["text"] for row in documents], pa.string())
        except (OSError, ValueError, KeyError, pa.ArrowTypeError) as error:
            raise BadInput(f"{folder}: no documents.jsonl.zst and pairs.jsonl.zst of known pairs: {error!r}") from error
        if len(place) < len(text):
            raise BadInput(f"{folder}: {len(text)} documents have {len(place)} different ids")
        return cls(list(place), text, one, other, jaccard)

    @property
    def tenths(self) -> Ints:
        return np.floor(self.jaccard * 10).astype(np.int64)


@dataclass(frozen=True)
class Tenth:
    """Recall of the pairs of one tenth of Jaccard: by the first seed, over all, and as the curve has it."""

    tenth: int
    num_pairs: int
    first: float
    mean: float
    curve: float
    error: float  # standard error of the mean: of independent pairs, or as seeds differ, whichever is more

    @property
    def is_chance(self) -> bool:
        return abs(self.mean - self.curve) <= MOST_ERRORS * self.error

    @property
    def cells(self) -> tuple[Value, ...]:
        low, high = self.tenth / 10, self.tenth / 10 + 0.1
        named = "1" if self.tenth == 10 else f"{low:.1f} to {high:.1f}"
        off = f"{(self.mean - self.curve) / self.error:+.1f}"
        shares = [f"{share:.4f}" for share in (self.curve, self.first, self.mean)]
        return named, self.num_pairs, *shares, f"{self.error:.4f}", off, "ok" if self.is_chance else "FAIL"


def recall(truth: Truth, params: MinHashParams) -> list[Tenth]:
    """Recall of each tenth over SEEDS seeds: one seed finds or misses the pairs of a family of texts together."""
    found = np.stack([share_a_band(truth, replace(params, seed=params.seed + number)) for number in range(SEEDS)])
    curve = np.array([params.recall(float(value)) for value in truth.jaccard])
    made: list[Tenth] = []
    for tenth in sorted(set(truth.tenths.tolist())):
        chosen = truth.tenths == tenth
        shares = found[:, chosen].mean(axis=1)
        num_pairs = int(chosen.sum())
        independent = float(np.sqrt((curve[chosen] * (1 - curve[chosen])).sum() / SEEDS)) / num_pairs
        between = float(shares.std(ddof=1)) / SEEDS**0.5
        least = 1 / (num_pairs * SEEDS)  # one pair in all draws
        error = max(independent, between, least)
        made.append(Tenth(tenth, num_pairs, float(shares[0]), float(shares.mean()), float(curve[chosen].mean()), error))
    return made


def share_a_band(truth: Truth, params: MinHashParams) -> Mask:
    """Of each pair, whether the kernels give both ends one band."""
    signed = minhash.signatures(truth.text, params)
    bands = signed[:, : params.num_bands * params.num_rows].reshape(-1, params.num_bands, params.num_rows)
    found: NDArray[np.bool_] = np.zeros(len(truth.one), np.bool_)
    for band in range(params.num_bands):  # by band, since all at once takes a gigabyte
        part = bands[:, band]
        found |= (part[truth.one] == part[truth.other]).all(axis=1)
    return found


def loaded(lake: Lakehouse, truth: Truth) -> DataFrame:
    """The documents as kept rows of silver.documents."""
    nothing = ("url", "dropped_by", "dropped_at", "error", "aggregated", "keys", "part_of", "split_at")
    names = {"pool": _POOL.name, "batch_id": "oracle", "recipe": "raw", "recipe_hash": _RAW.hash}
    documents = lake.spark.createDataFrame(pa.table({"doc_id": pa.array(truth.ids), "text": truth.text})).withColumns(
        {name: F.lit(value) for name, value in names.items()}
        | {name: F.lit(None) for name in nothing}
        | {"num_chars": F.length("text"), "signals": F.lit(None)}
    )
    lake.append(documents, "silver.documents", txn="oracle")
    return lake.read("silver.documents")


def stated(lake: Lakehouse) -> dict[tuple[str, str], float]:
    """Pairs that the job measured (texts' names, the greater first) and what it says they are alike."""
    ours = F.col("measure_id") == Measure(_NGRAM, "none").measure_id
    pairs = lake.read(near.TABLE).where(ours).select("a", "b", "similarity")
    return {(row["a"], row["b"]): row["similarity"] for row in pairs.toLocalIterator()}


def job_checks(lake: Lakehouse, cfg: DedupConfig, truth: Truth) -> list[Check]:
    """Each promise of the job by this configuration: its name, what was found, what must be, and whether it is."""
    dedup.run(lake.spark, cfg)
    nodes = [
        None if sha is None else sha[: clusters.NODE_DIGITS] for sha in fingerprints.text_shas(truth.text).to_pylist()
    ]
    pairs = stated(lake)
    ends = [(max(nodes[a] or "", nodes[b] or ""), min(nodes[a] or "", nodes[b] or "")) for a, b in _places(truth)]
    is_same = np.array([a == b for a, b in ends], np.bool_)
    candidates = is_same | np.array([end in pairs for end in ends], np.bool_)
    true = dict(zip(ends, truth.jaccard.tolist(), strict=True))
    accepted = {pair: value for pair, value in pairs.items() if value >= cfg.jaccard}
    right = sum(abs(true.get(pair, -1.0) - value) <= _DIGITS for pair, value in accepted.items())
    cluster = _clusters(lake, cfg)
    near_pairs = truth.jaccard >= cfg.jaccard
    missed = [pair for pair, found in zip(_places(truth), candidates & near_pairs, strict=True)
              if found and cluster.get(truth.ids[pair[0]], "a") != cluster.get(truth.ids[pair[1]], "b")]  # fmt: skip
    wordless = [name for name, node in zip(truth.ids, nodes, strict=True) if node is None]
    expected = int(share_a_band(truth, cfg.params).sum())
    return [
        Check("known pairs that are candidates of the job, and of the kernels", int(candidates.sum()), expected),
        Check(f"pairs that it states to be {cfg.jaccard} or more alike, and are", right, len(accepted)),
        Check("such candidates that are in two clusters", len(missed), 0),
        Check(f"of {len(wordless)} documents without a word, in a cluster", sum(n in cluster for n in wordless), 0),
    ]


def _places(truth: Truth) -> list[tuple[int, int]]:
    return list(zip(truth.one.tolist(), truth.other.tolist(), strict=True))


def _clusters(lake: Lakehouse, cfg: DedupConfig) -> dict[str, str]:
    ours = F.col("dedup_id") == dedup.identify(lake, cfg)
    return {row["doc_id"]: row["cluster_id"] for row in lake.read("silver.clusters").where(ours).toLocalIterator()}


def invariance(
    session: SparkSession, cfg: DedupConfig, truth: Truth, root: Path, partitions: Sequence[int]
) -> list[Check]:
    """Clusters by different numbers of partitions of the same documents in another order, against those of one."""
    found: list[dict[str, str]] = []
    before = session.conf.get("spark.sql.shuffle.partitions")
    try:
        for number in partitions:
            order = np.random.default_rng(number).permutation(len(truth.ids))
            mixed = replace(truth, ids=[truth.ids[place] for place in order], text=truth.text.take(pa.array(order)))
            lake = Lakehouse(session, LakehouseConfig(str(root / str(number)), ""))
            session.conf.set("spark.sql.shuffle.partitions", number)
            loaded(lake, mixed)
            ours = replace(cfg, lakehouse=lake.cfg)
            dedup.run(session, ours)
            found.append(_clusters(lake, ours))
    finally:
        session.conf.set("spark.sql.shuffle.partitions", str(before))
    return [
        Check(f"documents in clusters, shuffled, on {number} partitions", len(one), len(found[0]), one == found[0])
        for number, one in zip(partitions, found, strict=True)
    ]


def compare(
    session: SparkSession,
    truth: Truth,
    root: Path,
    console: Console,
    *,
    presets: Sequence[str] = PRESETS,
    partitions: Sequence[int] = PARTITIONS,
) -> bool:
    """Print the tables and checks of each preset, and of the shipped one on several partitions; whether all holds."""
    shipped: DedupConfig = replace(cli.load("dedup", "dedup.max_removed_share=1"), pool=_POOL, recipe=_RAW)
    holds = True
    for preset in presets:
        lake = Lakehouse(session, LakehouseConfig(str(root / preset), ""))
        # All of a bucket are compared, up to a thousand: the curve is that of every pair that shares a band.
        cfg = replace(shipped, preset=preset, lakehouse=lake.cfg, reach=min(len(truth.ids), dedup.MOST_REACH))
        table = recall(truth, cfg.params)
        holds &= all(tenth.is_chance for tenth in table)
        _show(console, preset, cfg.params, table)
        loaded(lake, truth)
        holds &= show(console, job_checks(lake, cfg, truth))
    return show(console, invariance(session, shipped, truth, root, partitions)) and holds


def main(folder: str) -> int:
    """Print the tables and the checks; the exit code."""
    console = Console(width=120)
    truth = Truth.read(Path(folder))
    console.print(f"{len(truth.ids):,} documents, {len(truth.one):,} known pairs", markup=False)
    with TemporaryDirectory(prefix="lakeloom-oracle-") as scratch:
        session = spark(config.build(SparkConfig, "spark", config.tree([f"lakehouse.root={scratch}"])))
        holds = compare(session, truth, Path(scratch), console)
        session.stop()
    return 0 if holds else 1


def _show(console: Console, preset: str, params: MinHashParams, table: list[Tenth]) -> None:
    title = f"{preset}: {params.num_bands} bands x {params.num_rows} rows of {params.num_hashes} hashes"
    columns = ("jaccard", "pairs", "curve", f"seed {params.seed}", f"{SEEDS} seeds", "error", "errors off", "")
    screen.show_sheet(console, Sheet(title, columns, tuple(tenth.cells for tenth in table)))


def show(console: Console, checks: Sequence[Check]) -> bool:
    """Print a line a check; whether all hold."""
    for one in checks:
        state = "ok  " if one.holds else "FAIL"
        console.print(f"{state} {one.name}: {one.found:,} and {one.expected:,}", markup=False)
    return all(one.holds for one in checks)


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2 or not sys.argv[1]:
            sys.stderr.write("usage: make oracle-dedup DIR=folder\n")
            sys.exit(2)
        sys.exit(main(sys.argv[1]))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
