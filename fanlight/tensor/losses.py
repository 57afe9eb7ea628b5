"""Losses of TensorFlow.js: numbers that say how far predictions are from labels.

Each takes `weights`, which broadcast to the losses, and a `reduction`:

"none": the weighted losses themselves;
"sum": their sum;
"mean": their sum divided by that of the weights;
"sum_by_nonzero_weights" (the default): their sum divided by the number of weights that are not 0.

tf.losses.meanSquaredError is `compute_weighted_loss(fl.squared_difference(labels, predictions))`:
`fl.losses.mean_squared_error` is Keras's.
"""

from __future__ import annotations

from typing import Any

from fanlight.errors import FanlightError
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import choice, real_number
from fanlight.tensor.core import Tensor, caller, cast
from fanlight.tensor.neural import broadcasts

REDUCTIONS = ("none", "sum", "mean", "sum_by_nonzero_weights")
_DEFAULT = "sum_by_nonzero_weights"

__all__ = [
    "absolute_difference",
    "compute_weighted_loss",
    "cosine_distance",
    "hinge_loss",
    "huber_loss",
    "log_loss",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


def compute_weighted_loss(losses: Any, weights: Any = None, reduction: str = _DEFAULT) -> Tensor:
    """Losses times weights, reduced.

    Raises:
        FanlightError: E-OP-004 weights that do not broadcast to the losses; E-OP-005 a reduction
            that there is not.
    """
    losses = cast(losses, "float32")
    choice("a loss", "reduction", reduction, REDUCTIONS)
    if weights is None:
        if reduction == "none":
            return losses
        return fn.sum(losses) if reduction == "sum" else fn.mean(losses)
    weights = cast(weights, "float32")
    if not broadcasts(weights.shape, losses.shape):
        raise _misfit("weights", f"what broadcasts to the losses {losses.type}", weights)
    weighted = losses * weights
    if reduction == "none":
        return weighted
    total = fn.sum(weighted)
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / (fn.sum(weights) * (losses.size / max(1, weights.size)))
    counted = cast(fn.not_equal(weights, 0.0), "float32")
    return total / fn.sum(fn.broadcast_to(counted, losses.shape))


def _misfit(argument: str, expected: str, received: Tensor) -> FanlightError:
    return FanlightError(
        "E-OP-004",
        f"these {argument} do not fit.",
        where=f"{argument}, {caller()}",
        expected=expected,
        received=received.type,
    )


def _pair(labels: Any, predictions: Any) -> tuple[Tensor, Tensor]:
    labels, predictions = cast(labels, "float32"), cast(predictions, "float32")
    if labels.shape != predictions.shape:
        raise _misfit("labels", f"the shape of the predictions {predictions.type}", labels)
    return labels, predictions


def absolute_difference(
    labels: Any, predictions: Any, weights: Any = None, reduction: str = _DEFAULT
) -> Tensor:
    """|labels - predictions|."""
    labels, predictions = _pair(labels, predictions)
    return compute_weighted_loss(fn.abs(labels - predictions), weights, reduction)


def cosine_distance(
    labels: Any, predictions: Any, axis: int, weights: Any = None, reduction: str = _DEFAULT
) -> Tensor:
    """1 - sum(labels * predictions) along an axis, which stays with size 1; of unit vectors that is
    1 minus the cosine of their angle.
    """
    labels, predictions = _pair(labels, predictions)
    losses = 1.0 - fn.sum(labels * predictions, axis, keepdims=True)
    return compute_weighted_loss(losses, weights, reduction)


def hinge_loss(
    labels: Any, predictions: Any, weights: Any = None, reduction: str = _DEFAULT
) -> Tensor:
    """max(0, 1 - (2 labels - 1) * predictions), for labels 0 and 1."""
    labels, predictions = _pair(labels, predictions)
    losses = fn.relu(1.0 - (2.0 * labels - 1.0) * predictions)
    return compute_weighted_loss(losses, weights, reduction)


def huber_loss(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    delta: float = 1.0,
    reduction: str = _DEFAULT,
) -> Tensor:
    """With the error e = |labels - predictions|: e^2 / 2 up to delta, delta (e - delta / 2) beyond.

    Source: Huber 1964.
    """
    labels, predictions = _pair(labels, predictions)
    error = fn.abs(predictions - labels)
    delta = real_number("huber_loss", "delta", delta)
    near = fn.minimum(error, delta)
    losses = 0.5 * fn.square(near) + delta * (error - near)
    return compute_weighted_loss(losses, weights, reduction)


def log_loss(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    epsilon: float = 1e-7,
    reduction: str = _DEFAULT,
) -> Tensor:
    """-labels log(p + epsilon) - (1 - labels) log(1 - p + epsilon), p being predictions."""
    labels, predictions = _pair(labels, predictions)
    yes = labels * fn.log(predictions + epsilon)
    no = (1.0 - labels) * fn.log(1.0 - predictions + epsilon)
    return compute_weighted_loss(-yes - no, weights, reduction)


def sigmoid_cross_entropy(
    multi_class_labels: Any,
    logits: Any,
    weights: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = _DEFAULT,
) -> Tensor:
    """The cross entropy of labels and sigmoid(logits), per element: softplus(x) - x * labels.

    Args:
        label_smoothing: s moves labels to labels (1 - s) + s / 2.
    """
    labels, logits = _pair(multi_class_labels, logits)
    smoothing = real_number("sigmoid_cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    if smoothing:
        labels = labels * (1.0 - smoothing) + 0.5 * smoothing
    return compute_weighted_loss(fn.softplus(logits) - logits * labels, weights, reduction)


def softmax_cross_entropy(
    onehot_labels: Any,
    logits: Any,
    weights: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = _DEFAULT,
) -> Tensor:
    """The cross entropy of labels and softmax(logits) along the last dim, which is gone after it.

    Args:
        label_smoothing: s moves labels to labels (1 - s) + s / classes.
    """
    labels, logits = _pair(onehot_labels, logits)
    smoothing = real_number("softmax_cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    if smoothing and labels.rank:
        labels = labels * (1.0 - smoothing) + smoothing / max(1, labels.shape[-1])
    losses = -fn.sum(labels * fn.log_softmax(logits), axis=-1)
    return compute_weighted_loss(losses, weights, reduction)
