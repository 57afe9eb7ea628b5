"""What errors say to do next: only what helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from tests.layers.nets import L


def told(call: Any) -> str:
    with pytest.raises(FanlightError) as caught:
        call()
    return str(caught.value)


def test_names_that_were_nearly_right() -> None:
    assert "did you mean 'learning_rate'?" in told(lambda: fl.optimizers.Adam(lr=0.1))
    model = fl.Sequential([L.Input((4,)), L.Dense(3, name="dense")])
    assert "did you mean 'dense'?" in told(lambda: model.get_layer("dens"))
    assert "did you mean" not in told(lambda: model.get_layer(index=7))


def test_a_batch_of_one_is_for_inputs_that_lack_a_dim() -> None:
    x = L.Input((4,))
    model = fl.Model(x, L.Dense(3)(x))
    assert "batch of one" in told(lambda: model(np.ones(4, np.float32)))
    assert "batch of one" not in told(lambda: model(np.ones((2, 5), np.float32)))
    assert "batch of one" not in told(lambda: model(np.ones((2, 2, 4), np.float32)))
    conv = L.Conv2D(2, 3)
    assert "batch of one" in told(lambda: conv(np.ones((8, 8, 3), np.float32)))
    assert "batch of one" not in told(lambda: conv(np.ones((1, 1, 8, 8, 3), np.float32)))
