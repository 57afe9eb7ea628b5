"""Models of Keras with low-rank adapters (LoRA), through both doors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layers.keras_oracle import keras, numbers
from tests.layers.test_random_networks import ENDINGS, same, stirred

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, about .h5 and NumPy


def adapted(kind: str) -> tuple[Any, Any]:
    """A model with adapters, and what to give it."""
    layers = keras.layers
    if kind == "conv":
        x = keras.Input((5, 5, 3))
        y = layers.Conv2D(4, 3, lora_rank=2, lora_alpha=3)(x)
        return keras.Model(x, y), numbers(2, 5, 5, 3)
    if kind == "einsum":
        x = keras.Input((5, 4))
        y = layers.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d", lora_rank=3)(x)
        return keras.Model(x, y), numbers(2, 5, 4)
    if kind == "embedding":
        x = keras.Input((5,), dtype="int32")
        y = layers.Embedding(9, 4, lora_rank=2, lora_alpha=5)(x)
        return keras.Model(x, y), np.arange(10, dtype=np.int32).reshape(2, 5) % 9
    x = keras.Input((4,))
    if kind == "nested":  # layers of one shape, of which Keras mixes the order in .h5 files
        q = keras.Input((4,))
        inner = keras.Model(q, layers.Dense(4)(layers.Dense(4, lora_rank=2)(q)))
        return keras.Model(x, layers.Dense(4)(inner(x))), numbers(2, 4)
    dense = layers.Dense(4)
    model = keras.Model(x, dense(layers.Dense(4)(x)))
    dense.enable_lora(2, lora_alpha=None if kind == "enabled" else 5)
    return model, numbers(2, 4)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["enabled", "alpha", "nested", "conv", "einsum", "embedding"])
def test_adapters_are_part_of_the_weights(kind: str, ending: str, tmp_path: Path) -> None:
    model, fed = adapted(kind)
    same(stirred(model), fed, tmp_path, (ending,))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_model_that_trained_adapters(ending: str, tmp_path: Path) -> None:
    model, fed = adapted("alpha")
    model.compile("adam", "mse")
    model.fit(fed, fed, verbose=0)
    same(model, fed, tmp_path, (ending,))
