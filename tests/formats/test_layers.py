"""Keras layers one by one: against outputs of Keras 2.0, and against their formulas."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.formats import load_graph
from fanlight.graph import evaluate
from tests.formats import crafted
from tests.formats.crafted import write_tfjs
from tests.support import relative_error

# Inputs, weights and outputs are in the shared data; the options of each case stand here.
CASES: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("layer_options.json").read_text()
)
WEIGHTS = {
    "SeparableConv2D": ["depthwise_kernel", "pointwise_kernel", "bias"],
    "Embedding": ["embeddings"],
    "PReLU": ["alpha"],
}


def run_layer(
    folder: Path,
    kind: str,
    options: dict[str, Any],
    inputs: Sequence[np.ndarray],
    weights: dict[str, np.ndarray] | None = None,
    version: str = "2.15.0",
) -> np.ndarray:
    """The output of one layer on inputs without a batch dim."""
    names = [f"x{i}" for i in range(len(inputs))]
    layers = [
        {
            "class_name": "InputLayer",
            "name": n,
            "config": {"name": n, "batch_input_shape": [None, *x.shape], "dtype": "float32"},
            "inbound_nodes": [],
        }
        for n, x in zip(names, inputs, strict=True)
    ]
    called = {
        "class_name": kind,
        "name": "l",
        "config": {"name": "l", **options},
        "inbound_nodes": [[[n, 0, 0, {}] for n in names]],
    }
    model = {
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [*layers, called],
            "input_layers": [[n, 0, 0] for n in names],
            "output_layers": [["l", 0, 0]],
        },
    }
    topology = {"keras_version": version, "model_config": model}
    arrays = {f"l/{n}": a for n, a in (weights or {}).items()}
    graph = load_graph(write_tfjs(folder, topology, arrays)).graph
    feeds = {n: x[None].astype(np.float32) for n, x in zip(names, inputs, strict=True)}
    return next(iter(evaluate(graph, feeds).values()))[0]


def array(entry: dict) -> np.ndarray:
    return np.array(entry["data"], np.float32).reshape(entry["shape"])


def weight_names(kind: str, options: dict[str, Any]) -> list[str]:
    if kind == "BatchNormalization":
        used = [("gamma", options.get("scale", True)), ("beta", options.get("center", True))]
        return [*(n for n, yes in used if yes), "moving_mean", "moving_variance"]
    return WEIGHTS.get(kind, ["kernel", "bias"])


@pytest.mark.parametrize("kind", sorted({name.split(".")[0] for name in CASES}))
def test_outputs_of_keras(shared: Path, tmp_path: Path, kind: str) -> None:
    folder = shared / "data/models/keras-js-layer-fixtures/test/data/layers"
    data: dict[str, Any] = {}
    for path in folder.rglob("*.json"):
        if path.stem in (kind, "advanced_activations"):
            data |= json.loads(path.read_text())
    cases = {n: o for n, o in CASES.items() if n.split(".")[0] == kind}
    assert cases
    for name, options in cases.items():
        (case,) = (v for k, v in data.items() if k.split(".", 1)[1] == name)
        arrays = [array(w) for w in case.get("weights", [])]
        names = weight_names(kind, options)[: len(arrays)]
        weights = dict(zip(names, arrays, strict=True))
        got = run_layer(tmp_path, kind, options, [array(case["input"])], weights)
        want = array(case["expected"])
        assert got.shape == want.shape, name
        np.testing.assert_allclose(got, want, atol=2e-5, err_msg=name)


# --- formulas -------------------------------------------------------------------------------------

X = np.random.default_rng(7).normal(0, 1.5, (4, 6)).astype(np.float32)
IMAGE = np.random.default_rng(8).normal(0, 1, (6, 8, 4)).astype(np.float32)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def sparsemax(x: np.ndarray) -> np.ndarray:
    """By bisection on the threshold: another way than the importer's."""
    low, high = x.max(-1, keepdims=True) - 1, x.max(-1, keepdims=True)
    for _ in range(60):
        middle = (low + high) / 2
        large = np.maximum(x - middle, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(large, middle, low), np.where(large, high, middle)
    return np.maximum(x - low, 0)


ACTIVATIONS: dict[str, Any] = {
    "glu": lambda x: x[:, :3] / (1 + np.exp(-x[:, 3:])),
    "log_sigmoid": lambda x: -softplus(-x),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparsemax": sparsemax,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "exponential": np.exp,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(tmp_path: Path, name: str) -> None:
    got = run_layer(tmp_path, "Activation", {"activation": name}, [X], version="3.4.0")
    np.testing.assert_allclose(got, ACTIVATIONS[name](X.astype(np.float64)), rtol=1e-5, atol=1e-5)


def test_activation_given_as_an_object(tmp_path: Path) -> None:
    spec = {"module": "keras.layers", "class_name": "ReLU", "config": {"max_value": 1.5}}
    weights = {"kernel": np.eye(6, dtype=np.float32)}
    options = {"units": 6, "use_bias": False, "activation": spec}
    got = run_layer(tmp_path, "Dense", options, [X], weights)
    np.testing.assert_allclose(got, X.clip(0, 1.5))
    options["activation"] = {"class_name": "function", "config": "relu6", "module": "builtins"}
    np.testing.assert_allclose(run_layer(tmp_path, "Dense", options, [X], weights), X.clip(0, 6))


@pytest.mark.parametrize(
    "options, formula",
    [
        ({"max_value": 1.0, "negative_slope": 0.1},
         lambda x: np.where(x < 0, x / 10, x.clip(0, 1))),
        ({"threshold": 0.5}, lambda x: np.where(x >= 0.5, x, 0)),
        ({"threshold": 0.5, "negative_slope": 0.2, "max_value": 1.0},
         lambda x: np.where(x >= 0.5, np.minimum(x, 1), 0.2 * (x - 0.5))),
    ],
)  # fmt: skip
def test_relu_options(tmp_path: Path, options: dict, formula: Any) -> None:
    np.testing.assert_allclose(run_layer(tmp_path, "ReLU", options, [X]), formula(X), atol=1e-6)


@pytest.mark.parametrize(
    "kind, formula",
    [
        ("Add", lambda a, b, c: a + b + c),
        ("Multiply", lambda a, b, c: a * b * c),
        ("Average", lambda a, b, c: (a + b + c) / 3),
        ("Maximum", lambda a, b, c: np.maximum(np.maximum(a, b), c)),
        ("Minimum", lambda a, b, c: np.minimum(np.minimum(a, b), c)),
    ],
)
def test_merges(tmp_path: Path, kind: str, formula: Any) -> None:
    """An input of lower rank gets its new dim after the batch: [C] meets [T, C] as [1, C]."""
    parts = [X, X[::-1], X[0]]
    got = run_layer(tmp_path, kind, {}, parts)
    np.testing.assert_allclose(got, formula(X, X[::-1], X[0][None]), rtol=1e-6, atol=1e-6)


def test_subtract_and_concatenate(tmp_path: Path) -> None:
    np.testing.assert_allclose(run_layer(tmp_path, "Subtract", {}, [X, X[::-1]]), X - X[::-1])
    got = run_layer(tmp_path, "Concatenate", {"axis": 1}, [X, X[:2]])
    np.testing.assert_array_equal(got, np.concatenate([X, X[:2]]))


def standard(x: np.ndarray, axes: tuple[int, ...], epsilon: float = 1e-3) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("axis", [-1, [2, 3]])
def test_layer_normalization(tmp_path: Path, axis: Any) -> None:
    shape = (4,) if axis == -1 else (8, 4)
    weights = crafted.weights_of({"gamma": shape, "beta": shape})
    got = run_layer(tmp_path, "LayerNormalization", {"axis": axis}, [IMAGE], weights)
    axes = (2,) if axis == -1 else (1, 2)
    want = standard(IMAGE, axes) * weights["gamma"] + weights["beta"]
    assert relative_error(got, want) < 1e-5


def test_rms_normalization(tmp_path: Path) -> None:
    weights = crafted.weights_of({"scale": (6,)})
    got = run_layer(tmp_path, "RMSNormalization", {"epsilon": 1e-6}, [X], weights)
    want = X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-6) * weights["scale"]
    assert relative_error(got, want) < 1e-5


def test_group_normalization(tmp_path: Path) -> None:
    weights = crafted.weights_of({"gamma": (4,), "beta": (4,)})
    got = run_layer(tmp_path, "GroupNormalization", {"groups": 2}, [IMAGE], weights)
    groups = [standard(IMAGE[..., i : i + 2], (0, 1, 2)) for i in (0, 2)]
    want = np.concatenate(groups, -1) * weights["gamma"] + weights["beta"]
    assert relative_error(got, want) < 1e-5


def test_unit_normalization(tmp_path: Path) -> None:
    got = run_layer(tmp_path, "UnitNormalization", {}, [X])
    assert relative_error(got, X / np.linalg.norm(X, axis=-1, keepdims=True)) < 1e-6


def test_normalization(tmp_path: Path) -> None:
    weights = crafted.weights_of({"mean": (4,), "variance": (4,)})
    mean, root = weights["mean"], np.sqrt(weights["variance"])
    got = run_layer(tmp_path, "Normalization", {"axis": [-1]}, [IMAGE], weights)
    assert relative_error(got, (IMAGE - mean) / root) < 1e-6
    given = {"axis": -1, "mean": [[[mean.tolist()]]], "variance": weights["variance"].tolist()}
    got = run_layer(tmp_path, "Normalization", {**given, "invert": True}, [IMAGE])
    assert relative_error(got, IMAGE * root + mean) < 1e-6
    options = {"axis": None, "mean": 0.5, "variance": 4.0}
    got = run_layer(tmp_path, "Normalization", options, [IMAGE])
    assert relative_error(got, (IMAGE - 0.5) / 2) < 1e-6


def test_rescaling(tmp_path: Path) -> None:
    options = {"scale": [1, 2, 3, 4], "offset": -1}
    got = run_layer(tmp_path, "Rescaling", options, [IMAGE])
    np.testing.assert_allclose(got, IMAGE * [1, 2, 3, 4] - 1, rtol=1e-6, atol=1e-6)


def test_resizing_crops_and_pads_to_the_aspect(tmp_path: Path) -> None:
    options = {"height": 3, "width": 3, "interpolation": "nearest"}
    cropped = run_layer(tmp_path, "Resizing", {**options, "crop_to_aspect_ratio": True}, [IMAGE])
    np.testing.assert_array_equal(cropped, IMAGE[1:6:2, 2:7:2])
    padded = run_layer(
        tmp_path, "Resizing", {**options, "height": 8, "width": 8, "pad_to_aspect_ratio": True,
                               "fill_mode": "constant", "fill_value": 2.0}, [IMAGE],
    )  # fmt: skip
    np.testing.assert_array_equal(
        padded, np.pad(IMAGE, ((1, 1), (0, 0), (0, 0)), constant_values=2)
    )


def test_center_crop(tmp_path: Path) -> None:
    got = run_layer(tmp_path, "CenterCrop", {"height": 3, "width": 4}, [IMAGE])
    np.testing.assert_array_equal(got, IMAGE[1:4, 2:6])
    larger = run_layer(tmp_path, "CenterCrop", {"height": 12, "width": 12}, [IMAGE])
    assert larger.shape == (12, 12, 4)


def test_time_distributed(tmp_path: Path) -> None:
    frames = np.stack([IMAGE, IMAGE[::-1]])
    inner = {"class_name": "GlobalMaxPooling2D", "config": {"name": "g"}}
    got = run_layer(tmp_path, "TimeDistributed", {"layer": inner}, [frames])
    np.testing.assert_array_equal(got, frames.max((1, 2)))


def test_one_dimensional_convolutions(tmp_path: Path) -> None:
    """Conv1D over time is Conv2D over a picture of one row."""
    w = crafted.weights_of({"kernel": (3, 6, 5), "bias": (5,)})
    causal = {"filters": 5, "kernel_size": [3], "padding": "causal", "dilation_rate": [2]}
    got = run_layer(tmp_path, "Conv1D", causal, [X], w)
    late = np.pad(X, ((4, 0), (0, 0)))
    want = sum(late[2 * i : 2 * i + 4] @ w["kernel"][i] for i in range(3)) + w["bias"]
    assert relative_error(got, want) < 1e-5
    deep = crafted.weights_of({"depthwise_kernel": (3, 6, 2), "pointwise_kernel": (1, 12, 5)})
    options = {"filters": 5, "kernel_size": 3, "depth_multiplier": 2, "use_bias": False}
    got = run_layer(tmp_path, "SeparableConv1D", options, [X], deep)
    middle = sum(X[i : i + 2, :, None] * deep["depthwise_kernel"][i] for i in range(3))
    assert relative_error(got, middle.reshape(2, 12) @ deep["pointwise_kernel"][0]) < 1e-5
    options = {"kernel_size": 3, "depth_multiplier": 2, "use_bias": False}
    got = run_layer(tmp_path, "DepthwiseConv1D", options, [X], {"kernel": deep["depthwise_kernel"]})
    assert relative_error(got, middle.reshape(2, 12)) < 1e-5


@pytest.mark.parametrize("padding, extra", [("same", 1), ("valid", 1), ("valid", 0), ("same", 0)])
def test_output_padding(tmp_path: Path, padding: str, extra: int) -> None:
    """The length that Keras documents: (n - 1) * stride + kernel - 2 * pad + output_padding."""
    options = {"filters": 2, "kernel_size": 3, "strides": 2, "padding": padding,
               "output_padding": extra, "use_bias": False}  # fmt: skip
    weights = crafted.weights_of({"kernel": (3, 3, 2, 4)})
    got = run_layer(tmp_path, "Conv2DTranspose", options, [IMAGE], weights)
    pad = 1 if padding == "same" else 0
    lengths = [(n - 1) * 2 + 3 - 2 * pad + extra for n in (6, 8)]
    assert got.shape == (*lengths, 2)
