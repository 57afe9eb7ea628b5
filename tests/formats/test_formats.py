"""Crafted models: every dialect of a format gives the same numbers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.formats import load, load_graph
from fanlight.graph import evaluate, verify
from tests.formats import crafted
from tests.formats.crafted import node, placeholder, write_tfjs

X4 = np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 4)


def image(shape: tuple[int, ...] = (1, 8, 8, 3), seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def answer(path: Path, x: np.ndarray, **options: Any) -> list[np.ndarray]:
    """The outputs, in order."""
    source = load_graph(path, **options)
    verify(source.graph)
    return list(evaluate(source.graph, {source.graph.inputs[0].name: x}).values())


# --- dialects of Keras configs --------------------------------------------------------------------


def camel(value: Any) -> Any:
    """Every key in camelCase, as TF.js holds configs in memory."""
    if isinstance(value, list):
        return [camel(v) for v in value]
    if not isinstance(value, dict):
        return value

    def rename(key: str) -> str:
        head, *tail = key.split("_")
        return head + "".join(t.capitalize() for t in tail)

    return {rename(k): camel(v) for k, v in value.items()}


def expected_functional(x: np.ndarray) -> list[np.ndarray]:
    weights = crafted.functional_weights()
    a = x @ weights["a/kernel"]
    s0 = a @ weights["s/kernel"]
    return [s0 + s0 @ weights["s/kernel"], a]


@pytest.mark.parametrize("dialect", ["keras2", "keras3", "camel", "bare"])
def test_functional_models_of_every_dialect(tmp_path: Path, dialect: str) -> None:
    model = crafted.functional_keras3() if dialect == "keras3" else crafted.functional()
    if dialect == "camel":
        model = camel(model)
    topology = model if dialect == "bare" else crafted.keras2(model)
    path = write_tfjs(tmp_path, topology, crafted.functional_weights(), format="layers-model")
    for got, want in zip(answer(path, X4), expected_functional(X4), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    source = load_graph(path)
    assert [p.name for p in source.inputs] == ["x"] and source.inputs[0].batched
    assert [p.name for p in source.outputs] == ["sum", "a"]
    assert {n.name for n in source.graph.nodes} == {"a", "s", "sum"}
    # A shared layer has one set of weights.
    assert len(source.graph.weights) == 2
    assert not source.warnings


def test_one_cnn_through_four_doors(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    x = image()
    doors = {
        "json": write_tfjs(tmp_path / "tfjs", crafted.keras2(model), arrays),
        "folder": tmp_path / "tfjs",
        "h5": crafted.write_h5(tmp_path / "m.h5", model, arrays, "2.15.0"),
        "keras": crafted.write_keras(
            tmp_path / "m.keras",
            model,
            {
                f"layers/{path}": arrays[name]
                for path, name in {
                    "conv2d/vars/0": "c/kernel",
                    "batch_normalization/vars/0": "b/gamma",
                    "batch_normalization/vars/1": "b/beta",
                    "batch_normalization/vars/2": "b/moving_mean",
                    "batch_normalization/vars/3": "b/moving_variance",
                    "dense/vars/0": "d/kernel",
                    "dense/vars/1": "d/bias",
                }.items()
            },
        ),
    }
    answers = {name: answer(path, x)[0] for name, path in doors.items()}
    for name, got in answers.items():
        assert got.shape == (1, 5) and abs(got.sum() - 1) < 1e-6
        np.testing.assert_array_equal(got, answers["json"], err_msg=name)


def test_file_names_do_not_matter(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    path = write_tfjs(tmp_path, crafted.keras2(model), arrays)
    path.rename(tmp_path / "my_net.json")
    (tmp_path / "package.json").write_text("{}")
    h5 = crafted.write_h5(tmp_path.parent / "weights_file", model, arrays, "2.15.0")
    np.testing.assert_array_equal(answer(tmp_path, image())[0], answer(h5, image())[0])


def test_sequential_of_keras_before_2_3(tmp_path: Path) -> None:
    layers = [
        crafted.layer("Dense", "d", units=2, activation="relu", batch_input_shape=[None, 4]),
        crafted.layer("Dropout", "drop", rate=0.5, noise_shape=None),
    ]
    arrays = crafted.weights_of({"d/kernel": (4, 2), "d/bias": (2,)})
    path = write_tfjs(tmp_path, {"class_name": "Sequential", "config": layers}, arrays)
    want = np.maximum(X4 @ arrays["d/kernel"] + arrays["d/bias"], 0)
    np.testing.assert_allclose(answer(path, X4)[0], want, rtol=1e-6)
    assert load_graph(path).inputs[0].name == "d_input"


def test_input_shape_from_a_dense_kernel(tmp_path: Path) -> None:
    layers = [crafted.layer("Flatten", "f"), crafted.layer("Dense", "d", units=2, use_bias=False)]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    path = write_tfjs(tmp_path, config, crafted.weights_of({"d/kernel": (6, 2)}))
    source = load_graph(path)
    assert source.graph.inputs[0].shape == (1, 6) and "kernel of 'd'" in source.warnings[0]
    shaped = load_graph(path, input_shapes={"f_input": (1, 2, 3)})
    assert shaped.graph.inputs[0].shape == (1, 2, 3)


def test_hard_sigmoid_follows_the_version_of_keras(tmp_path: Path) -> None:
    model = crafted.sequential(
        crafted.layer("Activation", "h", activation="hard_sigmoid"), shape=(None, 4)
    )
    for version, slope in (("2.15.0", 0.2), ("3.4.0", 1 / 6), ("tfjs-layers 4.2", 0.2)):
        topology = {"keras_version": version, "model_config": model}
        path = write_tfjs(tmp_path, topology, {})
        np.testing.assert_allclose(answer(path, X4)[0], slope * X4 + 0.5, rtol=1e-6)


def test_channels_first(tmp_path: Path) -> None:
    options = {"filters": 4, "kernel_size": [3, 3], "padding": "same", "use_bias": False}
    arrays = crafted.weights_of({"c/kernel": (3, 3, 3, 4)})
    answers = []
    for layout, shape in (("channels_last", (None, 8, 8, 3)), ("channels_first", (None, 3, 8, 8))):
        conv = crafted.layer("Conv2D", "c", data_format=layout, **options)
        flat = crafted.layer("Flatten", "f", data_format=layout)
        model = crafted.sequential(conv, flat, shape=shape)
        path = write_tfjs(tmp_path / layout, crafted.keras2(model), arrays)
        x = image() if layout == "channels_last" else image().transpose(0, 3, 1, 2)
        answers.append(answer(path, x)[0])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [2, 6])
def test_grouped_convolution(tmp_path: Path, groups: int) -> None:
    options = {"filters": 12, "kernel_size": 3, "padding": "same", "use_bias": False}
    model = crafted.sequential(
        crafted.layer("Conv2D", "c", groups=groups, **options), shape=(None, 5, 5, 6)
    )
    arrays = crafted.weights_of({"c/kernel": (3, 3, 6 // groups, 12)})
    x = image((1, 5, 5, 6))
    got = answer(write_tfjs(tmp_path / "g", crafted.keras2(model), arrays), x)[0]
    # The same kernel, spread over all input channels with zeros elsewhere.
    wide = np.zeros((3, 3, 6, 12), np.float32)
    for g in range(groups):
        into, out = 6 // groups, 12 // groups
        wide[:, :, g * into : (g + 1) * into, g * out : (g + 1) * out] = arrays["c/kernel"][
            ..., g * out : (g + 1) * out
        ]
    model = crafted.sequential(crafted.layer("Conv2D", "c", **options), shape=(None, 5, 5, 6))
    want = answer(write_tfjs(tmp_path / "w", crafted.keras2(model), {"c/kernel": wide}), x)[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_dilated_transposed_convolution(tmp_path: Path) -> None:
    """A dilated kernel is a larger kernel with zeros."""
    w = crafted.weights_of({"c/kernel": (3, 3, 2, 3)})["c/kernel"]
    wide = np.zeros((5, 5, 2, 3), np.float32)
    wide[::2, ::2] = w
    answers = []
    for size, dilation, kernel in ((3, 2, w), (5, 1, wide)):
        conv = crafted.layer("Conv2DTranspose", "c", filters=2, kernel_size=size, strides=1,
                             dilation_rate=dilation, padding="valid", use_bias=False)  # fmt: skip
        model = crafted.sequential(conv, shape=(None, 4, 4, 3))
        path = write_tfjs(tmp_path, crafted.keras2(model), {"c/kernel": kernel})
        answers.append(answer(path, image((1, 4, 4, 3)))[0])
    assert answers[0].shape == (1, 8, 8, 2)
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5, atol=1e-6)


def test_layers_of_the_same_name_in_two_nested_models(tmp_path: Path) -> None:
    dense = {"units": 4, "use_bias": False}
    inner = []
    for name in ("left", "right"):
        model = crafted.sequential(crafted.layer("Dense", "same", **dense), shape=(None, 4))
        model["config"]["name"] = name
        inner.append(model)
    model = crafted.sequential(*inner, shape=(None, 4))
    arrays = crafted.weights_of({"left/same/kernel": (4, 4), "right/same/kernel": (4, 4)})
    path = write_tfjs(tmp_path, crafted.keras2(model), arrays)
    want = X4 @ arrays["left/same/kernel"] @ arrays["right/same/kernel"]
    np.testing.assert_allclose(answer(path, X4)[0], want, rtol=1e-5, atol=1e-6)
    assert [n.name for n in load_graph(path).graph.nodes] == ["left/same", "right/same"]


def test_weights_that_no_layer_wants_are_reported(tmp_path: Path) -> None:
    arrays = {**crafted.functional_weights(), "stray/kernel": np.zeros((2, 2), np.float32)}
    path = write_tfjs(tmp_path, crafted.keras2(crafted.functional()), arrays)
    assert "stray/kernel" in load_graph(path).warnings[0]


def test_optimizer_state_is_left_out(tmp_path: Path) -> None:
    arrays = {**crafted.functional_weights(), "iter": np.zeros((), np.int32)}
    path = write_tfjs(tmp_path, crafted.keras2(crafted.functional()), arrays)
    model = json.loads(path.read_text())
    model["weightsManifest"][0]["weights"][-1]["group"] = "optimizer"
    path.write_text(json.dumps(model))
    assert load_graph(path).warnings == ()


# --- weights --------------------------------------------------------------------------------------


def test_quantised_weights(tmp_path: Path) -> None:
    """uint8, uint16 and float16, as TF.js unpacks them: in float64, then float32."""
    rng = np.random.default_rng(3)
    stored = {
        "a/kernel": (rng.integers(0, 256, (4, 4)).astype(np.uint8), -0.7, 0.013),
        "s/kernel": (rng.integers(0, 65536, (4, 4)).astype("<u2"), 0.25, 1e-5),
    }
    path = write_tfjs(
        tmp_path,
        crafted.keras2(crafted.functional()),
        {n: raw for n, (raw, _, _) in stored.items()},
    )
    model = json.loads(path.read_text())
    for entry in model["weightsManifest"][0]["weights"]:
        raw, low, scale = stored[entry["name"]]
        entry["dtype"] = "float32"
        entry["quantization"] = {"dtype": raw.dtype.name, "min": low, "scale": scale}
    path.write_text(json.dumps(model))
    source = load_graph(path)
    for value, array in source.graph.weights.items():
        raw, low, scale = stored[value.name]
        np.testing.assert_array_equal(array, (raw * scale + low).astype(np.float32))
    halves = {n: (raw / 7).astype(np.float16) for n, (raw, _, _) in stored.items()}
    path = write_tfjs(tmp_path / "half", crafted.keras2(crafted.functional()), halves)
    model = json.loads(path.read_text())
    for entry in model["weightsManifest"][0]["weights"]:
        entry.update(dtype="float32", quantization={"dtype": "float16"})
    path.write_text(json.dumps(model))
    for value, array in load_graph(path).graph.weights.items():
        np.testing.assert_array_equal(array, halves[value.name].astype(np.float32))


@pytest.mark.parametrize("layout", ["shards", "groups", "folders"])
def test_weights_cut_into_files(tmp_path: Path, layout: str) -> None:
    """Shards may end in the middle of a number; old converters wrote a file per weight."""
    arrays = crafted.functional_weights()
    path = write_tfjs(tmp_path, crafted.keras2(crafted.functional()), arrays)
    data = path.with_name("weights.bin").read_bytes()
    path.with_name("weights.bin").unlink()
    model = json.loads(path.read_text())
    if layout == "groups":
        specs = model["weightsManifest"][0]["weights"]
        model["weightsManifest"] = []
        for i, spec in enumerate(specs):
            (tmp_path / f"g{i}").write_bytes(arrays[spec["name"]].tobytes())
            model["weightsManifest"].append({"paths": [f"g{i}"], "weights": [spec]})
    else:
        folder = "parts/" if layout == "folders" else ""
        (tmp_path / "parts").mkdir()
        cuts = [0, 50, 51, 51, 100, len(data)]
        names = [f"{folder}s{i}.bin" for i in range(len(cuts) - 1)]
        for name, a, b in zip(names, cuts, cuts[1:], strict=False):
            (tmp_path / name).write_bytes(data[a:b])
        model["weightsManifest"][0]["paths"] = names
    path.write_text(json.dumps(model))
    np.testing.assert_allclose(answer(path, X4)[0], expected_functional(X4)[0], rtol=1e-5)


def test_strings_and_complex_weights_are_read_past(tmp_path: Path) -> None:
    arrays = crafted.functional_weights()
    path = write_tfjs(tmp_path, crafted.keras2(crafted.functional()), arrays)
    model = json.loads(path.read_text())
    weights = model["weightsManifest"][0]["weights"]
    weights.insert(0, {"name": "words", "shape": [2], "dtype": "string"})
    weights.insert(0, {"name": "waves", "shape": [2], "dtype": "complex64"})
    weights.insert(0, {"name": "flags", "shape": [3], "dtype": "bool"})
    words = b"".join(struct.pack("<I", len(w)) + w for w in (b"", b"hello"))
    data = path.with_name("weights.bin").read_bytes()
    path.with_name("weights.bin").write_bytes(b"\0\1\2" + bytes(16) + words + data)
    path.write_text(json.dumps(model))
    np.testing.assert_allclose(answer(path, X4)[0], expected_functional(X4)[0], rtol=1e-5)


def test_random_weights_are_the_same_everywhere(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    path = write_tfjs(tmp_path, crafted.keras2(model), arrays)
    path.with_name("weights.bin").unlink()
    first, again = (load_graph(path, weights="random").graph for _ in range(2))
    for a, b in zip(first.weights.values(), again.weights.values(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = next(a for v, a in first.weights.items() if v.name == "c/kernel")
    # Pinned: a benchmark's weights may not change under it.
    np.testing.assert_allclose(kernel.reshape(-1)[:2], PINNED, rtol=1e-6)


PINNED = [0.15474069, -0.26840043]


# --- graph-models ---------------------------------------------------------------------------------


def graph_file(tmp_path: Path, nodes: list, arrays: dict | None = None, **more: Any) -> Path:
    return write_tfjs(tmp_path, *crafted.graph_of(nodes, arrays or {}), **more)


def test_both_encodings_and_folded_shapes(tmp_path: Path) -> None:
    x = image()
    results = []
    for codes in (False, True):
        topology, arrays = crafted.small_graph(codes)
        path = write_tfjs(tmp_path / str(codes), topology, arrays)
        results.append(answer(path, x)[0])
        graph = load_graph(path).graph
        assert [n.op for n in graph.nodes] == ["pad", "conv2d", "add", "relu6", "max_pool",
                                               "reshape"]  # fmt: skip
        assert [n.name for n in graph.nodes][1:3] == ["conv", "conv/BiasAdd"]
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0].shape == (1, 2 * 2 * 4)


def test_signature_names_and_structured_outputs(tmp_path: Path) -> None:
    nodes = [placeholder("x", -1, 4), node("Relu", "y", "x"), node("Neg", "z", "y")]
    entry = {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "4"}]}}
    signature = {
        "inputs": {"photo:0": {"name": "x:0", **entry}},
        "outputs": {"b:0": {"name": "z:0", **entry}, "a": {"name": "y", **entry}},
    }
    source = load_graph(graph_file(tmp_path / "s", nodes, signature=signature))
    assert [p.name for p in source.inputs] == ["photo"] and source.inputs[0].source == "x"
    assert [(p.name, p.source, p.batched) for p in source.outputs] == [
        ("b", "z:0", True),
        ("a", "y:0", True),
    ]
    metadata = {"signature": signature, "structuredOutputKeys": ["scores", "boxes"]}
    source = load_graph(graph_file(tmp_path / "m", nodes, userDefinedMetadata=metadata))
    assert [p.name for p in source.outputs] == ["scores", "boxes"]
    assert source.metadata["userDefinedMetadata"] == metadata
    source = load_graph(graph_file(tmp_path / "n", nodes))
    assert [p.name for p in source.outputs] == ["z"]


def test_input_in_the_middle_of_a_graph(tmp_path: Path) -> None:
    """A signature may feed a tensor that other nodes would compute, even unsupported ones."""
    nodes = [node("DecodeJpeg", "image"), node("Relu", "y", "image")]
    entry = {"name": "image:0", "dtype": "DT_FLOAT",
             "tensorShape": {"dim": [{"size": "1"}, {"size": "4"}]}}  # fmt: skip
    signature = {"inputs": {"image": entry}, "outputs": {"y": {"name": "y:0"}}}
    path = graph_file(tmp_path, nodes, signature=signature)
    np.testing.assert_array_equal(answer(path, X4)[0], np.maximum(X4, 0))


def strided(**masks: int) -> dict:
    return {f"{m}_mask": {"i": str(v)} for m, v in masks.items()}


@pytest.mark.parametrize(
    "begin, end, strides, masks, want",
    [
        ([0, 1], [2, 3], [1, 1], {}, np.s_[0:2, 1:3]),
        ([0, 1], [0, 0], [1, 1], {"begin": 1, "end": 3}, np.s_[:, 1:]),
        ([1, 2], [0, 0], [1, 1], {"shrink_axis": 1, "end": 2}, np.s_[1, 2:]),
        ([-1], [0], [-2], {"end": 1}, np.s_[-1::-2]),
        ([5, 3], [0, -9], [-2, -1], {}, np.s_[5:0:-2, 3:-9:-1]),
        ([0, 0, 1], [0, 0, 3], [1, 1, 2], {"ellipsis": 1, "new_axis": 2}, np.s_[..., None, 1:3:2]),
        ([0, 1], [0, 2], [1, 1], {"ellipsis": 1}, np.s_[..., 1:2]),
        ([4], [2], [1], {}, np.s_[4:2]),
    ],
)
def test_strided_slice(
    tmp_path: Path, begin: list, end: list, strides: list, masks: dict, want: Any
) -> None:
    arrays = {n: np.array(v, np.int32) for n, v in zip("bes", (begin, end, strides), strict=True)}
    slicing = node("StridedSlice", "y", "x", "b", "e", "s", **strided(**masks))
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    got = answer(graph_file(tmp_path, [placeholder("x", 6, 4), slicing], arrays), x)[0]
    np.testing.assert_array_equal(got, x[want])


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def scalar(value: int) -> np.ndarray:
    return np.array(value, np.int32)


X34 = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
NCHW = {"data_format": crafted.text("NCHW")}
OPS: list[tuple[str, list, dict, dict, Any]] = [
    ("Split", ["axis", "x"], {"axis": scalar(1)}, {"num_split": {"i": "2"}}, X34[:, :2]),
    ("SplitV", ["x", "n", "axis"], {"n": i32(1, -1), "axis": scalar(0)}, {}, X34[:1]),
    ("Unpack", ["x"], {}, {"num": {"i": "3"}, "axis": {"i": "0"}}, X34[0]),
    ("ExpandDims", ["x", "a"], {"a": scalar(-1)}, {}, X34[..., None]),
    ("Transpose", ["x", "p"], {"p": i32(1, 0)}, {}, X34.T),
    ("Slice", ["x", "b", "s"], {"b": i32(1, 1), "s": i32(-1, 2)}, {}, X34[1:, 1:3]),
    ("GatherV2", ["x", "i", "a"], {"i": i32(2, 0), "a": scalar(1)}, {}, X34[:, [2, 0]]),
    ("ReverseV2", ["x", "a"], {"a": i32(-1)}, {}, X34[:, ::-1]),
    ("PadV2", ["x", "p", "v"], {"p": i32(1, 0, 0, 2).reshape(2, 2), "v": np.float32(7)}, {},
     np.pad(X34, ((1, 0), (0, 2)), constant_values=7)),
    ("MirrorPad", ["x", "p"], {"p": i32(1, 1, 0, 2).reshape(2, 2)},
     {"mode": crafted.text("REFLECT")}, np.pad(X34, ((1, 1), (0, 2)), "reflect")),
    ("Tile", ["x", "m"], {"m": i32(2, 1)}, {}, np.tile(X34, (2, 1))),
    ("Mean", ["x", "a"], {"a": i32(-1)}, {"keep_dims": {"b": True}}, X34.mean(1, keepdims=True)),
    ("Max", ["x", "a"], {"a": scalar(0)}, {}, X34.max(0)),
    ("ArgMax", ["x", "a"], {"a": scalar(1)}, {}, X34.argmax(1)),
    ("ClipByValue", ["x", "l", "h"], {"l": np.float32(-1), "h": np.float32(0.5)}, {},
     X34.clip(-1, 0.5)),
    ("Softmax", ["x"], {}, {}, np.exp(X34) / np.exp(X34).sum(1, keepdims=True)),
    ("LeakyRelu", ["x"], {}, {"alpha": {"f": 0.3}}, np.where(X34 < 0, 0.3 * X34, X34)),
    ("DivNoNan", ["x", "d"], {"d": np.array([0, 1, 2, 4], np.float32)}, {},
     np.divide(X34, [1, 1, 2, 4]) * [0, 1, 1, 1]),
    ("AddN", ["x", "x", "x"], {}, {}, 3 * X34),
    ("SquaredDifference", ["x", "o"], {"o": np.float32(1)}, {}, (X34 - 1) ** 2),
    ("Sinh", ["x"], {}, {}, np.sinh(X34)),
    ("Tan", ["x"], {}, {}, np.tan(X34)),
    ("IsFinite", ["x"], {}, {}, np.ones((3, 4), bool)),
    ("TopKV2", ["x", "k"], {"k": scalar(2)}, {}, X34[:, :1:-1]),
    ("Select", ["c", "x", "n"], {"c": np.array([True, False, True]), "n": -X34}, {},
     np.where(np.array([[1], [0], [1]]), X34, -X34)),
    ("MatMul", ["x", "w"], {"w": np.ones((2, 4), np.float32)}, {"transpose_b": {"b": True}},
     X34.sum(1, keepdims=True) @ np.ones((1, 2))),
    ("OnesLike", ["x"], {}, {}, np.ones((3, 4))),
    ("EuclideanNorm", ["x", "a"], {"a": i32(1)}, {}, np.linalg.norm(X34, axis=1)),
    ("LRN", ["x"], {}, {"depth_radius": {"i": "1"}, "alpha": {"f": 0.5}, "beta": {"f": 0.75}},
     X34 / (1 + 0.5 * (X34**2 @ (abs(np.subtract.outer(range(4), range(4))) <= 1))) ** 0.75),
]  # fmt: skip


@pytest.mark.parametrize("op, inputs, arrays, attrs, want", OPS, ids=[o[0] for o in OPS])
def test_ops(
    tmp_path: Path, op: str, inputs: list, arrays: dict, attrs: dict, want: np.ndarray
) -> None:
    arrays = {n: np.asarray(a) for n, a in arrays.items()}
    path = graph_file(tmp_path, [placeholder("x", 3, 4), node(op, "y", *inputs, **attrs)], arrays)
    got = answer(path, X34)[0]
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_ops_on_known_values_fold(tmp_path: Path) -> None:
    """Range, Fill, LinSpace, OneHot and arithmetic on shapes leave one constant behind."""
    arrays = {
        "zero": scalar(0), "four": scalar(4), "one": scalar(1), "on": np.float32(2).reshape(()),
        "off": np.float32(-1).reshape(()), "dims": i32(3, 4),
    }  # fmt: skip
    nodes = [
        placeholder("x", 3, 4),
        node("Range", "range", "zero", "four", "one"),
        node("OneHot", "hot", "range", "four", "on", "off", axis={"i": "-1"}),
        node("Fill", "filled", "dims", "on"),
        node("LinSpace", "steps", "off", "on", "four"),
        node("MatMul", "m", "filled", "hot"),
        node("Mul", "scaled", "m", "steps"),
        node("Add", "y", "x", "scaled"),
    ]
    path = graph_file(tmp_path, nodes, arrays)
    graph = load_graph(path).graph
    assert [n.op for n in graph.nodes] == ["add"] and len(graph.weights) == 1
    hot = np.where(np.eye(4, dtype=bool), 2, -1)
    want = X34 + (np.full((3, 4), 2) @ hot) * np.linspace(-1, 2, 4)
    np.testing.assert_allclose(answer(path, X34)[0], want, rtol=1e-5)


def test_sparse_to_dense(tmp_path: Path) -> None:
    arrays = {"i": i32(0, 1, 2, 3).reshape(2, 2), "d": i32(3, 4), "o": np.float32(1).reshape(())}
    arrays["v"] = np.array([5, 6], np.float32)
    nodes = [placeholder("x", 3, 4), node("SparseToDense", "s", "i", "d", "v", "o")]
    path = graph_file(tmp_path, [*nodes, node("Mul", "y", "x", "s")], arrays)
    dense = np.ones((3, 4))
    dense[0, 1], dense[2, 3] = 5, 6
    np.testing.assert_allclose(answer(path, X34)[0], X34 * dense)


def test_nchw_is_transposed(tmp_path: Path) -> None:
    arrays = crafted.weights_of({"w": (3, 3, 3, 4), "b": (4,)})
    answers = []
    for layout in ("NHWC", "NCHW"):
        first = layout == "NCHW"
        ones = crafted.ints(1, 1, 2, 2) if first else crafted.ints(1, 2, 2, 1)
        attrs = {"data_format": crafted.text(layout), "padding": crafted.text("SAME")}
        nodes = [
            placeholder("x", 1, 3, 8, 8) if first else placeholder("x", 1, 8, 8, 3),
            node("Conv2D", "c", "x", "w", strides=ones, **attrs),
            node("BiasAdd", "a", "c", "b", data_format=crafted.text(layout)),
            node("AvgPool", "y", "a", ksize=ones, strides=ones, **attrs),
        ]
        path = graph_file(tmp_path / layout, nodes, arrays)
        x = image().transpose(0, 3, 1, 2) if first else image()
        y = answer(path, x)[0]
        answers.append(y.transpose(0, 2, 3, 1) if first else y)
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5, atol=1e-6)


def test_training_batch_norm_with_empty_statistics(tmp_path: Path) -> None:
    """How Keras 2 writes layer normalisation; TF.js gives NaN for it."""
    arrays = {**crafted.weights_of({"g": (4,), "b": (4,)}), "e": np.zeros(0, np.float32)}
    norm = node("FusedBatchNormV3", "y", "x", "g", "b", "e", "e",
                is_training={"b": True}, epsilon={"f": 0.001})  # fmt: skip
    x = image((1, 3, 5, 4))
    got = answer(graph_file(tmp_path, [placeholder("x", 1, 3, 5, 4), norm], arrays), x)[0]
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    want = (x - mean) / np.sqrt(var + 0.001) * arrays["g"] + arrays["b"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_output_that_is_an_input_or_a_constant(tmp_path: Path) -> None:
    nodes = [placeholder("x", 1, 4), node("Identity", "same", "x"), node("Identity", "fixed", "w")]
    arrays = crafted.weights_of({"w": (2,)})
    path = graph_file(tmp_path, nodes, arrays)
    got = answer(path, X4)
    np.testing.assert_array_equal(got[0], X4)
    np.testing.assert_array_equal(got[1], arrays["w"])


# --- Model ----------------------------------------------------------------------------------------


def test_model_takes_any_batch(tmp_path: Path) -> None:
    model = load(write_tfjs(tmp_path, *crafted.small_graph()))
    x = image((3, 8, 8, 3))
    together = model(x)
    assert together.shape == (3, 16)
    np.testing.assert_array_equal(together[1:2], model(x[1:2]))


def test_labels(tmp_path: Path) -> None:
    model, arrays = crafted.small_cnn()
    path = write_tfjs(tmp_path, crafted.keras2(model), arrays)
    assert load(path).labels is None
    (tmp_path / "metadata.json").write_text('{"labels": ["a", "b", "c", "d", "e"]}')
    assert load(path).labels == ("a", "b", "c", "d", "e")
    (tmp_path / "metadata.json").write_text("{broken")
    source = load_graph(path)
    assert source.labels is None and "metadata.json" in source.warnings[0]


# --- arithmetic between layers --------------------------------------------------------------------


def arithmetic(dialect: str) -> dict:
    """6 - relu6(x + 3) * x, in the words of Keras 3, of its .h5, or of Keras 2."""
    model = crafted.functional()
    first = model["config"]["layers"][0]

    def tensor(name: str) -> dict:
        config = {"shape": [None, 4], "dtype": "float32", "keras_history": [name, 0, 0]}
        return {"class_name": "__keras_tensor__", "config": config}

    def operation(kind: str, function: str, name: str, *operands: Any) -> dict:
        entry = {"class_name": kind, "name": name, "config": {"name": name}}
        if dialect == "keras2":
            config = {"name": name, "function": function, "dtype": "float32"}
            head, *rest = operands
            others = [[r, 0, 0] if isinstance(r, str) else r for r in rest]
            options = dict(zip("y", others, strict=False))
            ref = [head, 0, 0] if isinstance(head, str) else ["_CONSTANT_VALUE", -1, head]
            call = [*ref, {**options, "name": None}]
            return {**entry, "class_name": "TFOpLambda", "config": config, "inbound_nodes": [call]}
        args = [tensor(o) if isinstance(o, str) else o for o in operands]
        module = {"module": "keras.src.ops.numpy"} if dialect == "keras3" else {}
        return {**module, **entry, "inbound_nodes": [{"args": args, "kwargs": {}}]}

    layers = [
        first,
        operation("Add", "__operators__.add", "plus", "x", 3.0),
        operation("Relu6", "nn.relu6", "bend", "plus"),
        operation("Multiply", "math.multiply", "times", "bend", "x"),
        operation("Subtract", "math.subtract", "minus", 6, "times"),
    ]
    model["config"].update(layers=layers, output_layers=[["minus", 0, 0]])
    return model


@pytest.mark.parametrize("dialect", ["keras3", "keras3-h5", "keras2"])
def test_arithmetic_between_layers(tmp_path: Path, dialect: str) -> None:
    path = write_tfjs(tmp_path, crafted.keras2(arithmetic(dialect)), {})
    np.testing.assert_allclose(answer(path, X4)[0], 6 - np.clip(X4 + 3, 0, 6) * X4, rtol=1e-6)
    assert [n.name for n in load_graph(path).graph.nodes] == ["plus", "bend", "times", "minus"]


def test_functions_of_tensorflow_that_are_unknown_are_named(tmp_path: Path) -> None:
    model = arithmetic("keras2")
    model["config"]["layers"][1]["config"]["function"] = "signal.fft"
    path = write_tfjs(tmp_path, crafted.keras2(model), {})
    with pytest.raises(FanlightError, match=r"TFOpLambda signal.fft x1 \(plus\)"):
        load_graph(path)


def test_documentation_lists_what_is_supported() -> None:
    from fanlight.formats.keras.call import LAYERS
    from fanlight.formats.keras.operations import FUNCTIONS, OPERATIONS
    from fanlight.formats.tfgraph.call import HANDLERS
    from tests.support import ROOT

    page = "".join((ROOT / "docs" / n).read_text() for n in ("formats.md", "graph_ops.md"))
    named = [*HANDLERS, *LAYERS, *(k.removeprefix("ops.") for k in OPERATIONS), *FUNCTIONS]
    assert [n for n in named if f"`{n}`" not in page] == []
