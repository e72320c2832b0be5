"""The report as one HTML page: everything is in it, nothing is loaded, no script is needed. Same facts, same bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lakeloom.jobs import report_pictures as pictures
from lakeloom.jobs.report_pictures import Bar, Curve, text
from lakeloom.lakehouse.report import Sheet, Value

# Foreign names are on the page: even one that got around the escaping could load and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161c; --card: #1a2029; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: .2em 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2em 0 .5em; }
h3 { font-size: 1rem; margin: 0 0 .8em; overflow-wrap: anywhere; }
p { max-width: 72ch; margin: .4em 0 .9em; } p.soft, figcaption { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 16px; }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 0; }
.card { min-width: 0; } figure.wide { padding-top: 22px; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--keep); }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .4em 0 1em; }
caption { text-align: left; font-weight: 600; padding: 4px 0 6px; overflow-wrap: anywhere; }
th, td { padding: 5px 11px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; } tbody th { font-weight: 400; } thead th { color: var(--soft); }
th:first-child { padding-left: 0; position: sticky; left: 0; background: var(--paper); } .right { text-align: right; }
.card th:first-child { background: var(--card); }
@media (max-width: 480px) { table { font-size: .76rem; } th, td { padding: 5px 5px; } h1 { font-size: 1.5rem; } }
dl { display: grid; grid-template-columns: auto 1fr; gap: 3px 14px; margin: 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code, dd.code { font-family: ui-monospace, monospace; font-size: .82rem; }
details > summary { cursor: pointer; color: var(--soft); font-size: .9rem; margin-top: 12px; }
@media print { details:not([open]) > * { display: block; } .scroll { overflow: visible; } }
"""


@dataclass(frozen=True)
class Dataset:
    """One dataset version: where it comes from, and what its recipe left of the pool."""

    name: str
    facts: tuple[tuple[str, Value], ...]
    bars: tuple[Bar, ...]
    steps: Sheet
    note: str = ""
    sizes: tuple[Bar, ...] = ()  # of its clusters of duplicates
    duplicates: tuple[Sheet, ...] = ()


@dataclass(frozen=True)
class Page:
    """Everything that the report says. `boards` are the leaderboards of the scales."""

    title: str
    summary: str
    datasets: tuple[Dataset, ...]
    boards: tuple[Sheet, ...]
    legend: str
    differences: tuple[Sheet, ...]
    curves: tuple[Curve, ...]
    models: Sheet
    versions: Mapping[str, int]
    notes: tuple[str, ...]


