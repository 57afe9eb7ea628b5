"""Graph-models whose convolutions and products are one node with bias and activation."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.formats import load, write_graph_model
from fanlight.graph import Graph, evaluate
from fanlight.passes import fold
from fanlight.tensor.trace import trace
from tests.formats.test_tfgraph_writer import FIXTURES, NAMES, given, worst
from tests.formats.tfjs_graph_peer import run

RNG = np.random.default_rng(5)


def array(*shape: int) -> Any:
    return fl.tensor(RNG.normal(size=shape).astype("float32"))


def nodes(folder: Path) -> list[dict[str, Any]]:
    made = json.loads((folder / "model.json").read_text())["modelTopology"]["node"]
    return [n for n in made if n["op"] not in ("Const", "Placeholder", "Identity")]


LINEAR: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    "conv": ("_FusedConv2D", lambda x: fl.conv2d(x, array(3, 3, 2, 4), padding="same"),
             (2, 5, 4, 2)),
    "strided": ("_FusedConv2D", lambda x: fl.conv2d(x, array(2, 2, 2, 4), 2, ((1, 0), (0, 1))),
                (2, 5, 4, 2)),
    "depthwise": ("FusedDepthwiseConv2dNative",
                  lambda x: fl.depthwise_conv2d(x, array(3, 3, 2, 2), padding="same"),
                  (2, 5, 4, 2)),
    "dense": ("_FusedMatMul", lambda x: x @ array(3, 4), (2, 3)),
    "turned": ("_FusedMatMul", lambda x: fl.matmul(x, array(4, 3), transpose_b=True), (2, 3)),
}  # fmt: skip
ACTIVATIONS: dict[str, Any] = {
    "none": lambda y: y,
    "relu": fl.relu,
    "relu6": lambda y: fl.relu6(y * 1.0),
    "clip": lambda y: fl.clip(y, 0.0, 6.0),
    "elu": fl.elu,
    "sigmoid": fl.sigmoid,
    "leaky": lambda y: fl.leaky_relu(y, 0.3),
    "prelu": lambda y: fl.prelu(y, array(4)),
    "prelu of images": lambda y: fl.prelu(y, array(*[1] * (len(y.shape) - 1), 4)),
}


@pytest.mark.parametrize("linear", LINEAR)
def test_one_node_that_tfjs_runs(linear: str, tmp_path: Path) -> None:
    op, function, shape = LINEAR[linear]
    x = RNG.normal(size=shape).astype("float32")
    jobs, wants = [], []
    for name, activation in ACTIVATIONS.items():
        graph = trace(lambda x, a=activation: a(function(x) + array(4)), {"x": fl.spec(shape)})
        write_graph_model(graph, tmp_path / name, rewrite=fold)
        # TF.js does not read the slope of a fused depthwise convolution.
        apart = ["LeakyRelu"] if (linear, name) == ("depthwise", "leaky") else []
        assert [n["op"] for n in nodes(tmp_path / name)] == [op, *apart], name
        jobs.append((tmp_path / name, {"x": x}))
        wants.append(evaluate(graph, {"x": x}))
        again = load(tmp_path / name)
        (made,) = again({"x": x}).values() if isinstance(again({"x": x}), dict) else [again(x)]
        np.testing.assert_allclose(made, next(iter(wants[-1].values())), 1e-5, 1e-5)
    for name, answer, wanted in zip(ACTIVATIONS, run(jobs), wants, strict=True):
        assert worst(answer, wanted) < 1e-5, name


def _kinds(graph: Graph, folder: Path) -> Counter[str]:
    write_graph_model(graph, folder, rewrite=fold)
    return Counter(n["op"] for n in nodes(folder))


@pytest.mark.parametrize(
    ("function", "op"),
    [
        # read twice, an output, a bias of one number per pixel, other activations, no bias
        (lambda c, b: (fl.relu(c + b), c * 2.0), "Conv2D"),
        (lambda c, b: (fl.relu(c + b), c), "Conv2D"),
        (lambda c, b: fl.relu(c + array(4, 1)), "Conv2D"),
        (lambda c, b: fl.relu(c), "Conv2D"),
        (lambda c, b: fl.tanh(c + b), "_FusedConv2D"),
        (lambda c, b: fl.elu(c + b, 0.5), "_FusedConv2D"),
        (lambda c, b: (lambda y: fl.relu(y) + y)(c + b), "_FusedConv2D"),
    ],
)
def test_what_stays_apart(function: Any, op: str, tmp_path: Path) -> None:
    def whole(x: Any) -> Any:
        return function(fl.conv2d(x, array(1, 1, 2, 4)), array(4))

    graph = trace(whole, {"x": fl.spec((1, 4, 4, 2))})
    kinds = _kinds(graph, tmp_path / "m")
    assert kinds[op] == 1 and kinds.total() > 1
    x = {"x": RNG.normal(size=(1, 4, 4, 2)).astype("float32")}
    (answer,) = run([(tmp_path / "m", x)])
    assert worst(answer, evaluate(graph, x)) < 1e-5


def test_batch_norms_are_in_the_weights_and_names_stay(tmp_path: Path) -> None:
    fl.set_random_seed(2)
    x = fl.Input((8, 6, 3), name="image")
    y = fl.layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    y = fl.layers.ReLU(6.0)(fl.layers.BatchNormalization(name="norm")(y))
    y = fl.layers.DepthwiseConv2D(3, name="deep")(y)
    y = fl.layers.LeakyReLU(0.1)(fl.layers.BatchNormalization(name="norm2")(y))
    y = fl.layers.GlobalAveragePooling2D()(y)
    y = fl.layers.BatchNormalization(name="norm3")(fl.layers.Dense(5, name="dense")(y))
    model = fl.Model(x, fl.layers.Dense(2, activation="sigmoid", name="out")(y), name="net")
    for w in model.weights:
        w.assign(RNG.uniform(0.5, 1.5, w.shape).astype("float32"))
    made = fl.convert(model, tmp_path / "m", to="tfjs-graph", quantize="uint8=conv/kernel")
    assert made.ok and not made.notes
    assert Counter(n["op"] for n in nodes(tmp_path / "m")) == {
        "_FusedConv2D": 1, "FusedDepthwiseConv2dNative": 1, "LeakyRelu": 1, "Mean": 1,
        "_FusedMatMul": 2,
    }  # fmt: skip
    stored = json.loads((tmp_path / "m" / "model.json").read_text())["weightsManifest"][0]
    names = {w["name"]: "quantization" in w for w in stored["weights"]}
    assert names["conv/kernel"] and not names["deep/kernel"] and "out/kernel" in names
    fl.convert(model, tmp_path / "exact", to="tfjs-graph")
    pictures = RNG.normal(size=(3, 8, 6, 3)).astype("float32")
    (answer,) = run([(tmp_path / "exact", {"image": pictures})])
    (made_there,) = answer["outputs"].values()
    assert np.abs(made_there - model.predict(pictures, verbose=0)).max() < 1e-5


def test_a_batch_norm_alone_stays_one(tmp_path: Path) -> None:
    x = fl.Input((4, 4, 3), name="x")
    model = fl.Model(x, fl.layers.BatchNormalization(name="norm")(fl.layers.ReLU()(x)))
    assert _kinds(model, tmp_path / "m") == {"Relu": 1, "FusedBatchNormV3": 1}  # type: ignore[arg-type]
    x = fl.Input((5,), name="x")
    model = fl.Model(x, fl.layers.BatchNormalization(name="norm")(fl.layers.ReLU()(x)))
    for w in model.weights:
        w.assign(RNG.uniform(0.5, 1.5, w.shape).astype("float32"))
    assert _kinds(model, tmp_path / "n") == {"Relu": 1, "Mul": 1, "AddV2": 1}  # type: ignore[arg-type]
    rows = RNG.normal(size=(3, 5)).astype("float32")
    (answer,) = run([(tmp_path / "n", {"x": rows})])
    (made,) = answer["outputs"].values()
    assert np.abs(made - model.predict(rows, verbose=0)).max() < 1e-5


def test_a_shared_layer_keeps_one_weight(tmp_path: Path) -> None:
    a, b = fl.Input((4, 4, 2), name="a"), fl.Input((4, 4, 2), name="b")
    conv = fl.layers.Conv2D(3, 3, name="conv")
    norm = fl.layers.BatchNormalization(name="norm")
    model = fl.Model([a, b], fl.layers.Add()([norm(conv(a)), norm(conv(b))]))
    for w in model.weights:
        w.assign(RNG.uniform(0.5, 1.5, w.shape).astype("float32"))
    assert _kinds(model, tmp_path / "m") == {"_FusedConv2D": 2, "AddV2": 1}  # type: ignore[arg-type]
    stored = json.loads((tmp_path / "m" / "model.json").read_text())["weightsManifest"][0]
    assert [w["shape"] for w in stored["weights"]] == [[3, 3, 2, 3], [3]]


CONVOLUTIONAL = ("func_resnet", "mobilenet_v1_025_128_classic__keras2", "seq_cnn", "x_conv_bn",
                 "x_dense_relu", "x_nested", "x_sepconv_bn", "x_upbilinear")  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_no_more_nodes_than_the_original_converter_makes(name: str, tmp_path: Path) -> None:
    if name not in NAMES:
        pytest.skip(f"{FIXTURES / name} is missing")
    model = fl.load(FIXTURES / name / "model.keras")
    write_graph_model(model, tmp_path / "m", rewrite=fold)
    other = nodes(FIXTURES / name / "tfjs" / "sm_graph")
    assert len(nodes(tmp_path / "m")) <= len(other)
    inputs = given(model, FIXTURES / name)
    (answer,) = run([(tmp_path / "m", inputs)])
    assert worst(answer, model(dict(inputs))) < 1e-5
