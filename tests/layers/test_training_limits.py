"""What fit does when something goes wrong: the model stays one that can go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError


def ready(**options: Any) -> Any:
    fl.set_random_seed(0)
    dense = fl.layers.Dense
    model = fl.Sequential([fl.Input((4,)), dense(8, activation="relu"), dense(3)])
    model.compile(fl.optimizers.Adam(0.01), "mse", **options)
    return model


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_loss_that_is_not_finite_leaves_the_last_good_epoch(eagerly: bool) -> None:
    model = ready(run_eagerly=eagerly)
    x, y = np.ones((12, 4), np.float32), np.ones((12, 3), np.float32)
    model.fit(x, y, 4, verbose=0)
    weights = model.get_weights()
    steps = model.optimizer.iterations.item()
    x[9, 2] = np.nan
    with pytest.raises(FanlightError, match="E-TRAIN-003") as caught:
        model.fit(x, y, 4, epochs=3, shuffle=False, verbose=0)
    assert "epoch 1, step 3" in str(caught.value.where)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert model.optimizer.iterations.item() == steps
    x[9, 2] = 1
    model.fit(x, y, 4, verbose=0)  # and goes on
    assert np.isfinite(model.get_weights()[0]).all()


def test_an_interrupt_leaves_whole_steps() -> None:
    model = ready()

    class Stop(fl.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            if batch == 1:
                raise KeyboardInterrupt

    x, y = np.ones((12, 4), np.float32), np.ones((12, 3), np.float32)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 4, verbose=0, callbacks=[Stop()])
    assert model.optimizer.iterations.item() == 2
    other = ready()
    other.fit(x[:8], y[:8], 4, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_step_is_the_same_compiled_and_by_numpy() -> None:
    x = np.random.default_rng(0).random((12, 4), np.float32)
    y = x[:, :3] * 2
    found = []
    for eagerly in (False, True):
        model = ready(run_eagerly=eagerly, metrics=["mae"])
        history = model.fit(x, y, 5, epochs=3, shuffle=False, verbose=0).history
        found.append((history, model.get_weights()))
    for name, values in found[0][0].items():
        np.testing.assert_allclose(values, found[1][0][name], rtol=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
