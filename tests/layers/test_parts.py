"""Initializers, constraints and regularizers against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.conformance import compared
from tests.layers.keras_oracle import close, jax, keras, numbers, plain_config

SHAPE = (60, 80)
# name, arguments, then mean, standard deviation and bounds as Keras documents them
SPREADS: list[tuple[str, dict[str, Any], float, float, float]] = [
    ("RandomNormal", {"mean": 0.5, "stddev": 0.2}, 0.5, 0.2, np.inf),
    ("TruncatedNormal", {"stddev": 0.2}, 0.0, 0.2 * 0.8796, 0.4),
    ("RandomUniform", {"minval": -0.3, "maxval": 0.3}, 0.0, 0.3 / 3**0.5, 0.3),
    ("GlorotUniform", {}, 0.0, (2 / 140) ** 0.5, (6 / 140) ** 0.5),
    ("GlorotNormal", {}, 0.0, (2 / 140) ** 0.5, 2 * (2 / 140) ** 0.5 / 0.8796),
    ("HeUniform", {}, 0.0, (2 / 60) ** 0.5, (6 / 60) ** 0.5),
    ("HeNormal", {}, 0.0, (2 / 60) ** 0.5, 2 * (2 / 60) ** 0.5 / 0.8796),
    ("LecunUniform", {}, 0.0, (1 / 60) ** 0.5, (3 / 60) ** 0.5),
    ("LecunNormal", {}, 0.0, (1 / 60) ** 0.5, 2 * (1 / 60) ** 0.5 / 0.8796),
    ("VarianceScaling", {"mode": "fan_out", "distribution": "uniform"}, 0.0, (1 / 80) ** 0.5, 0.2),
    (
        "VarianceScaling",
        {"scale": 2.0, "distribution": "untruncated_normal"},
        0.0,
        (2 / 60) ** 0.5,
        np.inf,
    ),
]


@pytest.mark.parametrize(("name", "options", "mean", "spread", "bound"), SPREADS)
def test_spread(name: str, options: Any, mean: float, spread: float, bound: float) -> None:
    ours = getattr(fl.initializers, name)(**options, seed=3)
    theirs = getattr(keras.initializers, name)(**options, seed=3)
    drawn = ours(SHAPE)
    assert drawn.dtype == np.float32 and drawn.shape == SHAPE
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [mean, spread], atol=0.03 * spread)
    assert np.abs(drawn - mean).max() <= bound * 1.001
    # Four standard errors of what Keras draws.
    expected = np.asarray(theirs(SHAPE))
    np.testing.assert_allclose(drawn.std(), expected.std(), rtol=4 / (2 * drawn.size) ** 0.5 * 1.5)
    np.testing.assert_array_equal(ours(SHAPE), drawn)
    other = getattr(fl.initializers, name)(**options)
    assert (other(SHAPE) != other(SHAPE)).any()
    check(ours, theirs)
    compared("initializers", name, "outputs", "configs")


def check(ours: Any, theirs: Any) -> None:
    """Each can be made of the other's configuration."""
    own, other = plain_config(ours.get_config()), plain_config(theirs.get_config())
    assert own == other
    assert plain_config(type(theirs).from_config(ours.get_config()).get_config()) == other
    assert plain_config(type(ours).from_config(theirs.get_config()).get_config()) == own


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (5, 4, 8), (7,)])
def test_fans(shape: Any) -> None:
    """Keras's kernels of convolutions: what goes in and out counts the whole window."""
    from keras.src.initializers.random_initializers import compute_fans

    from fanlight.layers.initializers import fans

    assert fans(shape) == compute_fans(shape)
    if len(shape) > 1:
        assert fans(shape, [0, 1], [-1]) == compute_fans(shape, [0, 1], [-1])


def test_fixed_values() -> None:
    for ours, theirs, shape in (
        (fl.initializers.Zeros(), keras.initializers.Zeros(), (2, 3)),
        (fl.initializers.Ones(), keras.initializers.Ones(), (2, 3)),
        (fl.initializers.Constant(0.5), keras.initializers.Constant(0.5), (2, 3)),
    ):
        close(ours(shape), theirs(shape), type(ours).__name__)
        check(ours, theirs)
        compared("initializers", type(ours).__name__, "outputs", "configs")
    close(fl.initializers.Identity(2.0)((3, 4)), keras.initializers.Identity(2.0)((3, 4)), "eye")
    # Keras's class says nothing of its gain.
    again = keras.initializers.Identity.from_config(fl.initializers.Identity(2.0).get_config())
    assert again.gain == 2.0
    again = fl.initializers.Identity.from_config(keras.initializers.Identity(2.0).get_config())
    assert isinstance(again, fl.initializers.Identity)
    compared("initializers", "Identity", "outputs", "configs")


