"""How training is shown: a bar with what is left, and the numbers so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fanlight.layers.callback import Callback, CallbackList, Logs


def _number(value: Any) -> str:
    if getattr(value, "ndim", 0):  # a number per class is shown, a matrix is not
        few = value.ndim == 1 and value.size <= 10
        each = " ".join(_number(float(v)) for v in value) if few else ""
        return f"[{each or ' x '.join(map(str, value.shape))}]"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) >= 1e-3 or not value else f"{value:.3e}"


def _parts(logs: Logs | None) -> list[str]:
    return [f"{name} {_number(value)}" for name, value in (logs or {}).items()]


def described(logs: Logs | None) -> str:
    """Losses and metrics in one line."""
    return "  ".join(_parts(logs))


def folded(parts: Sequence[str], width: int) -> str:
    """Parts in lines of a width: a name and its number stay together."""
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + 2 + len(part) > width:
            lines.append(f"    {part}")
        else:
            lines[-1] += f"  {part}" if lines[-1] else part
    return "\n".join(lines)


class _Fitting:
    """As many of the parts, from the first one on, as there is room for in a line."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = parts

    def __rich_measure__(self, console: Any, options: Any) -> Any:
        from rich.measure import Measurement

        return Measurement(1, min(options.max_width, max(1, len("  ".join(self.parts)))))

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        count = len(self.parts)
        while count and len("  ".join(self.parts[:count])) > options.max_width:
            count -= 1
        yield Text("  ".join(self.parts[:count]), no_wrap=True)


def bar_of(console: Any) -> Any:
    """A bar of rich: what is done, how much of it, the time that is left, and losses.

    Losses and metrics take what is left of the line: those that find no room are not shown.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    class Numbers(ProgressColumn):
        def render(self, task: Any) -> Any:
            return _Fitting(task.fields["logs"])

    def whole() -> Column:
        return Column(no_wrap=True)

    return Progress(
        TextColumn("{task.description}", table_column=whole()),
        BarColumn(bar_width=24, table_column=Column(no_wrap=True, min_width=24)),
        MofNCompleteColumn(table_column=whole()),
        TimeRemainingColumn(compact=True, table_column=whole()),
        Numbers(table_column=Column(no_wrap=False)),
        console=console,
        transient=True,
        auto_refresh=False,
    )


class Lines(Callback):
    """A line per epoch: where the output is no terminal, or verbose is 2."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        spent = time.perf_counter() - self._start
        of = self.params.get("epochs")
        print(f"epoch {epoch + 1}/{of}  {spent:.1f} s  {described(logs)}", flush=True)


class Bar(Callback):
    """A bar for the epoch that runs, with the time that is left, and a line for each before."""

    _progress: Any = None

    def _begin(self) -> None:
        from rich.console import Console

        self._console = Console()
        self._progress = bar_of(self._console)
        self._progress.start()
        self._task: Any = None
        self._shown = 0.0

    def _task_begins(self, name: str) -> None:
        self._name, self._start = name, time.perf_counter()
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=self.params.get("steps"), logs=[])
        self._progress.refresh()

    def _batch_ended(self, batch: int, logs: Logs | None) -> None:
        now = time.perf_counter()
        if now - self._shown > 0.1:  # drawing takes longer than a small step
            self._shown = now
            self._progress.update(self._task, completed=batch + 1, logs=_parts(logs))
            self._progress.refresh()

    def _task_ended(self, logs: Logs | None) -> None:
        spent = time.perf_counter() - self._start
        line = folded([self._name, f"{spent:.1f} s", *_parts(logs)], self._console.width)
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._task_begins(f"epoch {epoch + 1}/{self.params.get('epochs')}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_ended(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._task_ended(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.stop()

    on_train_break = on_train_end


class PassBar(Bar):
    """The bar of `evaluate` and `predict`: of one pass over the data."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._begin()
        self._task_begins("evaluate")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_ended(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._progress.stop()
        self._task_ended(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()
        self._task_begins("predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_ended(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._progress.stop()
        self._task_ended(None)


class PassLine(Callback):
    """A line when `evaluate` or `predict` has ended."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()

    on_predict_begin = on_test_begin

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._ended("evaluate", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._ended("predict", None)

    def _ended(self, what: str, logs: Logs | None) -> None:
        spent = time.perf_counter() - self._start
        print("  ".join([what, f"{spent:.1f} s", *_parts(logs)]), flush=True)


@contextmanager
def broken_off(told: CallbackList) -> Iterator[None]:
    """Where an error ends a pass, its bar goes away."""
    try:
        yield
    except BaseException:
        for part in told.parts:
            if isinstance(part, PassBar):
                part.on_train_break()
        raise


def shown(verbose: Any) -> list[Callback]:
    """The callback that shows training: 0 none, 1 a bar, 2 lines, "auto" what fits the output."""
    if verbose in (0, False):
        return []
    if verbose == 2 or not sys.stdout.isatty():
        return [Lines()]
    return [Bar()]


def pass_shown(verbose: Any) -> list[Callback]:
    """The callback that shows evaluate and predict: as `shown`; "auto" only in a terminal."""
    terminal = sys.stdout.isatty()
    if verbose in (0, False) or (verbose == "auto" and not terminal):
        return []
    return [PassBar()] if terminal and verbose != 2 else [PassLine()]
