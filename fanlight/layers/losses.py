"""Losses: `fl.losses`. Classes and functions by Keras's names, and the functions of the Core API.

Keras's functions give a number for each example. One name is both Keras's and TensorFlow.js's:
`mean_squared_error` is Keras's. What tf.losses.meanSquaredError computes, one number for all, is
`compute_weighted_loss(fl.squared_difference(labels, predictions), weights, reduction)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import config, policy, scope
from fanlight.layers import loss_functions as functions
from fanlight.layers.checked import Checked
from fanlight.layers.config import made_of
from fanlight.layers.loss_functions import (
    ALIASES,
    FUNCTIONS,
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
from fanlight.layers.standing import standing
from fanlight.tensor import Tensor, cast, tensor
from fanlight.tensor import functions as fn
from fanlight.tensor import losses as core
from fanlight.tensor.caller import caller

# Those of the Core API.
_alike = standing("losses")
absolute_difference = _alike(core.absolute_difference)
compute_weighted_loss = _alike(core.compute_weighted_loss)
cosine_distance = _alike(core.cosine_distance)
hinge_loss = _alike(core.hinge_loss)
huber_loss = _alike(core.huber_loss)
log_loss = _alike(core.log_loss)
sigmoid_cross_entropy = _alike(core.sigmoid_cross_entropy)
softmax_cross_entropy = _alike(core.softmax_cross_entropy)
# As Keras 2 has them, too.
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kl_divergence
logcosh = log_cosh

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")


def reduced_weights(values: Tensor, weights: Any) -> tuple[Tensor, Tensor]:
    """Values and their weights as float32, the weights with as many dims."""
    weights = cast(tensor(weights), "float32")
    while weights.rank > values.rank and weights.shape[-1] == 1:
        weights = fn.squeeze(weights, -1)
    if weights.rank < values.rank:
        weights = fn.reshape(weights, (*weights.shape, *[1] * (values.rank - weights.rank)))
    return values, weights


def _fitting(values: Tensor, weights: Any) -> Tensor:
    """Weights of examples, with as many dims as their losses."""
    given = tensor(weights)
    made = reduced_weights(values, given)[1]
    pairs = zip(made.shape, values.shape, strict=False)
    if values.rank and (
        made.rank > values.rank or any(w not in (1, v) and v != 1 for w, v in pairs)
    ):
        raise FanlightError(
            "E-TRAIN-002",
            "sample_weight does not fit the losses of the examples.",
            where=f"sample_weight, {caller()}",
            expected=f"the shape {list(values.shape)}, or its first dims",
            received=list(given.shape),
            next="a weight for each example: an array with one dim.",
        )
    return made


def reduced(values: Tensor, weights: Any, reduction: str, mask: Any = None) -> Tensor:
    """Losses of examples, times their weights, as one number.

    Args:
        reduction: sum_over_batch_size or mean (the sum, by the number of elements),
            mean_with_sample_weight (by the sum of weights), sum, or none.
        mask: which elements count; the number of those divides, instead of all.
    """
    if weights is not None:
        weights = _fitting(values, weights)
    if mask is not None:
        mask = cast(tensor(mask), "float32")
        if reduction in ("sum_over_batch_size", "mean"):
            mask = mask * fn.div_no_nan(float(mask.size), fn.sum(mask))
        mask = reduced_weights(values, mask)[1]
        weights = mask if weights is None else weights * mask
    if weights is not None:
        values = values * weights
    if reduction == "none" or not values.rank:
        return values
    total = fn.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weights is not None:
        return fn.div_no_nan(total, fn.sum(weights))
    return total / float(max(1, values.size))


class Loss(Checked):
    """How far predictions are from labels, as one number.

    Args:
        reduction: sum_over_batch_size or mean (the mean over all elements),
            mean_with_sample_weight (the sum, divided by that of the weights), sum, or none.

    A loss of your own has `call(y_true, y_pred)`, which gives one number per example.
    """

    fields: tuple[str, ...] = ()
    keras_module = "keras.losses"

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        self.name = name or config.snake(type(self).__name__)
        policy.get(dtype, f"dtype of {self.name}")  # checked: losses are float32
        reduction = "none" if reduction is None else reduction
        reduction = "sum_over_batch_size" if reduction == "auto" else reduction
        if reduction not in REDUCTIONS:
            raise FanlightError(
                "E-LAYER-004",
                f"{type(self).__name__} has no such reduction.",
                where=f"reduction, {caller()}",
                expected=", ".join(REDUCTIONS),
                received=repr(reduction),
            )
        self.reduction = reduction

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The loss of each example."""
        raise config.unwritten(self, "call")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The loss of all examples together."""
        mask, values = scope.mask_of(y_pred), self.call(y_true, y_pred)
        if values is None:
            raise config.nothing(f"the loss {self.name}", f"{type(self).__name__}.call")
        own = scope.mask_of(values)
        if mask is not None and own is not None:
            mask = fn.logical_and(mask, own)
        return reduced(values, sample_weight, self.reduction, own if mask is None else mask)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        base = {"name": self.name, "reduction": self.reduction}
        return base | {f: config.plain(getattr(self, f)) for f in self.fields}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss of such arguments."""
        return cls(**config)


