"""A page's way through a recipe, step by step, from bronze.pages: value against bound, and what each edit changed.

The chain is run again on this one page; what silver.documents and silver.clusters hold of it is looked up beside it.
"""

import re
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from lakeloom.filters.passages import Passage, Trace, trace
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import curate, dedup
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.textdiff import unified, visible
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Diff, Report, Sheet, Value
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.warc import host_of

_PAGES, _DOCUMENTS, _CLUSTERS = "bronze.pages", "silver.documents", "silver.clusters"
_MOST, _NEAREST = 20, 5
_DOC_ID = re.compile("[0-9a-f]{32}")
_ABOUT = ("doc_id", "pool", "url", "fetched_at", "warc_file", "warc_offset", "num_chars")


@dataclass(frozen=True)
class ExplainConfig:
    """The page, by URL or doc_id, whatever its pool; the recipe; see conf/job/explain.yaml."""

    lakehouse: LakehouseConfig
    recipe: Recipe
    dedup: DedupConfig
    page: str
    crawl: int
    context: int
    max_lines: int

    def __post_init__(self) -> None:
        for name, value in (("crawl", self.crawl), ("context", self.context), ("max_lines", self.max_lines)):
            if value < 0:
                raise ConfigError(f"explain.{name}={value}: it must be 0 or more")


def run(spark: SparkSession, cfg: ExplainConfig) -> Report:
    """The steps as a sheet, the edits as diffs, a page each. ConfigError with the nearest URLs for an unknown one."""
    lake = Lakehouse(spark, cfg.lakehouse)
    pages = lake.read(_PAGES)
    crawls = _crawls(pages, cfg.page)
    if not crawls:
        raise _unknown(pages, cfg.page)
    if cfg.crawl > len(crawls):
        raise ConfigError(f"explain.crawl={cfg.crawl}: {cfg.page} has {len(crawls)} crawls; 0 explains all")
    chosen = crawls if cfg.crawl == 0 else [crawls[cfg.crawl - 1]]
    traces = [trace(cfg.recipe, _page(pages, crawl, cfg.recipe)) for crawl in chosen]
    dropped = sum(found.dropped is not None for found in traces)
    found = list(zip(chosen, traces, strict=True))
    several = [_listed(crawls, chosen)] if len(crawls) > 1 else []
    return Report(
        "explain",
        len(traces),
        len(traces) - dropped,
        dropped,
        {_PAGES: lake.version(_PAGES)},
        {"recipe": cfg.recipe.name, "recipe_hash": cfg.recipe.hash},
        sheets=(*several, *[_steps(*one) for one in found]),
        notes=tuple(note for one in found for note in _notes(lake, cfg, *one)),
        diffs=tuple(diff for one in found for diff in _diffs(cfg, *one)),
    )


def _crawls(pages: DataFrame, page: str) -> list[Row]:
    """The pages meant, the newest first, without their text."""
    found = pages.where(F.col("doc_id" if _DOC_ID.fullmatch(page) else "url") == page).select(*_ABOUT)
    return found.orderBy(F.col("fetched_at").desc_nulls_last(), "doc_id").limit(_MOST).collect()


def _page(pages: DataFrame, crawl: Row, recipe: Recipe) -> pa.RecordBatch:
    found = pages.where(F.col("doc_id") == crawl["doc_id"]).select(*curate.inputs(recipe)).limit(1).toArrow()
    return found.combine_chunks().to_batches()[0]


def _unknown(pages: DataFrame, page: str) -> ConfigError:
    """What there is of the same host; a record that is no page has no URL to be looked up by."""
    if _DOC_ID.fullmatch(page):
        return ConfigError(
            f"{_PAGES} has no page with doc_id {page}; give the URL as it was crawled, or another doc_id"
        )
    host = host_of(page if "://" in page else f"http://{page}")
    bare = host.removeprefix("www.")
    near = pages.where(F.col("host").isin(bare, f"www.{bare}")).select("url").distinct() if bare else None
    urls: list[str] = []
    if near is not None:
        near = near.orderBy(F.levenshtein(F.col("url"), F.lit(page)), "url").limit(_NEAREST)
        urls = [visible(row["url"]) for row in near.collect()]
    said = f"nearest of its host: {', '.join(urls)}" if urls else f"none of host {host!r} either"
    return ConfigError(
        f"{_PAGES} has no page {page!r}; {said} (bronze.dead_letters, the records that gave no page, has no URLs)"
    )


def _listed(crawls: list[Row], chosen: list[Row]) -> Sheet:
    rows = tuple(
        (number, row["doc_id"], row["pool"], str(row["fetched_at"]), f"{row['warc_file']} at {row['warc_offset']}",
         row["num_chars"], "explained" if row in chosen else "-")
        for number, row in enumerate(crawls, 1)
    )  # fmt: skip
    columns = ("crawl", "doc_id", "pool", "fetched", "record", "characters", "")
    return Sheet(f"crawls of {visible(crawls[0]['url'])}", columns, rows)


