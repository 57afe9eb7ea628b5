"""Losses against Keras 3: numbers, gradients, weights, masks, reductions, configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import losses, scope
from tests.conformance import compared
from tests.layers import keras_oracle
from tests.layers.keras_oracle import keras

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(0)
N, C = 6, 4
REAL = RNG.normal(size=(N, C)).astype(np.float32)
OTHER = RNG.normal(size=(N, C)).astype(np.float32)
SHARES = np.exp(REAL) / np.exp(REAL).sum(-1, keepdims=True)
TARGETS = (np.exp(OTHER) / np.exp(OTHER).sum(-1, keepdims=True)).astype(np.float32)
CLASSES = RNG.integers(0, C, N).astype(np.int32)
ONE_HOT = np.eye(C, dtype=np.float32)[CLASSES]
BITS = RNG.integers(0, 2, (N, C)).astype(np.float32)
PARTS = RNG.uniform(0.01, 0.99, (N, C)).astype(np.float32)
UNIT = REAL / np.linalg.norm(REAL, axis=-1, keepdims=True)
WEIGHTS = RNG.uniform(0.2, 2.0, N).astype(np.float32)

SAID = np.array([[1, 2, 3], [1, 1, 0], [3, 0, 0], [2, 1, 2], [0, 0, 0], [2, 2, 1]], np.int32)
SOUNDS = RNG.normal(size=(N, 7, C)).astype(np.float32)

# class, arguments, labels, predictions
CASES: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("MeanSquaredError", {}, OTHER, REAL),
    ("MeanAbsoluteError", {}, OTHER, REAL),
    ("MeanAbsolutePercentageError", {}, OTHER, REAL),
    ("MeanSquaredLogarithmicError", {}, np.abs(OTHER), np.abs(REAL)),
    ("CosineSimilarity", {}, OTHER, REAL),
    ("CosineSimilarity", {"axis": 0}, OTHER, REAL),
    ("Huber", {}, OTHER, REAL),
    ("Huber", {"delta": 0.3}, OTHER, REAL),
    ("LogCosh", {}, OTHER, REAL),
    ("Hinge", {}, BITS, REAL),
    ("Hinge", {}, BITS * 2 - 1, REAL),
    ("SquaredHinge", {}, BITS, REAL),
    ("CategoricalHinge", {}, ONE_HOT, REAL),
    ("KLDivergence", {}, TARGETS, SHARES),
    ("Poisson", {}, np.abs(OTHER), np.abs(REAL)),
    ("BinaryCrossentropy", {}, BITS, PARTS),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, BITS, REAL),
    ("BinaryCrossentropy", {"axis": 0}, BITS, PARTS),
    ("BinaryFocalCrossentropy", {}, BITS, PARTS),
    (
        "BinaryFocalCrossentropy",
        {
            "apply_class_balancing": True,
            "alpha": 0.4,
            "gamma": 1.5,
            "from_logits": True,
            "label_smoothing": 0.2,
        },
        BITS,
        REAL,
    ),
    ("CategoricalCrossentropy", {}, ONE_HOT, SHARES),
    ("CategoricalCrossentropy", {}, ONE_HOT, PARTS),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT, REAL),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, SHARES),
    (
        "CategoricalFocalCrossentropy",
        {"alpha": 0.5, "gamma": 3.0, "from_logits": True, "label_smoothing": 0.1},
        ONE_HOT,
        REAL,
    ),
    ("SparseCategoricalCrossentropy", {}, CLASSES, SHARES),
    ("SparseCategoricalCrossentropy", {}, CLASSES[:, None], SHARES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, REAL),
    (
        "SparseCategoricalCrossentropy",
        {"from_logits": True, "ignore_class": int(CLASSES[0])},
        CLASSES,
        REAL,
    ),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}, CLASSES, SHARES),
    ("Dice", {}, BITS, PARTS),
    ("Dice", {"axis": -1}, BITS, PARTS),
    ("Tversky", {"alpha": 0.3, "beta": 0.7}, BITS, PARTS),
    ("Tversky", {"alpha": 0.3, "beta": 0.7, "axis": (1,)}, BITS, PARTS),
    ("CTC", {}, SAID, SOUNDS),
    ("CTC", {}, SAID[:, :2], SOUNDS[:, :3]),
    ("CTC", {}, SAID[:, :1], SOUNDS[:, :1]),
    ("Circle", {}, CLASSES, UNIT),
    ("Circle", {"gamma": 10.0, "margin": 0.2, "remove_diagonal": False}, CLASSES, UNIT),
]
IDS = [f"{name}-{'-'.join(map(str, options))}-{i}" for i, (name, options, _, _) in enumerate(CASES)]


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    keras_oracle.close(ours, theirs, "", tolerance)


@pytest.mark.parametrize(("name", "options", "y", "p"), CASES, ids=IDS)
def test_numbers_and_weights_and_reductions(
    name: str, options: dict[str, Any], y: Any, p: Any
) -> None:
    # Each of Keras's CTC is compiled anew, for seconds: reductions are compared in the first case.
    often = name != "CTC" or y is SAID
    for reduction in (*losses.REDUCTIONS, None) if often else (losses.REDUCTIONS[0], None):
        ours = getattr(losses, name)(**options, reduction=reduction)
        theirs = getattr(keras.losses, name)(**options, reduction=reduction)
        close(ours(y, p), theirs(y, p))
        weights = WEIGHTS if ours.call(y, p).shape == (N,) else np.float32(1.5)
        close(ours(y, p, weights), theirs(y, p, weights))
    compared("losses", name, "outputs")


@pytest.mark.parametrize(("name", "options", "y", "p"), CASES, ids=IDS)
def test_gradients(name: str, options: dict[str, Any], y: Any, p: Any) -> None:
    import jax

    ours, theirs = getattr(losses, name)(**options), getattr(keras.losses, name)(**options)
    found = fl.grad(lambda q: ours(y, q))(p)
    wanted = np.asarray(jax.jit(jax.grad(lambda q: theirs(y, q)))(p))
    if name == "Circle":  # Keras divides by 0 in rows of a class that is alone
        found, wanted = found.numpy()[~np.isnan(wanted)], wanted[~np.isnan(wanted)]
        assert wanted.size
    close(found, wanted)
    compared("losses", name, "gradients")


@pytest.mark.parametrize(("name", "options", "y", "p"), CASES, ids=IDS)
def test_configurations_go_both_ways(name: str, options: dict[str, Any], y: Any, p: Any) -> None:
    ours = getattr(losses, name)(**options, reduction="sum")
    theirs = getattr(keras.losses, name)(**options, reduction="sum")
    back = getattr(keras.losses, name).from_config(ours.get_config())
    close(back(y, p), theirs(y, p))
    assert theirs.name == ours.name and set(theirs.get_config()) <= set(ours.get_config())
    if name not in ("Huber", "CosineSimilarity"):  # Keras forgets delta and axis in their configs
        close(type(ours).from_config(theirs.get_config())(y, p), ours(y, p))
    described = keras.losses.serialize(theirs) if not isinstance(theirs, str) else theirs
    again = losses.get(described)
    assert type(again) is type(ours) and again.reduction == "sum"
    compared("losses", name, "configs")


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_masks(reduction: str) -> None:
    import jax.numpy as jnp

    y, p = RNG.normal(size=(2, 3, 5, 2)).astype(np.float32)[:2].reshape(2, 15, 2)
    y, p = y.reshape(3, 5, 2), p.reshape(3, 5, 2)
    mask = RNG.integers(0, 2, (3, 5)).astype(bool)
    for weights in (None, RNG.uniform(size=(3, 5)).astype(np.float32)):
        q = fl.tensor(p)
        scope.set_mask(q, fl.tensor(mask))
        found = losses.MeanSquaredError(reduction)(y, q, weights)
        given = jnp.asarray(p)
        keras.src.backend.set_keras_mask(given, jnp.asarray(mask))
        close(found, keras.losses.MeanSquaredError(reduction)(y, given, weights))


def test_a_mask_that_leaves_nothing_gives_zero() -> None:
    q = fl.tensor(REAL)
    scope.set_mask(q, fl.zeros(N, "bool"))
    assert losses.MeanSquaredError()(OTHER, q).item() == 0.0


def test_ignored_classes_and_masks_together() -> None:
    import jax.numpy as jnp

    mask = np.array([1, 1, 0, 1, 0, 1], bool)
    q, given = fl.tensor(SHARES), jnp.asarray(SHARES)
    scope.set_mask(q, fl.tensor(mask))
    keras.src.backend.set_keras_mask(given, jnp.asarray(mask))
    options = {"ignore_class": int(CLASSES[1])}
    close(
        losses.SparseCategoricalCrossentropy(**options)(CLASSES, q),
        keras.losses.SparseCategoricalCrossentropy(**options)(CLASSES, given),
    )


@pytest.mark.parametrize("axis", [1, -1, 2])
def test_classes_along_other_axes(axis: int) -> None:
    p = RNG.normal(size=(2, 4, 4)).astype(np.float32)
    y = RNG.integers(0, 4, (2, 4)).astype(np.int32)
    ours = losses.SparseCategoricalCrossentropy(True, axis=axis)
    theirs = keras.losses.SparseCategoricalCrossentropy(True, axis=axis)
    close(ours(y, p), theirs(y, p))


@pytest.mark.parametrize(
    ("y", "p"), [((6,), (6, 1)), ((6, 1), (6,)), ((6, 3, 1), (6, 3)), ((6, 3), (6, 3, 1))]
)
def test_a_last_dim_of_one_more(y: tuple[int, ...], p: tuple[int, ...]) -> None:
    a, b = RNG.normal(size=y).astype(np.float32), RNG.normal(size=p).astype(np.float32)
    for name in ("MeanSquaredError", "Huber", "LogCosh", "Hinge", "Poisson"):
        b = np.abs(b) if name == "Poisson" else b
        close(getattr(losses, name)()(a, b), getattr(keras.losses, name)()(a, b))


@pytest.mark.parametrize("name", sorted(losses.FUNCTIONS))
def test_functions_are_metrics_by_name(name: str) -> None:
    function = getattr(fl.metrics, name)
    assert function is losses.FUNCTIONS[name]
    theirs = {
        "categorical_generalized_cross_entropy": "CategoricalGeneralizedCrossEntropy",
    }.get(name)
    case = next(c for c in CASES if fl.layers.config.snake(c[0]) == name)
    _, _, y, p = case
    if theirs is None:
        close(function(y, p), getattr(keras.losses, name)(y, p))
    else:
        close(function(y, p), getattr(keras.losses, theirs)().call(y, p))


@pytest.mark.parametrize(
    "name", ["mse", "MAE", "mape", "msle", "kld", "bce", "kl_divergence", "log_cosh", "huber"]
)
def test_names(name: str) -> None:
    y, p = np.abs(OTHER), PARTS
    close(losses.get(name)(y, p), np.mean(np.asarray(keras.losses.get(name)(y, p))))


def test_a_function_is_a_loss() -> None:
    loss = losses.get(lambda y, p: fl.sum(fl.square(y - p), -1))
    close(loss(OTHER, REAL), ((OTHER - REAL) ** 2).sum(-1).mean())
    kept = losses.Function(fl.metrics.huber, name="far", delta=0.5)
    again = losses.get({"class_name": "LossFunctionWrapper", "config": kept.get_config()})
    assert again.name == "far"
    close(again(OTHER, REAL), losses.Huber(0.5)(OTHER, REAL))
    wrapper = keras.src.losses.losses.LossFunctionWrapper
    close(wrapper.from_config(kept.get_config())(OTHER, REAL), kept(OTHER, REAL))
    theirs = wrapper(keras.losses.huber, name="far", delta=0.5)
    close(losses.Function.from_config(theirs.get_config())(OTHER, REAL), theirs(OTHER, REAL))


def test_losses_are_traced_into_the_step() -> None:
    for name, options, y, p in CASES:
        loss = getattr(losses, name)(**options)
        close(fl.jit(lambda a, b, loss=loss: loss(a, b))(y, p), loss(y, p))


def test_wrong_arguments() -> None:
    for make in (
        lambda: losses.MeanSquaredError("average"),
        lambda: losses.CategoricalGeneralizedCrossEntropy(2.0),
    ):
        with pytest.raises(FanlightError) as error:
            make()
        assert error.value.code == "E-LAYER-004"
    with pytest.raises(FanlightError) as error:
        losses.get("mean_squared_eror")
    assert error.value.code == "E-LAYER-003"
    for name, y in (("CategoricalCrossentropy", CLASSES), ("SparseCategoricalCrossentropy", BITS)):
        with pytest.raises(FanlightError) as error:
            getattr(losses, name)()(y, SHARES)
        assert error.value.code == "E-OP-004"
    with pytest.raises(FanlightError) as error:
        losses.CTC()(CLASSES, SOUNDS)
    assert error.value.code == "E-OP-004"
