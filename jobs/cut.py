"""Repeated parts of documents to silver.cuts: lines, paragraphs, what DCLM's BFF removes, long runs of tokens.

Of each part the first stays: in the document that dedup's keep rule puts first, by doc_id where it leaves a choice.
That is one of all documents that dedup leaves, of all its pools: where choose takes fewer, it may not be there.
Lines and paragraphs are looked up by hash over the whole corpus. BFF and substrings read the documents of a group one
after another, so texts are moved: a group's order is the rule. Texts stay in their table; choose cuts them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.bloom import Bloom, BloomParams
from lakeloom.filters.substring import Substrings
from lakeloom.filters.units import FORMS, KINDS
from lakeloom.jobs import dedup, documents
from lakeloom.jobs.cut_tasks import composed, counts, finished, read, split
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.scratch import stored
from lakeloom.lakehouse.errors import ConfigError, Incomplete, unknown
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

TABLE = "silver.cuts"
METHODS = (*KINDS, "bff", "substring")
_VERSION = 1  # raise it when the same input and configuration would give other cuts
_FP_MARGIN = 1.2  # how much the bits of a filter that holds what it was made for may differ from their expectation


@dataclass(frozen=True)
class CutConfig:
    """What is cut out of whose documents; see conf/job/cut.yaml."""

    lakehouse: LakehouseConfig
    dedup: DedupConfig
    methods: list[str]
    form: str
    min_words: int
    groups: int
    max_bytes: int
    bff_mode: str
    bff_ngram: int
    bff_min_ngram: int | None
    bff_threshold: float
    bff_fp_rate: float
    substring_length: int
    max_cut_share: float

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise unknown("method", method, METHODS, "cut.methods")
        if self.form not in FORMS:
            raise unknown("form", self.form, FORMS, "cut.form")
        for name, value in (("min_words", self.min_words), ("groups", self.groups), ("max_bytes", self.max_bytes)):
            if value < 1:
                raise ConfigError(f"cut.{name}={value}: give 1 or more")
        if not 0 < self.max_cut_share <= 1:
            raise ConfigError(f"cut.max_cut_share={self.max_cut_share}: it must be above 0 and at most 1")
        if self.substring_length < 1:
            raise ConfigError(f"cut.substring_length={self.substring_length}: give 1 or more tokens")
        if self.bff_mode == "substring":
            raise ConfigError("cut.bff_mode=substring: say cut.methods=[substring] and cut.substring_length instead")
        _ = self.bloom(1)  # refuses what it would refuse later
        if "substring" in self.methods:
            _ = Substrings(self.substring_length, max_bytes=self.max_bytes)

    def bloom(self, expected_ngrams: int) -> BloomParams:
        """The filter of a group that holds so many n-grams."""
        longest = self.bff_ngram
        shortest = longest if self.bff_min_ngram is None else self.bff_min_ngram
        return BloomParams(expected_ngrams, self.bff_fp_rate, shortest, longest, self.bff_threshold, self.bff_mode)


def run(spark: SparkSession, cfg: CutConfig) -> Report:
    """Append the cuts of the documents that dedup leaves, once. Incomplete if too much would go."""
    lake = Lakehouse(spark, cfg.lakehouse).pinned(documents.TABLE)
    given = survivors(lake, cfg.dedup)
    num_documents, cut_id = given.count(), identify(lake, cfg)
    facts: dict[str, str | int | float] = {"cut_id": cut_id, "methods": ", ".join(cfg.methods) or "none"}
    if not cfg.methods:
        return Report("cut", num_documents, num_documents, facts=facts)
    commit = lake.commit(TABLE, _txn(cut_id))
    if commit is None:
        dedup.refuse_twins(lake, cfg.dedup)
        with TemporaryDirectory(prefix=f"{cut_id}-", dir=lake.folder("scratch")) as folder:
            # Texts are moved here, and once: each method reads them again.
            rows = _cuts(cfg, stored(given, Path(folder, "documents")), Path(folder))
            commit = lake.append(rows.withColumn("cut_id", F.lit(cut_id)), TABLE, txn=_txn(cut_id))
    else:
        facts["was_there"] = 1
        there = lake.read(TABLE).where(F.col("cut_id") == cut_id)
        _check(cfg, there, given, "they were published under another bound")
    ours = lake.read(TABLE).where(F.col("cut_id") == cut_id)
    removed, facts["documents_cut"], facts["bytes_cut"] = _totals(ours)
    versions = {documents.TABLE: lake.version(documents.TABLE), TABLE: commit.version}
    return Report("cut", num_documents, num_documents - removed, removed, versions, facts)


def identify(lake: Lakehouse, cfg: CutConfig) -> str:
    """The cut_id of these documents and settings, run or not."""
    used = {"methods"}
    if set(KINDS) & set(cfg.methods):
        used |= {"form", "min_words"}
    if "bff" in cfg.methods:
        used |= {"groups", "bff_mode", "bff_ngram", "bff_min_ngram", "bff_threshold", "bff_fp_rate"}
    if "substring" in cfg.methods:
        used |= {"groups", "substring_length"}
    how: dict[str, Json] = {name: value for name, value in asdict(cfg).items() if name in used}
    order = [cfg.dedup.keep, cfg.dedup.score]  # dedup's own identity has them only where it has methods
    return identity("cut", _VERSION, dedup.identify(lake, cfg.dedup), order, how)


def published(lake: Lakehouse, cfg: CutConfig) -> DataFrame:
    """The rows of silver.cuts. ConfigError where they are not there yet."""
    cut_id = identify(lake, cfg)
    if lake.commit(TABLE, _txn(cut_id)) is None:
        raise ConfigError(
            f"pool {', '.join(map(repr, cfg.dedup.pools))}, recipe {cfg.dedup.recipe.name!r}: no cuts by "
            f"{', '.join(cfg.methods)}; "
            "run lakeloom cut with the same settings first, or say cut.methods=[]"
        )
    return lake.read(TABLE).where(F.col("cut_id") == cut_id)


def survivors(lake: Lakehouse, cfg: DedupConfig) -> DataFrame:
    """Documents that dedup leaves, with their place in its keep rule's order: doc_id, text, is_last, rank."""
    rows = dedup.ranked(lake, cfg, dedup.kept(lake, cfg))
    if cfg.methods:
        _, clusters = dedup.published(lake, cfg)
        removed = clusters.where(~F.col("is_representative")).select("doc_id")
        rows = rows.join(removed, "doc_id", how="left_anti")
    return rows.select("doc_id", "text", F.col("rank").isNull().alias("is_last"), "rank")


