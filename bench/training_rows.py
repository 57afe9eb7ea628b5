"""Rows of the table about training."""

from __future__ import annotations

from typing import Any


def row(
    what: str,
    ours: float,
    beside: str,
    theirs: float | None,
    goal: float,
    *,
    times: float | None = None,
    most: bool = False,
) -> dict[str, Any]:
    """A figure of ours beside another.

    Args:
        times: what is judged; else theirs over ours.
        most: whether the goal is the most that it may be, not the least.
    """
    if times is None and theirs is not None:
        times = theirs / ours
    met = None if times is None else (times <= goal if most else times >= goal)
    return {
        "what": what,
        "ours": round(ours, 3),
        "beside": beside,
        "theirs": None if theirs is None else round(theirs, 3),
        "times": None if times is None else round(times, 3),
        "goal": f"{goal:g} or {'less' if most else 'more'}",
        "ok": met,
    }
