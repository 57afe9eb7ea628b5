"""Metrics of numbers: errors, correlations, the share of the variance that is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fanlight.layers import loss_functions as losses
from fanlight.layers.loss_functions import EPSILON, alike
from fanlight.layers.losses import reduced_weights
from fanlight.layers.metric import Function, Mean, Metric, wrong_argument, wrong_input
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn


def _floats(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    return alike(cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32"))


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The mean along the axis of the product of both, each at mean 0 and deviation 1."""
    a, b = _floats(y_true, y_pred)
    a, b = a - fn.mean(a, axis, keepdims=True), b - fn.mean(b, axis, keepdims=True)
    a = a / fn.sqrt(fn.mean(fn.square(a), axis, keepdims=True))
    b = b / fn.sqrt(fn.mean(fn.square(b), axis, keepdims=True))
    return fn.mean(a * b, axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """2 covariance / (both variances + squared difference of the means). Source: Lin 1989."""
    a, b = _floats(y_true, y_pred)
    means = fn.mean(a, axis, keepdims=True), fn.mean(b, axis, keepdims=True)
    off, far = a - means[0], b - means[1]
    spread = fn.mean(fn.square(off), axis, keepdims=True) + fn.mean(
        fn.square(far), axis, keepdims=True
    )
    spread = spread + fn.square(means[0] - means[1]) + EPSILON
    # Deviations of `far` sum to 0, so that it makes no difference from which mean `a` is taken.
    return fn.mean(2.0 * off * far / spread, axis)


class MeanSquaredError(Function):
    """See mean_squared_error."""

    function = staticmethod(losses.mean_squared_error)
    direction = "down"

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class MeanAbsoluteError(Function):
    """See mean_absolute_error."""

    function = staticmethod(losses.mean_absolute_error)
    direction = "down"

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class MeanAbsolutePercentageError(Function):
    """See mean_absolute_percentage_error."""

    function = staticmethod(losses.mean_absolute_percentage_error)
    direction = "down"

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class MeanSquaredLogarithmicError(Function):
    """See mean_squared_logarithmic_error."""

    function = staticmethod(losses.mean_squared_logarithmic_error)
    direction = "down"

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class LogCoshError(Function):
    """See log_cosh."""

    function = staticmethod(losses.log_cosh)
    direction = "down"

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(name, dtype)


class CosineSimilarity(Function):
    """The cosine of the angle between labels and predictions: 1 where they are alike."""

    fields = ("axis",)
    function = staticmethod(_cosine)
    direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype, axis=axis)


class PearsonCorrelation(Function):
    """See pearson_correlation."""

    fields = ("axis",)
    function = staticmethod(pearson_correlation)
    direction = "up"

    def __init__(
        self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype, axis=axis)


class ConcordanceCorrelation(Function):
    """See concordance_correlation."""

    fields = ("axis",)
    function = staticmethod(concordance_correlation)
    direction = "up"

    def __init__(
        self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype, axis=axis)


class RootMeanSquaredError(Mean):
    """The root of the mean of all squared errors so far."""

    direction = "down"

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        a, b = _floats(y_true, y_pred)
        super().update_state(fn.squared_difference(a, b), sample_weight)

    def result(self) -> Tensor:
        return fn.sqrt(super().result())


class R2Score(Metric):
    """1 - squared errors / squared deviations from the mean: 1 where predictions are right.

    Args:
        class_aggregation: of several outputs: uniform_average, variance_weighted_average, or None
            for a number each.
        num_regressors: how many numbers the predictions are made of, for the adjusted score.
    """

    fields = ("class_aggregation", "num_regressors")
    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        known = ("uniform_average", "variance_weighted_average", None)
        if class_aggregation not in known:
            expected = ", ".join(map(str, known))
            raise wrong_argument(self, "class_aggregation", expected, class_aggregation)
        if num_regressors < 0:
            raise wrong_argument(self, "num_regressors", "0 or more", num_regressors)
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable(name="num_samples")

    def build(self, shape: Sequence[int | None]) -> None:
        """Sums of each output."""
        if len(shape) != 2 or shape[-1] is None:
            raise wrong_input(self, "predictions [examples, outputs]", list(shape))
        size = (int(shape[-1]),)
        self.squared_sum = self.add_variable(size, name="squared_sum")
        self.sum = self.add_variable(size, name="sum")
        self.total_mse = self.add_variable(size, name="residual")
        self.count = self.add_variable(size, name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = _floats(y_true, y_pred)
        self.ready(p.shape)
        weights = fn.scalar(1.0) if sample_weight is None else reduced_weights(y, sample_weight)[1]
        weights = fn.broadcast_to(weights, y.shape)
        self.add(self.sum, fn.sum(y * weights, 0))
        self.add(self.squared_sum, fn.sum(y * y * weights, 0))
        self.add(self.total_mse, fn.sum(fn.squared_difference(y, p) * weights, 0))
        self.add(self.count, fn.sum(weights, 0))
        self.add(self.num_samples, float(y.size))

    def result(self) -> Tensor:
        total = self.value(self.sum)
        spread = self.value(self.squared_sum) - fn.square(total) / self.value(self.count)
        scores = 1.0 - self.value(self.total_mse) / spread
        scores = fn.where(fn.is_inf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = fn.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = fn.sum(spread * scores) / fn.sum(spread)
        if not self.num_regressors:
            return scores
        n = self.value(self.num_samples)
        left = n - float(self.num_regressors) - 1.0
        adjusted = 1.0 - (1.0 - scores) * (n - 1.0) / fn.where(left > 0.0, left, 1.0)
        return fn.where(left > 0.0, adjusted, scores)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    f.__name__: f for f in (concordance_correlation, pearson_correlation)
}
CLASSES = (
    ConcordanceCorrelation,
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    R2Score,
    RootMeanSquaredError,
)
__all__ = sorted([c.__name__ for c in CLASSES] + list(FUNCTIONS))


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
