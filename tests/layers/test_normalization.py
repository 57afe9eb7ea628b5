"""Normalisations against Keras 3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import scope
from fanlight.tensor.tape import recording
from tests.conformance import compared
from tests.layers.keras_oracle import check_layer, close, jax, keras, numbers, updated


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (6, 4)),
        ({"momentum": 0.9, "epsilon": 1e-2}, (3, 4, 5, 2)),
        ({"axis": 1}, (3, 4, 5, 2)),
        ({"center": False, "scale": False}, (3, 5, 2)),
        ({"gamma_initializer": "zeros", "beta_regularizer": "l2"}, (3, 5, 2)),
    ],
    ids=str,
)
def test_batch_norm(options: dict[str, Any], shape: Any, training: bool) -> None:
    layers = pair("BatchNormalization", **options)
    check_layer(*layers, shape, training=training, steps=layers[0].scale)


def test_batch_norm_mask() -> None:
    mask = np.array([[True, True, False, True], [True, False, False, True]])
    layers = pair("BatchNormalization")
    check_layer(*layers, (2, 4, 3), training=True, mask=mask)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_batch_norm_parts(scale: bool, center: bool) -> None:
    options = {"scale": scale, "center": center, "axis": 2}
    check_layer(*pair("BatchNormalization", **options), (3, 4, 2, 5), training=True)


def test_second_derivatives_pass_through_batch_norm() -> None:
    """Against differences of the gradient, which is written out."""
    layer = fl.layers.BatchNormalization()
    x, u = numbers(6, 3), numbers(6, 3, seed=1)
    layer(x)

    def loss(v: Any) -> Any:
        with scope.entered(scope.Scope(True)):
            return fl.sum(fl.sin(layer(v)))

    slope = fl.grad(loss)
    along = fl.grad(lambda v: fl.sum(slope(v) * u))(fl.tensor(x)).numpy()
    step = np.float32(1e-2)
    ahead, behind = slope(fl.tensor(x + step * u)).numpy(), slope(fl.tensor(x - step * u)).numpy()
    np.testing.assert_allclose(along, (ahead - behind) / (2 * step), atol=5e-3)


def test_frozen_batch_norm_uses_averages() -> None:
    layer = fl.layers.BatchNormalization()
    x = numbers(8, 3) * 3 + 1
    layer(x)
    layer.trainable = False
    y, new = updated(layer, x)
    assert not new
    close(y, layer(x).numpy(), "output")


def test_batch_norm_far_from_zero() -> None:
    """Variances of numbers around 1000 are not lost in squares of 10^6."""
    x = numbers(512, 2) * 0.1 + 1000
    y, _ = updated(fl.layers.BatchNormalization(epsilon=0.0), x)
    np.testing.assert_allclose(y.std(0), 1, atol=2e-3)
    np.testing.assert_allclose(y.mean(0), 0, atol=2e-2)


def test_batch_norm_called_twice_in_a_step() -> None:
    layer = fl.layers.BatchNormalization(momentum=0.5)
    a, b = numbers(8, 3), numbers(8, 3, seed=1) + 2
    layer(a)
    with scope.entered(scope.Scope(True)) as step:
        layer(a)
        layer(b)
    means = {v.name: new.numpy() for v, new in step.pairs()}["moving_mean"]
    np.testing.assert_allclose(means, 0.25 * a.mean(0) + 0.5 * b.mean(0), atol=1e-6)


def test_batch_norm_outside_a_step_learns_at_once() -> None:
    layer = fl.layers.BatchNormalization(momentum=0.0)
    x = numbers(8, 3)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (3, 5)),
        ({"axis": [1, 2], "epsilon": 1e-5}, (2, 3, 4)),
        ({"axis": 1}, (2, 3, 4)),
        ({"axis": [1, 3]}, (2, 3, 2, 4)),
        ({"center": False}, (3, 5)),
        ({"scale": False, "gamma_constraint": "non_neg"}, (3, 5)),
    ],
    ids=str,
)
def test_layer_norm(options: dict[str, Any], shape: Any) -> None:
    check_layer(*pair("LayerNormalization", **options), shape, steps=True)


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
def test_layer_norm_rms_scaling() -> None:
    check_layer(*pair("LayerNormalization", rms_scaling=True), (3, 5))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"groups": 2}, (3, 4)),
        ({"groups": 2}, (2, 3, 5, 4)),
        ({"groups": 3, "axis": 1}, (2, 6, 5, 4)),
        ({"groups": 2, "axis": 2}, (2, 3, 4, 5)),
        ({"groups": -1, "center": False}, (2, 3, 4)),
        ({"groups": 1, "scale": False}, (2, 3, 4)),
    ],
    ids=str,
)
def test_group_norm(options: dict[str, Any], shape: Any) -> None:
    check_layer(*pair("GroupNormalization", **options), shape, steps=True)


@pytest.mark.parametrize("axis", [-1, [1, 2], 1])
def test_unit_norm(axis: Any) -> None:
    check_layer(*pair("UnitNormalization", axis), (2, 3, 4))


def test_unit_norm_of_zeros() -> None:
    np.testing.assert_array_equal(fl.layers.UnitNormalization()(np.zeros((2, 3))).numpy(), 0)


@pytest.mark.parametrize("axis", [-1, [1, 2]])
def test_rms_norm(axis: Any) -> None:
    check_layer(*pair("RMSNormalization", axis, epsilon=1e-4), (2, 3, 4), steps=True)


@pytest.mark.parametrize("training", [False, True])
def test_spectral_norm(training: bool) -> None:
    """Outputs, and what weights become. Keras's kernel is assigned in the middle of a step."""
    theirs = keras.layers.SpectralNormalization(keras.layers.Dense(4), power_iterations=2)
    theirs.build((None, 3))
    ours = fl.layers.SpectralNormalization(fl.layers.Dense(4), power_iterations=2)
    x = numbers(5, 3)
    ours(x)
    assert [(w.name, w.shape) for w in ours.weights] == [
        (w.name, tuple(w.shape)) for w in theirs.weights
    ]
    weights = [numbers(*w.shape, seed=i) for i, w in enumerate(theirs.weights)]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    close(ours(x, training=training).numpy(), theirs(x, training=training), "output")
    for w, v in zip(ours.weights, theirs.weights, strict=True):
        close(w.numpy(), v.value, w.name)
    again = fl.layers.SpectralNormalization.from_config(theirs.get_config())
    assert isinstance(again.layer, fl.layers.Dense) and again.layer.units == 4
    back = type(theirs).from_config(ours.get_config())
    assert back.layer.units == 4 and back.power_iterations == 2
    compared("layers", "SpectralNormalization", "outputs", "configs")


