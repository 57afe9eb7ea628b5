"""How far predictions are from labels: one number per example, by Keras's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import scope
from fanlight.layers.standing import standing
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor.caller import caller, place
from fanlight.tensor.control import scan
from fanlight.tensor.neural import log_sum_exp

EPSILON = 1e-7


MISFIT = "labels and predictions do not fit."  # the message of all errors of that


def _floats(y_true: Any, y_pred: Any, same: bool = False) -> tuple[Tensor, Tensor]:
    """Both as float32, one of them with a last dim of 1 where the other lacks it.

    Args:
        same: whether they must have one shape, instead of such that broadcast.

    Raises:
        FanlightError: E-OP-004 they do not.
    """
    y, p = cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32")
    a, b = alike(y, p)
    if a.shape != b.shape and (same or not _broadcast(a.shape, b.shape)):
        raise _misfit(y, p)
    return a, b


def _broadcast(a: Sequence[int], b: Sequence[int]) -> bool:
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)


def _misfit(y: Tensor, p: Tensor) -> FanlightError:
    units, each = (x.shape[-1] if x.rank else 1 for x in (p, y))
    if units == 1 and y.rank == p.rank and each > 1:
        todo = (
            f"give the last layer {each} units; or one number for each example, which of one-hot "
            "labels are y.argmax(-1)."
        )
    elif units > 1 and y.shape in (p.shape[:-1], (*p.shape[:-1], 1)):
        todo = "class numbers go with sparse_categorical_crossentropy; other labels need a number "
        todo += f"for each of the {units} units, or a last layer of one unit."
    elif y.shape[:-1] == p.shape[:-1]:
        todo = f"give the last layer {each} units, or labels a last dim of {units}."
    else:
        todo = "model.summary() shows what the last layer gives; labels are one array of that."
    return FanlightError(
        "E-OP-004",
        MISFIT,
        where=place(),
        expected=f"labels of the shape of the predictions, {list(p.shape)}",
        received=f"y_true {y.type}, y_pred {p.type}",
        next=todo,
    )


def alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors with as many dims, where one of them has a last dim of 1 more.

    That dim is taken away, or given to the other one, if it has one dim only.
    """
    if a.rank == b.rank + 1 and a.shape[-1] == 1:
        return (a, fn.expand_dims(b, -1)) if b.rank == 1 else (fn.squeeze(a, -1), b)
    if b.rank == a.rank + 1 and b.shape[-1] == 1:
        return (fn.expand_dims(a, -1), b) if a.rank == 1 else (a, fn.squeeze(b, -1))
    return a, b


@standing("losses")
def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean (y_true - y_pred)^2 over the last dim."""
    a, b = _floats(y_true, y_pred)
    return fn.mean(fn.squared_difference(a, b), -1)


@standing("losses")
def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean |y_true - y_pred| over the last dim."""
    a, b = _floats(y_true, y_pred)
    return fn.mean(fn.abs(a - b), -1)


@standing("losses")
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 mean |(y_true - y_pred) / y_true| over the last dim."""
    a, b = _floats(y_true, y_pred)
    return 100.0 * fn.mean(fn.abs((a - b) / fn.maximum(fn.abs(a), EPSILON)), -1)


@standing("losses")
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """mean (log(y_true + 1) - log(y_pred + 1))^2 over the last dim."""
    a, b = _floats(y_true, y_pred)
    first, second = (fn.log1p(fn.maximum(v, EPSILON)) for v in (a, b))
    return fn.mean(fn.squared_difference(first, second), -1)


def _signs(y_true: Tensor) -> Tensor:
    """Labels of 0 and 1 as -1 and 1; others stay."""
    binary = fn.all(fn.logical_or(fn.equal(y_true, 0.0), fn.equal(y_true, 1.0)))
    return fn.where(binary, 2.0 * y_true - 1.0, y_true)


@standing("losses")
def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean max(1 - y_true y_pred, 0); labels are -1 and 1, or 0 and 1."""
    a, b = _floats(y_true, y_pred)
    return fn.mean(fn.maximum(1.0 - _signs(a) * b, 0.0), -1)


@standing("losses")
def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """mean max(1 - y_true y_pred, 0)^2; labels are -1 and 1, or 0 and 1."""
    a, b = _floats(y_true, y_pred)
    return fn.mean(fn.square(fn.maximum(1.0 - _signs(a) * b, 0.0)), -1)


@standing("losses")
def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """max(1 + greatest y_pred of a wrong class - y_pred of the right one, 0)."""
    a, b = _floats(y_true, y_pred)
    right = fn.sum(a * b, -1)
    wrong = fn.max((1.0 - a) * b, -1)
    return fn.maximum(wrong - right + 1.0, 0.0)


