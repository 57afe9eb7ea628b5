"""A page trains layers that make the batch and other dims one, in Chromium: Python's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium


def test_steps_slices_and_columns_in_batches_of_any_size(bare: Any, toys: Path) -> None:
    """The same to each picture of a sequence, turned by chance; the last batch is smaller."""
    fl.clear_session()
    fl.set_random_seed(5)
    layers = fl.layers
    x = fl.Input((2, 4, 4, 2))
    y = layers.TimeDistributed(layers.RandomRotation(0.2))(x)
    y = layers.Conv3D(3, 2, activation="relu")(y)
    y = layers.TimeDistributed(layers.Conv2D(2, 2))(y)
    net = fl.Model(x, layers.Dense(3, "sigmoid")(layers.Flatten()(y)))

    def metrics() -> list[Any]:
        return [fl.metrics.AUC(name="auc"), fl.metrics.MeanIoU(2, name="overlap")]

    how = fl.training(fl.optimizers.Adam(0.01), "mse", metrics())
    fl.build(net, toys / "merged", train=how, dims={"batch": 4}).close()
    pictures = (np.arange(10 * 64) * 7 % 23 / 23).astype(np.float32).reshape(10, 2, 4, 4, 2)
    wanted = (np.arange(30) % 2).astype(np.float32).reshape(10, 3)
    net.compile(fl.optimizers.Adam(0.01), "mse", metrics=metrics())
    net.set_random_key(9)
    shown = {"shuffle": False, "verbose": 0}
    history = net.fit(pictures, wanted, 4, epochs=3, **shown).history
    found = bare.evaluate("""async () => {
      const { load } = await import('./merged/train.js');
      const x = Float32Array.from({ length: 640 }, (_, i) => i * 7 % 23 / 23);
      const y = Float32Array.from({ length: 30 }, (_, i) => i % 2);
      const model = await load('merged');
      const options = { batchSize: 4, epochs: 3, shuffle: false, seed: 9 };
      return (await model.fit(x, y, options)).history;
    }""")
    assert found.keys() == history.keys() and len(found) == 3
    for name, numbers in history.items():
        np.testing.assert_allclose(found[name], numbers, rtol=1e-4, err_msg=name)


def test_layers_that_mix_examples_in_front_of_all_that_learns(bare: Any, toys: Path) -> None:
    """They see the batches that Python's see, and not each example alone."""
    fl.clear_session()
    fl.set_random_seed(5)

    class Centre(fl.layers.Layer):
        def call(self, x: Any) -> Any:
            return (x - fl.mean(x, 0)) * x.shape[0]

    layers = fl.layers
    base = layers.Dense(4, "relu", trainable=False)
    net = fl.Sequential([fl.Input((3,)), base, Centre(), layers.Dense(2)])
    how = fl.training("sgd", "mse")
    fl.build(net, toys / "mixing", train=how, dims={"batch": 8}).close()
    x = (np.arange(66) * 7 % 23 / 23).astype(np.float32).reshape(22, 3)
    y = (np.arange(44) % 5 / 5).astype(np.float32).reshape(22, 2)
    net.compile("sgd", "mse")
    wanted = net.fit(x, y, 8, epochs=3, shuffle=False, verbose=0).history["loss"]
    found = bare.evaluate("""async () => {
      const { load } = await import('./mixing/train.js');
      const x = Float32Array.from({ length: 66 }, (_, i) => i * 7 % 23 / 23);
      const y = Float32Array.from({ length: 44 }, (_, i) => i % 5 / 5);
      const model = await load('mixing');
      return (await model.fit(x, y, { batchSize: 8, epochs: 3, shuffle: false })).history.loss;
    }""")
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