@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (6, 3), (2, 3, 4)])
def test_orthogonal(shape: Any) -> None:
    drawn = fl.initializers.Orthogonal(gain=2.0, seed=1)(shape)
    matrix = drawn.reshape(-1, shape[-1])
    least = min(matrix.shape)
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 4 * np.eye(least), atol=1e-5)
    theirs = np.asarray(keras.initializers.Orthogonal(gain=2.0, seed=1)(shape)).reshape(
        matrix.shape
    )
    same = theirs.T @ theirs if matrix.shape[0] >= matrix.shape[1] else theirs @ theirs.T
    close(product, same, "product")
    check(fl.initializers.Orthogonal(2.0, 1), keras.initializers.Orthogonal(2.0, 1))
    compared("initializers", "Orthogonal", "outputs", "configs")


@pytest.mark.parametrize(
    "name", ["glorot_uniform", "HeNormal", "zeros", "uniform", "normal", "leCunNormal", "identity"]
)
def test_names(name: str) -> None:
    assert isinstance(fl.initializers.get(name), fl.initializers.Initializer)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.initializers.VarianceScaling(mode="fan"),
        lambda: fl.initializers.VarianceScaling(distribution="gamma"),
        lambda: fl.initializers.Orthogonal()((3,)),
        lambda: fl.initializers.Identity()((3,)),
        lambda: fl.regularizers.OrthogonalRegularizer(mode="diagonals"),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


@pytest.mark.parametrize("kind", ["initializers", "constraints", "regularizers"])
def test_unknown_names(kind: str) -> None:
    with pytest.raises(FanlightError) as caught:
        getattr(fl, kind).get("no_such_thing")
    assert caught.value.code == "E-LAYER-003"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 0.7, "axis": [0, 1]}),
        ("NonNeg", {}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": 1}),
        ("MinMaxNorm", {"min_value": 1.5, "max_value": 2.0, "rate": 0.7}),
        ("MinMaxNorm", {"min_value": 0.1, "max_value": 0.5, "axis": 1}),
    ],
    ids=str,
)
def test_constraint(name: str, options: Any) -> None:
    ours = getattr(fl.constraints, name)(**options)
    theirs = getattr(keras.constraints, name)(**options)
    w = numbers(4, 5)
    close(ours(fl.tensor(w)).numpy(), theirs(keras.ops.array(w)), name)
    check(ours, theirs)
    compared("constraints", name, "outputs", "configs")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("L1", {}),
        ("L2", {"l2": 0.3}),
        ("L1L2", {"l1": 0.1, "l2": 0.2}),
        ("OrthogonalRegularizer", {}),
        ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
    ],
    ids=str,
)
def test_regularizer(name: str, options: Any) -> None:
    ours = getattr(fl.regularizers, name)(**options)
    theirs = getattr(keras.regularizers, name)(**options)
    w = numbers(4, 5)
    close(ours(fl.tensor(w)).numpy(), theirs(keras.ops.array(w)), name)
    slope = fl.grad(ours)(fl.tensor(w))
    close(slope.numpy(), jax.grad(theirs)(keras.ops.array(w)), f"gradient of {name}")
    check(ours, theirs)
    compared("regularizers", name, "outputs", "gradients", "configs")


def test_every_name_of_keras_is_known() -> None:
    for kind in ("constraints", "regularizers", "initializers"):
        theirs = {
            n
            for n in dir(getattr(keras, kind))
            if n[0].isupper() and isinstance(getattr(getattr(keras, kind), n), type)
        }
        module = getattr(fl, kind)
        missing = [n for n in sorted(theirs) if n not in module.__all__ and not known(module, n)]
        assert missing == [], kind


def known(module: Any, name: str) -> bool:
    try:
        module.get({"class_name": name, "config": {}})
    except FanlightError as error:
        return error.code != "E-LAYER-003"
    except TypeError:  # it is known, and has arguments
        return True
    return True


def test_constraints_hold_after_training() -> None:
    layer = fl.layers.Dense(3, kernel_constraint="unit_norm", bias_constraint="non_neg")
    model = fl.Sequential([fl.Input((4,)), layer])
    model.compile(fl.optimizers.SGD(0.5), loss="mse")
    model.fit(numbers(8, 4), numbers(8, 3), epochs=2, verbose=0)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, atol=1e-5)
    assert (bias >= 0).all()
