"""The report's pictures as SVG text: hand-written, since a plot with percentages for widths stays readable on a phone.

Colours come from CSS variables, so the page's light and dark schemes reach into them; `standalone` makes a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as _escape
from itertools import accumulate
from math import floor, log10

NUM_COLOURS = 6
STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; --keep: #2f6f9f; --drop: #e3a08b;
  --c0: #0072b2; --c1: #d55e00; --c2: #008a66; --c3: #b0508d; --c4: #9a7400; --c5: #4b4bbf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #323b47; --keep: #5aa5dc; --drop: #a5533b;
    --c0: #56b4e9; --c1: #ff8c42; --c2: #2fc59b; --c3: #e28fc3; --c4: #e6b422; --c5: #a0a0ff; } }
.picture { display: block; width: 100%; font: 13px system-ui, sans-serif; fill: var(--ink); overflow: visible; }
.picture .soft { fill: var(--soft); } .picture .keep { fill: var(--keep); } .picture .drop { fill: var(--drop); }
.picture .grid { stroke: var(--line); } .picture .number { font-variant-numeric: tabular-nums; }
.picture path, .picture .key { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.picture path { vector-effect: non-scaling-stroke; } .picture path.raw { stroke-width: 1; opacity: .35; }
"""
STYLE += "".join(f".picture .c{n} {{ stroke: var(--c{n}); }}\n" for n in range(NUM_COLOURS))

_DASHES = ("", "7 4", "2 4", "10 3 2 3")  # the n-th curve differs from the others without its colour, too
_HEIGHT, _TOP, _LEFT, _WIDTH = 300, 8, 70, 1000  # the plot; _LEFT of _WIDTH is kept free for the labels of losses
_MAX_POINTS = 400
_ROW = 42


@dataclass(frozen=True)
class Bar:
    """One step of a funnel: pages left after it, and dropped by it."""

    label: str
    left: int
    dropped: int


@dataclass(frozen=True)
class Curve:
    """Training losses of a model, a point a step; `tokens` seen at each."""

    name: str
    tokens: tuple[float, ...]
    losses: tuple[float, ...]


def text(value: object) -> str:
    """Foreign text, safe in HTML and SVG; what UTF-8 can't hold becomes a question mark."""
    return _escape(str(value).encode("utf-8", "replace").decode("utf-8"), quote=True)


def funnel(title: str, bars: Sequence[Bar]) -> str:
    """Horizontal bars: pages left (full) and dropped (pale) by each step, of those that came to the first."""
    whole = max((bar.left + bar.dropped for bar in bars), default=0) or 1
    rows = [_bar(bar, number * _ROW, whole) for number, bar in enumerate(bars)]
    told = "; ".join(f"{bar.label}: {bar.left:,} left" for bar in bars)
    return _svg(f"{title}. {told}", max(1, len(bars)) * _ROW, "".join(rows))


def clusters(name: str, sizes: Sequence[Bar]) -> str:
    """Classes of cluster sizes: documents that stay (full), and that are removed (pale)."""
    return funnel(f"Clusters of {name} by size: documents that stay, and that are removed", sizes)


def share(bar: Bar) -> str:
    """What a step dropped of the pages that came to it, in percent."""
    return f"\u2212{bar.dropped / (bar.left + bar.dropped):.1%}" if bar.dropped else ""


def curves(found: Sequence[Curve]) -> str:
    """Loss by tokens seen: the mean of the last steps as a line, single steps as a thin one behind it."""
    top = max(max(curve.losses) for curve in found)
    bottom = min(min(curve.losses) for curve in found)
    most = max(curve.tokens[-1] for curve in found)
    losses = ticks(bottom, top, 7)
    low, high = min(losses[0], bottom), max(losses[-1], top)

    def x(tokens: float) -> float:
        return _LEFT + (_WIDTH - _LEFT) * tokens / most

    def y(loss: float) -> float:
        return _TOP + (_HEIGHT - _TOP) * (high - loss) / ((high - low) or 1)

    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{y(loss):.1f}" y2="{y(loss):.1f}"/>'
        f'<text class="soft number" x="0" y="{y(loss) - 4:.1f}">{loss:g}</text>'
        for loss in losses
    )
    lines = ""
    for kind in ("raw", "mean"):
        for number, curve in enumerate(found):
            points = _envelope(curve) if kind == "raw" else _thinned(curve.tokens, smoothed(curve.losses))
            path = " ".join(f"{x(tokens):.1f},{y(loss):.1f}" for tokens, loss in points)
            dash = f' stroke-dasharray="{_dash(number)}"' if kind == "mean" and _dash(number) else ""
            lines += f'<path class="{kind} c{number % NUM_COLOURS}"{dash} d="M{path}"/>'
    # Lines are stretched to the width of the page, words are not: so only lines are in the inner picture.
    plot = (
        f'<svg x="0" y="0" width="100%" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'preserveAspectRatio="none" aria-hidden="true">{lines}</svg>'
    )
    told = "; ".join(f"{curve.name}: {smoothed(curve.losses)[-1]:.3f} at the end" for curve in found)
    body = grid + plot + _tokens_axis(most) + _legend(found)
    return _svg(f"Training loss by tokens seen. {told}", _HEIGHT + 44, body)


