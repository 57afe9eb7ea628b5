"""Small models of many kinds of layers, for the tests of files."""

from __future__ import annotations

from typing import Any

import numpy as np

import fanlight as fl

L = fl.layers


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def shared() -> Any:
    """Two inputs, a shared layer, a nested model, two outputs at other depths."""
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    both = L.Dense(3, activation="tanh", name="both")
    i = fl.Input((3,), name="i")
    inner = fl.Model(i, L.Dense(2, activation="sigmoid", name="deep")(i), name="inner")
    s = L.Add(name="sum")([both(a), both(L.Dense(4, kernel_regularizer="l2", name="first")(b))])
    return fl.Model([a, b], [inner(s), s], name="shared")


def dense() -> Any:
    return fl.Sequential(
        [fl.Input((4,)), L.Dense(5, "relu", name="one"), L.Dense(2, name="two")], name="row"
    )


def cnn() -> Any:
    x = i = fl.Input((8, 8, 3), name="picture")
    x = L.Conv2D(4, 3, padding="same", use_bias=False, name="c1")(x)
    x = L.BatchNormalization(name="bn1")(x)
    x = y = L.ReLU(name="r1")(x)
    x = L.DepthwiseConv2D(3, padding="same", name="dw")(x)
    x = L.BatchNormalization(name="bn2")(x)
    x = L.Add(name="skip")([x, y])
    x = L.MaxPooling2D(name="pool")(x)
    x = L.SeparableConv2D(4, 2, name="sep")(x)
    x = L.Dropout(0.2, name="drop")(x)
    x = L.GlobalAveragePooling2D(name="gap")(x)
    return fl.Model(i, L.Dense(3, "softmax", name="head")(x), name="cnn")


def rnn(reset_after: bool = True) -> Any:
    x = i = fl.Input((5, 4), name="steps")
    x = L.Bidirectional(L.LSTM(3, return_sequences=True, name="lstm"), name="bi")(x)
    x = L.TimeDistributed(L.Dense(4, name="each"), name="td")(x)
    x = L.GRU(3, reset_after=reset_after, name="gru")(x)
    return fl.Model(i, L.Dense(2, name="head")(x), name="rnn")


def attention() -> Any:
    x = i = fl.Input((5, 8), name="steps")
    y = L.MultiHeadAttention(2, 4, name="mha")(x, x)
    x = L.LayerNormalization(name="norm")(L.Add(name="skip")([x, y]))
    x = L.GlobalAveragePooling1D(name="gap")(x)
    return fl.Model(i, L.Dense(2, name="head")(x), name="attention")


def inputs_of(model: Any, count: int = 8) -> list[np.ndarray]:
    return [numbers(count, *s.shape[1:], seed=i) for i, s in enumerate(model.inputs)]


def labels_of(model: Any, count: int = 8) -> list[np.ndarray]:
    found = [np.abs(numbers(count, *s.shape[1:], seed=9 + i)) for i, s in enumerate(model.outputs)]
    return [y / y.sum(-1, keepdims=True) for y in found]


def one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def predicted(model: Any, x: list[np.ndarray], **options: Any) -> list[np.ndarray]:
    found = model.predict(one(x), **options)
    return list(found) if isinstance(found, list) else [found]


def shaken(model: Any) -> Any:
    """The model with weights that are no initializer's."""
    for i, w in enumerate(model.weights):
        if w.dtype == "float32":
            own = 0.3 * numbers(*w.shape, seed=50 + i)
            w.assign(np.abs(own) + 0.5 if "variance" in w.name or w.name == "gamma" else own)
    return model