def _txn(cut_id: str) -> str:
    return f"cut/{cut_id}"


def _cuts(cfg: CutConfig, given: DataFrame, scratch: Path) -> DataFrame:
    """Rows of silver.cuts but the cut_id: what all methods, one after another, take out of each document."""
    spans: DataFrame | None = None
    for number, method in enumerate(cfg.methods):
        rows = given if spans is None else given.join(spans.drop("methods"), "doc_id", how="left")
        found = _repeated(cfg, rows, method) if method in KINDS else _seen(cfg, rows, method)
        new = stored(found, scratch / f"{number}-{method}")
        _refuse_full(cfg, new, method)
        new = new.where(F.col("doc_id").isNotNull()).select("doc_id", "starts", "ends")
        spans = stored(_added(spans, new, method), scratch / f"{number}-spans")
    assert spans is not None  # noqa: S101 (there is a method)
    left = given.select("doc_id", "text").join(spans, "doc_id", how="inner")
    shape = "doc_id STRING, starts ARRAY<BIGINT>, ends ARRAY<BIGINT>, methods ARRAY<STRING>, "
    found = stored(left.mapInArrow(finished, f"{shape}num_bytes BIGINT, is_removed BOOLEAN"), scratch / "cuts")
    _check(cfg, found, given, "no cuts were published")
    return found


def _added(spans: DataFrame | None, new: DataFrame, method: str) -> DataFrame:
    """The spans of earlier methods and the new ones, which count in what those left: in the whole text's bytes."""
    later = new.select("doc_id", F.col("starts").alias("later_starts"), F.col("ends").alias("later_ends"))
    if spans is None:
        empty = F.array().cast("array<bigint>")
        both = later.withColumns({"starts": empty, "ends": empty, "methods": F.array().cast("array<string>")})
    else:
        both = spans.join(later, "doc_id", how="full")
    by = F.when(F.col("later_starts").isNull(), F.array().cast("array<string>")).otherwise(F.array(F.lit(method)))
    named = both.withColumn("methods", F.concat(F.coalesce("methods", F.array().cast("array<string>")), by))
    shape = "doc_id STRING, starts ARRAY<BIGINT>, ends ARRAY<BIGINT>, methods ARRAY<STRING>"
    return named.select("doc_id", "starts", "ends", "later_starts", "later_ends", "methods").mapInArrow(composed, shape)


