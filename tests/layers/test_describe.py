"""Descriptions of models: as Keras 3 writes them, and of every dialect that is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.tensor.tape import flatten
from tests.layers import nets
from tests.layers.keras_oracle import keras
from tests.layers.nets import L

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def two_named() -> Any:
    a, b = fl.Input((4,), name="a"), fl.Input((4,), name="b")
    d = L.Dense(3, name="d")
    return fl.Model({"a": a, "b": b}, {"sum": L.Add(name="s")([d(a), d(b)]), "first": d(a)})


def deep() -> Any:
    i = fl.Input((3,), name="i")
    row = fl.Sequential([fl.Input((3,)), L.Dense(3, name="r1"), L.Activation("relu")], name="row")
    j = fl.Input((3,), name="j")
    inner = fl.Model(j, [row(j), L.Dense(3, name="r2")(row(j))], name="inner")
    x, y = inner(i)
    x, z = inner(L.Multiply(name="m")([x, y]))
    return fl.Model(i, L.Concatenate(name="c")([x, z]), name="deep")


MODELS = [nets.dense, nets.shared, nets.cnn, nets.rnn, nets.attention, two_named, deep]


def bare(value: Any) -> Any:
    """A description without what says nothing: defaults of dtypes, empty arguments."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            return value["config"]["name"]
        skipped = ("sparse", "ragged", "optional", "build_config", "compile_config", "seed")
        made = {k: bare(v) for k, v in value.items() if k not in skipped}
        return {k: v for k, v in made.items() if v is not None and (k, v) != ("training", False)}
    return [bare(v) for v in value] if isinstance(value, list) else value


def shape_of(config: dict[str, Any]) -> Any:
    """What a model's config says about its connections."""
    layers = [
        (x["class_name"], x["name"], [bare(n) for n in x["inbound_nodes"]],
         shape_of(x["config"]) if "output_layers" in x["config"] else None)
        for x in config["layers"]
    ]  # fmt: skip
    return layers, config["input_layers"], config["output_layers"]


