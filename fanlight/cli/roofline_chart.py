"""A roofline as a picture: kernels as dots under the machine's limits, on two logarithmic axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from math import floor, log10
from typing import Any

from fanlight.errors import FanlightError
from fanlight.roofline import Roofline, Row

WIDTH, HEIGHT = 1120, 640
LEFT, TOP, RIGHT, BOTTOM = 72, 64, 700, 570  # of the plot; the key is beside it
NAMED = 16  # kernels that get a number and a line in the key
LABEL = 46  # characters of a name in the key
COLOURS = {
    **dict.fromkeys(("conv2d", "conv2d_int8"), "#2f6fde"),
    **dict.fromkeys(("depthwise_conv2d", "depthwise_conv2d_int8"), "#12a05c"),
    **dict.fromkeys(("matmul", "matmul_int8"), "#8a56d6"),
}
OTHER = "#d97f14"

_STYLE = """
svg { background: #ffffff; color: #1c1f24; font: 12px system-ui, sans-serif; }
text { fill: currentColor; } .m { text-anchor: middle; } .e { text-anchor: end; }
h1, .h { font-size: 15px; font-weight: 600; }
.grid { stroke: currentColor; stroke-opacity: .12; } .roof { stroke: currentColor; fill: none;
stroke-width: 1.6; } .half { stroke-dasharray: 4 4; stroke-opacity: .5; stroke-width: 1; }
.d { fill-opacity: .55; stroke-width: 1.2; } .n { font-size: 10px; font-weight: 600; }
.s { font-size: 11px; opacity: .8; }
@media (prefers-color-scheme: dark) { svg { background: #16181c; color: #e8eaee; } }
"""


@dataclass(frozen=True)
class _Axes:
    """Data to pixels: `low` .. `high` of FLOP/byte and GFLOP/s, all powers of ten."""

    low: tuple[float, float]
    high: tuple[float, float]

    def x(self, intensity: float) -> float:
        span = log10(self.high[0] / self.low[0])
        return LEFT + (RIGHT - LEFT) * log10(intensity / self.low[0]) / span

    def y(self, gflops: float) -> float:
        span = log10(self.high[1] / self.low[1])
        return BOTTOM - (BOTTOM - TOP) * log10(gflops / self.low[1]) / span


def drawn(roofline: Roofline) -> list[Row]:
    """The kernels that can be drawn, the slowest first: they compute, and took time."""
    rows = [r for r in roofline.rows if r.gflops > 0 and r.intensity > 0]
    return sorted(rows, key=lambda r: -r.ms)


def limits(roofline: Roofline) -> tuple[tuple[float, float], tuple[float, float]]:
    """((least FLOP/byte, least GFLOP/s), (most, most)) of a chart: whole powers of ten."""
    rows = drawn(roofline)
    x = [r.intensity for r in rows] or [1.0]
    y = [r.gflops for r in rows] or [1.0]
    low = (_power(min(*x, 0.1)), _power(max(min(*y, 1.0), 1e-3)))
    return low, (_power(2 * max(*x, 5.0)) * 10, _power(max(roofline.peaks.values())) * 10)


def _power(value: float) -> float:
    return 10.0 ** floor(log10(value))


def lines(roofline: Roofline) -> list[tuple[str, float]]:
    """(name, GB/s) of the slopes: the best rate of each level of memory."""
    best: dict[str, float] = {}
    for rate in roofline.rates:
        best[rate.level] = max(best.get(rate.level, 0.0), rate.best)
    return [(f"{level} {rate:.0f} GB/s", rate) for level, rate in best.items()]


def _radius(row: Row) -> float:
    return 4 + 40 * min(row.share, 0.25) ** 0.5 / 1.6


def _entry(row: Row) -> str:
    name = row.source or row.name
    short = name if len(name) <= LABEL else "…" + name[-LABEL + 1 :]
    return f"{row.op} {short}"


def _figures(row: Row) -> str:
    return f"{row.share:.1%} of the time, {row.of_roofline:.0%} of the roofline ({_limit(row)})"


def _limit(row: Row) -> str:
    return row.level if row.bound == "memory" else row.unit


def svg(roofline: Roofline) -> str:
    """The chart as a self-contained SVG document."""
    axes = _Axes(*limits(roofline))
    rows = drawn(roofline)
    left_out = len(roofline.rows) - len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>Roofline of {escape(roofline.name)}</title><style>{_STYLE}</style>",
        f'<text class="h" x="{LEFT}" y="26">{escape(_title(roofline))}</text>',
        f'<text class="s" x="{LEFT}" y="44">{escape(_subtitle(roofline, left_out))}</text>',
        *_grid(axes),
        *_roof(axes, roofline),
    ]
    for row in reversed(rows):  # small ones on top
        colour = COLOURS.get(row.op, OTHER)
        x, y = axes.x(row.intensity), axes.y(max(row.gflops, axes.low[1]))
        parts.append(
            f'<circle class="d" cx="{x:.1f}" cy="{y:.1f}" r="{_radius(row):.1f}" fill="{colour}" '
            f'stroke="{colour}"><title>{escape(f"{_entry(row)}: {_figures(row)}")}</title></circle>'
        )
    taken: list[tuple[float, float]] = []
    for number, row in enumerate(rows[:NAMED], start=1):
        x, y = axes.x(row.intensity), axes.y(max(row.gflops, axes.low[1]))
        place = _free(x, y + 3.5, taken)
        taken.append(place)
        parts.append(f'<text class="n m" x="{place[0]:.1f}" y="{place[1]:.1f}">{number}</text>')
        at = TOP + 6 + 31 * (number - 1)
        colour = COLOURS.get(row.op, OTHER)
        parts.append(f'<circle cx="{RIGHT + 34}" cy="{at - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text class="n e" x="{RIGHT + 24}" y="{at}">{number}</text>')
        parts.append(f'<text x="{RIGHT + 46}" y="{at}">{escape(_entry(row))}</text>')
        parts.append(f'<text class="s" x="{RIGHT + 46}" y="{at + 14}">{_figures(row)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _title(roofline: Roofline) -> str:
    return (
        f"{roofline.name}: {roofline.ms:.2f} ms in {len(roofline.rows)} kernels, "
        f"{roofline.of_roofline:.0%} of the roofline"
    )


def _subtitle(roofline: Roofline, left_out: int) -> str:
    more = f"; without arithmetic and so not drawn: {left_out}" if left_out else ""
    return (
        f"{roofline.simd} SIMD, one thread, Chromium; a dot is a kernel, its area the share of "
        f"time; dashed: half of the roofline{more}"
    )


def _decades(low: float, high: float) -> list[float]:
    count = round(log10(high / low))
    return [low * 10**i for i in range(count + 1)]


def _grid(axes: _Axes) -> list[str]:
    parts = []
    for value in _decades(axes.low[0], axes.high[0]):
        x = axes.x(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/>')
        parts.append(f'<text class="m" x="{x:.1f}" y="{BOTTOM + 18}">{value:g}</text>')
    for value in _decades(axes.low[1], axes.high[1]):
        y = axes.y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>')
        parts.append(f'<text class="e" x="{LEFT - 8}" y="{y + 4:.1f}">{value:g}</text>')
    middle = (LEFT + RIGHT) / 2
    parts.append(
        f'<text class="m" x="{middle}" y="{BOTTOM + 40}">arithmetic intensity, FLOP per byte</text>'
    )
    upright = (TOP + BOTTOM) / 2
    parts.append(
        f'<text class="m" x="18" y="{upright}" transform="rotate(-90 18 {upright})">GFLOP/s</text>'
    )
    return parts


def _roof(axes: _Axes, roofline: Roofline) -> list[str]:
    """A flat line per unit, a slope per level of memory, and half of the flat lines."""
    peaks, slopes = roofline.peaks, lines(roofline)
    parts = []
    for _, rate in slopes:
        ridge = max(peaks.values()) / rate
        start = max(axes.low[0], axes.low[1] / rate)
        begin = f"M{axes.x(start):.1f} {axes.y(start * rate):.1f}"
        end = f"L{axes.x(ridge):.1f} {axes.y(ridge * rate):.1f}"
        parts.append(f'<path class="roof" d="{begin}{end}"/>')
    steepest = max(rate for _, rate in slopes)
    for unit, peak in peaks.items():
        left, y, half = axes.x(peak / steepest), axes.y(peak), axes.y(peak / 2)
        parts.append(f'<path class="roof" d="M{left:.1f} {y:.1f}H{RIGHT}"/>')
        parts.append(f'<path class="roof half" d="M{left:.1f} {half:.1f}H{RIGHT}"/>')
        label = f"{peak:.1f} GFLOP/s of multiply-adds of {unit}"
        parts.append(f'<text class="s e" x="{RIGHT - 4}" y="{y - 6:.1f}">{label}</text>')
    for index, line in enumerate(reversed(_slopes(slopes))):
        at = BOTTOM - 10 - 15 * index
        parts.append(f'<text class="s e" x="{RIGHT - 8}" y="{at}">{escape(line)}</text>')
    return parts


def _slopes(slopes: Sequence[tuple[str, float]]) -> list[str]:
    return ["slopes, the upper one first:", *(name for name, _ in slopes)]


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A place near (x, y) for a number of two digits that covers no other."""
    for ring in range(0, 12):
        for dx, dy in ((0, -1), (1, 0), (0, 1), (-1, 0)):
            place = (x + dx * ring * 14, y + dy * ring * 11)
            if all(abs(place[0] - a) >= 13 or abs(place[1] - b) >= 10 for a, b in taken):
                return place
    return x, y


def png(roofline: Roofline) -> bytes:
    """The chart as a PNG file, through matplotlib.

    Raises:
        FanlightError: E-CLI-005 if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise FanlightError(
            "E-CLI-005",
            "Drawing a PNG needs matplotlib.",
            expected="the package matplotlib",
            received=str(problem),
            next="pip install 'fanlight[plots]', or name a file that ends in .svg.",
        ) from problem
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = drawn(roofline)
    (x0, y0), (x1, y1) = limits(roofline)
    peaks, slopes = roofline.peaks, lines(roofline)
    top, steepest = max(peaks.values()), max(rate for _, rate in slopes)
    for _, rate in slopes:
        start = max(x0, y0 / rate)
        axes.plot([start, top / rate], [start * rate, top], color="#555", lw=1.2)
    for peak in peaks.values():
        axes.plot([peak / steepest, x1], [peak, peak], color="#555", lw=1.2)
        axes.plot([peak / steepest, x1], [peak / 2, peak / 2], color="#999", lw=0.8, ls="--")
    named = [f"{peak:.1f} GFLOP/s of {unit}" for unit, peak in peaks.items()]
    slopes_text = "\n".join([*named, *_slopes(slopes)])
    axes.text(
        0.98, 0.02, slopes_text, transform=axes.transAxes, fontsize=7, ha="right", va="bottom"
    )
    for row in rows:
        axes.scatter(
            [row.intensity],
            [max(row.gflops, y0)],
            s=(1.6 * _radius(row)) ** 2,
            color=COLOURS.get(row.op, OTHER),
            alpha=0.6,
        )
    for number, row in enumerate(rows[:NAMED], start=1):
        place = (row.intensity, max(row.gflops, y0))
        axes.annotate(str(number), place, fontsize=7, ha="center", va="center")
    key = [f"{n}  {_entry(r)}\n     {_figures(r)}" for n, r in enumerate(rows[:NAMED], start=1)]
    axes.set(xscale="log", yscale="log", xlim=(x0, x1), ylim=(y0, y1))
    axes.set_xlabel("arithmetic intensity, FLOP per byte")
    axes.set_ylabel("GFLOP/s")
    subtitle = _subtitle(roofline, len(roofline.rows) - len(rows))
    axes.set_title(f"{_title(roofline)}\n{subtitle}", fontsize=8, loc="left")
    axes.grid(alpha=0.2)
    axes.text(1.02, 1, "\n".join(key), transform=axes.transAxes, fontsize=6.5, va="top")
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


# file ending -> what draws it
FORMATS: dict[str, Callable[[Roofline], Any]] = {".svg": svg, ".png": png}
