"""Callbacks that watch a loss or a metric: stop, save, slow down."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.layers.callback import Callback, Logs
from fanlight.tensor.caller import caller


def wrong(callback: Callback, argument: str, expected: str, received: Any) -> FanlightError:
    """E-LAYER-004 of an argument of a callback."""
    return FanlightError(
        "E-LAYER-004",
        f"{type(callback).__name__} does not take this {argument}.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=received if isinstance(received, str) else repr(received)[:200],
    )


class Monitor(Callback):
    """A callback that compares a number of the logs with the best one so far.

    Args:
        monitor: its name in the logs: "val_loss", "accuracy".
        mode: "min", "max", or "auto": what is better follows from the metric.
        min_delta: an improvement is larger than this.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise wrong(self, "mode", "auto, min or max", mode)
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.best: float | None = None
        self._sign: int | None = {"min": -1, "max": 1}.get(mode)

    def improves(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best one so far."""
        if best is None:
            return value == value
        if self._sign is None:
            self._sign = self._direction()
        return self._sign * (value - best) > self.min_delta

    def _direction(self) -> int:
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return -1
        objective = getattr(self.model, "_objective", None)
        for metric in objective.every() if objective is not None else ():
            if metric.name == name and metric.direction is not None:
                return 1 if metric.direction == "up" else -1
        raise wrong(self, "mode", f'"min" or "max": which {self.monitor} is better?', self.mode)

    def found(self, logs: Logs | None) -> float | None:
        """The number in the logs; None in an epoch without validation.

        Raises:
            FanlightError: E-LAYER-004 there is none of this name, or it is no single number.
        """
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            validated = any(name.startswith("val_") for name in logs)
            awaited = self.params.get("validation") and self.monitor.startswith("val_")
            if awaited and not validated:
                return None
            raise wrong(self, "monitor", ", ".join(logs) or "a name of the logs", self.monitor)
        if np.ndim(value):
            shape = list(np.shape(value))
            raise wrong(self, "monitor", "a single number", f"{self.monitor}, shape {shape}")
        return float(value)


class EarlyStopping(Monitor):
    """Stop training when a number has not become better for some epochs.

    Args:
        patience: how many epochs it waits.
        baseline: the number has to become better than this, too, or training stops.
        restore_best_weights: put the weights of the best epoch back at the end.
        start_from_epoch: epochs before it do not count.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._begin()

    def _begin(self) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = None
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self.found(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)
        self.wait += 1
        if self.improves(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep(epoch)
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_weights, self.best_epoch = self.model.get_weights(), epoch

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"the weights of epoch {self.best_epoch + 1}, the best one, are put back")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(Monitor):
    """Save the model, or its weights, as training goes on.

    Args:
        filepath: may have names of the logs in it: "best/{epoch:02d}-{val_loss:.2f}.keras";
            its folder is made. An existing file is replaced.
        save_best_only: only when the number has become better.
        save_weights_only: by `model.save_weights` instead of `model.save`.
        save_freq: "epoch", or after so many batches.
        initial_value_threshold: what the first one has to be better than.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise wrong(self, "save_freq", '"epoch" or a number of batches', save_freq)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq, self.best = save_freq, initial_value_threshold
        self._seen, self._epoch = 0, 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not isinstance(self.save_freq, int):  # "epoch"
            return
        self._seen += 1
        if self._seen >= self.save_freq:
            self._seen = 0
            self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            current = self.found(logs)
            if current is None or not self.improves(current, self.best):
                if self.verbose and current is not None:
                    print(f"epoch {self._epoch + 1}: {self.monitor} {current:.5f} is no better")
                return
            self.best = current
        path = self._path(logs)
        if os.path.isdir(path):
            raise wrong(self, "filepath", "a file", f"{path}, which is a folder")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose:
            print(f"epoch {self._epoch + 1}: saved {path}")

    def _path(self, logs: Logs) -> str:
        names = {"epoch": self._epoch + 1, **logs}
        try:
            return self.filepath.format(**names)
        except (KeyError, ValueError, IndexError, TypeError):
            expected = "names among " + ", ".join(f"{{{name}}}" for name in names)
            raise wrong(self, "filepath", expected, self.filepath) from None


class ReduceLROnPlateau(Monitor):
    """Lower the learning rate when a number has not become better for some epochs.

    Args:
        factor: what the rate is multiplied by.
        patience: how many epochs it waits.
        cooldown: how many epochs after that it does not count.
        min_lr: the rate gets no lower.
        options: epsilon, as Keras 2 calls min_delta.

    Raises:
        FanlightError: E-LAYER-004, when training begins, of an optimizer with a schedule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **options: Any,
    ) -> None:
        if "epsilon" in options:
            told = "epsilon of ReduceLROnPlateau is called min_delta, as in Keras 3"
            warnings.warn(told, stacklevel=3)  # of the caller: __init__ is wrapped
            min_delta = options.pop("epsilon")
        if options:
            raise wrong(self, "argument", "those of its signature", ", ".join(sorted(options)))
        super().__init__(monitor, mode, min_delta)
        if not 0 < factor < 1:
            raise wrong(self, "factor", "a number between 0 and 1", factor)
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait, self.cooldown_counter = 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.model.optimizer.refuse_rate("the rate that ReduceLROnPlateau lowers")
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rate = rate_of(self.model)
        if logs is not None:
            logs["learning_rate"] = rate
        current = self.found(logs)
        if current is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best, self.wait = current, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and rate > np.float32(self.min_lr):
                new = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = new
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"epoch {epoch + 1}: the learning rate becomes {new:.3g}")


def rate_of(model: Any) -> float:
    """The learning rate of now."""
    return float(model.optimizer.learning_rate.item())


class LearningRateScheduler(Callback):
    """The learning rate of each epoch by a function.

    Args:
        schedule: schedule(epoch) or schedule(epoch, rate) gives the rate; epochs count from 0.

    Raises:
        FanlightError: E-LAYER-004, when training begins, of an optimizer with a schedule.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise wrong(self, "schedule", "a function of the epoch", schedule)
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.model.optimizer.refuse_rate("the rate of LearningRateScheduler")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        given = (epoch, rate_of(self.model)) if self._takes_rate else (epoch,)
        rate = self.schedule(*given)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"epoch {epoch + 1}: the learning rate is {rate_of(self.model):.3g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = rate_of(self.model)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except (TypeError, ValueError):
        return False
    return True


class TerminateOnNaN(Callback):
    """Stop training without an error when the loss is not finite any more.

    Args:
        raise_error: stop with the error E-TRAIN-003, as without this callback.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error, self.takes_nan = raise_error, not raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            print(f"batch {batch + 1}: the loss is {loss}; training stops")
            self.model.stop_training = True


__all__ = [
    "EarlyStopping",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "Monitor",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