@pytest.mark.parametrize("make", MODELS)
def test_keras_reads_and_writes_the_same(make: Callable[[], Any]) -> None:
    model = nets.shaken(make())
    theirs = keras.models.model_from_json(model.to_json())
    own, other = json.loads(model.to_json()), json.loads(theirs.to_json())
    assert set(own) | {"compile_config"} == set(other) | {"compile_config"}
    for key in ("module", "class_name", "registered_name", "build_config"):
        assert own.get(key) == other.get(key), key
    if own["class_name"] == "Functional":
        assert shape_of(own["config"]) == shape_of(other["config"])
    names = [s.name for s in model.inputs]
    given = dict(zip(names, nets.inputs_of(model, 2), strict=True))
    x = given if len(given) > 1 else given[names[0]]
    want, _ = flatten(model(x))
    for found in (
        fl.model_from_json(theirs.to_json()),
        fl.model_from_json(model.to_json()),
        type(model).from_config(model.get_config()),
    ):
        assert bare(json.loads(found.to_json())) == bare(own)
        found.set_weights(model.get_weights())
        for a, b in zip(want, flatten(found(x))[0], strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    theirs.set_weights(model.get_weights())
    got = keras.tree.flatten(theirs(x))
    for a, b in zip(want, got, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=0, atol=1e-5)


def test_what_dropout_does_in_training_is_not_fixed_by_a_file() -> None:
    i = keras.Input((64,))
    model = fl.model_from_json(keras.Model(i, keras.layers.Dropout(0.5)(i)).to_json())
    x = np.ones((2, 64), np.float32)
    assert (model(x, training=True).numpy() == 0).any()
    assert (model(x).numpy() == 1).all()


def test_arithmetic_of_keras_becomes_layers() -> None:
    x = keras.Input((3,))
    y = keras.Input((3,))
    z = keras.ops.sigmoid(1 - (x * 2 + y) / 4 - y) * keras.ops.relu(x)
    theirs = keras.Model([x, y], z)
    ours = fl.model_from_json(theirs.to_json())
    given = [nets.numbers(2, 3), nets.numbers(2, 3, seed=1)]
    want = theirs.predict(given, verbose=0)
    np.testing.assert_allclose(ours.predict(given), want, rtol=0, atol=1e-6)


def test_keras_2() -> None:
    text = json.dumps(
        {
            "class_name": "Functional",
            "keras_version": "2.15.0",
            "config": {
                "name": "old",
                "layers": [
                    {"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
                     "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "x"}},
                    {"class_name": "Dense", "name": "d", "config": {
                        "name": "d", "units": 4, "activation": "hard_sigmoid",
                        "dtype": {"class_name": "Policy", "config": {"name": "float32"}},
                        "kernel_initializer": {"class_name": "GlorotUniform", "config": {}}},
                     "inbound_nodes": [[["x", 0, 0, {}]], [["d", 0, 0, {}]]]},
                    {"class_name": "TFOpLambda", "name": "tf.math.add", "config": {
                        "name": "tf.math.add", "function": "math.add"},
                     "inbound_nodes": [["d", 1, 0, {"y": ["x", 0, 0]}]]},
                ],
                "input_layers": [["x", 0, 0]],
                "output_layers": [["tf.math.add", 0, 0]],
            },
        }
    )  # fmt: skip
    model = fl.model_from_json(text)
    kernel, bias = (w.numpy() for w in model.get_layer("d").weights)
    x = nets.numbers(3, 4)

    def dense(v: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * (v @ kernel + bias) + 0.5, 0, 1)

    np.testing.assert_allclose(model.predict(x), dense(dense(x)) + x, rtol=0, atol=1e-6)


def test_a_row_of_before_keras_2_3_and_one_that_is_not_built() -> None:
    dense = {
        "class_name": "Dense",
        "config": {"name": "d", "units": 2, "batch_input_shape": [None, 3]},
    }
    row = fl.model_from_json(json.dumps({"class_name": "Sequential", "config": [dense]}))
    assert row.output_shape == (None, 2)
    model = fl.Sequential([L.Dense(3, name="a")], name="row")
    again = fl.model_from_json(model.to_json())
    assert not again.built and [x.name for x in again.layers] == ["a"]


def test_what_is_no_description() -> None:
    cases = [
        ("{", "E-FORMAT-003"),
        ("[]", "E-FORMAT-005"),
        ('{"class_name": 3}', "E-FORMAT-005"),
        ('{"class_name": "Dense", "config": {"units": 3}}', "E-FORMAT-014"),
        ('{"class_name": "Nope", "config": {}}', "E-LAYER-008"),
        ('{"class_name": "Functional", "config": {"layers": []}}', "E-FORMAT-005"),
    ]
    for text, code in cases:
        with pytest.raises(FanlightError) as caught:
            fl.model_from_json(text)
        assert caught.value.code == code, text
    model = json.loads(nets.shared().to_json())
    circle = json.loads(json.dumps(model))
    nodes = {x["name"]: x for x in circle["config"]["layers"]}
    history = nodes["first"]["inbound_nodes"][0]["args"][0]["config"]
    history["keras_history"] = ["sum", 0, 0]
    absent = json.loads(json.dumps(model))
    absent["config"]["output_layers"] = [["nobody", 0, 0]]
    wrong = json.loads(json.dumps(model))
    wrong["config"]["layers"][0]["config"]["batch_shape"] = [None, -4]
    for description, code in ((circle, "E-FORMAT-015"), (absent, "E-FORMAT-016"),
                              (wrong, "E-LAYER-004")):  # fmt: skip
        with pytest.raises(FanlightError) as caught:
            fl.model_from_json(json.dumps(description))
        assert caught.value.code == code


def test_a_part_of_a_model_has_no_description_of_its_own() -> None:
    model = nets.cnn()
    part = fl.Model(model.get_layer("r1").output, model.output)
    with pytest.raises(FanlightError, match="E-LAYER-009"):
        part.to_json()
