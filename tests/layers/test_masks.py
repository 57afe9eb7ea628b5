"""Masks from a first layer to the loss, in models that Keras 3 has, too: outputs and a step."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.layers.layer import Layer
from fanlight.tensor import functions as fn
from fanlight.tensor.segments import gather
from tests.layers.rnn_oracle import keras, random

L = fl.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

WORDS = np.array([[3, 1, 4, 0, 0], [2, 0, 5, 1, 0], [1, 1, 2, 3, 4]], np.int32)
OTHERS = np.array([[1, 2, 0, 0], [4, 0, 0, 0], [3, 3, 1, 2]], np.int32)


class Embedding(Layer):
    """Rows of a table, and a mask where the row is not 0."""

    def __init__(self, count: int, size: int, mask_zero: bool = False) -> None:
        super().__init__()
        self.count, self.size = count, size

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight((self.count, self.size), "uniform", "table")

    def call(self, inputs: Any) -> Any:
        return gather(self.table, inputs)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return fn.not_equal(inputs, 0)


class Masking(Layer):
    """x, and a mask of the steps that are not all 0."""

    def __init__(self) -> None:
        super().__init__()

    def call(self, inputs: Any) -> Any:
        return inputs * 1.0

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        return fn.any(fn.not_equal(inputs, 0.0), -1)


class Ours:
    """Where models find layers: here."""

    layers, Model, Sequential, Input = L, fl.Model, fl.Sequential, staticmethod(L.Input)
    Embedding, Masking = Embedding, Masking


class Theirs:
    """Where models find layers: Keras."""

    layers, Model, Sequential = keras.layers, keras.Model, keras.Sequential
    Input = staticmethod(keras.Input)
    Embedding, Masking = keras.layers.Embedding, keras.layers.Masking


def tagger(k: Any) -> Any:
    """A label for every word."""
    return k.Sequential(
        [
            k.Input((5,), dtype="int32"),
            k.Embedding(6, 3, mask_zero=True),
            k.layers.LSTM(4, return_sequences=True),
            k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True)),
            k.layers.TimeDistributed(k.layers.Dense(4, activation="tanh")),
            k.layers.Dense(2),
        ]
    )


def classifier(k: Any) -> Any:
    """A label for a sequence."""
    x = k.Input((5, 3))
    y = k.Masking()(x)
    y, _ = k.layers.GRU(4, return_sequences=True, return_state=True)(y)
    y = k.layers.SimpleRNN(4, go_backwards=True)(y)
    return k.Model(x, k.layers.Dense(2)(y))


def translator(k: Any) -> Any:
    """Two sequences that look at each other."""
    a, b = k.Input((5,), dtype="int32"), k.Input((4,), dtype="int32")
    x, y = k.Embedding(6, 4, mask_zero=True)(a), k.Embedding(5, 4, mask_zero=True)(b)
    z = k.layers.Attention()([x, y])
    z = k.layers.MultiHeadAttention(2, 3)(z, y)  # last: Keras takes the mask from y here
    z = k.layers.MultiHeadAttention(2, 2)(z, z, use_causal_mask=True)
    return k.Model([a, b], k.layers.Dense(2)(z))


MODELS = {
    "tagger": (tagger, WORDS, random(3, 5, 2)),
    "classifier": (
        classifier,
        random(3, 5, 3) * (WORDS > 0)[..., None].astype(np.float32),
        random(3, 2),
    ),
    "translator": (translator, [WORDS, OTHERS], random(3, 5, 2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_same_as_keras(name: str) -> None:
    make, x, y = MODELS[name]
    ours, theirs = make(Ours), make(Theirs)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    numbers = [random(*w.shape, seed=i) for i, w in enumerate(ours.weights)]
    ours.set_weights(numbers)
    theirs.set_weights(numbers)
    ours.compile(fl.optimizers.SGD(0.1), "mse")
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs.predict(x, verbose=0)  # compiled: op by op it takes longer
        loss = theirs.train_on_batch(x, y)
    np.testing.assert_allclose(ours.predict(x), wanted, rtol=1e-5, atol=1e-5)
    assert ours.train_on_batch(x, y) == pytest.approx(float(loss), rel=1e-5)
    assert ours._steps.compiled
    for w, v in zip(ours.weights, theirs.get_weights(), strict=True):
        np.testing.assert_allclose(w.numpy(), v, rtol=1e-5, atol=1e-5, err_msg=w.path)


def test_a_masked_step_changes_nothing() -> None:
    model = tagger(Ours)
    longer = np.concatenate([WORDS[:, :3], WORDS[:, :2] * 0], axis=1)
    first = model.predict(longer)
    model.layers[0].table.assign(
        fn.concat([random(1, 3, seed=5), model.layers[0].table[1:]], axis=0)
    )
    np.testing.assert_allclose(model.predict(longer)[2, :3], first[2, :3], atol=1e-6)
