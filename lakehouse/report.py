"""What a job tells its caller: counts that add up, the table versions they stand for, sheets and diffs for people."""

from dataclasses import dataclass, field

Value = str | int | float | None


@dataclass(frozen=True)
class Sheet:
    """A table for the screen: cells are text, numbers or None; a few hundred rows at most."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True)
class Diff:
    """What a text lost and gained: lines that begin with @@, a blank, - or +, safe for a terminal."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Result of one job; rows_in = rows_out + dropped wherever rows pass through."""

    job: str
    rows_in: int
    rows_out: int
    dropped: int = 0
    versions: dict[str, int] = field(default_factory=dict[str, int])
    facts: dict[str, str | int | float] = field(default_factory=dict[str, str | int | float])
    sheets: tuple[Sheet, ...] = ()
    notes: tuple[str, ...] = ()
    diffs: tuple[Diff, ...] = ()