class Function(Loss):
    """A function of labels and predictions as a loss."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", "loss"), reduction)
        self.fn, self.options = fn, options

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        values = self.fn(y_true, y_pred, **self.options)
        if values is None:
            raise config.nothing(f"the loss {self.name}", "the function")
        return tensor(values)

    def get_config(self) -> dict[str, Any]:
        own = {"fn": config.function_described(self.fn)}
        return super().get_config() | own | config.plain(self.options)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**(config | {"fn": _function(config["fn"])}))


def _function(given: Any) -> Callable[..., Any]:
    """The function that a name in a file stands for."""
    found: Callable[..., Any] = config.lookup("loss", given, FUNCTIONS)
    return found


class _Named(Loss):
    """A loss by one of the functions here, without arguments of its own."""

    function: Callable[..., Tensor]

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return type(self).function(y_true, y_pred)


class MeanSquaredError(_Named):
    """See mean_squared_error."""

    function = staticmethod(functions.mean_squared_error)


class MeanAbsoluteError(_Named):
    """See mean_absolute_error."""

    function = staticmethod(functions.mean_absolute_error)


class MeanAbsolutePercentageError(_Named):
    """See mean_absolute_percentage_error."""

    function = staticmethod(functions.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Named):
    """See mean_squared_logarithmic_error."""

    function = staticmethod(functions.mean_squared_logarithmic_error)


class Hinge(_Named):
    """See hinge."""

    function = staticmethod(functions.hinge)


class SquaredHinge(_Named):
    """See squared_hinge."""

    function = staticmethod(functions.squared_hinge)


class CategoricalHinge(_Named):
    """See categorical_hinge."""

    function = staticmethod(functions.categorical_hinge)


class LogCosh(_Named):
    """See log_cosh."""

    function = staticmethod(functions.log_cosh)


class KLDivergence(_Named):
    """See kl_divergence."""

    function = staticmethod(functions.kl_divergence)


class Poisson(_Named):
    """See poisson."""

    function = staticmethod(functions.poisson)


class CTC(_Named):
    """See ctc."""

    function = staticmethod(functions.ctc)


class Huber(Loss):
    """See huber."""

    fields = ("delta",)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or "huber_loss", reduction, dtype)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return functions.huber(y_true, y_pred, self.delta)


class CosineSimilarity(Loss):
    """See cosine_similarity."""

    fields = ("axis",)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return functions.cosine_similarity(y_true, y_pred, self.axis)


class BinaryCrossentropy(Loss):
    """See binary_crossentropy."""

    fields = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        options = (self.from_logits, self.label_smoothing, self.axis)
        return functions.binary_crossentropy(y_true, y_pred, *options)


class BinaryFocalCrossentropy(Loss):
    """See binary_focal_crossentropy."""

    fields = (
        "apply_class_balancing",
        "alpha",
        "gamma",
        "from_logits",
        "label_smoothing",
        "axis",
    )

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        options = {f: getattr(self, f) for f in self.fields}
        return functions.binary_focal_crossentropy(y_true, y_pred, **options)


class CategoricalCrossentropy(BinaryCrossentropy):
    """See categorical_crossentropy."""

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        options = (self.from_logits, self.label_smoothing, self.axis)
        return functions.categorical_crossentropy(y_true, y_pred, *options)


class CategoricalFocalCrossentropy(Loss):
    """See categorical_focal_crossentropy."""

    fields = ("alpha", "gamma", "from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.alpha, self.gamma, self.from_logits = alpha, gamma, from_logits
        self.label_smoothing, self.axis = label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        options = {f: getattr(self, f) for f in self.fields}
        return functions.categorical_focal_crossentropy(y_true, y_pred, **options)


class SparseCategoricalCrossentropy(Loss):
    """See sparse_categorical_crossentropy."""

    fields = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        options = (self.from_logits, self.ignore_class, self.axis)
        return functions.sparse_categorical_crossentropy(y_true, y_pred, *options)


class Dice(Loss):
    """See dice."""

    fields = ("axis",)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return functions.dice(y_true, y_pred, self.axis)


class Tversky(Loss):
    """See tversky."""

    fields = ("alpha", "beta", "axis")

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.alpha, self.beta, self.axis = alpha, beta, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return functions.tversky(y_true, y_pred, self.alpha, self.beta, self.axis)


class Circle(Loss):
    """See circle."""

    fields = ("gamma", "margin", "remove_diagonal")

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        options = {f: getattr(self, f) for f in self.fields}
        return functions.circle(y_true, y_pred, **options)


class CategoricalGeneralizedCrossEntropy(Loss):
    """See categorical_generalized_cross_entropy."""

    fields = ("q",)

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if not 0 < q < 1:
            raise FanlightError(
                "E-LAYER-004",
                "CategoricalGeneralizedCrossEntropy has no such q.",
                where=f"q, {caller()}",
                expected="a number between 0 and 1",
                received=repr(q),
            )
        self.q = q

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return functions.categorical_generalized_cross_entropy(y_true, y_pred, self.q)


CLASSES = (
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)
_BY_FUNCTION = {config.snake(c.__name__): c for c in CLASSES} | {"kl_divergence": KLDivergence}
KNOWN: dict[str, Any] = {c.__name__: c for c in CLASSES} | _BY_FUNCTION
KNOWN |= {"Function": Function, "LossFunctionWrapper": Function}
KNOWN |= {alias: _BY_FUNCTION[name] for alias, name in ALIASES.items()}


def takes_class_numbers(loss: Any, labels: Any, outputs: Any) -> bool:
    """Whether labels of this shape are class numbers to a loss of such outputs."""
    if isinstance(loss, SparseCategoricalCrossentropy | CategoricalGeneralizedCrossEntropy):
        return True
    by_shape = isinstance(loss, Function) and loss.fn is functions.crossentropy
    several = len(outputs) > 1 and outputs[-1] != 1
    return by_shape and several and (len(labels) < len(outputs) or labels[-1] == 1)


def compares_numbers(loss: Any) -> bool:
    """Whether a loss is one of those here, none of which takes texts."""
    return type(loss) in CLASSES


def takes_shares(loss: Any, outputs: Any) -> bool:
    """Whether labels are shares, from 0 to 1, each by itself, to a loss of such outputs."""
    if isinstance(loss, CategoricalCrossentropy):
        return False
    if isinstance(loss, BinaryCrossentropy | BinaryFocalCrossentropy):
        return True
    if not isinstance(loss, Function):
        return False
    by_shape = loss.fn is functions.crossentropy and (len(outputs) < 2 or outputs[-1] == 1)
    return by_shape or loss.fn in (binary_crossentropy, binary_focal_crossentropy)


def get(given: Any) -> Loss | None:
    """The loss that a name, a description, a function or an object stands for; None stays None."""
    if given is None:
        return None
    if isinstance(given, str) and given in ("crossentropy", "ce"):
        return Function(functions.crossentropy, name=given)
    found = config.lookup("loss", given, KNOWN)
    if isinstance(found, Loss):
        return found
    if callable(found):
        named = next((c for n, c in _BY_FUNCTION.items() if FUNCTIONS.get(n) is found), None)
        return Function(found) if named is None else named()
    return config.lookup("loss", "", KNOWN)


def serialize(loss: Any) -> Any:
    """What a file has for a loss: class name and arguments, or the name of a function."""
    return config.plain(loss)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)


__all__ = [
    "CTC",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Function",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "absolute_difference",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "compute_weighted_loss",
    "cosine_distance",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "hinge_loss",
    "huber",
    "huber_loss",
    "kl_divergence",
    "kld",
    "log_cosh",
    "log_loss",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "serialize",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
