"""Layers in steps of WebAssembly: training, predicting and building give what NumPy gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from tests.layers.keras_oracle import close, keras, numbers

la: Any = fl.layers


def images() -> Any:
    """Convolutions, batch normalisation, pooling, dropout, a shortcut."""
    x = begin = fl.Input((8, 8, 3))
    x = la.ZeroPadding2D(1)(x)
    x = la.Conv2D(4, 3, strides=2, use_bias=False, name="first")(x)
    x = la.BatchNormalization()(x)
    x = short = la.ReLU(6.0)(x)
    x = la.DepthwiseConv2D(3, padding="same", name="second")(x)
    x = la.SeparableConv2D(4, 3, padding="same", activation="swish", name="third")(x)
    x = la.Add()([x, short])
    x = la.Concatenate()([la.MaxPooling2D(2)(x), la.AveragePooling2D(2)(x)])
    x = la.SpatialDropout2D(0.2)(x)
    x = la.GlobalAveragePooling2D()(x)
    x = la.Dropout(0.3)(x)
    return fl.Model(begin, la.Dense(2, name="last")(x))


def groups() -> Any:
    """Grouped and transposed convolutions, other normalisations, resizing."""
    return fl.Sequential(
        [
            fl.Input((6, 6, 4)),
            la.Conv2D(4, 3, groups=2, padding="same", name="first"),
            la.GroupNormalization(2),
            la.PReLU(shared_axes=[1, 2]),
            la.Conv2DTranspose(3, 3, strides=2, padding="same", name="second"),
            la.LayerNormalization(),
            la.LeakyReLU(),
            la.UpSampling2D(2, interpolation="bilinear"),
            la.Resizing(5, 5, interpolation="bicubic"),
            la.Cropping2D(1),
            la.AdaptiveAveragePooling2D(2),
            la.AdaptiveMaxPooling2D((2, 1)),
            la.GaussianNoise(0.1),
            la.Flatten(),
            la.UnitNormalization(),
            la.Dense(2, name="last"),
        ]
    )


def sequences() -> Any:
    """One spatial dim, masks, einsums, products of sequences."""
    x = begin = fl.Input((8,), dtype="int32")
    x = la.Embedding(9, 4, mask_zero=True, name="table")(x)
    x = la.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d", name="first")(x)
    x = la.Conv1D(6, 3, padding="causal", activation="gelu", name="second")(x)
    x = la.GaussianDropout(0.1)(x)
    x = la.RMSNormalization()(x)
    scores = la.Softmax()(la.Dot((2, 2))([x, x]))
    x = la.Dot((2, 1))([scores, x])
    x = la.Multiply()([x, la.ELU()(x)])
    x = la.MaxPooling1D(2)(x)
    x = la.Permute((2, 1))(la.AlphaDropout(0.1)(x))
    x = la.Reshape((3, -1))(x)
    x = la.GlobalMaxPooling1D()(x)
    x = la.SpectralNormalization(la.Dense(5, name="inside"))(x)
    return fl.Model(begin, la.Dense(2, name="last")(x))


def volumes() -> Any:
    """Three spatial dims."""
    return fl.Sequential(
        [
            fl.Input((4, 4, 4, 2)),
            la.ZeroPadding3D(1),
            la.Conv3D(3, 3, strides=2, activation="relu", name="first"),
            la.Conv3DTranspose(2, 2, strides=2, name="second"),
            la.MaxPooling3D(2),
            la.UpSampling3D(2),
            la.BatchNormalization(axis=1),
            la.AveragePooling3D(2),
            la.GlobalAveragePooling3D(),
            la.Dense(2, name="last"),
        ]
    )


def examples(model: Any, count: int = 12) -> np.ndarray:
    shape = (count, *model.input_shape[1:])
    if model.inputs[0].dtype == "int32":
        return np.random.default_rng(0).integers(0, 9, shape).astype(np.int32)
    return numbers(*shape)


def run(make: Callable[[], Any], eagerly: bool) -> tuple[list[float], list[np.ndarray], Any, Any]:
    fl.set_random_seed(5)
    try:
        model = make()
        model.compile(fl.optimizers.SGD(0.05), loss="mse", run_eagerly=eagerly)
        x, y = examples(model), numbers(12, 2, seed=9)
        history = model.fit(x, y, batch_size=6, epochs=2, verbose=0, shuffle=False)
    finally:
        fl.set_random_seed(None)
    return history.history["loss"], model.get_weights(), model, x


@pytest.mark.parametrize("make", [images, groups, sequences, volumes])
def test_training(make: Callable[[], Any]) -> None:
    losses, weights, model, x = run(make, False)
    assert model._steps.compiled, model._steps.why
    expected, others, _, _ = run(make, True)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for w, value, other in zip(model.weights, weights, others, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-4, err_msg=w.path)
    predicted = model.predict(x, verbose=0)
    np.testing.assert_allclose(predicted, model(x).numpy(), atol=1e-5)
    assert model.graph.outputs


@pytest.mark.parametrize("make", [images, groups, sequences, volumes])
def test_building(make: Callable[[], Any], tmp_path: Any) -> None:
    model = make()
    x = examples(model, 1)
    fl.build(model, tmp_path / "site")
    with fl.open_bundle(tmp_path / "site") as bundle:
        (name,) = model._input_names(1)
        results = bundle.run({name: x})
    (y,) = results.values()
    np.testing.assert_allclose(np.asarray(y), model(x).numpy(), atol=1e-5)


def test_dropout_in_steps_differs_from_step_to_step() -> None:
    """A rate of 0 to 1 drops others in each step: the losses of equal batches differ."""
    model = fl.Sequential([fl.Input((50,)), la.Dropout(0.5), la.Dense(1, trainable=False)])
    model.compile(fl.optimizers.SGD(0.0), loss="mse")
    x, y = np.ones((4, 50), np.float32), np.zeros((4, 1), np.float32)
    history = model.fit(x, y, batch_size=4, epochs=4, verbose=0)
    assert len(set(history.history["loss"])) == 4


def network(lib: Any) -> Any:
    """The same layers of either library: most that have weights."""
    la = lib.layers
    return [
        la.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
        la.BatchNormalization(momentum=0.9),
        la.ReLU(6.0),
        la.DepthwiseConv2D(3, padding="same"),
        la.LayerNormalization(),
        la.SeparableConv2D(6, 3, padding="same", activation="swish"),
        la.MaxPooling2D(2),
        la.Conv2DTranspose(3, 3, strides=2, padding="same", activation="tanh"),
        la.GroupNormalization(3),
        la.PReLU(shared_axes=[1, 2]),
        la.AveragePooling2D(2),
        la.Flatten(),
        la.Dense(5, activation="gelu", kernel_regularizer="l2", bias_constraint="non_neg"),
        la.Dense(2),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_twenty_steps_as_keras() -> None:
    theirs = keras.Sequential([keras.Input((8, 8, 3)), *network(keras)])
    ours = fl.Sequential([fl.Input((8, 8, 3)), *network(fl)])
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    theirs.set_weights(ours.get_weights())
    ours.compile(fl.optimizers.SGD(0.02, momentum=0.9), loss="mse")
    theirs.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss="mse")
    for step in range(20):
        x, y = numbers(6, 8, 8, 3, seed=step), numbers(6, 2, seed=step)
        close(ours.train_on_batch(x, y), theirs.train_on_batch(x, y), f"loss {step}", 1e-4)
    for w, value in zip(ours.weights, theirs.get_weights(), strict=True):
        close(w.numpy(), value, w.path, 1e-4)
    x = numbers(6, 8, 8, 3)
    close(ours.predict(x, verbose=0), theirs(x), "output", 1e-4)
