"""What a scale asks for, before it is begun: pages, tokens, core-hours, GPU-hours and storage of each stage.

By what the lakehouse has measured of a pool and recipe (a sample of a crawl is enough), in proportion: a larger pool of
the same kind keeps the same shares. It has more duplicates than a small one: the pool that is needed is a lower bound.
"""

from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import plan_measures
from lakeloom.jobs.dedup import DedupConfig
from lakeloom.jobs.plan_measures import Measured
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tokens import TokenizerConfig
from lakeloom.train import scales
from lakeloom.train.config import ScaleConfig
from lakeloom.train.flops import flops_per_token

_STATE_BYTES = 12  # of a parameter in a model folder: weights and AdamW's two moments in fp32
_RATES = ("ingest_pages_s", "curate_mb_s", "dedup_mb_s", "export_mb_s", "mfu", "gpu_tflops")
_PRICES = ("core_hour", "gpu_hour", "gb_month")


@dataclass(frozen=True)
class PlanConfig:
    """The measured pool and recipe, the scale that is planned, speeds and prices; see conf/job/plan.yaml."""

    lakehouse: LakehouseConfig
    pool: PoolConfig
    recipe: Recipe
    dedup: DedupConfig
    tokenizer: TokenizerConfig
    scale: ScaleConfig
    sample: int
    ingest_pages_s: float
    curate_mb_s: float
    dedup_mb_s: float
    export_mb_s: float
    mfu: float
    gpu_tflops: float
    core_hour: float
    gpu_hour: float
    gb_month: float

    def __post_init__(self) -> None:
        for name in ("sample", *_RATES):
            if not getattr(self, name) > 0:
                raise ConfigError(f"plan.{name}={getattr(self, name)}: it must be above 0")
        for name in _PRICES:
            if not getattr(self, name) >= 0:
                raise ConfigError(f"plan.{name}={getattr(self, name)}: it must be 0 or more")


@dataclass(frozen=True)
class Stage:
    """One stage of the road: what it reads, and what it takes."""

    name: str
    reads: str
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    num_bytes: float = 0.0  # that it leaves on disk

    def cost(self, cfg: PlanConfig) -> float:
        """At the given prices, its storage for a month."""
        return self.core_hours * cfg.core_hour + self.gpu_hours * cfg.gpu_hour + self.num_bytes / 1e9 * cfg.gb_month


@dataclass(frozen=True)
class Need:
    """A scale's tokens, and how many times the measured pool they are."""

    scale: ScaleConfig
    num_parameters: int
    num_tokens: int
    pools: float


def run(spark: SparkSession, cfg: PlanConfig) -> Report:
    """The plan as sheets: the stages of the scale, and a row for every scale there is. Nothing is written."""
    lake = Lakehouse(spark, cfg.lakehouse)
    found = plan_measures.measure(lake, cfg.pool.name, cfg.recipe, cfg.dedup, cfg.tokenizer, cfg.sample)
    asked = need(cfg.scale, found)
    every = [need(scales.load(name, "plan"), found) for name in scales.names()]
    facts: dict[str, str | int | float] = {
        "scale": cfg.scale.name,
        "tokens_needed": asked.num_tokens,
        "tokens_of_pool": int(found.num_tokens),
        "pools_needed": round(asked.pools, 2),
        "pages_kept": f"{found.num_kept / max(1, found.num_pages):.1%}",
        "duplicates": f"{found.duplicate_share:.1%}",
        "tokens_a_byte": round(found.tokens_a_byte, 4),
    }
    sheets = (
        stage_sheet(cfg, asked, stages(cfg, asked, found)),
        scale_sheet(cfg, sorted(every, key=lambda one: (one.num_parameters, one.num_tokens)), found),
    )
    return Report("plan", found.num_pages, found.num_pages, facts=facts, sheets=sheets, notes=notes(asked, found))


def need(scale: ScaleConfig, found: Measured) -> Need:
    """What a scale trains on, each token once."""
    model = scale.model(found.vocab_size)
    # A sequence has a token more than it predicts.
    stored = scale.num_tokens(model) // scale.seq_len * (scale.seq_len + 1)
    return Need(scale, model.num_parameters, stored, stored / found.num_tokens)


