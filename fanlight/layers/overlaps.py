"""Metrics of classes: F scores, intersection over union, confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.layers.losses import reduced_weights
from fanlight.layers.metric import Metric, wrong_argument, wrong_input
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.core import type_of
from fanlight.tensor.matrices import diagonal
from fanlight.tensor.segments import unsorted_segment_sum

_EPSILON = 1e-7


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), of each class.

    Args:
        average: None for a number per class; micro (all counts together), macro (their mean), or
            weighted (by how often each class is a label).
        beta: how much more recall counts than precision.
        threshold: predictions above it are positive; default: the greatest of a row alone.
    """

    fields: tuple[str, ...] = ("average", "beta", "threshold")
    direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise wrong_argument(self, "average", "micro, macro, weighted or None", average)
        if not beta > 0:
            raise wrong_argument(self, "beta", "a number above 0", beta)
        if threshold is not None and not 0 < threshold <= 1:
            raise wrong_argument(self, "threshold", "a number above 0, up to 1", threshold)
        self.average, self.beta, self.threshold = average, float(beta), threshold

    def build(self, shape: Sequence[int | None]) -> None:
        """Counts of each class."""
        if len(shape) != 2 or shape[1] is None:
            raise wrong_input(self, "predictions [examples, classes]", list(shape))
        size = () if self.average == "micro" else (int(shape[1]),)
        self.true_positives = self.add_variable(size, name="true_positives")
        self.false_positives = self.add_variable(size, name="false_positives")
        self.false_negatives = self.add_variable(size, name="false_negatives")
        self.intermediate_weights = self.add_variable(size, name="intermediate_weights")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32")
        if y.rank != 2:
            raise wrong_input(self, "one-hot labels [examples, classes]", y.type)
        self.ready(p.shape)
        if self.threshold is None:
            top = fn.max(p, -1, keepdims=True)
            positive = fn.logical_and(p >= top, fn.abs(p) > 1e-9)
        else:
            positive = p > float(self.threshold)
        found = cast(positive, "float32")
        weights = fn.scalar(1.0) if sample_weight is None else reduced_weights(y, sample_weight)[1]
        axis = None if self.average == "micro" else 0
        self.add(self.true_positives, fn.sum(found * y * weights, axis))
        self.add(self.false_positives, fn.sum(found * (1.0 - y) * weights, axis))
        self.add(self.false_negatives, fn.sum((1.0 - found) * y * weights, axis))
        self.add(self.intermediate_weights, fn.sum(y * weights, axis))

    def result(self) -> Tensor:
        tp = self.value(self.true_positives)
        precision = tp / (tp + self.value(self.false_positives) + _EPSILON)
        recall = tp / (tp + self.value(self.false_negatives) + _EPSILON)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + _EPSILON) * (1.0 + square)
        if self.average == "weighted":
            weights = self.value(self.intermediate_weights)
            return fn.sum(score * (weights / (fn.sum(weights) + _EPSILON)))
        return score if self.average is None else fn.mean(score)


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall): FBetaScore with beta 1."""

    fields = ("average", "threshold")

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


class _Matrix(Metric):
    """Counts of labels (rows) and predictions (columns)."""

    def _classes(self, values: Any, sparse: bool, axis: int) -> Tensor:
        """Class numbers, flat."""
        values = tensor(values)
        if not sparse:
            values = fn.arg_max(values, axis)
        return fn.reshape(cast(values, "int32"), (-1,))

    def _counted(
        self, y: Tensor, p: Tensor, count: int, weights: Any, ignored: int | None, dtype: str
    ) -> Tensor:
        """[count, count] of class numbers; those out of range count nowhere."""
        if y.shape != p.shape:
            raise wrong_input(self, f"as many as there are labels: {y.size}", f"{p.size}")
        inside = fn.logical_and(
            fn.logical_and(y >= 0, y < count), fn.logical_and(p >= 0, p < count)
        )
        if ignored is not None:
            inside = fn.logical_and(inside, fn.not_equal(y, ignored))
        own: Any = fn.scalar(1.0)
        if weights is not None:
            own = cast(tensor(weights), "float32")
            own = fn.reshape(own, (-1,)) if own.rank else own
        if dtype == "int32":
            own = cast(own, "int32")
        if own.rank and y.size % own.size == 0 and own.size != y.size:  # a weight per example
            own = fn.reshape(own, (-1, 1)) * fn.ones((1, y.size // own.size), dtype)
            own = fn.reshape(own, (-1,))
        own = fn.broadcast_to(own, y.shape) * cast(inside, dtype)
        place = fn.where(inside, y * count + p, 0)
        return fn.reshape(unsorted_segment_sum(own, place, count * count), (count, count))


class IoU(_Matrix):
    """Intersection over union: true positives / (true + false positives + false negatives).

    Counts are int32, and weights are cut to whole numbers, unless dtype is "float32".

    Args:
        num_classes: how many there are; labels are 0 to num_classes - 1.
        target_class_ids: the mean of the IoU of these is given.
        ignore_class: labels of this class do not count.
        sparse_y_true, sparse_y_pred: whether they are class numbers, or numbers for each class
            along the axis, of which the greatest counts.
    """

    fields: tuple[str, ...] = (
        "num_classes",
        "target_class_ids",
        "ignore_class",
        "sparse_y_true",
        "sparse_y_pred",
        "axis",
    )
    direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        if not self.target_class_ids or not 0 <= max(self.target_class_ids) < num_classes:
            expected = f"classes from 0 to {num_classes - 1}"
            raise wrong_argument(self, "target_class_ids", expected, target_class_ids)
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.dtype = "float32" if str(dtype).startswith("float") else "int32"
        self.total_cm = self.add_variable(
            (num_classes, num_classes), name="total_confusion_matrix", dtype=self.dtype
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y = self._classes(y_true, self.sparse_y_true, self.axis)
        p = self._classes(y_pred, self.sparse_y_pred, self.axis)
        self.add(
            self.total_cm,
            self._counted(y, p, self.num_classes, sample_weight, self.ignore_class, self.dtype),
        )

    def result(self) -> Tensor:
        cells = cast(self.value(self.total_cm), "float32")
        right = diagonal(cells)
        union = fn.sum(cells, 0) + fn.sum(cells, 1) - right
        chosen = fn.sum(fn.one_hot(tensor(self.target_class_ids), self.num_classes), 0)
        seen = cast(union > 1e-9, "float32") * chosen
        each = seen * right / (union + _EPSILON)
        return fn.sum(each) / (fn.sum(seen) + _EPSILON)


class BinaryIoU(IoU):
    """IoU of predictions above a threshold (class 1) and below (class 0)."""

    fields = ("target_class_ids", "threshold")

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        above = cast(tensor(y_pred), "float32") >= float(self.threshold)
        super().update_state(y_true, cast(above, "int32"), sample_weight)


class MeanIoU(IoU):
    """The mean of the IoU of all classes."""

    fields: tuple[str, ...] = (
        "num_classes",
        "ignore_class",
        "sparse_y_true",
        "sparse_y_pred",
        "axis",
    )

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        type_of((num_classes, num_classes), "float32")  # E-TENSOR-014 where it is too large
        ids = list(range(num_classes))
        flags = (ignore_class, sparse_y_true, sparse_y_pred, axis)
        super().__init__(num_classes, ids, name, dtype, *flags)


class OneHotIoU(IoU):
    """IoU of one-hot labels."""

    fields = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        flags = (ignore_class, False, sparse_y_pred, axis)
        super().__init__(num_classes, target_class_ids, name, dtype, *flags)


class OneHotMeanIoU(MeanIoU):
    """MeanIoU of one-hot labels."""

    fields = ("num_classes", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)


class ConfusionMatrix(_Matrix):
    """How often each label (row) was answered by each class (column): [classes, classes].

    Keras has no such metric. `fl.plot_confusion` draws one.

    Args:
        num_classes: default: as many as the model has outputs; 2, if it has one.
        threshold: of a model with one output: a prediction above it is class 1.
        sparse_y_true: whether labels are class numbers; default: where they lack the last dim of
            the predictions, or have 1 there.
    """

    fields = ("num_classes", "threshold", "sparse_y_true")

    def __init__(
        self,
        num_classes: int | None = None,
        threshold: float = 0.5,
        sparse_y_true: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        self.num_classes, self.threshold = num_classes, threshold
        self.sparse_y_true = sparse_y_true
        if num_classes is not None:
            self.ready((None, num_classes))

    def build(self, shape: Sequence[int | None]) -> None:
        """A cell for each pair of classes."""
        size = self.num_classes or (shape[-1] if shape else None)
        if size is None:
            raise wrong_input(self, "predictions [..., classes]", list(shape))
        self.count = max(2, int(size))
        self.cells = self.add_variable((self.count, self.count), name="cells")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = tensor(y_true), tensor(y_pred)
        self.ready(p.shape)
        sparse = self.sparse_y_true
        if sparse is None:
            sparse = y.rank < p.rank or y.shape[-1] == 1 or p.shape[-1] == 1
        if p.shape[-1] == 1:
            answers = fn.reshape(cast(cast(p, "float32") > self.threshold, "int32"), (-1,))
        else:
            answers = self._classes(p, False, -1)
        labels = self._classes(y, sparse, -1)
        self.add(
            self.cells, self._counted(labels, answers, self.count, sample_weight, None, "float32")
        )

    def result(self) -> Tensor:
        return self.value(self.cells)


CLASSES = (
    BinaryIoU,
    ConfusionMatrix,
    F1Score,
    FBetaScore,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
)
__all__ = [c.__name__ for c in CLASSES]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
