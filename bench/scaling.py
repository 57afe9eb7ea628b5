"""How time grows with the picture and with the batch: one thread, one Chromium, sizes in turn.

The picture: PoseNet (a published MobileNet v1 0.5 that takes any size) built for each size. The
batch: the published MobileNet v1 0.25 on batches; the runtime computes item by item. What counts is
the time per pixel or per item beside the least that any smaller one takes.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

import fanlight as fl
from bench.lab import HERE, Engine, chromium, install_peers, open_page, serve
from bench.networks import MODELS
from bench.parity import packed

GOAL = 1.15
SIDES = (97, 129, 161, 193, 225, 257, 321, 385, 449)  # its layers like multiples of 16, and 1
BATCHES = (1, 2, 4, 8, 16, 32)
ROUNDS = 30
SIDES_MODEL, BATCH_MODEL = "posenet-mobilenet-quant2-050", "mobilenet-v1-0.25-layers-mitcml"
WIDTH, HEIGHT, MARGIN = 440, 260, 56


def measure(out: Path | None = None, *, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Rows for all sizes and batches; with `out`, the chart goes to `out`/scaling.svg."""
    install_peers()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for side in SIDES:
            model = fl.load(MODELS / SIDES_MODEL, size=side)
            fl.build(model, folder / f"side{side}", name=f"side {side}").close()
        fl.build(fl.load(MODELS / BATCH_MODEL), folder / "batch").close()
        mounts = {"pages": HERE / "pages", "peers": HERE / "node_modules", "work": folder}
        with serve(mounts) as base, chromium() as browser:
            rows = [
                *_rows("side", SIDES, _times(browser, base, SIDES, "side", rounds)),
                *_rows("batch", BATCHES, _times(browser, base, BATCHES, "batch", rounds)),
            ]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "scaling.svg").write_text(chart(rows))
    return rows


def _times(
    browser: Any, base: str, sizes: Sequence[int], what: str, rounds: int
) -> list[list[float]]:
    """Milliseconds per size, one figure per round: the median of three runs."""
    pages = []
    for size in sizes:
        bundle = f"/work/side{size}/" if what == "side" else "/work/batch/"
        page = open_page(browser, base, Engine(f"{what} {size}", "models", {"bundle": bundle}))
        shape = (1, size, size, 3) if what == "side" else (size, 224, 224, 3)
        x = np.random.default_rng(size).uniform(-1, 1, shape).astype(np.float32)
        name = page.evaluate("inputNames")[0]
        page.evaluate("(inputs) => setInputs(inputs)", {name: packed(x)})
        page.evaluate("turn(5)")
        pages.append(page)
    times: list[list[float]] = [[] for _ in sizes]
    for _ in range(rounds):
        for page, found in zip(pages, times, strict=True):
            page.bring_to_front()
            page.evaluate("turn(1)")
            found.append(statistics.median(page.evaluate("turn(3)")))
    for page in pages:
        page.context.close()
    return times


def _rows(what: str, sizes: Sequence[int], times: Sequence[list[float]]) -> list[dict[str, Any]]:
    """Time per unit (pixel or item), and how much more that is than for a smaller size."""
    rows: list[dict[str, Any]] = []
    units = [size * size if what == "side" else size for size in sizes]
    each = [[t / n for t in found] for found, n in zip(times, units, strict=True)]
    for i, size in enumerate(sizes):
        # Beside the smaller one that it compares worst with. The fastest rounds count: other work
        # interrupts a long run more often than a short one.
        rise = max(min(each[i]) / min(each[j]) for j in range(i + 1))
        rows.append(
            {
                "what": what,
                "size": size,
                "median_ms": round(statistics.median(times[i]), 3),
                "least_ms": round(min(times[i]), 3),
                "us_each": round(1e3 * min(each[i]), 5),
                "beside_smaller": round(rise, 3),
                "goal": GOAL,
                "ok": rise <= GOAL,
            }
        )
    return rows


def chart(rows: Sequence[dict[str, Any]]) -> str:
    """Two panels as SVG: time per pixel over the side, time per item over the batch."""
    panels = [
        _panel([r for r in rows if r["what"] == what], title, unit, index * WIDTH)
        for index, (what, title, unit) in enumerate(
            (
                ("side", f"{SIDES_MODEL}: nanoseconds per pixel", 1e3),
                ("batch", f"{BATCH_MODEL}: milliseconds per item", 1e-3),
            )
        )
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {2 * WIDTH} {HEIGHT}" role="img"><title>Scaling</title><style>'
        "svg { background: #fff; color: #1c1f24; font: 11px system-ui, sans-serif; }"
        "text { fill: currentColor; } .m { text-anchor: middle; } .e { text-anchor: end; }"
        ".g { stroke: currentColor; stroke-opacity: .15; }"
        ".l { fill: none; stroke: #2f6fde; stroke-width: 2; }"
        "@media (prefers-color-scheme: dark) { svg { background: #16181c; color: #e8eaee; } }"
        f"</style>{''.join(panels)}</svg>\n"
    )


def _panel(rows: Sequence[dict[str, Any]], title: str, unit: float, left: int) -> str:
    values = [r["us_each"] * unit for r in rows]
    top = max(values) * 1.15
    step = (WIDTH - 2 * MARGIN) / max(len(rows) - 1, 1)
    base = HEIGHT - 40

    def y(value: float) -> float:
        return base - (base - 44) * value / top

    parts = [f'<text class="m" x="{left + WIDTH / 2}" y="20">{escape(title)}</text>']
    for part in (0, 0.25, 0.5, 0.75, 1):
        at = y(part * top)
        parts.append(f'<path class="g" d="M{left + MARGIN} {at:.1f}H{left + WIDTH - MARGIN}"/>')
        parts.append(
            f'<text class="e" x="{left + MARGIN - 6}" y="{at + 4:.1f}">{part * top:.3g}</text>'
        )
    points = [(left + MARGIN + i * step, y(v)) for i, v in enumerate(values)]
    parts.append(f'<path class="l" d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in points)}"/>')
    for (x, at), row in zip(points, rows, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{at:.1f}" r="3.5" fill="#2f6fde"/>')
        parts.append(f'<text class="m" x="{x:.1f}" y="{base + 18}">{row["size"]}</text>')
    return "".join(parts)
