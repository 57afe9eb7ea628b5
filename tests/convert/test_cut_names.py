"""A part of a model goes from and to what the source calls its layers, nodes and tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import fanlight as fl

RNG = np.random.default_rng(7)


def small_network() -> fl.Model:
    x = fl.Input((6, 6, 3), name="image")
    y = fl.layers.Conv2D(4, 3, activation="relu", name="conv", bias_initializer="he_normal")(x)
    y = fl.layers.Flatten(name="flat")(y)
    dense = fl.layers.Dense(5, activation="tanh", name="d1", bias_initializer="he_normal")
    return fl.Model(x, fl.layers.Dense(2, activation="softmax", name="d2")(dense(y)))


def until(model: fl.Model, layer: str, x: np.ndarray) -> np.ndarray:
    part = fl.Model(model.inputs, model.get_layer(layer).output)
    return np.asarray(part.predict(x))


@pytest.mark.parametrize("form", ["model.keras", "model.h5", "folder", "live"])
@pytest.mark.parametrize("layer", ["conv", "d1"])
def test_a_part_ends_behind_the_whole_layer(tmp_path: Path, form: str, layer: str) -> None:
    model = small_network()
    source: object = model
    if form != "live":
        source = tmp_path / form
        fl.convert(model, source, to="tfjs-layers" if form == "folder" else None)
    x = RNG.standard_normal((1, 6, 6, 3)).astype(np.float32)
    fl.convert(source, tmp_path / "part.onnx", outputs=[layer])
    found = fl.load(tmp_path / "part.onnx")(x)
    np.testing.assert_allclose(found, until(model, layer, x), atol=1e-5)


def test_a_part_of_a_model_made_in_python_begins_at_a_layer(tmp_path: Path) -> None:
    model = small_network()
    fl.convert(model, tmp_path / "part.onnx", inputs=["d1"])
    x = RNG.standard_normal((1, 6, 6, 3)).astype(np.float32)
    found = fl.load(tmp_path / "part.onnx")(until(model, "d1", x))
    np.testing.assert_allclose(found, model.predict(x), atol=1e-5)


class Own(fl.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = fl.layers.Dense(3, name="inner")

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        return self.inner(inputs)


def test_a_layer_inside_a_model_of_ones_own_is_no_place_to_cut(tmp_path: Path) -> None:
    model = Own()
    model(np.zeros((1, 4), np.float32))
    with pytest.raises(fl.FanlightError, match="E-CONVERT-003"):
        fl.convert(model, tmp_path / "part.onnx", outputs=["inner"])
    assert not (tmp_path / "part.onnx").exists()


def onnx_network(path: Path) -> Path:
    weights = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t1"], name="conv1"),
        helper.make_node("Relu", ["t1"], ["t2"], name="relu1"),
        helper.make_node("MaxPool", ["t2"], ["t3"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["t3"], ["y"], name="mean"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


@pytest.mark.parametrize(
    ("name", "tensor"), [("conv1", "t1"), ("t1", "t1"), ("relu1", "t2"), ("pool1", "t3")]
)
def test_a_part_of_onnx_ends_at_a_node_or_a_tensor_in_its_own_layout(
    tmp_path: Path, name: str, tensor: str
) -> None:
    path = onnx_network(tmp_path / "model.onnx")
    x = RNG.standard_normal((1, 3, 8, 8)).astype(np.float32)
    whole = onnx.load(path)
    whole.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    (wanted,) = map(np.asarray, ReferenceEvaluator(whole).run([tensor], {"x": x}))
    fl.convert(path, tmp_path / "part.onnx", outputs=[name])
    np.testing.assert_allclose(fl.load(tmp_path / "part.onnx")(x), wanted, atol=1e-5)


def test_a_part_of_onnx_begins_behind_a_node(tmp_path: Path) -> None:
    path = onnx_network(tmp_path / "model.onnx")
    fl.convert(path, tmp_path / "part.onnx", inputs=["relu1"])
    x = RNG.standard_normal((1, 4, 6, 6)).astype(np.float32)
    pooled = x.reshape(1, 4, 3, 2, 3, 2).max((3, 5)).mean((2, 3), keepdims=True)
    np.testing.assert_allclose(fl.load(tmp_path / "part.onnx")(x), pooled, atol=1e-6)


def test_a_part_of_a_graph_of_tfjs_ends_behind_a_fused_node(tmp_path: Path) -> None:
    model = small_network()
    fl.convert(model, tmp_path / "web", to="tfjs-graph")
    nodes = json.loads((tmp_path / "web" / "model.json").read_text())["modelTopology"]["node"]
    (name,) = (n["name"] for n in nodes if n["op"] == "_FusedConv2D")
    fl.convert(tmp_path / "web", tmp_path / "part.onnx", outputs=[name])
    x = RNG.standard_normal((1, 6, 6, 3)).astype(np.float32)
    found = fl.load(tmp_path / "part.onnx")(x)
    np.testing.assert_allclose(found, until(model, "conv", x), atol=1e-5)


def inputs_of(path: Path) -> list[str]:
    return [name for name, _ in fl.load(path).inputs]


@pytest.mark.parametrize("name", ["conv1", "t1", "pool1"])
def test_an_input_of_a_part_has_the_name_that_was_asked_for(tmp_path: Path, name: str) -> None:
    path = onnx_network(tmp_path / "model.onnx")
    fl.convert(path, tmp_path / "part.onnx", inputs=[name])
    assert inputs_of(tmp_path / "part.onnx") == [name]
    fl.convert(path, tmp_path / "web", inputs=[name], outputs=["mean"])
    assert inputs_of(tmp_path / "web") == [name]


@pytest.mark.parametrize("form", ["model.keras", "model.h5", "folder", "live", "graph"])
def test_an_input_behind_a_layer_is_called_as_the_layer(tmp_path: Path, form: str) -> None:
    model = small_network()
    source: object = model
    if form == "graph":
        source = fl.load(fl.convert(model, tmp_path / "m.keras").destination)
    elif form != "live":
        source = tmp_path / form
        fl.convert(model, source, to="tfjs-layers" if form == "folder" else None)
    made = fl.convert(source, tmp_path / "part.onnx", inputs=["d1"], outputs=["d2"])
    assert made.ok and inputs_of(tmp_path / "part.onnx") == ["d1"]
    x = RNG.standard_normal((1, 6, 6, 3)).astype(np.float32)
    found = fl.load(tmp_path / "part.onnx")(until(model, "d1", x))
    np.testing.assert_allclose(found, model.predict(x), atol=1e-5)


def test_layers_between_layers_stay_layers(tmp_path: Path) -> None:
    model = small_network()
    fl.convert(model, tmp_path / "m.keras")
    made = fl.convert(tmp_path / "m.keras", tmp_path / "part.keras", inputs=["conv"])
    assert made.ok and made.format == "keras-v3" and not made.notes
    part = fl.load_model(tmp_path / "part.keras")
    assert [layer.name for layer in part.layers] == ["conv", "flat", "d1", "d2"]
    x = RNG.standard_normal((3, 6, 6, 3)).astype(np.float32)  # the batch is free
    np.testing.assert_allclose(part.predict(until(model, "conv", x)), model.predict(x), atol=1e-5)


def test_a_part_may_begin_and_end_at_one_place(tmp_path: Path) -> None:
    path = onnx_network(tmp_path / "model.onnx")
    fl.convert(path, tmp_path / "part.onnx", inputs=["relu1"], outputs=["relu1"])
    x = RNG.standard_normal((1, 4, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(fl.load(tmp_path / "part.onnx")(x), x)


@pytest.mark.parametrize("saved", [True, False])
def test_a_part_does_not_lose_the_mask_of_what_is_in_front_of_it(
    tmp_path: Path, saved: bool
) -> None:
    x = fl.Input((5,), name="words", dtype="int32")
    y = fl.layers.Embedding(12, 4, mask_zero=True, name="emb")(x)
    y = fl.layers.LSTM(3, name="lstm")(y)
    model = fl.Model(x, fl.layers.Dense(2, name="out")(y))
    source: Any = model
    if saved:
        source = fl.convert(model, tmp_path / "m.keras").destination
    with pytest.raises(fl.FanlightError, match="depends on a mask"):
        fl.convert(source, tmp_path / "part.onnx", inputs=["emb"])
    assert fl.convert(source, tmp_path / "part.onnx", inputs=["lstm"]).ok  # which uses it up


def two_ends() -> fl.Model:
    """A dict of outputs that are not called as their layers, one of which is used twice."""
    x = fl.Input((4,), name="x")
    once, twice = fl.layers.Dense(3, name="once"), fl.layers.Dense(3, name="twice")
    y = twice(twice(once(x)))
    return fl.Model(x, {"second": fl.layers.Dense(2, name="end")(y), "first": y})


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("names", [["second"], ["first"], ["second", "first"], ["once", "first"]])
@pytest.mark.parametrize("target", ["part.keras", "part.h5", "web", "part.onnx"])
def test_a_part_ends_at_outputs_of_the_model_by_their_names(
    tmp_path: Path, saved: bool, names: list[str], target: str
) -> None:
    model = two_ends()
    source: Any = fl.convert(model, tmp_path / "m.keras").destination if saved else model
    made = fl.convert(source, tmp_path / target, outputs=names)
    assert made.ok and not made.notes
    assert made.kind == {"web": "tfjs-layers"}.get(target, target.partition(".")[2])
    x = RNG.standard_normal((1, 4)).astype(np.float32)
    loaded = fl.load(tmp_path / target)
    told = [n for n, _ in loaded.outputs]
    assert told == (names if target == "part.onnx" else sorted(names))  # a dict has no order
    wanted = {**model.predict(x), "once": until(model, "once", x)}
    found = loaded(x) if len(names) > 1 else {names[0]: loaded(x)}
    for name in names:
        np.testing.assert_allclose(np.asarray(found[name]), wanted[name], atol=1e-5)


def test_outputs_of_one_layer_are_counted(tmp_path: Path) -> None:
    x = fl.Input((4,), name="x")
    twice = fl.layers.Dense(4, name="twice")
    y = twice(x)
    model = fl.Model(x, [y, twice(y)])
    model.save(tmp_path / "m.keras")
    assert [n for n, _ in fl.load(tmp_path / "m.keras").outputs] == ["twice", "twice_1"]
    given = RNG.standard_normal((2, 4)).astype(np.float32)
    for name, wanted in zip(["twice", "twice_1"], model.predict(given), strict=True):
        assert fl.convert(tmp_path / "m.keras", tmp_path / "part.keras", outputs=[name]).ok
        assert [n for n, _ in fl.load(tmp_path / "part.keras").outputs] == [name]
        found = fl.load_model(tmp_path / "part.keras").predict(given)
        found = found[name] if isinstance(found, dict) else found
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_part_that_is_no_layers_says_so(tmp_path: Path) -> None:
    two_ends().save(tmp_path / "m.keras")
    for target in ("part.keras", "part.h5"):
        with pytest.raises(fl.FanlightError, match="this part of the source is no layers") as told:
            fl.convert(tmp_path / "m.keras", tmp_path / target, outputs=["twice"])
        assert told.value.code == "E-CONVERT-002" and told.value.received == "x to twice"
    made = fl.convert(tmp_path / "m.keras", tmp_path / "web", outputs=["twice"])
    assert made.ok and made.kind == "tfjs-graph"
    assert made.notes == ("A graph-model, for this part of the source is no layers.",)