def test_spectral_norm_in_twenty_steps() -> None:
    """The kernel is assigned in a step; it is moved from what it was before."""
    theirs = keras.layers.SpectralNormalization(keras.layers.Dense(4))
    theirs.build((None, 3))
    ours = fl.layers.SpectralNormalization(fl.layers.Dense(4))
    x, target = numbers(5, 3), numbers(5, 4, seed=1)
    ours(x)
    weights = [numbers(*w.shape, seed=i) for i, w in enumerate(theirs.weights)]
    ours.set_weights(weights)
    theirs.set_weights(weights)

    @jax.jit
    def step(train: Any, fixed: Any) -> Any:
        def loss(t: Any) -> Any:
            y, after = theirs.stateless_call(t, fixed, x, training=True)
            return 0.5 * ((y - target) ** 2).sum(), after

        slopes, after = jax.grad(loss, has_aux=True)(train)
        return slopes, [v - 0.02 * g for v, g in zip(train, slopes, strict=True)], after

    train = [v.value for v in theirs.trainable_variables]
    fixed = [v.value for v in theirs.non_trainable_variables]
    own = ours.trainable_weights
    for i in range(20):
        slopes, train, fixed = step(train, fixed)
        with scope.entered(scope.Scope(True)) as mine, recording(own) as tape:
            y = ours(x)
        grads = tape.pull([y], [fl.tensor(y.numpy() - target)], own)
        if i == 0:
            for w, g, wanted in zip(own, grads, slopes, strict=True):
                close(g.numpy(), wanted, f"gradient of {w.name}")
        new = [w.numpy() - np.float32(0.02) * g.numpy() for w, g in zip(own, grads, strict=True)]
        for w, value in [*mine.pairs(), *zip(own, new, strict=True)]:
            w.assign(value)
    for w, v in zip(own, train, strict=True):
        close(w.numpy(), v, f"{w.name} after 20 steps", 1e-4)
    compared("layers", "SpectralNormalization", "gradients", "20 steps")


def test_spectral_norm_is_one_after_training() -> None:
    start = fl.initializers.GlorotUniform(seed=3)  # two singular values may lie close together
    inner = fl.layers.Conv2D(4, 3, kernel_initializer=start)
    layer = fl.layers.SpectralNormalization(inner, power_iterations=100)
    x = numbers(2, 6, 6, 3)
    layer(x)
    layer(x, training=True)
    matrix = layer.layer.get_weights()[0].reshape(-1, 4)
    np.testing.assert_allclose(np.linalg.svd(matrix)[1][0], 1, atol=1e-3)


def test_spectral_norm_of_a_layer_without_kernel() -> None:
    with pytest.raises(FanlightError) as caught:
        fl.layers.SpectralNormalization(fl.layers.ReLU())(numbers(2, 3))
    assert caught.value.code == "E-LAYER-004"


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.BatchNormalization(axis=[1, 2]),
        lambda: fl.layers.BatchNormalization(momentum=2),
        lambda: fl.layers.BatchNormalization(epsilon=-1),
        lambda: fl.layers.BatchNormalization(renorm=True),
        lambda: fl.layers.LayerNormalization(axis="last"),
        lambda: fl.layers.GroupNormalization(groups=0),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.BatchNormalization(axis=4, name="norm"),
        lambda: fl.layers.LayerNormalization(axis=4, name="norm"),
        lambda: fl.layers.GroupNormalization(groups=5, name="norm"),
        lambda: fl.layers.UnitNormalization(axis=3, name="norm"),
    ],
)
def test_wrong_inputs(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()(numbers(2, 3, 4))
    assert caught.value.code == "E-LAYER-001"
    assert "norm" in str(caught.value)


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization", "RMSNormalization"])
def test_other_sizes_later(name: str) -> None:
    layer = getattr(fl.layers, name)(name="norm")
    layer(numbers(2, 3))
    with pytest.raises(FanlightError) as caught:
        layer(numbers(2, 4))
    assert caught.value.code == "E-LAYER-001"
