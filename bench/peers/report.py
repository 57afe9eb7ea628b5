"""What came out: rows of plain data, a Markdown table of them, and the files that `--out` names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.peers.chart import chart
from bench.peers.engines import NAMES, OURS, version
from bench.peers.measure import Lane, ratio, spread


def rows_of(network: str, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """A row per lane, in the lanes' order.

    `ratio` is that engine's time over ours, round by round (its median and quartiles): over ours at
    the same precision and threads, else over the nearest of ours that ran, which `beside` names.
    `cold_ratio` likewise, visit by visit. `difference` is the largest one from our own f32 answer,
    relative to its largest value, where the weights are the same.
    """
    reference = next((x for x in lanes if x.entry.engine == OURS and x.output is not None), None)
    return [_row(network, lane, lanes, reference) for lane in lanes]


def _row(network: str, lane: Lane, lanes: Sequence[Lane], reference: Lane | None) -> dict[str, Any]:
    entry = lane.entry
    row: dict[str, Any] = {
        "network": network,
        "engine": entry.engine,
        "name": NAMES[entry.engine],
        "version": version(entry.engine),
        "precision": entry.precision,
        "threads": entry.threads,
        "same_weights": entry.same_weights,
        "failure": lane.problem,
        "info": lane.info,
    }
    if lane.problem is not None:
        return row
    row |= {
        "median_ms": round(lane.median, 2),
        "min_ms": round(min(lane.rounds), 2),
        "rounds_ms": [round(ms, 3) for ms in lane.rounds],
    }
    ours = _beside(lane, lanes)
    if ours is not None:
        middle, low, high = ratio(lane, ours)
        row |= {
            "beside": f"{ours.entry.precision}, {ours.entry.threads}",
            "ratio": round(middle, 2),
            "ratio_spread": [round(low, 2), round(high, 2)],
        }
    if lane.cold:
        middle, low, high = spread(lane.cold)
        row |= {"cold_ms": round(middle, 1), "cold_spread": [round(low, 1), round(high, 1)]}
        if ours is not None and ours.cold:
            pairs = [a / b for a, b in zip(lane.cold, ours.cold, strict=False)]
            row["cold_ratio"] = round(spread(pairs)[0], 2)
    if lane.download is not None:
        row["download_bytes"] = lane.download
    if lane.memory is not None:
        row["memory_bytes"] = round(lane.memory)
    if entry.same_weights and reference is not None:
        row["difference"] = _difference(lane, reference)
    return row


def _beside(lane: Lane, lanes: Sequence[Lane]) -> Lane | None:
    """The lane of ours that this one is compared with."""
    ours = [x for x in lanes if x.entry.engine == OURS and x.problem is None and x.rounds]

    def nearness(x: Lane) -> tuple[bool, bool]:
        e = x.entry
        return (e.precision == lane.entry.precision, e.threads == lane.entry.threads)

    return max(ours, key=nearness, default=None)


def _difference(lane: Lane, reference: Lane) -> float | None:
    a, b = lane.output, reference.output
    if a is None or b is None or a.shape != b.shape:
        return None
    return float(f"{np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12):.2g}")


COLUMNS = (
    "network", "engine", "precision", "threads", "median ms", "min ms", "times ours", "quartiles",
    "cold ms", "download MB", "memory MiB", "difference", "note",
)  # fmt: skip


def table_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the columns that people read, short."""
    note = row["failure"] or ("" if row["same_weights"] else "other weights, the same shapes")
    beside = row.get("beside")
    if beside and beside != f"{row['precision']}, {row['threads']}":
        note = f"{note}; " * bool(note) + f"beside ours {beside}"
    scaled = {"download_bytes": 1e6, "memory_bytes": 1 << 20}
    short = {k: round(row[k] / by, 1) for k, by in scaled.items() if k in row}
    low_high = row.get("ratio_spread")
    return {
        "network": row["network"],
        "engine": f"{row['name']} {row['version']}",
        "precision": row["precision"],
        "threads": row["threads"],
        "median ms": row.get("median_ms"),
        "min ms": row.get("min_ms"),
        "times ours": row.get("ratio"),
        "quartiles": None if low_high is None else f"{low_high[0]} to {low_high[1]}",
        "cold ms": row.get("cold_ms"),
        "download MB": short.get("download_bytes"),
        "memory MiB": short.get("memory_bytes"),
        "difference": row.get("difference"),
        "note": note,
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for row in map(table_row, rows):
        cells = ("" if row[c] is None else str(row[c]) for c in COLUMNS)
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"


def text_of(report: dict[str, Any], suffix: str) -> str:
    """A report (`rows`, and what is known of the machine) as JSON, Markdown or SVG."""
    heading = f"{report['machine']}, {report['rounds']} rounds"
    if suffix == ".json":
        return json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    if suffix == ".md":
        return f"{heading}\n\n{markdown(report['rows'])}"
    return chart(report["rows"], heading)
