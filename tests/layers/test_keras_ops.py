"""Functions of keras.ops in functional models of Keras, read from .keras and .h5 files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.layers.keras_ops import OPS
from tests.layers.keras_oracle import keras, numbers
from tests.layers.test_random_networks import ENDINGS, same

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about .h5 and NumPy
K = keras.ops
SEEN = np.tril(np.ones((8, 8))) > 0
ONES = np.arange(12, dtype=np.float32).reshape(6, 2) / 9


def heads(x: Any, count: int = 2) -> Any:
    return K.reshape(x, (-1, 8, count, 6 // count))


# Models of x [8, 6]: those whose names layers have, too, and those that Fanlight composes.
CASES: dict[str, Callable[[Any], list[Any]]] = {
    "names of layers": lambda x: [
        K.average(x, axis=1), K.dot(x, ONES), K.reshape(x, (-1, 2, 4, 6)), K.softmax(x, axis=1),
        K.concatenate([x, x], axis=1), K.subtract(x, x * 2), K.maximum(x, 0.3),
    ],
    "weights": lambda x: [K.average(x, axis=1, weights=np.arange(1, 9, dtype=np.float32))],
    "products": lambda x: [
        K.tensordot(x, ONES, axes=1), K.tensordot(x, ONES, axes=[[2], [0]]),
        *K.unstack(x, axis=2)[:2],
    ],
    "reductions": lambda x: [
        K.amax(x, axis=1), K.amin(x, axis=(1, 2), keepdims=True), K.count_nonzero(x > 0, axis=1),
        K.median(x, axis=1), K.median(x, axis=(1, 2), keepdims=True),
    ],
    "choices": lambda x: [
        K.select([x > 0, x < -1], [x, -x], 0.5),
        K.nan_to_num(x / K.relu(x)), K.linspace(x[:, 0], x[:, 1], 5, axis=1),
        K.tril(x, -1), K.triu(x, 1), K.triu(x),
    ],
    "normalization": lambda x: [
        K.layer_normalization(x), K.rms_normalization(x),
        K.layer_normalization(x, np.arange(8.0), np.ones(8), axis=1, epsilon=1e-3),
    ],
    "attention": lambda x: [
        K.dot_product_attention(heads(x), heads(x), heads(x)),
        K.dot_product_attention(heads(x), heads(x + 1), heads(x), mask=SEEN),
        K.dot_product_attention(heads(x), heads(x), heads(x), scale=0.3, is_causal=True),
    ],
    "pictures": lambda x: [
        K.image.extract_patches(K.expand_dims(x, -1), (2, 3)),
        K.image.extract_patches(K.expand_dims(x, -1), 3, strides=2, padding="same"),
        K.image.pad_images(K.expand_dims(x, -1), 1, 2, target_height=12, target_width=9),
    ],
    "signals": lambda x: [*K.rfft(x), K.extract_sequences(x, 4, 2)],
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("case", CASES)
def test_functions_of_keras(case: str, ending: str, tmp_path: Path) -> None:
    x = keras.Input((8, 6))
    same(keras.Model(x, CASES[case](x)), numbers(2, 8, 6), tmp_path, (ending,))


def test_a_part_of_one_example(tmp_path: Path) -> None:
    x = keras.Input((8, 6))
    same(keras.Model(x, K.slice(x, (0, 1, 1), (1, 3, 2))), numbers(1, 8, 6), tmp_path)


def test_each_number_by_each() -> None:
    a, b = numbers(2, 3), numbers(4)
    assert np.array_equal(OPS["keras.outer"](a, b).numpy(), np.outer(a, b))


def test_an_unknown_function_is_said_to_be_one(tmp_path: Path) -> None:
    x = keras.Input((8, 6))
    keras.Model(x, K.digitize(x, np.array([-0.5, 0.5]))).save(tmp_path / "m.keras")
    for door in (fl.load, fl.load_model):
        with pytest.raises(fl.FanlightError) as caught:
            door(tmp_path / "m.keras")
        assert "ops.Digitize x1" in str(caught.value)
        assert "a function and no layer" in str(caught.value)
        assert "class NAME" not in str(caught.value)
