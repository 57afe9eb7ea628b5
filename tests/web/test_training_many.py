"""A page with a hundred classes, and with one again, in Chromium: what stays, stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium

JOURNEY = """async () => {
  const { load } = await import('./many/train.js');
  const model = await load('many');
  const names = (n) => Array.from({ length: n }, (_, i) => `class of ${i}`);
  const x = Float32Array.from({ length: 300 * 6 }, (_, i) => (i * 37 % 101) / 101);
  const rows = await model.features(x);
  await model.setClasses(names(3));
  const y = Int32Array.from({ length: 300 }, (_, i) => i % 3);
  await model.fit(rows, y, { features: true, epochs: 2, seed: 1 });
  const three = await model.getWeights();
  await model.setClasses(names(100));
  const hundred = await model.getWeights();
  const wide = await model.predict(rows, { features: true });
  const many = Int32Array.from({ length: 300 }, (_, i) => i % 100);
  const { history } = await model.fit(rows, many, { features: true, epochs: 6, seed: 2 });
  const first = await model.fit(rows, Int32Array.from([...many].fill(100)), { features: true })
    .catch(({ code }) => code);
  // Another order, forwards and back: nothing is lost on the way.
  const before = await model.predict(rows, { features: true });
  await model.setClasses(names(100).reverse());
  const turned = await model.predict(rows, { features: true });
  await model.setClasses(names(100));
  const after = await model.predict(rows, { features: true });
  await model.setClasses(['class of 98', 'class of 7']);
  const two = await model.getWeights();
  const too = await model.setClasses(names(101)).catch(({ code }) => code);
  const { labels } = model;
  const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
  const plain = (weights) => Object.fromEntries(
    Object.entries(weights).map(([k, { data, shape }]) => [k, [[...data], shape]]));
  return { three: plain(three), hundred: plain(hundred), two: plain(two), loss: history.loss,
    wide: wide.length, sum: wide.subarray(0, 100).reduce((a, b) => a + b), first, too, labels,
    before: [...before], turned: [...turned], after: [...after], file };
}"""


def test_a_hundred_classes_come_and_go(bare: Any, toys: Path) -> None:
    fl.clear_session()
    fl.set_random_seed(3)
    layers = fl.layers
    x = fl.Input((6,))
    y = layers.Dense(9, activation="tanh", trainable=False)(x)
    net = fl.Model(x, layers.Dense(2, activation="softmax", name="head")(y))
    how = fl.training(fl.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    dims = {"batch": 32, "classes": (2, 100)}
    fl.build(net, toys / "many", train=how, dims=dims).close()
    found = bare.evaluate(JOURNEY)

    def arrays(name: str) -> dict[str, np.ndarray]:
        return {k: np.reshape(data, shape) for k, (data, shape) in found[name].items()}

    three, hundred, two = arrays("three"), arrays("hundred"), arrays("two")
    for path in three:
        np.testing.assert_array_equal(hundred[path][..., :3], three[path])
    assert hundred["head/kernel"].shape == (9, 100) and two["head/kernel"].shape == (9, 2)
    assert found["wide"] == 30_000 and abs(found["sum"] - 1) < 1e-5
    # New classes are not all alike: they would learn the same.
    assert len(np.unique(hundred["head/kernel"][0])) > 90
    assert found["loss"][-1] < found["loss"][0]
    assert found["first"] == "E-WEB-032" and found["too"] == "E-WEB-013"
    before, turned = (np.reshape(found[name], (300, 100)) for name in ("before", "turned"))
    np.testing.assert_allclose(turned, before[:, ::-1], atol=1e-6)
    assert found["after"] == found["before"]
    assert found["labels"] == ["class of 98", "class of 7"]
    path = toys / "many.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    assert list(learnt.labels) == found["labels"]
    for weight in learnt.get_layer("head").weights:
        np.testing.assert_array_equal(weight.numpy(), two[weight.path])
