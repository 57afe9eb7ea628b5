"""A page trains a model, in Chromium: the numbers of Python, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web import training

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_a_page_trains_as_python_does(bare: Any, training_bundle: Path, simd: str) -> None:
    found = bare.evaluate(f"(simd) => ({training.JOURNEY})(simd, 'training')", simd)
    training.as_python(found, training_bundle)


def test_what_nothing_learns_is_computed_once(bare: Any, toys: Path) -> None:
    """A frozen base under a head: features once per photo, and the losses of Python."""
    import numpy as np

    import fanlight as fl

    fl.set_random_seed(5)
    layers = fl.layers
    x = fl.Input((8, 8, 2), name="photo")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", trainable=False)(x)
    y = layers.BatchNormalization(trainable=False)(y)
    y = layers.GlobalAveragePooling2D()(y)
    y = layers.Dropout(0.5)(y)
    net = fl.Model(x, layers.Dense(3, activation="softmax", name="head")(y))
    how = fl.training("sgd", "sparse_categorical_crossentropy")
    fl.build(net, toys / "frozen", train=how, dims={"batch": 8}).close()
    photos = (np.arange(20 * 128) * 7 % 23 / 23).astype(np.float32).reshape(20, 8, 8, 2)
    labels = (np.arange(20) % 3).astype(np.int32)
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.set_random_key(9)
    history = net.fit(photos, labels, 8, epochs=4, shuffle=False, verbose=0).history
    found = bare.evaluate("""async () => {
      const { load } = await import('./frozen/train.js');
      const x = Float32Array.from({ length: 20 * 128 }, (_, i) => i * 7 % 23 / 23);
      const y = Int32Array.from({ length: 20 }, (_, i) => i % 3);
      const model = await load('frozen');
      const told = [];
      const onPrepare = (done, count) => told.push([done, count]);
      const options = { batchSize: 8, epochs: 4, shuffle: false, seed: 9, onPrepare };
      const { history } = await model.fit(x, y, options);
      return { told, history, names: Object.keys(await model.getWeights()) };
    }""")
    np.testing.assert_allclose(found["history"]["loss"], history["loss"], atol=1e-5)
    assert found["told"][-1] == [20, 20] and found["names"] == ["head/kernel", "head/bias"]


def test_a_bundle_that_does_not_train_says_so(bare: Any, training_bundle: Path) -> None:
    found = bare.evaluate("""async () => {
      const { load } = await import('./training/train.js');
      const model = await load('double');
      return model.fit(new Float32Array(4), new Int32Array(1)).catch(({ code }) => code);
    }""")
    assert found == "E-WEB-030"