def _steps(crawl: Row, found: Trace) -> Sheet:
    rows = tuple((one.number, one.step.id, *_cells(one)) for one in found.passages)
    return Sheet(f"{visible(str(crawl['url']))}  {crawl['doc_id']}", ("", "step", "value", "bound", "outcome"), rows)


def _cells(passage: Passage) -> tuple[Value, Value, Value]:
    """Value, bound, outcome."""
    outcome = f"{passage.outcome} here" if passage.outcome == "dropped" else passage.outcome
    if passage.error is not None:
        outcome += f": {visible(passage.error)}"
    if passage.step.kind == "edit":
        return _change(passage), "edit", outcome
    bounds = ", ".join(f"{name} {_number(bound)}" for name, bound in passage.step.bounds)
    if passage.outcome == "not reached":
        return None, bounds or None, outcome
    return _measured(passage), bounds or None, outcome


def _change(passage: Passage) -> str | None:
    if passage.before is None or passage.after is None:
        return None
    if passage.before == passage.after:
        return "no change"
    return f"{len(passage.after) - len(passage.before):+,} characters"


def _measured(passage: Passage) -> str:
    """The value in as many digits as tell it from its bounds."""
    if passage.value is None:
        return "nothing to measure"
    short = _number(passage.value)
    unclear = any(short == _number(bound) and passage.value != bound for _, bound in passage.step.bounds)
    return repr(passage.value) if unclear else short


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:.6g}"


def _diffs(cfg: ExplainConfig, crawl: Row, found: Trace) -> list[Diff]:
    diffs: list[Diff] = []
    for one in found.passages:
        if one.before is not None and one.after is not None and one.before != one.after:
            title = f"step {one.number} {one.step.id}: {_change(one)}"
            lines = unified(one.before, one.after, context=cfg.context, max_lines=cfg.max_lines)
            diffs.append(Diff(title if cfg.crawl else f"{crawl['doc_id']} {title}", tuple(lines)))
    return diffs


def _notes(lake: Lakehouse, cfg: ExplainConfig, crawl: Row, found: Trace) -> list[str]:
    """The verdict, what the tables hold of it, and its duplicates."""
    dropped = found.dropped
    if dropped is None:
        text = found.result.text[0].as_py()
        verdict = "kept without text" if text is None else f"kept with {len(text):,} characters"
    else:
        value, bound, _ = _cells(dropped)
        reason = dropped.error or ("no text is left" if dropped.step.kind == "edit" else f"{value} against {bound}")
        verdict = f"dropped by step {dropped.number} {dropped.step.id}: {visible(reason)}"
    stored = _stored(lake, cfg.recipe, crawl["doc_id"])
    notes = [f"{crawl['doc_id']}: {verdict}", _compared(cfg, crawl, found, stored)]
    if stored is not None and stored["dropped_by"] is None:
        notes += _duplicates(lake, cfg, crawl)
    return notes


def _stored(lake: Lakehouse, recipe: Recipe, doc_id: str) -> Row | None:
    if not lake.exists(_DOCUMENTS):
        return None
    return lake.read(_DOCUMENTS).where((F.col("recipe_hash") == recipe.hash) & (F.col("doc_id") == doc_id)).first()


def _compared(cfg: ExplainConfig, crawl: Row, found: Trace, stored: Row | None) -> str:
    if stored is None:
        return (
            f"{_DOCUMENTS}: not curated with recipe {cfg.recipe.name!r} ({cfg.recipe.hash}) yet; "
            f"run lakeloom curate with it and pool {crawl['pool']!r}"
        )
    now = {name: getattr(found.result, name)[0].as_py() for name in ("dropped_by", "dropped_at", "error", "text")}
    others = [name for name, value in now.items() if stored[name] != value]
    signals = dict(found.result.signals[0].as_py())
    others += [f"signal {name}" for name in sorted(signals.keys() | stored["signals"].keys())
               if signals.get(name, "-") != stored["signals"].get(name, "-")]  # fmt: skip
    if not others:
        return f"{_DOCUMENTS}: the same outcome"
    was = f"dropped by {stored['dropped_by']}" if stored["dropped_by"] else "kept"
    return f"{_DOCUMENTS}: {was}; other than here: {', '.join(others)}; the filters have changed since it was curated"


def _duplicates(lake: Lakehouse, cfg: ExplainConfig, crawl: Row) -> list[str]:
    """A line on the page's cluster by the method of `dedup`, if it is in one."""
    if not cfg.dedup.methods or not lake.exists(_CLUSTERS):
        return []
    ours = replace(cfg.dedup, pool=replace(cfg.dedup.pool, name=crawl["pool"]))
    clusters = lake.read(_CLUSTERS).where(F.col("dedup_id") == dedup.identify(lake, ours))
    row = clusters.where(F.col("doc_id") == crawl["doc_id"]).first()
    if row is None:
        return []
    size = clusters.where(F.col("cluster_id") == row["cluster_id"]).count()
    stays = "it stays" if row["is_representative"] else f"{row['cluster_id']} stays in its place"
    return [f"{_CLUSTERS}: one of {size} duplicates ({row['reason']}); {stays}"]
