"""Metrics by Keras's names: `fl.metrics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.layers import config
from fanlight.layers import loss_functions as losses
from fanlight.layers.metric import Mean, MeanMetricWrapper, Metric, Sum
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn


def _alike(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    a, b = tensor(y_true), tensor(y_pred)
    if a.rank == b.rank + 1 and a.shape[-1] == 1:
        a = fn.squeeze(a, -1)
    elif b.rank == a.rank + 1 and b.shape[-1] == 1:
        a = fn.expand_dims(a, -1)
    return cast(a, "float32"), cast(b, "float32")


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Whether the prediction is the label, 0 or 1."""
    a, b = _alike(y_true, y_pred)
    return cast(fn.equal(a, b), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """The share of predictions on the label's side of the threshold, over the last dim."""
    a, b = _alike(y_true, y_pred)
    return fn.mean(cast(fn.equal(a, cast(b > threshold, "float32")), "float32"), -1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Whether the greatest prediction is that of the one-hot label."""
    return cast(fn.equal(fn.arg_max(y_true, -1), fn.arg_max(y_pred, -1)), "float32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Whether the greatest prediction is that of the class that y_true names."""
    y, p = tensor(y_true), tensor(y_pred)
    if y.rank == p.rank and y.shape[-1] == 1:
        y = fn.squeeze(y, -1)
    return cast(fn.equal(cast(y, "int32"), fn.arg_max(p, -1)), "float32")


class Accuracy(MeanMetricWrapper):
    """See accuracy."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """See binary_accuracy."""

    fields = ("threshold",)

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(MeanMetricWrapper):
    """See categorical_accuracy."""

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """See sparse_categorical_accuracy."""

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


CLASSES = (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    Mean,
    SparseCategoricalAccuracy,
    Sum,
)
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    f.__name__: f
    for f in (accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy)
} | losses.FUNCTIONS
KNOWN: dict[str, Any] = {c.__name__: c for c in CLASSES} | {
    config.snake(c.__name__): c for c in CLASSES
}


def get(given: Any, loss: Any = None, output_shape: Any = None) -> Metric:
    """The metric that a name, a description, a function or an object stands for.

    Args:
        loss, output_shape: of the output that it is of: what "accuracy" means follows from them.
    """
    if isinstance(given, Metric):
        return given
    if given in ("accuracy", "acc", "crossentropy", "ce"):
        return _by_loss(str(given), loss, output_shape)
    name = losses.ALIASES.get(given, given) if isinstance(given, str) else given
    if isinstance(name, str) and name not in KNOWN and name in FUNCTIONS:
        return MeanMetricWrapper(FUNCTIONS[name], str(given))
    if callable(name) and not isinstance(name, type):
        return MeanMetricWrapper(name)
    made: Metric = config.lookup("metric", name, KNOWN)
    return made


def _by_loss(name: str, loss: Any, shape: Any) -> Metric:
    """Which accuracy, or cross-entropy, goes with a loss: as Keras decides."""
    kind = type(loss).__name__
    binary = bool(shape) and shape[-1] == 1
    sparse = "SparseCategorical" in kind
    which = 0 if binary or kind.startswith("Binary") else 1 if sparse else 2
    if name in ("accuracy", "acc"):
        chosen = (binary_accuracy, sparse_categorical_accuracy, categorical_accuracy)[which]
    else:
        chosen = (
            losses.binary_crossentropy,
            losses.sparse_categorical_crossentropy,
            losses.categorical_crossentropy,
        )[which]
    options = {}
    if name in ("crossentropy", "ce") and getattr(loss, "from_logits", False):
        options["from_logits"] = True
    return MeanMetricWrapper(chosen, name, **options)


__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "SparseCategoricalAccuracy",
    "Sum",
    "get",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
