"""The rows as an SVG of bars: one file that reads in light and dark, on a page or alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from bench.peers.engines import OURS

WIDTH, LEFT, RIGHT = 760, 236, 96  # px: the whole, the names, the figures after the longest bar
BAR, STEP, HEAD = 16, 26, 40  # px: a bar's height, the distance of bars, a group's heading
TOP, FOOT = 62, 40
CUT = 12.0  # a bar ends at this many times the fastest peer's; what is longer is marked as cut

STYLE = """
  svg { color-scheme: light dark; font: 13px system-ui, sans-serif; }
  .paper { fill: #fffdf8; } .ink { fill: #221e17; } .soft { fill: #6a6353; }
  .peer { fill: #b9b09c; } .ours { fill: #d9761a; } .grid { stroke: #e2dccf; }
  .spread { stroke: #221e17; } .title { font-size: 16px; font-weight: 600; }
  .group { font-weight: 600; } .end { text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #181612; } .ink { fill: #f2ede2; } .soft { fill: #b0a793; }
    .peer { fill: #6f6757; } .ours { fill: #f3a94c; } .grid { stroke: #39342b; }
    .spread { stroke: #f2ede2; }
  }
"""


def chart(rows: Sequence[dict[str, Any]], note: str) -> str:
    """Median milliseconds as bars, with their quartiles; a group per network and threads.

    An engine that could not run has a line that says why. Each group has its own scale.
    """
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["threads"]), []).append(row)
    parts: list[str] = []
    y = TOP
    for (network, threads), members in groups.items():
        y += HEAD
        plural = "thread" if threads == 1 else "threads"
        parts.append(_text(16, y - 14, f"{network}, {threads} {plural}", "ink group"))
        parts += _group(members, y)
        y += STEP * len(members)
    height = y + FOOT
    title = "Milliseconds per answer, less is better"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{title}</title>\n<desc id="desc">{escape(_words(rows))}</desc>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>\n'
    )
    parts.insert(0, _text(16, 32, title, "ink title"))
    parts.insert(1, _text(16, 54, "median of the rounds; the line spans the quartiles", "soft"))
    parts.append(_text(16, height - 16, note, "soft"))
    return head + "\n".join(parts) + "\n</svg>\n"


def _group(rows: Sequence[dict[str, Any]], y: int) -> list[str]:
    ran = sorted((r for r in rows if r["failure"] is None), key=lambda r: r["median_ms"])
    failed = [r for r in rows if r["failure"] is not None]
    room = WIDTH - LEFT - RIGHT
    peers = [r["median_ms"] for r in ran if r["engine"] != OURS]
    longest = max((r["median_ms"] for r in ran), default=1.0)
    scale = room / min(longest, CUT * min(peers, default=longest))
    parts = []
    for row in [*ran, *failed]:
        middle = y + BAR // 2
        parts.append(_text(LEFT - 10, middle + 5, f"{row['name']} {row['precision']}", "ink end"))
        if row["failure"] is not None:
            parts.append(_text(LEFT, middle + 5, "did not run: " + _short(row["failure"]), "soft"))
        else:
            parts += _bar(row, y, min(row["median_ms"] * scale, room), scale, room)
        y += STEP
    return parts


def _bar(row: dict[str, Any], y: int, length: float, scale: float, room: float) -> list[str]:
    kind = "ours" if row["engine"] == OURS else "peer"
    middle = y + BAR // 2
    ordered = sorted(row["rounds_ms"])
    low, high = ordered[len(ordered) // 4] * scale, ordered[3 * len(ordered) // 4] * scale
    parts = [
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>',
    ]
    if high <= room:
        parts.append(
            f'<path class="spread" d="M{LEFT + low:.1f} {middle}H{LEFT + high:.1f}" '
            'fill="none" stroke-width="1.5"/>'
        )
    cut = row["median_ms"] * scale > room + 1
    if cut:
        x = LEFT + length - 16
        parts.append(f'<path class="paper" d="M{x:.0f} {y - 1}l6 0l-5 {BAR + 2}l-6 0z"/>')
    label = f"{row['median_ms']:g} ms"
    end = LEFT + max(length, high if high <= room else length)
    parts.append(_text(end + 8, middle + 5, label, "ink"))
    return parts


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= 62 else text[:60].rstrip() + " …"


def _words(rows: Sequence[dict[str, Any]]) -> str:
    """The chart for those who do not see it."""
    said = []
    for row in rows:
        who = f"{row['name']} {row['precision']} on {row['threads']} for {row['network']}"
        said.append(f"{who}: " + (row["failure"] or f"{row['median_ms']:g} ms"))
    return "; ".join(said)
