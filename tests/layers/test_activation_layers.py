"""Activations, as functions and as layers, against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import activations
from tests.conformance import compared
from tests.layers.keras_oracle import check_layer, close, jax, keras, numbers


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


# Not Keras 3's under this name, or tested on their own.
APART = ("gelu_new", "glu", "hard_sigmoid_2", "sparsemax", "threshold")
SAME = sorted(n for n in activations.KNOWN if n not in APART)


@pytest.mark.parametrize("name", SAME)
def test_activation(name: str) -> None:
    x = 3.0 * numbers(4, 6)
    theirs = keras.activations.get(name)
    expected, pull = jax.vjp(theirs, jax.numpy.asarray(x))
    probe = numbers(4, 6, seed=3)
    ours = fl.activations.get(name)
    close(ours(fl.tensor(x)).numpy(), expected, name)
    slope = fl.grad(lambda t: fl.sum(ours(t) * probe))(fl.tensor(x))
    close(slope.numpy(), pull(jax.numpy.asarray(probe))[0], f"gradient of {name}")
    if name in fl.activations.__all__:
        compared("activations", name, "outputs", "gradients")


@pytest.mark.parametrize("axis", [-1, 0])
def test_sparsemax(axis: int) -> None:
    """By its definition: Keras 3.15 gives zeros where several have a share."""
    x = numbers(5, 6)
    low, high = x.min(axis, keepdims=True) - 1, x.max(axis, keepdims=True)
    for _ in range(60):  # the t at which max(x - t, 0) sums to 1
        t = (low + high) / 2
        more = np.maximum(x - t, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(more, t, low), np.where(more, high, t)
    expected = np.maximum(x - t, 0)
    close(fl.activations.sparsemax(x, axis).numpy(), expected, "sparsemax")
    probe = numbers(5, 6, seed=2)
    slope = fl.grad(lambda v: fl.sum(fl.activations.sparsemax(v, axis) * probe))(fl.tensor(x))
    has = expected > 0
    mean = (probe * has).sum(axis, keepdims=True) / has.sum(axis, keepdims=True)
    close(slope.numpy(), np.where(has, probe - mean, 0), "gradient")
    compared("activations", "sparsemax", "defined", "gradients")


def test_the_hard_sigmoid_of_keras_2() -> None:
    x = 3.0 * numbers(4, 6)
    expected = np.clip(0.2 * x + 0.5, 0, 1)
    close(fl.activations.hard_sigmoid_2(x).numpy(), expected, "hard_sigmoid_2")
    slope = fl.grad(lambda t: fl.sum(fl.activations.hard_sigmoid_2(t)))(fl.tensor(x))
    close(slope.numpy(), np.where(np.abs(x) < 2.5, 0.2, 0), "gradient")
    compared("activations", "hard_sigmoid_2", "defined", "gradients")


def test_every_activation_of_keras_is_known() -> None:
    theirs = {n for n in dir(keras.activations) if n.islower() and not n.startswith("_")}
    assert theirs - {"get", "serialize", "deserialize"} <= set(activations.KNOWN)


def test_activations_with_arguments() -> None:
    x = 3.0 * numbers(4, 6)
    ours, theirs = fl.activations, keras.activations
    for name, options in (
        ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}),
        ("relu", {"max_value": 6.0}),
        ("elu", {"alpha": 0.5}),
        ("gelu", {"approximate": True}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("celu", {"alpha": 2.0}),
        ("glu", {}),
        ("glu", {"axis": 0}),
        ("softmax", {"axis": 0}),
        ("log_softmax", {"axis": 0}),
        ("hard_shrink", {"threshold": 1.0}),
        ("soft_shrink", {"threshold": 1.0}),
        ("squareplus", {"b": 2.0}),
        ("threshold", {"threshold": 0.5, "default_value": -1.0}),
    ):
        f, g = getattr(ours, name), getattr(theirs, name)
        close(f(x, **options).numpy(), g(x, **options), name)
        slope = fl.grad(lambda t, f=f, o=options: fl.sum(fl.square(f(t, **o))))(fl.tensor(x))
        wanted = jax.jit(jax.grad(lambda t, g=g, o=options: (g(t, **o) ** 2).sum()))
        close(slope.numpy(), wanted(jax.numpy.asarray(x)), f"gradient of {name}")
        compared("activations", name, "outputs", "gradients")


def test_names_of_activations_in_configurations() -> None:
    for name in SAME:
        ours, theirs = pair("Activation", name)
        assert ours.get_config()["activation"] == theirs.get_config()["activation"], name


def test_unknown_activation() -> None:
    with pytest.raises(FanlightError) as caught:
        fl.layers.Dense(3, activation="rellu")
    assert caught.value.code == "E-LAYER-003"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ReLU", {}),
        ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}),
        ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.1}),
        ("ELU", {}),
        ("ELU", {"alpha": 0.5}),
        ("PReLU", {}),
        ("PReLU", {"shared_axes": [1, 2], "alpha_regularizer": "l2"}),
        ("Softmax", {}),
        ("Softmax", {"axis": 1}),
        ("Softmax", {"axis": [1, 2]}),
    ],
    ids=str,
)
def test_layer(name: str, options: dict[str, Any]) -> None:
    check_layer(*pair(name, **options), (2, 3, 4, 5), steps=name == "PReLU")


@pytest.mark.parametrize("shape", [(2, 3, 4), (4,), (2, 1, 4)])
def test_softmax_mask(shape: Any) -> None:
    mask = numbers(*shape) > 0
    check_layer(*pair("Softmax"), (2, 3, 4), mask=mask)


def test_softmax_of_masked_places() -> None:
    """A mask of places, as layers give it, is passed on: each place keeps its softmax."""
    x = numbers(2, 3, 4)
    y = fl.layers.Softmax()(x, mask=fl.tensor(np.array([[True, False, True]] * 2)))
    np.testing.assert_allclose(y.numpy(), fl.layers.Softmax()(x).numpy())


def test_softmax_mask_that_does_not_fit() -> None:
    with pytest.raises(FanlightError) as caught:
        fl.layers.Softmax()(numbers(2, 3, 4), mask=fl.tensor(np.ones((5,), bool)))
    assert caught.value.code == "E-LAYER-001"


def test_thresholded_relu() -> None:
    x = numbers(3, 4)
    layer = fl.layers.ThresholdedReLU(0.5)
    np.testing.assert_array_equal(layer(x).numpy(), np.where(x > 0.5, x, 0))
    again = fl.layers.ThresholdedReLU.from_config(layer.get_config())
    assert again.theta == 0.5
    slope = fl.grad(lambda t: fl.sum(layer(t)))(fl.tensor(x))
    np.testing.assert_array_equal(slope.numpy(), np.where(x > 0.5, 1, 0))
    compared("layers", "ThresholdedReLU", "defined", "gradients")


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.ReLU(max_value=-1),
        lambda: fl.layers.LeakyReLU("a"),
        lambda: fl.layers.PReLU(shared_axes=[0]),
        lambda: fl.layers.Softmax("last"),
        lambda: fl.layers.ThresholdedReLU(-1.0),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"
