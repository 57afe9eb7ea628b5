"""A page that learns shows where it looks, in Chromium: the numbers of Python, after learning."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium


def png(photo: np.ndarray) -> list[int]:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(photo).save(data, "PNG")
    return list(data.getvalue())


@pytest.mark.parametrize("frozen", [True, False])
def test_the_map_follows_what_is_learnt(bare: Any, toys: Path, frozen: bool) -> None:
    fl.clear_session()
    fl.set_random_seed(2)
    layers = fl.layers
    photo = fl.Input((12, 14, 3))
    y = layers.Conv2D(5, 3, activation="relu", name="map", trainable=not frozen)(photo)
    pooled = layers.GlobalAveragePooling2D()(y)
    net = fl.Model(photo, layers.Dense(2, activation="softmax", name="head")(pooled))
    folder = f"heat{frozen}"
    fl.build(
        net,
        toys / folder,
        task=fl.tasks.classify(input_range=(-1, 1), heat=True),
        train=fl.training(fl.optimizers.Adam(0.05), "sparse_categorical_crossentropy"),
        dims={"batch": 4, "classes": (2, 100)},
    ).close()
    rng = np.random.default_rng(4)
    photos = rng.integers(0, 256, (6, 12, 14, 3)).astype(np.uint8)
    found = bare.evaluate(
        """async ({ folder, pngs }) => {
      const { load } = await import(`./${folder}/train.js`);
      const model = await load(folder);
      const blobs = pngs.map((bytes) => new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
      const before = await model.run({ image: blobs[0] });
      await model.setClasses(['one', 'two', 'three']);
      const y = Int32Array.from(pngs, (_, i) => i % 3);
      const rows = await model.features(blobs);
      await model.fit(rows, y, { features: true, epochs: 5, batchSize: 4 });
      const { heat, scores } = await model.run({ image: blobs[0] });
      const [told] = await model.classify(blobs[0]);
      const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
      return { before: before.heat.shape, shape: heat.shape, heat: [...heat.data], told, file,
        scores: [...scores.data] };
    }""",
        {"folder": folder, "pngs": [png(p) for p in photos]},
    )
    assert found["before"] == [10, 12, 2] and found["shape"] == [10, 12, 3]
    path = toys / f"{folder}.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    x = fl.tasks.classify(input_range=(-1, 1)).pictures(learnt, photos[:1])
    own = fl.Model(learnt.inputs, learnt.get_layer("map").output).predict(x, verbose=0)[0]
    kernel, bias = learnt.get_layer("head").get_weights()
    z = np.exp(own @ kernel + bias)
    want = z / z.sum(-1, keepdims=True)
    np.testing.assert_allclose(np.reshape(found["heat"], (10, 12, 3)), want, atol=1e-5)
    scores = learnt.predict(x, verbose=0)[0]
    np.testing.assert_allclose(found["scores"], scores, atol=1e-5)
    assert found["told"]["label"] == learnt.labels[int(scores.argmax())]
