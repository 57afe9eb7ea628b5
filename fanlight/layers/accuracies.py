"""Metrics of answers: how often a prediction is right, and losses as metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import loss_functions as losses
from fanlight.layers.loss_functions import alike
from fanlight.layers.metric import Function
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Whether the prediction is the label, 0 or 1."""
    a, b = alike(cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32"))
    return cast(fn.equal(a, b), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Whether the prediction is on the label's side of the threshold, 0 or 1."""
    a, b = alike(cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32"))
    return cast(fn.equal(a, cast(b > float(threshold), "float32")), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Whether the greatest prediction is that of the one-hot label: [..., classes] gives [...]."""
    return cast(fn.equal(fn.arg_max(y_true, -1), fn.arg_max(y_pred, -1)), "float32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Whether the greatest prediction is that of the class that y_true names: shape of y_true."""
    p = tensor(y_pred)
    y = _class_numbers(y_true, p)
    found = cast(fn.equal(y, fn.arg_max(p, -1)), "float32")
    return fn.reshape(found, tensor(y_true).shape)


def _class_numbers(y_true: Any, p: Tensor) -> Tensor:
    y = tensor(y_true)
    if y.rank == p.rank and y.shape[-1] == 1:
        y = fn.squeeze(y, -1)
    if y.shape != p.shape[:-1]:
        raise FanlightError(
            "E-OP-004",
            "labels and predictions do not fit.",
            where=caller(),
            expected=f"class numbers {list(p.shape[:-1])}",
            received=f"y_true {y.type}, y_pred {p.type}",
        )
    return cast(y, "int32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Whether the class of the one-hot label is among the k greatest predictions."""
    return _among(fn.arg_max(y_true, -1), cast(tensor(y_pred), "float32"), k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """Whether the class that y_true names is among the k greatest predictions: shape of y_true.

    from_sorted_ids: y_pred has class numbers, the likeliest ones first.
    """
    p = tensor(y_pred)
    y = _class_numbers(y_true, p)
    if from_sorted_ids:
        best = cast(p[..., : int(k)], "int32")
        found = cast(fn.any(fn.equal(best, fn.expand_dims(y, -1)), -1), "float32")
    else:
        found = _among(y, cast(p, "float32"), k)
    return fn.reshape(found, tensor(y_true).shape)


def _among(y: Tensor, p: Tensor, k: int) -> Tensor:
    """Whether fewer than k classes have a greater prediction than class y."""
    own = fn.sum(fn.where(fn.one_hot(y, p.shape[-1]) > 0.0, p, 0.0), -1, keepdims=True)
    return cast(fn.sum(cast(p > own, "float32"), -1) < float(k), "float32")


class Accuracy(Function):
    """See accuracy."""

    function = staticmethod(accuracy)
    direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class BinaryAccuracy(Function):
    """See binary_accuracy."""

    fields = ("threshold",)
    function = staticmethod(binary_accuracy)
    direction = "up"

    def __init__(
        self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(name, dtype, threshold=threshold)


class CategoricalAccuracy(Function):
    """See categorical_accuracy."""

    function = staticmethod(categorical_accuracy)
    direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class SparseCategoricalAccuracy(Function):
    """See sparse_categorical_accuracy."""

    function = staticmethod(sparse_categorical_accuracy)
    direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class TopKCategoricalAccuracy(Function):
    """See top_k_categorical_accuracy."""

    fields = ("k",)
    function = staticmethod(top_k_categorical_accuracy)
    direction = "up"

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype, k=k)


class SparseTopKCategoricalAccuracy(Function):
    """See sparse_top_k_categorical_accuracy."""

    fields = ("k", "from_sorted_ids")
    function = staticmethod(sparse_top_k_categorical_accuracy)
    direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype, k=k, from_sorted_ids=from_sorted_ids)


# --- losses as metrics ----------------------------------------------------------------------------


class BinaryCrossentropy(Function):
    """See binary_crossentropy."""

    fields = ("from_logits", "label_smoothing")
    function = staticmethod(losses.binary_crossentropy)
    direction = "down"

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(name, dtype, **options)


class CategoricalCrossentropy(Function):
    """See categorical_crossentropy."""

    fields = ("from_logits", "label_smoothing", "axis")
    function = staticmethod(losses.categorical_crossentropy)
    direction = "down"

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(name, dtype, **options)


class SparseCategoricalCrossentropy(Function):
    """See sparse_categorical_crossentropy."""

    fields = ("from_logits", "ignore_class", "axis")
    function = staticmethod(losses.sparse_categorical_crossentropy)
    direction = "down"

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(name, dtype, **options)


class Hinge(Function):
    """See hinge."""

    function = staticmethod(losses.hinge)
    direction = "down"

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class SquaredHinge(Function):
    """See squared_hinge."""

    function = staticmethod(losses.squared_hinge)
    direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class CategoricalHinge(Function):
    """See categorical_hinge."""

    function = staticmethod(losses.categorical_hinge)
    direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class KLDivergence(Function):
    """See kl_divergence."""

    function = staticmethod(losses.kl_divergence)
    direction = "down"

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class Poisson(Function):
    """See poisson."""

    function = staticmethod(losses.poisson)
    direction = "down"

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(name, dtype)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    f.__name__: f
    for f in (
        accuracy,
        binary_accuracy,
        categorical_accuracy,
        sparse_categorical_accuracy,
        sparse_top_k_categorical_accuracy,
        top_k_categorical_accuracy,
    )
}
CLASSES = (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)
__all__ = sorted([c.__name__ for c in CLASSES] + list(FUNCTIONS))


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
