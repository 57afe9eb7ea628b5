"""A page keeps what nothing learns, in Chromium: rows of numbers that fit goes on from."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium

TASK = fl.tasks.classify(labels=["red", "green", "blue"], input_range=(-1, 1))
SHAPE = (8, 10, 3)
COUNT = 10


def base(frozen: bool) -> Any:
    """What stands before the head: a convolution and a pooling."""
    layers = fl.layers
    photo = fl.Input(SHAPE, name="photo")
    y = layers.Conv2D(5, 3, activation="relu", trainable=not frozen)(photo)
    return fl.Model(photo, layers.GlobalAveragePooling2D()(y))


def teacher(frozen: bool) -> tuple[Any, Any]:
    """A classifier of photos and, of one whose base is frozen, the base alone."""
    fl.clear_session()
    fl.set_random_seed(2)
    before = base(frozen)
    y = fl.layers.Dropout(0.2)(before.output)
    head = fl.layers.Dense(3, activation="softmax", name="head")(y)
    return fl.Model(before.input, head), before


def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    made = []
    for i in range(COUNT):
        photo = rng.integers(0, 80, (9 + i, 12, 3)).astype(np.uint8)
        photo[..., i % 3] += 150
        made.append(photo)
    return made


def png(photo: np.ndarray) -> list[int]:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(photo).save(data, "PNG")
    return list(data.getvalue())


JOURNEY = """async ({ pngs, folder, size }) => {
  const { load } = await import(`./${folder}/train.js`);
  const model = await load(folder), other = await load(folder, { worker: false });
  const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
  const told = [], prepared = [];
  const onProgress = (done, count) => told.push([done, count]);
  const rows = await model.features(new Set(blobs), { onProgress });
  const x = await model.pictures(blobs);
  const again = await model.features(x, { onProgress: (done) => prepared.push(done) });
  const here = await other.features(blobs);
  const one = await model.features(await createImageBitmap(blobs[3]));
  const none = await model.features([]);
  const y = Int32Array.from(pngs, (_, i) => i % 3);
  const how = { epochs: 4, batchSize: 4, seed: 3, validationData: [x, y] };
  const slow = await model.fit(x, y, how);
  const fast = await other.fit(rows, y, { ...how, features: true, validationData: [rows, y] });
  const scores = [await model.evaluate(x, y), await other.evaluate(rows, y, { features: true })];
  const said = [await model.predict(x), await other.predict(rows, { features: true })];
  const code = (promise) => (
    promise.then(() => 'none', (e) => (e.name === 'FanlightError' ? e.code : e.name)));
  const stopper = new AbortController();
  const stops = { signal: stopper.signal, onProgress: () => stopper.abort() };
  const codes = [
    await code(model.fit(rows, y, { features: 1 })),
    await code(model.fit(rows.subarray(1), y, { features: true })),
    await code(model.features([new Blob(['no picture'])])),
    await code(model.features('photo.png')),
    await code(model.features(blobs, { onPrepare() {} })),
    await code(model.fit(rows, y, { features: true, onProgress() {} })),
    await code(model.features(blobs, stops)),
  ];
  const { featureShape: shape, featureSize: each } = model;
  const waits = model.features(Array(500).fill(blobs[0]));
  const waitsToo = other.features(Array(500).fill(blobs[0]));
  model.dispose();
  other.dispose();
  codes.push(await code(waits), await code(waitsToo), await code(model.features(blobs)));
  const list = (made) => [...made];
  return { rows: list(rows), again: list(again), here: list(here), one: list(one), told, prepared,
    slow: slow.history, fast: fast.history, scores, said: said.map(list), codes, shape, each,
    none: none.length };
}"""


@pytest.mark.parametrize("frozen", [True, False])
def test_what_nothing_learns_is_kept_by_the_page(bare: Any, toys: Path, frozen: bool) -> None:
    net, before = teacher(frozen)
    how = fl.training(fl.optimizers.Adam(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    folder = f"features{frozen}"
    fl.build(net, toys / folder, task=TASK, train=how, dims={"batch": 4}).close()
    given = {"pngs": [png(p) for p in photos()], "folder": folder, "size": COUNT}
    found = bare.evaluate(JOURNEY, given)
    x = TASK.pictures(net, photos())
    want = before.predict(x, verbose=0) if frozen else x
    shape = list(want.shape[1:])
    assert found["shape"] == shape and found["each"] == int(np.prod(shape))
    np.testing.assert_allclose(np.reshape(found["rows"], want.shape), want, atol=1e-5)
    assert found["rows"] == found["again"] == found["here"]
    assert found["one"] == np.reshape(found["rows"], want.shape)[3].reshape(-1).tolist()
    assert found["none"] == 0
    assert found["told"] == [[i + 1, COUNT] for i in range(COUNT)]
    assert found["prepared"][-1] == COUNT
    # The very same steps, and the same answers.
    assert found["slow"] == found["fast"] and list(found["slow"])[-1] == "val_accuracy"
    assert found["scores"][0] == found["scores"][1]
    assert found["said"][0] == found["said"][1] and len(found["said"][0]) == 3 * COUNT
    codes = "E-WEB-001 E-WEB-011 E-WEB-016 E-WEB-017 E-WEB-001 E-WEB-001 AbortError"
    assert found["codes"] == [*codes.split(), *3 * ["E-WEB-014"]]


def test_where_learning_begins_in_several_places(bare: Any, toys: Path) -> None:
    """Two frozen branches, whose results the head joins: an array of each, by its name."""
    fl.clear_session()
    fl.set_random_seed(3)
    layers = fl.layers
    x = fl.Input((6,), name="x")
    left = layers.Dense(4, activation="tanh", trainable=False)(x)
    right = layers.Dense(2, activation="relu", trainable=False)(x)
    joined = layers.Concatenate()([layers.Dense(3)(left), layers.Dense(3)(right)])
    net = fl.Model(x, layers.Dense(2, activation="softmax")(joined))
    how = fl.training("sgd", "sparse_categorical_crossentropy")
    fl.build(net, toys / "branches", train=how, dims={"batch": 4}).close()
    numbers = (np.arange(42) % 5 / 5).astype(np.float32).reshape(7, 6)
    found = bare.evaluate("""async () => {
      const { load } = await import('./branches/train.js');
      const model = await load('branches');
      const x = Float32Array.from({ length: 42 }, (_, i) => i % 5 / 5);
      const rows = await model.features(x);
      const said = await model.predict(rows, { features: true });
      const y = Int32Array.from({ length: 7 }, (_, i) => i % 2);
      const { loss } = await model.evaluate(rows, y, { features: true });
      const { loss: same } = await model.evaluate(x, y);
      return { rows: Object.values(rows).map((a) => [...a]), said: [...said], loss, same,
        shape: model.featureShape, size: model.featureSize, names: Object.keys(rows) };
    }""")
    want = fl.Model(x, [left, right]).predict(numbers, verbose=0)
    for made, numbers_of in zip(found["rows"], want, strict=True):
        np.testing.assert_allclose(made, numbers_of.reshape(-1), atol=1e-6)
    assert list(found["shape"].values()) == [[4], [2]]
    assert found["size"] == dict(zip(found["names"], [4, 2], strict=True))
    said = net.predict(numbers, verbose=0).reshape(-1)
    np.testing.assert_allclose(found["said"], said, atol=1e-6)
    assert found["loss"] == found["same"]
