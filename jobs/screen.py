"""What people see in a terminal: the list of jobs, a job's settings, progress while it runs, its report."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lakeloom.lakehouse.report import Diff, Report, Sheet, Value

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def list_jobs(console: Console, jobs: Mapping[str, str]) -> None:
    """The table of contents."""
    console.print("[bold]lakeloom[/bold] JOB key=value ...   from a raw crawl to a scored language model\n")
    table = Table.grid(padding=(0, 2))
    for name, about in jobs.items():
        table.add_row(f"  [bold]{name}[/bold]", escape(about))
    console.print(table)
    console.print("\nlakeloom JOB --help shows a job's settings. Start with: lakeloom demo")


def explain(console: Console, usage: str, about: str, settings: str) -> None:
    """A job's settings with their defaults and comments, and the groups that every job shares."""
    console.print(f"[bold]lakeloom {usage}[/bold] key=value ...   {escape(about)}\n")
    lines = settings.splitlines()
    package = next((line.split()[-1] for line in lines if line.startswith("# @package")), "")  # each file has one
    lines = [line for line in lines if line.strip() and not line.startswith(("# @package", "{}"))]
    for line in lines:
        is_setting = not line.startswith((" ", "#"))
        console.print("  " + escape(f"{package}.{line}" if is_setting else line), soft_wrap=True)
    if not lines:
        console.print("  no settings of its own")
    console.print(
        "\nShared by all jobs: pool=sample | pool=/a/folder | pool=cc snapshot=CC-MAIN-2024-10 files=0:8;\n"
        "recipe=refinedweb | recipe=raw | recipe=my.yaml (docs/filters.md has the steps, conf/recipe/ the recipes);\n"
        "lakehouse.root=data; scale=demo | scale=400m_1x | ...;\n"
        "tokenizer=sample | tokenizer=gpt_neox tokenizer.path=tokenizer.json; spark.memory=2g; spark=cluster"
    )


@contextmanager
def progress(name: str) -> Iterator[None]:
    """A spinner with the elapsed time and the newest line of the log, and a bar for a job that says how far it is.

    Such a line of the log has done and total among its `extra`. Nothing is shown where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        TimeElapsedColumn(),
        _Share(),
        TextColumn("{task.fields[line]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None, line="")
        handler = _LogLine(
            lambda line, done, total: bar.update(task, line=escape(line[:100]), completed=done, total=total)
        )
        logger = logging.getLogger("lakeloom")
        level = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


class _LogLine(logging.Handler):
    def __init__(self, write: Callable[[str, float | None, float | None], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        said = vars(record)  # where `extra` goes
        self._write(record.getMessage(), said.get("done"), said.get("total"))


class _Share(ProgressColumn):
    """A bar, once the job has said how much there is."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=20)

    def render(self, task: Task) -> RenderableType:
        return self._bar.render(task) if task.total else ""


def show(console: Console, report: Report) -> None:
    """A report: its counts in one line, its facts, its sheets, its diffs, its notes."""
    versions = ", ".join(f"{name} v{version}" for name, version in report.versions.items())
    counts = f"{report.rows_in:,} in = {report.rows_out:,} out + {report.dropped:,} dropped"
    console.print(f"[bold]{report.job}[/bold]: {counts}" + (f"   ({versions})" if versions else ""))
    if report.facts:
        facts = "; ".join(f"{name} {_text(value)}" for name, value in report.facts.items())
        console.print("  " + escape(facts))
    for sheet in report.sheets:
        show_sheet(console, sheet)
    for diff in report.diffs:
        _show_diff(console, diff)
    for note in report.notes:
        console.print(escape(note), soft_wrap=True)


def show_sheet(console: Console, sheet: Sheet) -> None:
    """A table, numbers to the right."""
    console.print(_table(sheet))


def _show_diff(console: Console, diff: Diff) -> None:
    """A diff, coloured where the console is a terminal that has colours."""
    console.print(f"[bold]{escape(diff.title)}[/bold]")
    for line in diff.lines:
        console.print(Text("  " + line, _COLOURS.get(line[:1], "")), soft_wrap=True)


def _table(sheet: Sheet) -> Table:
    table = Table(title=escape(sheet.title) or None, title_justify="left", title_style="bold", header_style="bold")
    for number, column in enumerate(sheet.columns):
        is_number = all(isinstance(row[number], int | float | None) for row in sheet.rows)
        table.add_column(escape(column), justify="right" if is_number and sheet.rows else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*[escape(_text(value)) for value in row])
    return table


def _text(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