@standing("losses")
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """mean of error^2 / 2 up to delta, delta |error| - delta^2 / 2 beyond. Source: Huber 1964."""
    a, b = _floats(y_true, y_pred)
    error = fn.abs(b - a)
    far = delta * error - 0.5 * delta * delta
    return fn.mean(fn.where(error <= delta, 0.5 * fn.square(error), far), -1)


@standing("losses")
def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """mean log(cosh(y_pred - y_true)) over the last dim."""
    a, b = _floats(y_true, y_pred)
    error = b - a
    return fn.mean(error + fn.softplus(-2.0 * error) - 0.6931471805599453, -1)


@standing("losses")
def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """sum y_true log(y_true / y_pred) over the last dim."""
    a, b = (fn.clip(v, EPSILON, 1.0) for v in _floats(y_true, y_pred))
    return fn.sum(a * fn.log(a / b), -1)


@standing("losses")
def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """mean y_pred - y_true log(y_pred) over the last dim."""
    a, b = _floats(y_true, y_pred)
    return fn.mean(b - a * fn.log(b + EPSILON), -1)


def _unit(x: Tensor, axis: int) -> Tensor:
    return x * fn.rsqrt(fn.maximum(fn.sum(fn.square(x), axis, keepdims=True), 1e-12))


@standing("losses")
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The negative cosine of the angle between them: -1 where they are alike."""
    a, b = _floats(y_true, y_pred)
    return -fn.sum(_unit(a, axis) * _unit(b, axis), axis)


@standing("losses")
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-mean (y log p + (1 - y) log(1 - p)) along the axis.

    from_logits: p is the sigmoid of y_pred. label_smoothing: labels go this far towards 0.5.
    """
    y, p = _floats(y_true, y_pred, same=True)
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        each = fn.maximum(p, 0.0) - p * y + fn.softplus(-fn.abs(p))
    else:
        p = fn.clip(p, EPSILON, 1.0 - EPSILON)
        each = -(y * fn.log(p) + (1.0 - y) * fn.log(1.0 - p))
    return fn.mean(each, axis)


@standing("losses")
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """binary_crossentropy, times (1 - p of the label)^gamma. Source: Lin et al. 2017."""
    y, p = _floats(y_true, y_pred, same=True)
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        p = fn.sigmoid(p)
    inside = fn.clip(p, EPSILON, 1.0 - EPSILON)
    each = -(y * fn.log(inside) + (1.0 - y) * fn.log(1.0 - inside))
    right = y * p + (1.0 - y) * (1.0 - p)
    each = fn.pow(1.0 - right, float(gamma)) * each
    if apply_class_balancing:
        each = (y * alpha + (1.0 - y) * (1.0 - alpha)) * each
    return fn.mean(each, axis)


