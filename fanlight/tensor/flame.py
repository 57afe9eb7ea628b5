"""The flame chart of a profile (Gregg 2016), drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError

_COLOURS = ("#f2a65a", "#f58549", "#eec170", "#d9843b", "#f7b267")
_OP = "#5b8e7d"
_LEAST = 0.004  # parts of the width that are too narrow to draw
_LABEL = 0.05  # ... and to write in


def draw(paths: Mapping[tuple[str, ...], float], whole: float, file: Path) -> None:
    """Write the chart. `paths`: from outside in -> ms; `whole`: ms of the width."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FanlightError(
            "E-TENSOR-011",
            "the flame chart is drawn with matplotlib, which is not installed.",
            where=str(file),
            next='pip install "fanlight[plots]", or print the profile for the table.',
        ) from None
    depth = max(map(len, paths), default=1)
    figure = Figure(figsize=(12, 0.8 + 0.32 * depth), layout="constrained")
    axes: Any = figure.add_subplot()
    _level(axes, paths, 0.0, 0, max(whole, sum(paths.values())))
    axes.set_xlim(0, max(whole, sum(paths.values()), 1e-9))
    axes.set_ylim(depth, 0)
    axes.set_yticks([])
    axes.set_xlabel("ms in ops (what is left free to the right: Python)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(file, dpi=150)


def _level(
    axes: Any, paths: Mapping[tuple[str, ...], float], left: float, depth: int, whole: float
) -> None:
    """The boxes of one depth from `left` on, and what lies below them."""
    groups: dict[str, dict[tuple[str, ...], float]] = {}
    for path, ms in paths.items():
        if path:
            groups.setdefault(path[0], {})[path[1:]] = ms
    for index, (name, inner) in enumerate(
        sorted(groups.items(), key=lambda g: -sum(g[1].values()))
    ):
        width = sum(inner.values())
        if width >= _LEAST * whole:
            op = () in inner
            colour = _OP if op else _COLOURS[(depth + index) % len(_COLOURS)]
            axes.add_patch(_box(left, depth, width, colour))
            if width >= _LABEL * whole:
                text = f"{name} {width:.2f}"
                axes.text(
                    left + width / 2,
                    depth + 0.5,
                    text,
                    ha="center",
                    va="center",
                    size=7,
                    clip_on=True,
                )
            _level(axes, {p: ms for p, ms in inner.items() if p}, left, depth + 1, whole)
        left += width


def _box(left: float, top: int, width: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, top + 0.04), width, 0.92, facecolor=colour, edgecolor="white", lw=0.5)
