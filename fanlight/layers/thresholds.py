"""Metrics of predictions above thresholds: counts, precision, recall, areas under curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.layers import config
from fanlight.layers.loss_functions import alike
from fanlight.layers.losses import reduced_weights
from fanlight.layers.metric import Metric, wrong_argument, wrong_input
from fanlight.layers.weight import Weight
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.scans import cumsum
from fanlight.tensor.segments import unsorted_segment_sum

KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
_NEVER = -1e10  # what a prediction that is not among the k greatest counts as
_EPSILON = 1e-7


def evenly(thresholds: Sequence[float]) -> bool:
    """Whether thresholds go from 0 to 1 in equal steps: buckets count faster then."""
    if len(thresholds) < 3:
        return False
    wanted = np.arange(len(thresholds), dtype=np.float32) / (len(thresholds) - 1)
    return bool(np.allclose(thresholds, wanted, atol=_EPSILON))


def counts(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    sample_weight: Any = None,
    top_k: int | None = None,
    class_id: int | None = None,
    each_label: bool = False,
    label_weights: Any = None,
) -> dict[str, Tensor]:
    """Weights of true and false positives and negatives at each threshold.

    Args:
        y_true: labels, true where they are not 0. y_pred: of the same shape.
        thresholds: a prediction above one is positive there.
        top_k: of the predictions of a row only so many greatest ones can be positive.
        class_id: only this class counts.
        each_label: [thresholds, labels] instead of [thresholds].
    """
    p, y = alike(cast(tensor(y_pred), "float32"), cast(tensor(y_true), "float32"))
    weights = fn.scalar(1.0) if sample_weight is None else reduced_weights(y, sample_weight)[1]
    if top_k is not None:
        best = fn.top_k(p, min(int(top_k), p.shape[-1]))[1]
        among = fn.sum(fn.one_hot(best, p.shape[-1]), -2) > 0.0
        p = fn.where(among, p, _NEVER)
    if class_id is not None:
        p, y = p[..., class_id : class_id + 1], y[..., class_id : class_id + 1]
    if label_weights is not None:
        weights = weights * cast(tensor(label_weights), "float32")
    weights = fn.broadcast_to(weights, p.shape)
    true = cast(fn.not_equal(y, 0.0), "float32")
    right, wrong = true * weights, (1.0 - true) * weights
    if not each_label and not evenly(thresholds):  # of any number of classes: nothing is reshaped
        limits = fn.reshape(tensor(np.asarray(thresholds, np.float32)), (-1, *[1] * p.rank))
        axes = tuple(range(1, p.rank + 1))
        sums = [fn.sum(fn.where(p > limits, v, 0.0), axes) for v in (right, wrong)]
        rest = [fn.sum(wrong) - sums[1], fn.sum(right) - sums[0]]
        return dict(zip(KINDS, [*sums, *rest], strict=True))
    columns = p.shape[-1] if each_label else 1
    parts = [fn.reshape(v, (-1, columns)) for v in (p, right, wrong)]
    if evenly(thresholds):
        above = _by_buckets(thresholds, *parts)
    else:
        above = _by_comparing(thresholds, *parts)
    found = dict(zip(KINDS[:2], above, strict=True))
    found[KINDS[2]] = fn.sum(parts[2], 0) - above[1]
    found[KINDS[3]] = fn.sum(parts[1], 0) - above[0]
    return found if each_label else {k: fn.reshape(v, (-1,)) for k, v in found.items()}


def _by_comparing(
    thresholds: Sequence[float], p: Tensor, right: Tensor, wrong: Tensor
) -> tuple[Tensor, Tensor]:
    limits = fn.reshape(tensor(np.asarray(thresholds, np.float32)), (-1, 1, 1))
    above = p > limits  # [thresholds, examples, labels]
    return fn.sum(fn.where(above, right, 0.0), 1), fn.sum(fn.where(above, wrong, 0.0), 1)


def _by_buckets(
    thresholds: Sequence[float], p: Tensor, right: Tensor, wrong: Tensor
) -> tuple[Tensor, Tensor]:
    """Add each example to the highest threshold below it, then sum from the highest down.

    Source: tf.metrics, where one pass over the examples does for all thresholds.
    """
    count, columns = len(thresholds), p.shape[1]
    bucket = fn.ceil(fn.clip(p, 0.0, 1.0) * float(count - 1)) - 1.0
    if thresholds[0] < 0.0:  # even a prediction of 0 is above the first one
        bucket = fn.maximum(bucket, 0.0)
    # One bucket more, for what is above none.
    place = cast(bucket + 1.0, "int32") * columns
    if columns > 1:
        place = place + tensor(np.arange(columns, dtype=np.int32))
    place = fn.reshape(place, (-1,))
    found = []
    for weights in (right, wrong):
        total = unsorted_segment_sum(fn.reshape(weights, (-1,)), place, (count + 1) * columns)
        total = fn.reshape(total, (count + 1, columns))[1:]
        found.append(cumsum(total, 0, reverse=True))
    return found[0], found[1]


def _checked(metric: Metric, thresholds: Any, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    given = list(thresholds) if isinstance(thresholds, list | tuple | np.ndarray) else [thresholds]
    if not given or any(not isinstance(t, int | float) or not 0 <= t <= 1 for t in given):
        raise wrong_argument(metric, "thresholds", "numbers from 0 to 1", thresholds)
    return [float(t) for t in given]


class _Counts(Metric):
    """Counts at thresholds; `kinds` says which."""

    kinds: tuple[str, ...] = KINDS

    def _make(self, thresholds: Sequence[float], columns: int | None = None) -> None:
        self.limits = list(thresholds)
        shape = (len(self.limits),) if columns is None else (len(self.limits), columns)
        self.kept: dict[str, Weight] = {k: self.add_variable(shape, name=k) for k in self.kinds}

    def _count(self, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> None:
        found = counts(y_true, y_pred, self.limits, sample_weight, **options)
        for kind, variable in self.kept.items():
            self.add(variable, found[kind])

    def _of(self, kind: str) -> Tensor:
        return self.value(self.kept[kind])

    def _share(self, part: str, other: str) -> Tensor:
        return fn.div_no_nan(self._of(part), self._of(part) + self._of(other))

    def _alone(self, numbers: Tensor) -> Tensor:
        return numbers[0] if len(self.limits) == 1 else numbers


class _One(_Counts):
    """One of the four counts.

    Args:
        thresholds: a number or several, from 0 to 1; default 0.5. Several give a number each.
    """

    fields = ("thresholds",)

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.thresholds = thresholds
        self.kinds = (config.snake(type(self).__name__),)
        self._make(_checked(self, thresholds, 0.5))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, sample_weight)

    def result(self) -> Tensor:
        return self._alone(self._of(self.kinds[0]))


class TruePositives(_One):
    """How many predictions above the threshold are right."""

    direction = "up"


class TrueNegatives(_One):
    """How many predictions below the threshold are right."""

    direction = "up"


class FalsePositives(_One):
    """How many predictions above the threshold are wrong."""

    direction = "down"


class FalseNegatives(_One):
    """How many predictions below the threshold are wrong."""

    direction = "down"


class _Found(_Counts):
    """Precision and recall.

    Args:
        thresholds: a number or several, from 0 to 1; default 0.5, or any if top_k is given.
        top_k: only the k greatest predictions of each example can be positive.
        class_id: only this class counts.
    """

    fields = ("thresholds", "top_k", "class_id")
    direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self._make(_checked(self, thresholds, 0.5 if top_k is None else _NEVER))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)

    def result(self) -> Tensor:
        return self._alone(self._share(*self.kinds))


class Precision(_Found):
    """The share of true ones among what is predicted positive: tp / (tp + fp)."""

    kinds = ("true_positives", "false_positives")


class Recall(_Found):
    """The share of what is found among the true ones: tp / (tp + fn)."""

    kinds = ("true_positives", "false_negatives")


class _At(_Counts):
    """The greatest of one share at the thresholds where another one is large enough."""

    direction = "up"
    wanted: tuple[str, str]  # the share that is reported ...
    bound: tuple[str, str]  # ... where this one reaches the value

    def __init__(
        self,
        what: str,
        value: float,
        num_thresholds: int,
        class_id: int | None,
        name: str | None,
        dtype: Any,
    ) -> None:
        super().__init__(name, dtype)
        if not 0 <= value <= 1:
            raise wrong_argument(self, what, "a number from 0 to 1", value)
        if not 1 <= num_thresholds <= _MOST:
            raise wrong_argument(self, "num_thresholds", f"1 to {_MOST:,}", num_thresholds)
        self.least, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        self._make(_steps(num_thresholds) if num_thresholds > 1 else [0.5])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def result(self) -> Tensor:
        reached = self._share(*self.bound) >= float(self.least)
        return fn.max(fn.where(reached, self._share(*self.wanted), 0.0))


# Each prediction is compared with every threshold.
_MOST = 1_000_000


def _steps(count: int) -> list[float]:
    return [0.0, *[(i + 1) / (count - 1) for i in range(count - 2)], 1.0]


_SENSITIVITY = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


class SensitivityAtSpecificity(_At):
    """The best sensitivity (recall) at thresholds with at least this specificity."""

    fields = ("specificity", "num_thresholds", "class_id")
    wanted, bound = _SENSITIVITY, _SPECIFICITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity


class SpecificityAtSensitivity(_At):
    """The best specificity at thresholds with at least this sensitivity (recall)."""

    fields = ("sensitivity", "num_thresholds", "class_id")
    wanted, bound = _SPECIFICITY, _SENSITIVITY

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity


class PrecisionAtRecall(_At):
    """The best precision at thresholds with at least this recall."""

    fields = ("recall", "num_thresholds", "class_id")
    wanted, bound = _PRECISION, _SENSITIVITY

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)
        self.recall = recall


class RecallAtPrecision(_At):
    """The best recall at thresholds with at least this precision."""

    fields = ("precision", "num_thresholds", "class_id")
    wanted, bound = _SENSITIVITY, _PRECISION

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)
        self.precision = precision


class AUC(_Counts):
    """The area under a curve of two shares, of which each threshold gives a point.

    Args:
        num_thresholds: how many, in equal steps from 0 to 1.
        curve: ROC (recall over false positives), PR (precision over recall), or PRGAIN (both as
            gains over always answering yes: Flach & Kull 2015).
        summation_method: interpolation (trapezoids; of PR as Davis & Goadrich 2006 have it),
            minoring or majoring (the lower or the higher of both neighbours).
        thresholds: instead of equal steps; 0 and 1 are put around them.
        multi_label: an area for each column of the predictions, and the mean of those.
        num_labels: how many columns; default: what the first predictions have.
        label_weights: how much each column counts.
        from_logits: predictions are made probabilities by a sigmoid first.
    """

    direction = "up"
    fields = (
        "num_thresholds",
        "curve",
        "summation_method",
        "multi_label",
        "num_labels",
        "label_weights",
        "from_logits",
    )

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        self.curve, self.summation_method = str(curve).upper(), str(summation_method).lower()
        if self.curve not in ("ROC", "PR", "PRGAIN"):
            raise wrong_argument(self, "curve", "ROC, PR or PRGAIN", curve)
        if self.summation_method not in ("interpolation", "minoring", "majoring"):
            expected = "interpolation, minoring or majoring"
            raise wrong_argument(self, "summation_method", expected, summation_method)
        self.given = None if thresholds is None else sorted(_checked(self, thresholds, 0.5))
        if self.given is None and not 2 <= num_thresholds <= _MOST:
            raise wrong_argument(self, "num_thresholds", f"2 to {_MOST:,}", num_thresholds)
        if num_labels and not multi_label:
            raise wrong_argument(self, "num_labels", "multi_label=True with it", num_labels)
        self.num_thresholds = num_thresholds if self.given is None else len(self.given) + 2
        inner = _steps(num_thresholds)[1:-1] if self.given is None else self.given
        self.edges = [-_EPSILON, *inner, 1.0 + _EPSILON]
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights, self.from_logits = label_weights, from_logits
        if not multi_label or num_labels:
            self.ready((None, num_labels))

    def build(self, shape: Sequence[int | None]) -> None:
        """Counts at each threshold, of each label if that is asked for."""
        if self.multi_label and (len(shape) != 2 or shape[1] is None):
            raise wrong_input(self, "predictions [examples, labels]", list(shape))
        self._make(self.edges, int(shape[1] or 0) if self.multi_label else None)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        p = cast(tensor(y_pred), "float32")
        self.ready(p.shape)
        if self.from_logits:
            p = fn.sigmoid(p)
        weights = None if self.multi_label else self.label_weights
        self._count(y_true, p, sample_weight, each_label=self.multi_label, label_weights=weights)

    def _points(self) -> tuple[Tensor, Tensor]:
        """What the curve has along x and along y, at each threshold."""
        recall = self._share("true_positives", "false_negatives")
        if self.curve == "ROC":
            return self._share("false_positives", "true_negatives"), recall
        if self.curve == "PR":
            return recall, self._share("true_positives", "false_positives")
        tp, fp, tn, missed = (self._of(kind) for kind in KINDS)
        odds = fn.div_no_nan(tp + missed, tn + fp)
        none = fn.equal(tp, 0.0)
        along = fn.where(none, 0.0, 1.0 - odds * fn.div_no_nan(missed, tp))
        return fn.maximum(along, 0.0), fn.where(none, 1.0, 1.0 - odds * fn.div_no_nan(fp, tp))

    def _interpolated(self) -> Tensor:
        """Areas under PR between thresholds, true positives growing evenly with all positives."""
        tp, missed = self._of("true_positives"), self._of("false_negatives")
        p = tp + self._of("false_positives")
        steps = tp[:-1] - tp[1:]
        slope = fn.div_no_nan(steps, fn.maximum(p[:-1] - p[1:], 0.0))
        begin = tp[1:] - slope * p[1:]
        both = fn.logical_and(p[:-1] > 0.0, p[1:] > 0.0)
        ratio = fn.where(both, fn.div_no_nan(p[:-1], p[1:]), 1.0)
        return fn.div_no_nan(slope * (steps + begin * fn.log(ratio)), tp[1:] + missed[1:])

    def result(self) -> Tensor:
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated()
        else:
            x, y = self._points()
            if self.summation_method == "interpolation":
                heights = (y[:-1] + y[1:]) / 2.0
            else:
                lower = self.summation_method == "minoring"
                heights = (fn.minimum if lower else fn.maximum)(y[:-1], y[1:])
            areas = (x[:-1] - x[1:]) * heights
        if not self.multi_label:
            return fn.sum(areas)
        each = fn.sum(areas, 0)
        if self.label_weights is None:
            return fn.mean(each)
        weights = cast(tensor(self.label_weights), "float32")
        return fn.div_no_nan(fn.sum(each * weights), fn.sum(weights))

    def get_config(self) -> dict[str, Any]:
        given = {} if self.given is None else {"thresholds": self.given}
        return super().get_config() | given


CLASSES = (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
__all__ = [c.__name__ for c in CLASSES]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
