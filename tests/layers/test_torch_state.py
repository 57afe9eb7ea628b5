"""State dicts of PyTorch in models of layers: names, layouts, gates, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.layers.torch_state import load_torch_state

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def test_linear_and_embedding() -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(5), fl.layers.Dense(2)])
    state = {
        "0.weight": normal(5, 3),
        "0.bias": normal(5),
        "1.weight": normal(2, 5),
        "1.bias": normal(2),
    }
    load_torch_state(model, state)
    x = normal(4, 3)
    want = (x @ state["0.weight"].T + state["0.bias"]) @ state["1.weight"].T + state["1.bias"]
    np.testing.assert_allclose(np.asarray(model.predict(x)), want, 1e-4, 1e-5)


def test_convolution_and_batch_norm() -> None:
    model = fl.Sequential([
        fl.Input((4, 4, 2)), fl.layers.Conv2D(3, 1), fl.layers.BatchNormalization(epsilon=1e-5),
    ])  # fmt: skip
    state = {
        "c.weight": normal(3, 2, 1, 1), "c.bias": normal(3), "b.weight": normal(3),
        "b.bias": normal(3), "b.running_mean": normal(3), "b.running_var": normal(3) ** 2 + 1,
        "b.num_batches_tracked": np.array(7),
    }  # fmt: skip
    load_torch_state(model, state)
    x = normal(1, 4, 4, 2)
    y = np.einsum("nhwc,oc->nhwo", x, state["c.weight"][:, :, 0, 0]) + state["c.bias"]
    y = (y - state["b.running_mean"]) / np.sqrt(state["b.running_var"] + 1e-5)
    want = y * state["b.weight"] + state["b.bias"]
    np.testing.assert_allclose(np.asarray(model.predict(x)), want, 1e-3, 1e-4)


def test_unmatched() -> None:
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(5)])
    with pytest.raises(FanlightError) as caught:
        load_torch_state(model, {"a.weight": normal(5, 4), "a.bias": normal(5)})
    assert caught.value.code == "E-LAYER-006"
    with pytest.raises(FanlightError, match="different numbers"):
        load_torch_state(model, {})
