"""Where a classifier looks: its head at each place of its last map, against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.graph import evaluate

SHAPE = (16, 20, 3)


def photo() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 20, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    return pixels


def base() -> Any:
    fl.clear_session()
    fl.set_random_seed(2)
    x = fl.Input(SHAPE)
    return x, fl.layers.Conv2D(5, 3, strides=2, activation="relu", name="map")(x)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def heat(model: Any, **options: Any) -> np.ndarray:
    graph, entry = fl.tasks.classify(heat=True, **options).apply(model.graph)
    found = evaluate(graph, {"image": photo()})
    assert entry["heat"] == "heat" and [n for n, _ in graph.outputs][-1] == "heat"
    plain, other = fl.tasks.classify(**options).apply(model.graph)
    assert "heat" not in other and "heat" not in dict(plain.outputs)
    scores = evaluate(plain, {"image": photo()})["scores"]
    np.testing.assert_array_equal(found["scores"], scores)
    return np.asarray(found["heat"])


def places(model: Any, to: Any) -> np.ndarray:
    """The last map of the photo, by Python: [7, 9, 5]."""
    x = fl.tasks.classify().pictures(model, [photo()])
    return np.asarray(fl.Model(model.inputs, to).predict(x, verbose=0)[0])


def dense(model: Any, name: str, x: np.ndarray) -> np.ndarray:
    kernel, bias = model.get_layer(name).get_weights()
    return np.asarray(x @ kernel + bias)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_a_linear_head_is_asked_at_each_place(activation: str | None) -> None:
    x, y = base()
    pooled = fl.layers.GlobalAveragePooling2D()(y)
    model = fl.Model(x, fl.layers.Dense(4, activation=activation, name="head")(pooled))
    z = dense(model, "head", places(model, y))
    want = 1 / (1 + np.exp(-z)) if activation == "sigmoid" else softmax(z)
    found = heat(model)
    assert found.shape == (7, 9, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found, want, atol=1e-6)
    if activation is None:  # the mean of the logits is what the class is said by
        logits = dense(model, "head", places(model, y).mean((0, 1)))
        np.testing.assert_allclose(z.mean((0, 1)), logits, atol=1e-5)


def test_a_deep_head_with_flat_places_and_a_background_class() -> None:
    x, y = base()
    pooled = fl.layers.GlobalAveragePooling2D(keepdims=True)(y)
    deep = fl.layers.Conv2D(6, 1, activation="relu", name="mix")(pooled)
    flat = fl.layers.Dropout(0.5)(fl.layers.Flatten()(deep))
    model = fl.Model(x, fl.layers.Dense(4, activation="softmax", name="head")(flat))
    kernel, bias = model.get_layer("mix").get_weights()
    mixed = np.maximum(places(model, y) @ kernel[0, 0] + bias, 0)
    found = heat(model, background=True)
    want = softmax(dense(model, "head", mixed))[..., 1:]
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_poolings_on_the_way_are_passed_over() -> None:
    """A squeeze-and-excite block pools, too: not all goes through there."""
    x, y = base()
    gate = fl.layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = fl.layers.Conv2D(5, 1, activation="sigmoid")(gate)
    y = fl.layers.Multiply()([y, gate])
    pooled = fl.layers.GlobalAveragePooling2D()(y)
    model = fl.Model(x, fl.layers.Dense(3, activation="softmax", name="head")(pooled))
    np.testing.assert_allclose(
        heat(model), softmax(dense(model, "head", places(model, y))), atol=1e-6
    )


def test_a_window_as_large_as_the_map_and_channels_first() -> None:
    x, y = base()
    pooled = fl.layers.Flatten()(fl.layers.AveragePooling2D((7, 9))(y))
    model = fl.Model(x, fl.layers.Dense(3, activation="softmax", name="head")(pooled))
    want = softmax(dense(model, "head", places(model, y)))
    np.testing.assert_allclose(heat(model), want, atol=1e-6)
    first = fl.layers.Permute((3, 1, 2))(y)
    pooled = fl.layers.GlobalAveragePooling2D(data_format="channels_first")(first)
    model = fl.Model(x, fl.layers.Dense(3, activation="softmax", name="head")(pooled))
    want = softmax(dense(model, "head", places(model, y)))
    np.testing.assert_allclose(heat(model), want, atol=1e-6)


def test_what_has_no_map_is_told(tmp_path: Path) -> None:
    x, y = base()
    layers = fl.layers

    def end(value: Any) -> Any:
        return fl.Model(x, layers.Dense(3, activation="softmax")(value))

    pooled = layers.GlobalAveragePooling2D()(y)
    beside = layers.Concatenate()([pooled, layers.GlobalMaxPooling2D()(y)])
    nets = [end(layers.Flatten()(y)), end(layers.GlobalMaxPooling2D()(y)), end(beside)]
    for net in nets:
        with pytest.raises(FanlightError) as error:
            fl.build(net, tmp_path / "site", task=fl.tasks.classify(heat=True))
        assert error.value.code == "E-BUILD-003" and "heat=True" in str(error.value)
        assert not (tmp_path / "site").exists()


def test_the_default_model_looks_somewhere(tmp_path: Path) -> None:
    """A plain graph; WebAssembly as NumPy."""
    model = fl.models.default_model()[0]
    task = fl.tasks.classify(heat=True)
    with fl.build(model, tmp_path / "site", task=task) as bundle:
        found = bundle.run({"image": photo()})
        want = bundle.run({"image": photo()}, host="numpy")
    assert found["heat"].shape == (4, 4, 100)
    np.testing.assert_allclose(found["heat"].sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(found["heat"], want["heat"], atol=2e-5)
