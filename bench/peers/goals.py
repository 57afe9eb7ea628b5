"""The figures to reach, as ratios between two lanes of one network, and whether they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers.engines import NAMES, OURS
from bench.peers.measure import Lane, ratio

Key = tuple[str, str, int]  # engine, precision, threads
V1, V2, SMALL = "mobilenet_v1_1.0_224", "mobilenet_v2_1.0_224", "mobilenet_v1_0.25_224"


@dataclass(frozen=True)
class Goal:
    """`fast` is to be `times` faster than `slow` on a network."""

    network: str
    fast: Key
    slow: Key
    times: float


GOALS = (
    Goal(V1, (OURS, "int8", 1), ("tfjs", "f32", 1), 5.0),
    Goal(V1, (OURS, "int8", 1), (OURS, "f32", 1), 3.5),
    Goal(V2, (OURS, "int8", 1), ("litert", "int8", 1), 1.5),
    Goal(V2, (OURS, "int8", 1), ("ort", "int8", 1), 3.0),
    *(Goal(n, (OURS, "f32", 1), ("tfjs", "f32", 1), 1.2) for n in (V1, V2, SMALL)),
    *(Goal(n, (OURS, "f32", 1), ("ort", "f32", 1), 1.7) for n in (V1, V2, SMALL)),
    *(Goal(n, (OURS, "f32", 1), (p, "f32", 1), 1.2) for p in ("litert", "jaxjs") for n in (V1, V2)),
    *(Goal(n, (OURS, "f32", 2), (OURS, "f32", 1), 1.85) for n in (V1, V2)),
    *(Goal(n, (OURS, "int8", 2), (OURS, "int8", 1), 1.75) for n in (V1, V2)),
    Goal(V1, (OURS, "f32", 2), ("litert", "f32", 2), 1.0),
)


def judge(network: str, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """One row per goal of the network: the ratio, its quartiles, the goal and the verdict.

    A goal whose lanes were not asked for is left out; one whose lane could not run says why, and
    counts as missed.
    """
    by_key = {(x.entry.engine, x.entry.precision, x.entry.threads): x for x in lanes}
    rows = []
    for goal in GOALS:
        if goal.network != network or goal.slow not in by_key or goal.fast not in by_key:
            continue
        slow, fast = by_key[goal.slow], by_key[goal.fast]
        row: dict[str, Any] = {
            "network": network,
            "figure": f"{_name(goal.fast)} over {_name(goal.slow)}",
        }
        problem = slow.problem or fast.problem
        if problem is None:
            middle, low, high = ratio(slow, fast)
            row |= {"ratio": round(middle, 2), "ratio_spread": [round(low, 2), round(high, 2)]}
        else:
            row |= {"ratio": None, "ratio_spread": None}
        row |= {"goal": goal.times, "note": problem or ""}
        row["ok"] = problem is None and row["ratio"] >= goal.times
        rows.append(row)
    return rows


def _name(key: Key) -> str:
    engine, precision, threads = key
    return f"{NAMES[engine]} {precision}" + (f", {threads} threads" if threads > 1 else "")
