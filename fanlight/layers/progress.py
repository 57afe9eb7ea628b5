"""How training is shown: a bar with what is left, and the numbers so far."""

from __future__ import annotations

import sys
import time
from typing import Any

from fanlight.layers.callback import Callback, Logs


def _number(value: Any) -> str:
    if getattr(value, "ndim", 0):  # a number per class is shown, a matrix is not
        few = value.ndim == 1 and value.size <= 10
        each = " ".join(_number(float(v)) for v in value) if few else ""
        return f"[{each or ' x '.join(map(str, value.shape))}]"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) >= 1e-3 or not value else f"{value:.3e}"


def described(logs: Logs) -> str:
    """Losses and metrics in one line."""
    return "  ".join(f"{name} {_number(value)}" for name, value in logs.items())


class Lines(Callback):
    """A line per epoch: where the output is no terminal, or verbose is 2."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        spent = time.perf_counter() - self._start
        of = self.params.get("epochs")
        print(f"epoch {epoch + 1}/{of}  {spent:.1f} s  {described(logs or {})}", flush=True)


class Bar(Callback):
    """A bar for the epoch that runs, with the time that is left, and a line for each before."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._console = Console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[logs]}"),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )
        self._progress.start()
        self._task: Any = None
        self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = time.perf_counter()
        if self._task is not None:
            self._progress.remove_task(self._task)
        name = f"epoch {epoch + 1}/{self.params.get('epochs')}"
        self._task = self._progress.add_task(name, total=self.params.get("steps"), logs="")
        self._progress.refresh()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        if now - self._shown > 0.1:  # drawing takes longer than a small step
            self._shown = now
            self._progress.update(self._task, completed=batch + 1, logs=described(logs or {}))
            self._progress.refresh()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        spent = time.perf_counter() - self._start
        of = self.params.get("epochs")
        self._console.print(
            f"epoch {epoch + 1}/{of}  {spent:.1f} s  {described(logs or {})}", highlight=False
        )

    _progress: Any = None

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.stop()

    on_train_break = on_train_end


def shown(verbose: Any) -> list[Callback]:
    """The callback that shows training: 0 none, 1 a bar, 2 lines, "auto" what fits the output."""
    if verbose in (0, False):
        return []
    if verbose == 2 or not sys.stdout.isatty():
        return [Lines()]
    return [Bar()]
