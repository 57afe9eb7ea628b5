"""The base of callbacks: who is told what happens between the steps of training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fanlight.layers.checked import Checked

Logs = dict[str, Any]


class Callback(Checked):
    """Is told when an epoch or a batch begins and ends; override what you need.

    Attributes:
        model: the model that is trained.
        params: epochs, steps, verbose, and whether there is validation.
        takes_nan: whether it is told of a loss that is not finite; else that is E-TRAIN-003.
    """

    takes_nan = False

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Told before training begins."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Told before training begins."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Training begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Training has ended."""

    def on_train_break(self, logs: Logs | None = None) -> None:
        """Training has broken off by an error or Ctrl-C; it is not told of an end then."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch begins; they count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch has ended; logs has losses and metrics, those of validation with val_."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch begins."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch has ended; logs has the means of the epoch so far."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Validation or evaluation begins."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Validation or evaluation has ended."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of it begins."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of it has ended."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Prediction begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Prediction has ended."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of it begins."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of it has ended."""


class CallbackList:
    """Several callbacks as one, for a training loop of your own.

    It has the methods of a callback, and each tells all of them.

    Args:
        callbacks: some of them, or one.
        add_history: whether a `History` is among them, which becomes `model.history`.
        add_progbar: whether training is shown.
        model: what is trained.
        params: what callbacks know of the training: epochs=3, steps=10, verbose=1.
    """

    def __init__(
        self,
        callbacks: Callback | Sequence[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        self.parts: list[Callback] = given
        # Most override few of them: a batch that nobody wants to hear of costs nothing.
        self._heard: dict[str, list[Any]] = {}
        if add_progbar:
            from fanlight.layers.progress import shown

            self.parts += shown(params.get("verbose", "auto"))
        if add_history:
            history = History()
            self.parts.append(history)
            if model is not None:
                model.history = history
        self.set_params(params)
        self.set_model(model)

    def append(self, callback: Callback) -> None:
        """One more."""
        self.parts.append(callback)
        self._heard.clear()

    def set_params(self, params: dict[str, Any]) -> None:
        """Tell all of them."""
        self.params = params
        for part in self.parts:
            part.set_params(params)

    def set_model(self, model: Any) -> None:
        """Tell all of them."""
        self.model = model
        for part in self.parts:
            part.set_model(model)

    def __getattr__(self, name: str) -> Any:
        """The methods of a callback: `on_epoch_end(3, logs)` tells all of it."""
        if name.startswith("on_") and hasattr(Callback, name):
            return partial(self.call, name)
        raise AttributeError(f"CallbackList has no attribute {name!r}")

    @property
    def takes_nan(self) -> bool:
        """Whether one of them wants to hear of a loss that is not finite."""
        return any(part.takes_nan for part in self.parts)

    def call(self, what: str, *args: Any) -> None:
        """Tell all who override it."""
        heard = self._heard.get(what)
        if heard is None:
            plain = getattr(Callback, what)
            heard = [
                getattr(p, what)
                for p in self.parts
                if what in vars(p) or getattr(type(p), what, plain) is not plain
            ]
            self._heard[what] = heard
        for method in heard:
            method(*args)


class History(Callback):
    """What `fit` gives.

    Attributes:
        epoch: the numbers of the epochs.
        history: name of a loss or metric -> its value after each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def plot(self, path: Any = None) -> Any:
        """Draw losses and metrics by epoch, those of validation dashed.

        Args:
            path: a .png, .svg or .pdf file to write.

        Returns:
            The figure of matplotlib, which a notebook shows.

        Raises:
            FanlightError: E-TENSOR-011 matplotlib is not installed; E-TRAIN-005 no epoch has ended.
        """
        from fanlight.layers.plots import draw_history

        return draw_history(self.epoch, self.history, path)
