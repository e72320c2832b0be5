"""All models' scores side by side: gold.scores as a sheet, grouped by scale, best first."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from lakeloom.evaluate import leaderboard
from lakeloom.evaluate.leaderboard import Row
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig

TABLE = "gold.scores"
LEGEND = (
    "\u00b1 is one standard error; tasks and CORE in percent, higher is better; bpb/x: bits per byte of the held-out "
    "documents of dataset x, lower is better. absent: asked for, but not to be had; -: never asked for."
)
# So many models are columns of the sheet, since there are more scores than models; more of them are its rows.
MAX_COLUMNS = 4


@dataclass(frozen=True)
class LeaderboardConfig:
    """The lakehouse whose scores are shown."""

    lakehouse: LakehouseConfig


def run(spark: SparkSession, cfg: LeaderboardConfig) -> Report:
    """The leaderboard as one sheet; rows are models. ConfigError where there are no scores."""
    lake = Lakehouse(spark, cfg.lakehouse)
    scores = read(lake)
    if not scores:
        raise ConfigError(
            f"{TABLE} of {cfg.lakehouse.root} has no scores; run lakeloom evaluate for a model, then lakeloom publish"
        )
    board = leaderboard.rows(scores)
    order = order_of(board)
    board = ranked(board, order)
    facts: dict[str, str | int | float] = {"scores": len(scores), "best first by": said(order)}
    versions = {TABLE: lake.version(TABLE)}
    return Report("leaderboard", len(board), len(board), 0, versions, facts, (sheet(board),), (LEGEND,))


def read(lake: Lakehouse) -> list[dict[str, Value]]:
    """All rows of gold.scores, in an order that depends on nothing but them: a few dozen a model."""
    if not lake.exists(TABLE):
        return []
    rows = lake.read(TABLE).orderBy("model_sha", "task", "metric", "task_version", "num_items", "value")
    return [row.asDict() for row in rows.toLocalIterator()]


def order_of(board: Sequence[Row]) -> tuple[str, ...]:
    """What all models have and are ranked by: CORE, else bits per byte of the same held-out sets, else nothing."""
    shared = [name for name in leaderboard.columns(board) if all(row.value(name) is not None for row in board)]
    return ("CORE",) if "CORE" in shared else tuple(name for name in shared if name.startswith("bpb/"))


def said(order: Sequence[str]) -> str:
    """The order in words."""
    return " and ".join(order) if order else "name, since no score is shared by all models"


def ranked(board: Sequence[Row], order: Sequence[str]) -> list[Row]:
    """By scale, then best first: highest CORE, or lowest mean of the held-out sets; then by name."""

    def key(row: Row) -> tuple[str, float, str, int, str]:
        values = [row.value(name) or 0.0 for name in order]
        mean = sum(values) / len(values) if values else 0.0
        return row.scale, -mean if "CORE" in order else mean, row.dataset, row.seed, row.model

    return sorted(board, key=key)


def sheet(board: Sequence[Row]) -> Sheet:
    """A row a model, or a column a model where there are few, so that it fits on a screen."""
    heads, names = leaderboard.head(board), leaderboard.columns(board)
    texts = [tuple(leaderboard.cells(row, heads, names)) for row in board]
    if len(board) > MAX_COLUMNS:
        return Sheet("leaderboard", (*heads, *names), tuple(texts))
    across = tuple((name, *(text[number] for text in texts)) for number, name in enumerate([*heads, *names]))
    return Sheet("leaderboard", across[0], across[1:])
