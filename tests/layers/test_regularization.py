"""Noise, dropout and penalties: statistics, seeds, nothing at inference; Keras's configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers import scope
from tests.conformance import compared
from tests.layers.keras_oracle import check_config, check_layer, close, keras, numbers

RANDOM = [
    ("Dropout", (0.4,), {}, (2, 3, 4)),
    ("Dropout", (0.4,), {"noise_shape": (None, 1, 4), "seed": 3}, (2, 3, 4)),
    ("SpatialDropout1D", (0.4,), {}, (2, 3, 4)),
    ("SpatialDropout2D", (0.4,), {"seed": 5}, (2, 3, 4, 5)),
    ("SpatialDropout2D", (0.4,), {"data_format": "channels_first"}, (2, 3, 4, 5)),
    ("SpatialDropout3D", (0.4,), {}, (2, 3, 4, 3, 2)),
    ("GaussianNoise", (0.4,), {}, (2, 3)),
    ("GaussianDropout", (0.4,), {}, (2, 3)),
    ("AlphaDropout", (0.4,), {}, (2, 3)),
    ("AlphaDropout", (0.4,), {"noise_shape": (None, 1)}, (2, 3)),
]


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    return getattr(fl.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)


def trained(layer: Any, x: Any, key: int = 1) -> np.ndarray:
    """What a layer gives in a step of training with this key."""
    with scope.entered(scope.Scope(True, fl.random.key(key))):
        made: np.ndarray = layer(x).numpy()
    return made


@pytest.mark.parametrize(("name", "args", "options", "shape"), RANDOM)
def test_nothing_at_inference(name: str, args: Any, options: Any, shape: Any) -> None:
    ours, theirs = pair(name, *args, **options)
    x = numbers(*shape)
    np.testing.assert_array_equal(ours(x).numpy(), x)
    np.testing.assert_array_equal(np.asarray(theirs(x, training=False)), x)
    assert ours.compute_output_shape((None, *shape[1:])) == (None, *shape[1:])
    check_config(ours, theirs)


@pytest.mark.parametrize(("name", "args", "options", "shape"), RANDOM)
def test_seeds(name: str, args: Any, options: Any, shape: Any) -> None:
    ours, _ = pair(name, *args, **options)
    x = numbers(*shape) + 5
    first = trained(ours, x, 1)
    np.testing.assert_array_equal(trained(ours, x, 1), first)
    assert (trained(ours, x, 2) != first).any() or (trained(ours, x, 3) != first).any()
    fl.set_random_seed(4)
    try:
        apart = [ours(x, training=True).numpy() for _ in range(8)]
        fl.set_random_seed(4)
        again = [ours(x, training=True).numpy() for _ in range(8)]
    finally:
        fl.set_random_seed(None)
    np.testing.assert_array_equal(apart, again)
    assert any((a != apart[0]).any() for a in apart)


@pytest.mark.parametrize(("name", "args", "options", "shape"), RANDOM)
def test_gradients_are_those_of_the_numbers_drawn(
    name: str, args: Any, options: Any, shape: Any
) -> None:
    """Of the same numbers, the output is the slope times the input, and what zeros give."""
    layer, _ = pair(name, *args, **options)
    x = numbers(*shape)

    def given(t: Any) -> Any:
        with scope.entered(scope.Scope(True, fl.random.key(3))):
            return layer(t)

    slope = fl.grad(lambda t: fl.sum(given(t)))(fl.tensor(x)).numpy()
    zeros = given(np.zeros(shape, np.float32)).numpy()
    close(slope * x + zeros, given(x).numpy(), "output")
    compared("layers", name, "gradients")


def test_dropout_statistics() -> None:
    x = np.ones((200, 200), np.float32)
    y = trained(fl.layers.Dropout(0.3), x)
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / 0.7, rtol=1e-6)
    np.testing.assert_allclose(kept.mean(), 0.7, atol=0.01)
    np.testing.assert_array_equal(trained(fl.layers.Dropout(1.0), x), 0)
    np.testing.assert_array_equal(trained(fl.layers.Dropout(0.0), x), x)
    compared("layers", "Dropout", "defined")


def test_dropout_gradient_is_that_of_what_is_kept() -> None:
    layer = fl.layers.Dropout(0.5)

    def loss(x: Any) -> Any:
        with scope.entered(scope.Scope(True, fl.random.key(3))):
            return fl.sum(layer(x))

    slope = fl.grad(loss)(fl.tensor(np.ones((20, 20), np.float32))).numpy()
    np.testing.assert_array_equal(slope, trained(layer, np.ones((20, 20), np.float32), 3))


def test_noise_shape() -> None:
    y = trained(fl.layers.Dropout(0.5, noise_shape=(None, 1, None)), np.ones((9, 7, 8)))
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y)) == 2


@pytest.mark.parametrize(
    ("name", "shape", "axes"),
    [
        ("SpatialDropout1D", (9, 5, 8), (1,)),
        ("SpatialDropout2D", (9, 5, 4, 8), (1, 2)),
        ("SpatialDropout3D", (9, 2, 3, 4, 8), (1, 2, 3)),
    ],
)
def test_spatial_dropout_drops_channels(name: str, shape: Any, axes: Any) -> None:
    y = trained(getattr(fl.layers, name)(0.5), np.ones(shape, np.float32))
    np.testing.assert_array_equal(y.min(axes), y.max(axes))
    assert len(np.unique(y)) == 2
    if "1D" not in name:
        first = getattr(fl.layers, name)(0.5, data_format="channels_first")
        moved = trained(first, np.ones((9, 8, *shape[1:-1]), np.float32))
        np.testing.assert_array_equal(moved, np.moveaxis(y, -1, 1))
    compared("layers", name, "defined")


def test_gaussian_statistics() -> None:
    x = np.full((300, 300), 2.0, np.float32)
    noise = trained(fl.layers.GaussianNoise(0.5), x) - x
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.5], atol=0.01)
    factor = trained(fl.layers.GaussianDropout(0.2), x) / x
    np.testing.assert_allclose([factor.mean(), factor.std()], [1, 0.5], atol=0.01)
    for name in ("GaussianNoise", "GaussianDropout"):
        compared("layers", name, "defined")


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = numbers(400, 400)
    y = trained(fl.layers.AlphaDropout(0.3), x)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=0.02)
    levels, counts = np.unique(y.round(5), return_counts=True)
    np.testing.assert_allclose(counts.max() / y.size, 0.3, atol=0.01)
    # Where it is dropped: a p - a p rate, with p = -1.7581, as Keras computes it.
    p, rate = -1.7580993408473766, 0.3
    a = ((1 - rate) * (1 + rate * p**2)) ** -0.5
    np.testing.assert_allclose(levels[counts.argmax()], a * p - a * p * rate, atol=1e-4)
    compared("layers", "AlphaDropout", "defined")


def test_layers_of_one_step_differ() -> None:
    x = np.ones((20, 20), np.float32)
    a, b = fl.layers.Dropout(0.5), fl.layers.Dropout(0.5)
    with scope.entered(scope.Scope(True, fl.random.key(3))):
        assert (a(x).numpy() != b(x).numpy()).any()


def test_activity_regularization() -> None:
    ours, theirs = pair("ActivityRegularization", l1=0.1, l2=0.2)
    check_layer(ours, theirs, (4, 3))
    x = numbers(4, 3)
    theirs(x)
    with scope.entered(scope.Scope(True)) as step:
        ours(x)
    close(sum(v.numpy() for v in step.losses), sum(theirs.losses), "penalty")


def test_dense_activity_regularizer() -> None:
    ours, theirs = pair("Dense", 2, activity_regularizer=None, kernel_initializer="ones")
    ours = fl.layers.Dense(2, activity_regularizer="l2", kernel_initializer="ones")
    theirs = keras.layers.Dense(2, activity_regularizer="l2", kernel_initializer="ones")
    x = numbers(4, 3)
    theirs(x)
    with scope.entered(scope.Scope(True)) as step:
        ours(x)
    close(sum(v.numpy() for v in step.losses), sum(theirs.losses), "penalty")


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.Dropout(1.5),
        lambda: fl.layers.Dropout("half"),
        lambda: fl.layers.Dropout(0.5, noise_shape=(0,)),
        lambda: fl.layers.Dropout(0.5, seed=0.5),
        lambda: fl.layers.GaussianDropout(1),
        lambda: fl.layers.GaussianNoise(-1),
        lambda: fl.layers.AlphaDropout(1.0),
        lambda: fl.layers.SpatialDropout2D(0.5, data_format="last"),
    ],
)
def test_wrong_arguments(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()
    assert caught.value.code == "E-LAYER-004"


@pytest.mark.parametrize(
    "make",
    [
        lambda: fl.layers.Dropout(0.5, noise_shape=(None, 2), name="drop"),
        lambda: fl.layers.SpatialDropout1D(0.5, name="drop"),
    ],
)
def test_wrong_inputs(make: Any) -> None:
    with pytest.raises(FanlightError) as caught:
        make()(numbers(2, 3))
    assert caught.value.code == "E-LAYER-001"
    assert "drop" in str(caught.value)