def _log_probabilities(p: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return p - log_sum_exp(p, axis, keepdims=True)
    p = p / fn.sum(p, axis, keepdims=True)
    return fn.log(fn.clip(p, EPSILON, 1.0 - EPSILON))


@standing("losses")
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum y log p along the axis; y is one-hot, or other shares that sum to 1.

    from_logits: p is the softmax of y_pred. label_smoothing: how far labels go towards 1 / classes.
    """
    y, p = cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32")
    if y.shape != p.shape:
        raise _classes("categorical_crossentropy", "one-hot labels, of the shape of y_pred", y, p)
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + label_smoothing / y.shape[axis]
    return -fn.sum(y * _log_probabilities(p, from_logits, axis), axis)


@standing("losses")
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum alpha (1 - p)^gamma y log p along the axis; alpha may be a number for each class.

    Source: Lin et al. 2017.
    """
    y, p = cast(tensor(y_true), "float32"), cast(tensor(y_pred), "float32")
    if not _broadcast(y.shape, p.shape):
        expected = "one-hot labels, of the shape of y_pred"
        raise _classes("categorical_focal_crossentropy", expected, y, p)
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + label_smoothing / y.shape[axis]
    p = fn.softmax(p, axis) if from_logits else p / fn.sum(p, axis, keepdims=True)
    p = fn.clip(p, EPSILON, 1.0 - EPSILON)
    share: Any = alpha
    if isinstance(alpha, Sequence):
        share = _by_class(alpha, p, axis)
    return fn.sum(share * fn.pow(1.0 - p, float(gamma)) * -y * fn.log(p), axis)


def _by_class(alpha: Sequence[float], p: Tensor, axis: int) -> Tensor:
    """A number for each class, along the axis of the classes."""
    if len(alpha) != p.shape[axis]:
        raise FanlightError(
            "E-LAYER-004",
            "alpha does not fit the classes of the model.",
            where=f"alpha of categorical_focal_crossentropy, {caller()}",
            expected=f"one number, or one for each of {p.shape[axis]} classes",
            received=f"{len(alpha)} numbers",
        )
    sizes = [len(alpha) if d == axis % p.rank else 1 for d in range(p.rank)]
    return fn.reshape(tensor(list(alpha), "float32"), sizes)


@standing("losses")
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log p of the class that y_true names by its number, along the axis.

    ignore_class: examples of this class count 0, and are not counted in a mean.
    """
    y, p = tensor(y_true), cast(tensor(y_pred), "float32")
    if y.rank == p.rank and y.shape[axis] == 1:
        y = fn.squeeze(y, axis)
    places = (*p.shape[: axis % p.rank], *p.shape[axis % p.rank + 1 :])
    if y.shape != places:
        raise _classes("sparse_categorical_crossentropy", f"class numbers {list(places)}", y, p)
    y = cast(y, "int32")
    logs = _log_probabilities(p, from_logits, axis)
    each = -fn.sum(fn.one_hot(y, p.shape[axis], axis=axis % p.rank) * logs, axis)
    if ignore_class is not None:
        counts = fn.not_equal(y, ignore_class)
        each = fn.where(counts, each, 0.0)
        scope.set_mask(each, counts)
    return each


def _classes(op: str, expected: str, y: Tensor, p: Tensor) -> FanlightError:
    return FanlightError(
        "E-OP-004",
        MISFIT,
        where=f"{op}, {caller()}",
        expected=expected,
        received=f"y_true {y.type}, y_pred {p.type}",
        next="class numbers go with sparse_categorical_crossentropy, one-hot rows with "
        "categorical_crossentropy.",
    )


@standing("losses")
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """1 - 2 |overlap| / (|y_true| + |y_pred|). Source: Milletari et al. 2016."""
    a, b = _floats(y_true, y_pred)
    overlap = fn.sum(a * b, axis)
    return 1.0 - fn.div(2.0 * overlap, fn.sum(a, axis) + fn.sum(b, axis) + EPSILON)


@standing("losses")
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Tensor:
    """1 - overlap / (overlap + alpha missed + beta wrongly found): Salehi et al. 2017.

    Which of the two alpha weighs is as in Keras 3; the paper has it the other way round.
    """
    a, b = _floats(y_true, y_pred)
    overlap = fn.sum(a * b, axis)
    missed, wrong = fn.sum(a * (1.0 - b), axis), fn.sum((1.0 - a) * b, axis)
    return 1.0 - overlap / (overlap + alpha * missed + beta * wrong + EPSILON)


@standing("losses")
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Tensor:
    """How far unit vectors of a class are apart, against those of others. Source: Sun et al. 2020.

    Args:
        y_true: class numbers [n]. y_pred: vectors of length 1, [n, size].
        ref_labels, ref_embeddings: what they are compared with; default: with each other.
        remove_diagonal: whether the i-th is not compared with the i-th.
    """
    x = cast(tensor(y_pred), "float32")
    labels = fn.reshape(cast(tensor(y_true), "int32"), (-1, 1))
    if labels.shape[0] != x.shape[0]:
        raise _classes("circle", f"class numbers [{x.shape[0]}]", tensor(y_true), x)
    others = x if ref_embeddings is None else cast(tensor(ref_embeddings), "float32")
    their = labels if ref_labels is None else fn.reshape(cast(tensor(ref_labels), "int32"), (-1, 1))
    same = fn.equal(labels, fn.transpose(their))
    different = fn.logical_not(same)
    if remove_diagonal:
        same = fn.logical_and(same, fn.equal(fn.eye(same.shape[0], same.shape[1]), 0.0))
    distance = fn.maximum(1.0 - fn.matmul(x, others, transpose_b=True), 0.0)
    near = -gamma * (margin + distance) * (margin - distance)
    far = gamma * fn.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    total = _log_sum(near, same) + _log_sum(far, different)
    loss = fn.softplus(total)
    scope.set_mask(loss, loss > 0.0)
    return loss


def _log_sum(x: Tensor, counts: Tensor) -> Tensor:
    """log sum exp of what counts, along the rows; about -infinity where nothing does."""
    return log_sum_exp(fn.where(counts, x, -1e30), 1)


@standing("losses")
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> Tensor:
    """(1 - p^q) / q of the class that y_true names by its number. Source: Zhang & Sabuncu 2018."""
    y, p = tensor(y_true), cast(tensor(y_pred), "float32")
    if y.rank == p.rank and y.shape[-1] == 1:
        y = fn.squeeze(y, -1)
    if not _broadcast((*y.shape, p.shape[-1]), p.shape):
        expected = f"class numbers {list(p.shape[:-1])}"
        raise _classes("categorical_generalized_cross_entropy", expected, y, p)
    right = fn.sum(p * fn.one_hot(cast(y, "int32"), p.shape[-1]), -1)
    return (1.0 - fn.pow(right, float(q))) / q


_NEVER = -1e5  # the logarithm of a probability that is as good as 0


@standing("losses")
def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """-log of the probability that a sequence says the labels, with blanks and repeats anywhere.

    Args:
        y_true: class numbers [n, labels] from 1 on; 0 fills up shorter ones.
        y_pred: logits [n, steps, classes]; class 0 is the blank.

    Source: Graves et al. 2006, section 4.1.
    """
    y, p = cast(tensor(y_true), "int32"), cast(tensor(y_pred), "float32")
    if y.rank != 2 or p.rank != 3 or y.shape[0] != p.shape[0]:
        raise _classes("ctc", "y_true [n, labels] and y_pred [n, steps, classes]", y, p)
    count, longest = y.shape
    # Each label between blanks: 0, a, 0, b, 0.
    places = 2 * longest + 1
    between = fn.reshape(fn.stack([fn.zeros_like(y), y], -1), (count, 2 * longest))
    between = fn.concat([between, fn.zeros((count, 1), "int32")], 1)
    logs = fn.log_softmax(p)
    says = fn.matmul(logs, fn.one_hot(between, p.shape[-1]), transpose_b=True)
    says = fn.transpose(says, (1, 0, 2))  # [steps, n, places]
    # A blank may be left out between labels that differ.
    before = fn.pad(between, [(0, 0), (2, 0)])[:, :places]
    skips = fn.logical_and(fn.not_equal(between, 0), fn.not_equal(between, before))
    first = fn.where(fn.range(places) < 2, says[0], _NEVER)

    def step(before: Tensor, now: Tensor) -> tuple[Tensor, None]:
        one, two = (fn.pad(before, [(0, 0), (n, 0)], _NEVER)[:, :places] for n in (1, 2))
        ways = fn.stack([before, one, fn.where(skips, two, _NEVER)])
        return log_sum_exp(ways, 0) + now, None

    last = first if p.shape[1] == 1 else scan(step, first, says[1:])[0]
    # It ends with the last label, or with a blank after it.
    end = 2 * fn.sum(cast(fn.not_equal(y, 0), "int32"), 1)
    here = fn.equal(fn.range(places), fn.expand_dims(end, -1))
    there = fn.equal(fn.range(places), fn.expand_dims(end - 1, -1))
    return -log_sum_exp(fn.where(fn.logical_or(here, there), last, _NEVER), 1)


def kind_by_shape(y_true: Tensor, y_pred: Tensor) -> str:
    """What labels are by their shape, as Keras decides: binary, sparse or categorical."""
    if y_pred.rank < 2 or y_pred.shape[-1] == 1:
        return "binary"
    sparse = y_true.rank < y_pred.rank or y_true.shape[-1] == 1
    return "sparse" if sparse else "categorical"


def crossentropy(y_true: Any, y_pred: Any) -> Tensor:
    """The cross-entropy that goes with the shape of the labels: see `kind_by_shape`."""
    kind = kind_by_shape(tensor(y_true), tensor(y_pred))
    if kind == "binary":
        return binary_crossentropy(y_true, y_pred)
    if kind == "sparse":
        return sparse_categorical_crossentropy(y_true, y_pred)
    return categorical_crossentropy(y_true, y_pred)


# By name; a metric can be of them, too.
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    f.__name__: f
    for f in (
        binary_crossentropy,
        binary_focal_crossentropy,
        categorical_crossentropy,
        categorical_focal_crossentropy,
        categorical_generalized_cross_entropy,
        categorical_hinge,
        circle,
        cosine_similarity,
        ctc,
        dice,
        hinge,
        huber,
        kl_divergence,
        log_cosh,
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_error,
        mean_squared_logarithmic_error,
        poisson,
        sparse_categorical_crossentropy,
        squared_hinge,
        tversky,
    )
}
ALIASES = {
    "mse": "mean_squared_error",
    "MSE": "mean_squared_error",
    "mae": "mean_absolute_error",
    "MAE": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "MAPE": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "MSLE": "mean_squared_logarithmic_error",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
    "cosine_proximity": "cosine_similarity",
    "bce": "binary_crossentropy",
    "BCE": "binary_crossentropy",
    "KLD": "kl_divergence",
}
