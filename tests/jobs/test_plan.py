"""Plans in proportion to what was measured; and what is measured of a small lakehouse."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakeloom.jobs import cli, dedup, plan, plan_measures
from lakeloom.jobs.plan import PlanConfig
from lakeloom.jobs.plan_measures import Measured
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse
from lakeloom.lakehouse.tables import table
from lakeloom.lakehouse.tokens import Tokenizer, TokenizerConfig
from lakeloom.train.config import ScaleConfig
from tests.jobs.test_dedup import config as dedup_config
from tests.jobs.test_dedup import filled, page
from tests.jobs.test_export import tokenizer

__all__ = ["tokenizer"]  # a fixture

FOUND = Measured(
    archive_bytes=10**9,
    num_pages=40_000,
    page_bytes=200_000_000,
    num_kept=10_000,
    kept_bytes=50_000_000,
    duplicate_share=0.2,
    is_deduplicated=True,
    tokens_a_byte=0.25,
    token_bytes=2,
    vocab_size=50_432,
    row_bytes={"bronze.pages": 1500.0, "silver.documents": 800.0, "silver.signatures": 200.0, "gold.corpus": 2000.0},
)


def planned(*words: str) -> PlanConfig:
    made: PlanConfig = cli.load("plan", *words)
    return made


def test_a_scale_in_numbers() -> None:
    cfg = planned("scale=400m_1x", "plan.core_hour=0.1", "plan.gpu_hour=2", "plan.dedup_mb_s=5", "plan.export_mb_s=10")
    need = plan.need(cfg.scale, FOUND)
    # 20 tokens for each of 411,616,256 parameters; a sequence of 2,048 has one token more.
    assert need.num_tokens == 8_232_325_120 // 2048 * 2049
    assert need.pools == pytest.approx(need.num_tokens / (50_000_000 * 0.8 * 0.25))
    ingest, curate, dedup, export, train = plan.stages(cfg, need, FOUND)
    assert ingest.core_hours == pytest.approx(need.pools * 40_000 / 370 / 3600)
    assert ingest.num_bytes == need.pools * 40_000 * 1500
    assert curate.core_hours == pytest.approx(need.pools * 200 / 11 / 3600)
    assert dedup.core_hours == pytest.approx(need.pools * 50 / 5 / 3600)
    assert export.core_hours == pytest.approx(need.pools * 40 / 10 / 3600)
    assert export.num_bytes == pytest.approx(need.pools * 8_000 * 2000 + need.num_tokens * 2)
    assert train.gpu_hours == pytest.approx(12.8, abs=0.3)  # at half of an H100's peak
    total = plan.whole("all", [ingest, curate, dedup, export, train])
    assert total.cost(cfg) == pytest.approx(0.1 * total.core_hours + 2 * train.gpu_hours)


@pytest.fixture(scope="module")
def billion() -> PlanConfig:
    return planned("scale=1b_1x")


@given(st.integers(1, 10**6))
def test_a_larger_pool_is_fewer_of_it_and_costs_the_same(billion: PlanConfig, times: int) -> None:
    counts = ("archive_bytes", "num_pages", "page_bytes", "num_kept", "kept_bytes")
    larger = replace(FOUND, **{name: getattr(FOUND, name) * times for name in counts})
    one, other = (plan.need(billion.scale, found) for found in (FOUND, larger))
    assert other.pools * times == pytest.approx(one.pools)
    before, after = plan.stages(billion, one, FOUND), plan.stages(billion, other, larger)
    for left, right in zip(before, after, strict=True):
        assert (right.core_hours, right.gpu_hours) == pytest.approx((left.core_hours, left.gpu_hours))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("plan.mfu=0", r"plan\.mfu=0\.0: it must be above 0"),
        ("plan.sample=0", r"plan\.sample=0: it must be above 0"),
        ("plan.gpu_hour=-1", r"plan\.gpu_hour=-1\.0: it must be 0 or more"),
        ("plan.dedup_mb_s=nan", r"plan\.dedup_mb_s=nan: it must be above 0"),
    ],
)
def test_what_can_be_no_speed_or_price_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(word)


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (3.39e12, "3.39 TB"), (9e16, "90 PB")]
)
def test_sizes_are_for_people(num_bytes: float, text: str) -> None:
    assert plan.size(num_bytes) == text


@pytest.mark.spark
def test_a_small_lakehouse_is_measured(spark: SparkSession, lake: Lakehouse, tokenizer: Tokenizer) -> None:
    texts = [f"page {number}: " + "the cat sat\n" * (number % 9) for number in range(40)]
    filled(lake, [page(f"d{number}", text) for number, text in enumerate(texts)] + [page("e", None, dropped_by="x")])
    pages = [{"doc_id": f"d{number}", "pool": "p", "batch_id": "b1", "text": text} for number, text in enumerate(texts)]
    files = [{"file_id": "f", "pool": "p", "num_bytes": 12_345}]
    for name, rows in (("bronze.pages", pages), ("bronze.files", files)):
        schema = table(name).schema
        values = [tuple(row.get(column) for column in schema.names) for row in rows]
        lake.append(spark.createDataFrame(values, ddl(schema)), name, txn=name)
    duplicates = dedup_config(lake.cfg.root)
    words = ("scale=test", "tokenizer=file", f"tokenizer.path={tokenizer.path}", f"lakehouse.root={lake.cfg.root}")
    cfg = replace(planned(*words), lakehouse=lake.cfg, pool=duplicates.pool, recipe=duplicates.recipe, dedup=duplicates)
    found = plan_measures.measure(lake, "p", cfg.recipe, duplicates, cfg.tokenizer, 1000)
    num_bytes = sum(len(text.encode()) for text in texts)
    assert (found.archive_bytes, found.num_pages, found.page_bytes) == (12_345, 40, num_bytes)
    assert (found.num_kept, found.kept_bytes, found.is_deduplicated) == (40, num_bytes, False)
    encoded = sum(len(tokenizer.encode(text)) + 1 for text in texts)
    assert found.tokens_a_byte == pytest.approx(encoded / num_bytes)
    assert found.row_bytes["gold.corpus"] == 0 < found.row_bytes["bronze.pages"]
    report = plan.run(spark, cfg)
    stages, every = report.sheets
    assert [row[0] for row in stages.rows] == ["ingest", "curate", "dedup", "choose, export", "train", "all"]
    assert {"test", "400m_1x", "7b_2x"} <= {str(row[0]) for row in every.rows}
    assert report.notes[0].startswith("the pool is too small for test: it gives ")
    assert "dedup has not been run" in report.notes[1]


@pytest.mark.spark
def test_duplicates_in_other_pools_are_not_this_pools(
    spark: SparkSession, lake: Lakehouse, tokenizer: Tokenizer
) -> None:
    """One row of 10 bytes goes of p, and six of the other pool: more rows than p has."""
    own = [page("d0", "a" * 10), page("d1", "b" * 20), page("d2", "a" * 10)]
    others = [page(f"e{number}", "b" * 20, pool="other", batch_id="more") for number in range(6)]
    filled(lake, [*own, *others])
    cfg = dedup_config(lake.cfg.root, with_pools=["other"], methods=["text"], keep="smallest_id", max_removed_share=1.0)
    assert dedup.run(spark, cfg).dropped == 7
    for name in ("bronze.pages", "bronze.files"):
        lake.append(spark.createDataFrame([], ddl(table(name).schema)), name, txn=name)
    chosen = TokenizerConfig("file", str(tokenizer.path), 0, 0, 0)
    found = plan_measures.measure(lake, "p", cfg.recipe, cfg, chosen, 1000)
    assert (found.num_kept, found.kept_bytes, found.duplicate_share) == (3, 40, 10 / 40)


def test_a_pool_that_is_large_enough_says_so() -> None:
    scale: ScaleConfig = planned("scale=25m").scale
    many = replace(FOUND, kept_bytes=FOUND.kept_bytes * 1000)
    assert plan.notes(plan.need(scale, many), many) == (
        "the pool is enough for 25m: it gives 10,000,000,000 of 493,821,294 tokens",
    )
