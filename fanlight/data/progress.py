"""A bar for what takes longer than a second, where somebody looks at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 1.0  # seconds without a bar


def tracked(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """The items, with a bar from the second second on."""
    if not sys.stderr.isatty():
        yield from items
        return
    start, bar, task = time.monotonic(), None, None
    shown = start
    try:
        for done, item in enumerate(items):
            now = time.monotonic()
            if now - start > PATIENCE and now - shown > 0.1:
                shown = now
                if bar is None:
                    bar, task = _bar(what, total)
                bar.update(task, completed=done)
                bar.refresh()
            yield item
    finally:
        if bar is not None:
            bar.stop()


def _bar(what: str, total: int | None) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    bar.start()
    return bar, bar.add_task(what, total=total)
