"""A page that learns behind a frozen part that travels as float16, in Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

pytestmark = pytest.mark.chromium

SHAPE = (10, 12, 3)
HOW = {"batch": 4, "classes": (2, 5)}


def net() -> Any:
    """A frozen base: large convolutions, of which one is folded into its batch norm."""
    fl.clear_session()
    fl.set_random_seed(6)
    layers = fl.layers
    x = fl.Input(SHAPE, name="photo")
    y = layers.Conv2D(8, 3, activation="relu", name="first")(x)
    y = layers.Conv2D(24, 3, use_bias=False, name="folded")(y)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.Conv2D(90, 3, activation="relu", name="wide")(y)
    y = layers.GlobalAveragePooling2D()(y)
    base = fl.Model(x, y)
    base.trainable = False
    kernel = base.get_layer("norm").weights[0]
    kernel.assign(np.linspace(0.5, 1.7, 24, dtype=np.float32))
    return fl.Model(x, layers.Dense(3, activation="softmax", name="head")(base.output))


def training() -> Any:
    return fl.training(fl.optimizers.Adam(0.03), "sparse_categorical_crossentropy")


def rounded(model: Any) -> Any:
    """The same model with the numbers that the page has."""
    weight = model.get_layer("wide").weights[0]
    weight.assign(weight.numpy().astype(np.float16).astype(np.float32))
    return model


def examples() -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(11 * 360) * 7 % 101 / 101).astype(np.float32).reshape(11, *SHAPE)
    return x, (np.arange(11) % 3).astype(np.int32)


def test_what_nothing_learns_travels_as_float16(bare: Any, toys: Path) -> None:
    given = net()
    before = [w.numpy().copy() for w in given.weights]
    bundle = fl.build(given, toys / "thin", train=training(), dims=HOW, precision="f16")
    for weight, array in zip(given.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), array)  # Python's stay as they are
    x, y = examples()
    want = rounded(net())
    np.testing.assert_allclose(
        bundle.run({"photo": x[:1]})["head"], want.predict(x[:1], verbose=0), atol=1e-5
    )
    bundle.close()
    fl.build(net(), toys / "thick", train=training(), dims=HOW).close()
    manifests = [json.loads((toys / n / "manifest.json").read_text()) for n in ("thin", "thick")]
    assert manifests[0]["precision"] == "f16" and manifests[1]["precision"] == "f32"
    thin, thick = (sum(w["bytes"] for w in m["weights"]) for m in manifests)
    wide = 3 * 3 * 24 * 96 * 2  # as kernels want it, in columns of 8
    assert thick - thin == pytest.approx(wide, abs=512)
    halves = [w for w in manifests[0]["weights"] if w.get("encoding") == "f16"]
    assert sum(w["bytes"] for w in halves) == pytest.approx(wide, abs=512)
    found = bare.evaluate("""async () => {
      const { load } = await import('./thin/train.js');
      const model = await load('thin');
      const x = Float32Array.from({ length: 11 * 360 }, (_, i) => (i * 7 % 101) / 101);
      const y = Int32Array.from({ length: 11 }, (_, i) => i % 3);
      const rows = await model.features(x);
      const how = { epochs: 4, batchSize: 4, shuffle: false, features: true };
      const { history } = await model.fit(rows, y, how);
      const file = Array.from(new Uint8Array(await (await model.save()).arrayBuffer()));
      const run = await model.run({ photo: x.slice(0, 360) });
      return { loss: history.loss, predict: [...await model.predict(x)], file,
        run: [...run.head.data], rows: rows.length };
    }""")
    want.compile(fl.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    history = want.fit(x, y, 4, epochs=4, shuffle=False, verbose=0).history
    np.testing.assert_allclose(found["loss"], history["loss"], atol=1e-5)
    assert found["loss"][-1] < found["loss"][0] and found["rows"] == 11 * 90
    scores = want.predict(x, verbose=0)
    np.testing.assert_allclose(np.reshape(found["predict"], (11, 3)), scores, atol=1e-5)
    np.testing.assert_allclose(found["run"], scores[0], atol=1e-5)
    path = toys / "thin.safetensors"
    path.write_bytes(bytes(found["file"]))
    learnt = fl.load(path)
    for weight, own in zip(learnt.weights, want.weights, strict=True):
        if own.path.startswith("head/"):
            np.testing.assert_allclose(weight.numpy(), own.numpy(), atol=1e-5)
        else:
            np.testing.assert_array_equal(weight.numpy(), own.numpy(), err_msg=own.path)
    np.testing.assert_allclose(learnt.predict(x, verbose=0), scores, atol=1e-5)


def test_other_precisions_do_not_learn(tmp_path: Path) -> None:
    with pytest.raises(FanlightError) as error:
        fl.build(net(), tmp_path / "site", train=training(), precision="int8")
    assert error.value.code == "E-BUILD-005" and "f16" in str(error.value)