def _repeated(cfg: CutConfig, given: DataFrame, kind: str) -> DataFrame:
    """Lines or paragraphs that stand elsewhere before: doc_id, starts, ends, fp_rate (null)."""
    rank = given.schema["rank"].dataType.simpleString()
    shape = f"doc_id STRING, is_last BOOLEAN, rank {rank}, start BIGINT, end BIGINT, one BIGINT, other BIGINT"
    columns = [name for name in ("doc_id", "is_last", "rank", "text", "starts", "ends") if name in given.columns]
    found = given.select(*columns).mapInArrow(split(kind, cfg.form, cfg.min_words), shape)
    place = F.struct("is_last", "rank", "doc_id", "start")
    first = found.groupBy("one", "other").agg(F.min(place).alias("first"), F.count("*").alias("n")).where("n > 1")
    repeats = found.join(first, ["one", "other"], how="inner").where(~place.eqNullSafe(F.col("first")))
    spans = F.sort_array(F.collect_list(F.struct("start", "end")))
    cuts = repeats.groupBy("doc_id").agg(spans.alias("spans"))
    nothing = F.lit(None).cast("double").alias("fp_rate")
    return cuts.select("doc_id", F.col("spans.start").alias("starts"), F.col("spans.end").alias("ends"), nothing)


def _seen(cfg: CutConfig, given: DataFrame, method: str) -> DataFrame:
    """What each group's filter or set has seen before: doc_id, starts, ends; and a row a group with its fp_rate."""
    group = F.pmod(F.xxhash64("doc_id"), F.lit(cfg.groups)).alias("group")
    grouped = given.select(group, "*")
    columns = [name for name in ("group", "doc_id", "text", "starts", "ends") if name in grouped.columns]
    expected = 1
    if method == "bff":
        counted = grouped.select(*columns).mapInArrow(counts, "`group` BIGINT, tokens BIGINT").groupBy("group")
        row = counted.agg(F.sum("tokens").alias("n")).agg(F.max("n").alias("most")).first()
        expected = max(1, int(row["most"] or 0)) if row is not None else 1  # a text has at most an n-gram a token
        cfg.bloom(expected).fit(cfg.max_bytes)  # refused here, not by a worker
    ordered = grouped.repartition("group").sortWithinPartitions("group", "is_last", "rank", "doc_id").select(*columns)
    shape = "doc_id STRING, starts ARRAY<BIGINT>, ends ARRAY<BIGINT>, fp_rate DOUBLE"
    return ordered.mapInArrow(read(_group(cfg, method, expected)), shape)


def _group(cfg: CutConfig, method: str, expected: int) -> Callable[[], Bloom | Substrings]:
    """What makes the state of a group that has seen nothing."""
    if method == "substring":
        return lambda: Substrings(cfg.substring_length, max_bytes=cfg.max_bytes)
    return lambda: Bloom(cfg.bloom(expected), max_bytes=cfg.max_bytes)


def _refuse_full(cfg: CutConfig, found: DataFrame, method: str) -> None:
    """Incomplete where a filter, once it was full, takes more n-grams for seen than it may."""
    row = found.agg(F.max("fp_rate").alias("rate")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    allowed = cfg.bff_fp_rate * _FP_MARGIN
    if (row["rate"] or 0.0) > allowed:
        raise Incomplete(
            f"cut: a filter of {method} takes {row['rate']:.2%} of new n-grams for seen, allowed are {allowed:.2%} "
            f"({_FP_MARGIN} times cut.bff_fp_rate={cfg.bff_fp_rate}); nothing was published"
        )


def _check(cfg: CutConfig, rows: DataFrame, given: DataFrame, so: str) -> None:
    removed, num_documents, cut_bytes = _totals(rows)
    row = given.agg(F.sum(F.octet_length("text")).alias("n")).first()
    num_bytes = int(row["n"] or 0) if row is not None else 0
    share = cut_bytes / num_bytes if num_bytes else 0.0
    if share > cfg.max_cut_share:
        raise Incomplete(
            f"cut would remove {cut_bytes:,} of {num_bytes:,} bytes ({share:.2%}) in {num_documents:,} documents, and "
            f"{removed:,} of them whole; allowed: {cfg.max_cut_share:.2%} (cut.max_cut_share); {so}"
        )


def _totals(rows: DataFrame) -> tuple[int, int, int]:
    """Documents that are removed whole, documents with cuts, and bytes that are cut."""
    sums = F.count_if("is_removed").alias("removed"), F.count("*").alias("n"), F.sum("num_bytes").alias("bytes")
    row = rows.agg(*sums).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    return int(row["removed"]), int(row["n"]), int(row["bytes"] or 0)
