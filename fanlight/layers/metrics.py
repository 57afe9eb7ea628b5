"""Metrics by Keras's names: `fl.metrics`. Functions give a number for each example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fanlight.layers import accuracies, config, overlaps, regression, thresholds
from fanlight.layers import loss_functions as losses
from fanlight.layers.accuracies import (
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
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from fanlight.layers.config import made_of
from fanlight.layers.loss_functions import (
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
from fanlight.layers.metric import Mean, MeanMetricWrapper, Metric, Sum
from fanlight.layers.nearest import missing
from fanlight.layers.overlaps import (
    BinaryIoU,
    ConfusionMatrix,
    F1Score,
    FBetaScore,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
)
from fanlight.layers.regression import (
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
    concordance_correlation,
    pearson_correlation,
)
from fanlight.layers.thresholds import (
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
from fanlight.tensor import Tensor

CLASSES: tuple[type[Metric], ...] = (
    *accuracies.CLASSES,
    *overlaps.CLASSES,
    *regression.CLASSES,
    *thresholds.CLASSES,
    Mean,
    MeanMetricWrapper,
    Sum,
)
FUNCTIONS: dict[str, Callable[..., Tensor]] = (
    accuracies.FUNCTIONS | regression.FUNCTIONS | losses.FUNCTIONS
)
KNOWN: dict[str, Any] = {c.__name__: c for c in CLASSES} | {
    config.snake(c.__name__): c for c in CLASSES
}


# What compile takes by name.
_NAMES = (*KNOWN, *FUNCTIONS, *losses.ALIASES, "acc", "ce", "crossentropy")


def function_of(given: Any) -> Callable[..., Tensor]:
    """The function of labels and predictions that a name in a file stands for."""
    given = losses.ALIASES.get(given, given) if isinstance(given, str) else given
    found: Callable[..., Tensor] = config.lookup("metric", given, FUNCTIONS)
    return found


def get(given: Any, loss: Any = None, output_shape: Any = None) -> Metric:
    """The metric that a name, a description, a function or an object stands for.

    A name is also that of the number in logs: "mse" is reported as mse.

    Args:
        loss: of the output that it is of: what "crossentropy" means follows from it.
        output_shape: how many numbers a metric keeps for each class follows from it.
    """
    made = _made(given, loss)
    if output_shape is not None:
        made.ready(output_shape)
    return made


def _made(given: Any, loss: Any) -> Metric:
    if isinstance(given, Metric):
        return given
    if isinstance(given, str) and given in ("accuracy", "acc", "crossentropy", "ce"):
        return _by_shape(given, loss)
    if isinstance(given, str):
        name = losses.ALIASES.get(given, given)
        if config.registered(name) is None and name not in KNOWN and name in FUNCTIONS:
            return MeanMetricWrapper(FUNCTIONS[name], given)
        found: Any = config.lookup("metric", name, KNOWN, near=_NAMES)
        if not isinstance(found, Metric):
            return MeanMetricWrapper(found, given)
        found.name = given
        return found
    if callable(given) and not isinstance(given, type):
        return MeanMetricWrapper(given)
    made = config.lookup("metric", given, KNOWN)
    return made if isinstance(made, Metric) else MeanMetricWrapper(made)


def _by_shape(name: str, loss: Any) -> Metric:
    """The accuracy, or cross-entropy, that goes with the shape of labels: as Keras decides."""
    if name in ("accuracy", "acc"):
        return MeanMetricWrapper(accuracies.accuracy_by_shape, name)
    if type(loss).__name__ in ("Function", "NoneType"):
        return MeanMetricWrapper(losses.crossentropy, name)
    logits = bool(getattr(loss, "from_logits", False))
    kind = type(loss).__name__
    if kind.startswith("Binary"):
        return BinaryCrossentropy(name, from_logits=logits)
    if kind.startswith("Sparse"):
        return SparseCategoricalCrossentropy(name, from_logits=logits)
    return CategoricalCrossentropy(name, from_logits=logits)


def serialize(metric: Any) -> Any:
    """What a file has for a metric: class name and arguments, or the name of a function."""
    return config.plain(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The metric that `serialize` described.

    Args:
        custom_objects: classes and functions of your own that it may name.
    """
    return made_of(get, config, custom_objects)


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "accuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "concordance_correlation",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
    "tversky",
]

if not TYPE_CHECKING:  # a name that is not there is an error to mypy
    __getattr__ = missing("fl.metrics", __all__)


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