def smoothed(losses: Sequence[float]) -> list[float]:
    """Mean of each step and those before it, a sixtieth of the run at most."""
    window = mean_of(losses)
    sums = [0.0, *accumulate(losses)]
    return [(sums[n] - sums[max(0, n - window)]) / min(n, window) for n in range(1, len(sums))]


def mean_of(losses: Sequence[float]) -> int:
    """Number of steps in the mean that is drawn."""
    return max(1, round(len(losses) / 60))


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high, about so many, 1, 2 or 5 times a power of ten apart."""
    span = (high - low) or 1.0
    power = 10.0 ** floor(log10(span / about))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= about)
    first = -(-low // step)
    return [round(step * (first + n), 10) for n in range(int((high - first * step) / step + 1e-9) + 1)]


def short(number: float) -> str:
    """1500 as 1.5k."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"


def standalone(svg: str) -> str:
    """A picture as the text of an .svg file, with its own style and size."""
    head, rest = svg.split(">", 1)
    style = f"<style>{STYLE}svg {{ background: Canvas; color-scheme: light dark; }}</style>"
    return f'{head} xmlns="http://www.w3.org/2000/svg" width="900">{style}{rest}\n'


def _svg(label: str, height: int, body: str) -> str:
    return f'<svg class="picture" role="img" aria-label="{text(label)}" height="{height}">{body}</svg>'


def _bar(bar: Bar, top: int, whole: int) -> str:
    left, dropped = 100 * bar.left / whole, 100 * bar.dropped / whole
    lost = f'<tspan class="soft"> {text(share(bar))}</tspan>' if bar.dropped else ""
    return (
        f'<text x="0" y="{top + 14}">{text(bar.label)}</text>'
        f'<text class="number" x="100%" y="{top + 14}" text-anchor="end">{bar.left:,}{lost}</text>'
        f'<rect class="keep" x="0" y="{top + 20}" width="{left:.3f}%" height="12"/>'
        f'<rect class="drop" x="{left:.3f}%" y="{top + 20}" width="{dropped:.3f}%" height="12"/>'
    )


def _tokens_axis(most: float) -> str:
    marks = ""
    for tokens in ticks(0, most, 4):
        place = 100 * (_LEFT + (_WIDTH - _LEFT) * tokens / most) / _WIDTH
        anchor = "end" if place > 95 else "middle"
        marks += f'<text class="soft number" x="{place:.2f}%" y="{_HEIGHT + 18}" text-anchor="{anchor}">'
        marks += f"{short(tokens)}</text>"
    return marks + f'<text class="soft" x="100%" y="{_HEIGHT + 38}" text-anchor="end">tokens seen</text>'


def _legend(found: Sequence[Curve]) -> str:
    """Names at the top right, where losses have long fallen."""
    rows = ""
    for number, curve in enumerate(found):
        y = _TOP + 18 + 20 * number
        dash = f' stroke-dasharray="{_dash(number)}"' if _dash(number) else ""
        rows += f'<text x="100%" dx="-38" y="{y}" text-anchor="end">{text(curve.name)}</text>'
        rows += f'<svg x="100%" y="{y - 5}" overflow="visible"><line class="key c{number % NUM_COLOURS}"{dash} '
        rows += 'x1="-30" x2="0" y1="0" y2="0"/></svg>'
    return rows


def _dash(number: int) -> str:
    return _DASHES[number % len(_DASHES)]


def _thinned(tokens: Sequence[float], losses: Sequence[float]) -> list[tuple[float, float]]:
    """Every n-th point and the last."""
    every = -(-len(losses) // _MAX_POINTS)
    chosen = [*range(0, len(losses) - 1, every), len(losses) - 1]
    return [(tokens[n], losses[n]) for n in chosen]


def _envelope(curve: Curve) -> list[tuple[float, float]]:
    """All points, or the lowest and highest of every few, so that thinning hides no spike."""
    every = -(-len(curve.losses) // _MAX_POINTS)
    points = list(zip(curve.tokens, curve.losses, strict=True))
    found: list[tuple[float, float]] = []
    for start in range(0, len(points), every):
        few = points[start : start + every]
        found += sorted({min(few, key=lambda point: point[1]), max(few, key=lambda point: point[1])})
    return found