def build(page: Page) -> str:
    """The page, whole."""
    repeated = [dataset for dataset in page.datasets if dataset.sizes]
    parts = [
        f"<header><h1>{text(page.title)}</h1><p>{text(page.summary)}</p></header>",
        _section("Leaderboard", _leaderboard(page)),
        _section("Differences on the same items", _differences(page)) if page.differences else "",
        _section("Training loss", _curves(page)),
        _section("From the pool to the dataset", _cards(_funnel(dataset) for dataset in page.datasets)),
        _section("Duplicates", _cards(_duplicates(one) for one in repeated)) if repeated else "",
        _section("What was compared", _cards(_provenance(dataset) for dataset in page.datasets)),
        _section("Where the numbers come from", _sources(page)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(page.title)} - lakeloom</title>\n<style>{pictures.STYLE}{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def figures(page: Page) -> dict[str, str]:
    """The pictures alone, as the texts of files by name."""
    found = {f"funnel_{number}.svg": _picture(dataset) for number, dataset in enumerate(page.datasets) if dataset.bars}
    for number, dataset in enumerate(page.datasets):
        if dataset.sizes:
            found[f"duplicates_{number}.svg"] = pictures.clusters(dataset.name, dataset.sizes)
    if page.curves:
        found["losses.svg"] = pictures.curves(page.curves)
    return {name: pictures.standalone(svg) for name, svg in found.items()}


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{text(title)}</h2>\n{body}</section>\n"


def _leaderboard(page: Page) -> str:
    if not page.boards:
        return "<p>No scores yet: run lakeloom evaluate for a model, then lakeloom publish.</p>\n"
    return "".join(_table(board) for board in page.boards) + f'<p class="soft">{text(page.legend)}</p>\n'


def _differences(page: Page) -> str:
    said = (
        "The best model of a scale against the others, item by item: what is hard for both cancels out, so these "
        "errors are the ones to compare by. Clear: beyond two standard errors; about one in twenty true zeros looks so."
    )
    return f"<p>{said}</p>\n" + "".join(_table(sheet) for sheet in page.differences)


def _curves(page: Page) -> str:
    if not page.curves:
        return "<p>No finished model has its losses here.</p>\n"
    steps = sorted({pictures.mean_of(curve.losses) for curve in page.curves})
    window = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    said = (
        f"Cross-entropy in nats a token; thick: mean of the last {window} steps, thin: each step. Every model is "
        "measured on its own training data, a lower curve may mean easier text; the leaderboard compares on the same."
    )
    return f'<figure class="wide">{pictures.curves(page.curves)}<figcaption>{said}</figcaption></figure>\n'


def _cards(bodies: Iterable[str]) -> str:
    joined = "".join(f'<div class="card">{body}</div>\n' for body in bodies)
    return f'<div class="cards">\n{joined}</div>\n'


def _funnel(dataset: Dataset) -> str:
    head = f"<h3>{text(dataset.name)}</h3>"
    if not dataset.bars:  # a mix has no funnel of its own
        return f'{head}<p class="soft">{text(dataset.note)}</p>{_table(dataset.steps) if dataset.steps.rows else ""}'
    note = f'<p class="soft">{text(dataset.note)}</p>' if dataset.note else ""
    return f"{head}{_picture(dataset)}{note}<details><summary>All steps</summary>{_table(dataset.steps)}</details>"


def _picture(dataset: Dataset) -> str:
    return pictures.funnel(f"Pages left after each step of {dataset.name}", dataset.bars)


def _duplicates(dataset: Dataset) -> str:
    said = "Documents in clusters of this size: full, those that stay, one a cluster; pale, those that they stand for."
    tables = "".join(_table(sheet) for sheet in dataset.duplicates)
    return (
        f"<h3>{text(dataset.name)}</h3>{pictures.clusters(dataset.name, dataset.sizes)}"
        f'<p class="soft">{said}</p><details><summary>Clusters and domains</summary>{tables}</details>'
    )


def _provenance(dataset: Dataset) -> str:
    rows = "".join(_fact(name, value) for name, value in dataset.facts)
    return f"<h3>{text(dataset.name)}</h3><dl>{rows}</dl>"


def _fact(name: str, value: Value) -> str:
    style = ' class="code"' if isinstance(value, str) and len(value) >= 32 else ""
    return f"<dt>{text(name)}</dt><dd{style}>{text(_said(value))}</dd>"


def _sources(page: Page) -> str:
    versions = ", ".join(f"{name} version {number}" for name, number in page.versions.items())
    tables = f"<p>Delta tables: <code>{text(versions)}</code>.</p>\n" if versions else ""
    return tables + _table(page.models) + "".join(f'<p class="soft">{text(note)}</p>\n' for note in page.notes)


def _table(sheet: Sheet) -> str:
    """A table that scrolls by itself where it is too wide; columns of numbers to the right."""
    side = [' class="right"' if _is_numbers(sheet, number) else "" for number in range(len(sheet.columns))]
    head = "".join(f'<th scope="col"{side[n]}>{text(name)}</th>' for n, name in enumerate(sheet.columns))
    cells = ["".join(_cell(value, n, side[n]) for n, value in enumerate(row)) for row in sheet.rows]
    rows = "".join(f"<tr>{row}</tr>\n" for row in cells)
    title = text(sheet.title)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}">\n<table>\n<caption>{title}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


def _cell(value: Value, number: int, side: str) -> str:
    said = text(_said(value))
    return f'<th scope="row"{side}>{said}</th>' if number == 0 else f"<td{side}>{said}</td>"


def _is_numbers(sheet: Sheet, number: int) -> bool:
    """Whether a column holds numbers, or words that begin like one, such as 41.5 and its error."""
    said = [_said(row[number]) for row in sheet.rows]
    begin_like_one = [word for word in said if word[:1].isdigit() or word[:1] in ("+", "\u2212")]
    return number > 0 and bool(begin_like_one) and not any(len(word) >= 32 for word in said)


def _said(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