def stages(cfg: PlanConfig, asked: Need, found: Measured) -> list[Stage]:
    """The stages for as many such pools as the scale needs."""
    pools, rows, hour = asked.pools, found.row_bytes, 3600.0
    pages, page_mb = pools * found.num_pages, pools * found.page_bytes / 1e6
    kept, kept_mb = pools * found.num_kept, pools * found.kept_bytes / 1e6
    left, left_mb = kept * (1 - found.duplicate_share), kept_mb * (1 - found.duplicate_share)
    flops = asked.num_tokens * flops_per_token(asked.scale.model(found.vocab_size))
    state = asked.num_parameters * _STATE_BYTES
    archives = f"{size(pools * found.archive_bytes)} of archives, {pages:,.0f} pages"
    signing = kept_mb / cfg.dedup_mb_s / hour if cfg.dedup.methods else 0.0
    training = flops / (cfg.mfu * cfg.gpu_tflops * 1e12)
    shards = left * rows["gold.corpus"] + asked.num_tokens * found.token_bytes
    tables = [pages * rows["bronze.pages"], pages * rows["silver.documents"], kept * rows["silver.signatures"]]
    return [
        Stage("ingest", archives, pages / cfg.ingest_pages_s / hour, 0.0, tables[0]),
        Stage("curate", f"{size(page_mb * 1e6)} of text", page_mb / cfg.curate_mb_s / hour, 0.0, tables[1]),
        Stage("dedup", f"{kept:,.0f} kept documents", signing, 0.0, tables[2]),
        Stage("choose, export", f"{size(left_mb * 1e6)} of text", left_mb / cfg.export_mb_s / hour, 0.0, shards),
        Stage("train", f"{asked.num_tokens:,} tokens", 0.0, training / hour, 2 * state),
    ]


def whole(name: str, parts: list[Stage]) -> Stage:
    """The sum of stages."""
    hours = sum(one.core_hours for one in parts), sum(one.gpu_hours for one in parts)
    return Stage(name, "", *hours, sum(one.num_bytes for one in parts))


def stage_sheet(cfg: PlanConfig, asked: Need, found: list[Stage]) -> Sheet:
    """A row a stage, and their sum."""
    total = whole("all", found)
    rows = [(one.name, one.reads, *_amounts(cfg, one)) for one in (*found, total)]
    title = f"{asked.scale.name}: {asked.pools:,.2f} times this pool"
    return Sheet(title, ("stage", "reads", *_columns(cfg)), tuple(rows))


def scale_sheet(cfg: PlanConfig, needs: list[Need], found: Measured) -> Sheet:
    """A row a scale."""
    rows: list[tuple[Value, ...]] = []
    for one in needs:
        total = whole("", stages(cfg, one, found))
        archives = size(one.pools * found.archive_bytes)
        rows.append((one.scale.name, one.num_tokens, f"{one.pools:,.2f}", archives, *_amounts(cfg, total)))
    return Sheet("every scale", ("scale", "tokens", "times this pool", "archives", *_columns(cfg)), tuple(rows))


def size(num_bytes: float) -> str:
    """Bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if num_bytes < 1000:
            return f"{num_bytes:,.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.4g} PB"


def _columns(cfg: PlanConfig) -> tuple[str, ...]:
    return ("core-hours", "GPU-hours", "storage", *(["cost"] if _has_prices(cfg) else []))


def _amounts(cfg: PlanConfig, one: Stage) -> tuple[Value, ...]:
    hours = (f"{one.core_hours:,.2f}", f"{one.gpu_hours:,.2f}")
    return (*hours, size(one.num_bytes), *([f"{one.cost(cfg):,.2f}"] if _has_prices(cfg) else []))


def _has_prices(cfg: PlanConfig) -> bool:
    return any(asdict(cfg)[name] for name in _PRICES)


def notes(asked: Need, found: Measured) -> tuple[str, ...]:
    """Whether the pool is large enough, and what is not known of it."""
    name, gives = asked.scale.name, f"it gives {found.num_tokens:,.0f} of {asked.num_tokens:,} tokens"
    more = f"ingest {asked.pools:,.1f} times as much, or train as many epochs of it (train.allow_repeats=true)"
    is_small = asked.pools > 1
    said = [
        f"the pool is too small for {name}: {gives}; {more}" if is_small else f"the pool is enough for {name}: {gives}"
    ]
    if not found.is_deduplicated:
        said.append(
            "dedup has not been run with these settings on these documents, so nothing is counted as a duplicate"
        )
    return tuple(said)
