"""Ops that TF.js or ONNX has not: put together of others, they compute the same there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import load, write_graph_model, write_onnx
from fanlight.formats.spelling import SPELLINGS
from fanlight.graph import Builder, Graph, Subgraph, evaluate
from fanlight.ops.row import TABLE
from fanlight.tensor.control import while_loop
from fanlight.tensor.trace import trace
from tests.formats.test_tfgraph_writer import worst
from tests.formats.tfjs_graph_peer import run
from tests.support import SHARED

RNG = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def whole(low: int, high: int, *shape: int) -> np.ndarray:
    return RNG.integers(low, high, shape, endpoint=True).astype(np.int32)


def bytes_(*shape: int, high: int = 255) -> np.ndarray:
    return RNG.integers(0, high, shape, endpoint=True).astype(np.uint8)


def small(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 127, shape, endpoint=True).astype(np.int8)


ENDS = np.array([-(2**31), 2**31 - 1, -1, 0, 1, 12345, -98765, 7], np.int32)
SUM = {"zero": 9, "high": 255, "x_high": 255}
INDICES = np.array([[0, 1], [2, 3], [3, 0], [-1, 0], [1, 5]], np.int32)


def summed(*w: int, depth: int) -> list[list[np.ndarray]]:
    """Weights, biases and scales of a sum of bytes."""
    scale = RNG.uniform(0.001, 0.004, depth).astype(np.float32)
    return [[small(*w)], [whole(-900, 900, depth)], [scale]]


BOXES = np.sort(np.random.default_rng(8).uniform(0, 1, (15, 2, 2)), 1).reshape(15, 4)
BOXES = BOXES.astype(np.float32)
SCORES = np.random.default_rng(9).uniform(0, 1, 15).astype(np.float32)

# name -> op, inputs (weights where they are in a list), attributes
CASES: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "bitwise_and": ("bitwise_and", [ENDS, ENDS[::-1].copy()], {}),
    "bitwise_or": ("bitwise_or", [ENDS, ENDS[::-1].copy()], {}),
    "bitwise_xor": ("bitwise_xor", [ENDS, ENDS[::-1].copy()], {}),
    "bitwise_not": ("bitwise_not", [ENDS], {}),
    "not of bytes": ("bitwise_not", [bytes_(6)], {}),
    "or of bytes": ("bitwise_or", [bytes_(6), bytes_(6)], {}),
    "left_shift": ("left_shift", [ENDS, np.array([0, 1, 31, 32, 33, 5, 7, 30], np.int32)], {}),
    "right_shift": ("right_shift", [ENDS, np.array([0, 31, 31, 32, 33, 5, 30, 1], np.int32)],
                    {"logical": False}),
    "logical shift": ("right_shift", [ENDS, np.array([0, 31, 31, 4, 33, 5, 30, 1], np.int32)],
                      {"logical": True}),
    "div": ("div", [np.array([7, -7, 7, -7, 0, 6, 5], np.int32),
                    np.array([2, 2, -2, -2, 3, 3, 0], np.int32)], {}),
    "floor_div": ("floor_div", [np.array([7, -7, 7, -7, 0, 6, 5], np.int32),
                                np.array([2, 2, -2, -2, 3, 3, 0], np.int32)], {}),
    "floor_mod": ("floor_mod", [np.array([7, -7, 7, -7, 0, 6, 5], np.int32),
                                np.array([2, 2, -2, -2, 3, 3, 0], np.int32)], {}),
    "div by a constant": ("div", [whole(-99, 99, 8), [np.array([3, -4], np.int32).repeat(4)]], {}),
    "atan2": ("atan2", [np.array([1, 1, -1, -1, 0, 2, -2, 0], np.float32),
                        np.array([1, -1, 1, -1, 1, 0, 0, -3], np.float32)], {}),
    "cummax": ("cummax", [floats(3, 11)], {"axis": 1}),
    "cummin": ("cummin", [whole(-9, 9, 7, 2)], {"axis": 0, "reverse": True}),
    "cumprod": ("cumprod", [floats(2, 9)], {"axis": -1, "exclusive": True}),
    "cumprod back": ("cumprod", [floats(2, 9)], {"axis": -1, "reverse": True}),
    "search_sorted": ("search_sorted", [np.sort(floats(2, 9)), floats(2, 4)], {"right": False}),
    "search from the right": ("search_sorted", [np.sort(whole(0, 9, 9)), whole(0, 9, 5)],
                              {"right": True}),
    "space_to_batch": ("space_to_batch", [floats(2, 3, 6, 4)],
                       {"block": (2, 3), "paddings": ((1, 0), (2, 1))}),
    "batch_to_space": ("batch_to_space", [floats(12, 2, 3, 4)],
                       {"block": (2, 3), "crops": ((1, 0), (2, 1))}),
    "gather_nd": ("gather_nd", [floats(3, 4, 2), INDICES], {"outside": "zero"}),
    "add to a tensor": ("scatter_nd", [INDICES[:2], floats(2, 2), floats(3, 4, 2)],
                        {"mode": "add"}),
    "add to a number": ("scatter_nd", [INDICES[:2], floats(2, 2)],
                        {"mode": "add", "shape": (3, 4, 2), "value": 2}),
    "update of a number": ("scatter_nd", [INDICES[:2], floats(2, 2)],
                           {"mode": "update", "shape": (3, 4, 2), "value": 2}),
    "mirror_pad": ("mirror_pad", [floats(3, 4)],
                   {"paddings": ((2, 3), (1, 0)), "mode": "symmetric"}),
    "conv2d": ("conv2d", [floats(1, 11, 9, 2), [floats(3, 2, 2, 3)]],
               {"strides": (2, 3), "dilations": (2, 2), "padding": ((1, 2), (0, 1))}),
    "depthwise_conv2d": ("depthwise_conv2d", [floats(1, 11, 9, 2), [floats(3, 2, 2, 1)]],
                         {"strides": (2, 2), "dilations": (2, 1)}),
    "conv2d_kernel": ("conv2d_kernel", [floats(2, 8, 7, 3), floats(2, 3, 3, 4)],
                      {"size": (3, 2), "strides": (2, 2)}),
    "depthwise_conv2d_kernel": ("depthwise_conv2d_kernel", [floats(2, 8, 7, 3), floats(2, 3, 3, 3)],
                                {"size": (3, 2), "strides": (2, 2)}),
    "fft": ("fft", [floats(2, 3, 5), floats(2, 3, 5), [np.zeros((2, 5), np.float32)]],
            {"inverse": True}),
    "non_max_suppression": (
        "non_max_suppression",
        [np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3], [5, 5, 6, 6]], np.float32),
         np.array([0.6, 0.9, 0.3, 0.8], np.float32)],
        {"max_output_size": 4, "iou_threshold": 0.5, "score_threshold": 0.4},
    ),
    "overlaps that are equal to the limit": (
        "non_max_suppression",
        [np.array([[0, 0, 1, 1], [0, 0, 1, 0.5], [0, 0, 1, 0.75], [0, 0.5, 1, 1]], np.float32),
         np.array([0.9, 0.8, 0.7, 0.6], np.float32)],
        {"max_output_size": 4, "iou_threshold": 0.5},
    ),
    "a limit of 0": ("non_max_suppression", [BOXES, SCORES],
                     {"max_output_size": 4, "iou_threshold": 0.0}),
    "none kept": ("non_max_suppression", [BOXES, SCORES],
                  {"max_output_size": 3, "score_threshold": 2.0}),
    "soft": ("non_max_suppression", [BOXES, SCORES],
             {"max_output_size": 9, "iou_threshold": 0.7, "score_threshold": 0.2,
              "soft_nms_sigma": 0.5}),
    "soft without limits": ("non_max_suppression", [BOXES, SCORES],
                            {"max_output_size": 20, "iou_threshold": 1.0, "soft_nms_sigma": 0.3}),
    "cast to bytes": ("cast", [np.array([-3, 2.7, 254.9, 900], np.float32)], {"dtype": "uint8"}),
    "whole numbers to bytes": ("cast", [ENDS], {"dtype": "uint8"}),
    "max_pool of bytes": ("max_pool", [bytes_(1, 5, 6, 2)],
                          {"size": (3, 3), "strides": (2, 2), "padding": ((1, 1), (0, 2))}),
    "quantize": ("quantize", [floats(40) * 9], {"scale": 0.1, "zero": 7, "high": 200}),
    "dequantize": ("dequantize", [bytes_(40)], {"scale": 0.1, "zero": 7}),
    "add_int8": ("add_int8", [bytes_(4, 5), bytes_(5)],
                 {"scale_a": 0.4, "zero_a": 3, "scale_b": -0.7, "zero_b": 100, "zero": 20,
                  "high": 255}),
    "mul_int8": ("mul_int8", [bytes_(4, 5), bytes_(5)],
                 {"zero_a": 3, "zero_b": 100, "scale": 0.007, "zero": 20, "high": 255}),
    "prelu_int8": ("prelu_int8", [bytes_(4, 5), [floats(5)]],
                   {"zero_x": 99, "scale": 0.7, "zero": 20, "high": 255}),
    "lookup": ("lookup", [bytes_(4, 5), [bytes_(256)]], {}),
    "conv2d_int8": ("conv2d_int8", [bytes_(1, 6, 7, 3), *summed(3, 2, 3, 4, depth=4)],
                    {"pad": 12, "padding": ((1, 1), (0, 2)), "strides": (2, 1), **SUM}),
    "with a residual": (
        "conv2d_int8",
        [bytes_(1, 4, 4, 3), *summed(1, 1, 3, 4, depth=4), bytes_(1, 4, 4, 4)],
        {**SUM, "pad": 12, "residual_scale": 0.3, "residual_zero": 40}),
    "of float32": ("conv2d_int8", [bytes_(1, 4, 4, 3), *summed(1, 1, 3, 4, depth=4)],
                   {**SUM, "output": "float32"}),
    "depthwise_conv2d_int8": (
        "depthwise_conv2d_int8",
        [bytes_(1, 6, 7, 3), *summed(3, 3, 3, 1, depth=3)],
        {"pad": 12, "padding": ((1, 1), (1, 1)), **SUM}),
    "matmul_int8": ("matmul_int8", [bytes_(3, 20), *summed(20, 6, depth=6)], SUM),
    "avg_pool_int8": ("avg_pool_int8", [bytes_(1, 5, 6, 2)],
                      {"size": (2, 3), "strides": (1, 2), "padding": ((0, 1), (1, 1)),
                       "zero_x": 30, "scale": 1.1, "zero": 5, "high": 255}),
    "mean_int8": ("mean_int8", [bytes_(2, 5, 6, 2)],
                  {"axes": (1, 2), "keepdims": True, "zero_x": 30, "scale": 1.1, "zero": 5,
                   "high": 255}),
    "resize_bilinear_int8": ("resize_bilinear_int8", [bytes_(1, 5, 6, 2)], {"size": (8, 3)}),
}  # fmt: skip


def graph_of(name: str) -> tuple[Graph, dict[str, np.ndarray]]:
    """One node; its inputs, those in a list as weights."""
    op, given, attrs = CASES[name]
    builder, arrays, values = Builder("one"), {}, []
    for i, one in enumerate(given):
        if isinstance(one, list):
            values.append(builder.weight(one[0], f"w{i}"))
            continue
        kind = {"f": "float32", "u": "uint8"}.get(one.dtype.kind, "int32")
        values.append(builder.input(f"x{i}", one.shape, kind))
        arrays[f"x{i}"] = one
    made = builder.add(op, *values, **attrs)
    made = made if isinstance(made, tuple) else (made,)
    return builder.finish({f"y{i}": v for i, v in enumerate(made)}), arrays


def test_every_spelling_is_tried() -> None:
    assert set(SPELLINGS) <= {op for op, _, _ in CASES.values()}
    assert set(SPELLINGS) <= set(TABLE)


def test_tfjs_computes_the_same(tmp_path: Path) -> None:
    jobs, wants = [], []
    for name in CASES:
        graph, arrays = graph_of(name)
        write_graph_model(graph, tmp_path / name)
        jobs.append((tmp_path / name, arrays))
        wants.append(evaluate(graph, arrays))
    for name, answer, wanted in zip(CASES, run(jobs), wants, strict=True):
        assert worst(answer, {k: v.astype("float64") for k, v in wanted.items()}) < 1e-4, name


def same(made: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], name: str) -> None:
    for key, array in wanted.items():
        assert made[key].dtype == array.dtype and made[key].shape == array.shape, name
        off = np.abs(made[key].astype("float64") - array.astype("float64"))
        assert off.max(initial=0) < 1e-4, (name, made[key], array)


def _of_bytes(graph: Graph) -> bool:
    return TABLE[graph.nodes[0].op].family == "quantized"


@pytest.mark.parametrize("name", CASES)
def test_onnx_computes_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx, the oracle of this test, is missing")
    from tests.formats.test_onnx_writer import computed

    graph, arrays = graph_of(name)
    # The evaluator has DequantizeLinear from 19 on.
    write_onnx(graph, tmp_path / "m.onnx", opset=21 if _of_bytes(graph) else 18)
    wanted = evaluate(graph, arrays)
    with np.errstate(all="ignore"):
        same(computed(tmp_path / "m.onnx", arrays), wanted, name)


@pytest.mark.parametrize("name", CASES)
def test_our_readers_read_it_again(name: str, tmp_path: Path) -> None:
    graph, arrays = graph_of(name)
    wanted = evaluate(graph, arrays)
    write_graph_model(graph, tmp_path / "web")
    write_onnx(graph, tmp_path / "m.onnx")
    for path in (tmp_path / "web", tmp_path / "m.onnx"):
        again = load(path).graph
        kinds = {"float32": np.float32, "int32": np.int32, "uint8": np.uint8}
        given = {v.name: arrays[v.name].astype(kinds[v.dtype]) for v in again.inputs}
        made = evaluate(again, given)
        same({k: made[k].astype(a.dtype) for k, a in wanted.items()}, wanted, name)


def test_what_lies_in_a_loop_is_put_together_too(tmp_path: Path) -> None:
    def turns(x: Any) -> Any:
        return while_loop(
            lambda s: s[0] < 3, lambda s: (s[0] + 1, fl.bitwise_or(s[1], s[0])), (0, x)
        )[1]

    graph = trace(turns, {"x": fl.spec((4,), "int32")})
    x = {"x": np.array([8, 16, 1, 0], np.int32)}
    write_graph_model(graph, tmp_path / "m")
    (answer,) = run([(tmp_path / "m", x)])
    wanted = evaluate(graph, x)
    assert worst(answer, wanted) == 0 and next(iter(wanted.values())).tolist() == [11, 19, 3, 3]


def test_a_free_batch_stays_free(tmp_path: Path) -> None:
    x = fl.Input((6,), name="x")
    model = fl.Model(x, fl.layers.Lambda(lambda a: fl.cummax(a, 1) + fl.atan2(a, a * 2.0))(x))
    assert write_graph_model(model, tmp_path / "m") == ()
    assert write_onnx(model, tmp_path / "m.onnx") == ()
    rows = floats(3, 6)
    (answer,) = run([(tmp_path / "m", {"x": rows})])
    (made,) = answer["outputs"].values()
    assert np.abs(made - model.predict(rows, verbose=0)).max() < 1e-5


@pytest.mark.parametrize("op", ["conv2d_int8", "depthwise_conv2d_int8", "matmul_int8"])
def test_weights_of_bytes_from_outside_of_a_branch(op: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx, the oracle of this test, is missing")
    from tests.formats.test_onnx_writer import computed

    _, (x, *rest), attrs = CASES[op]
    weights = [one for (one,) in rest]
    inner, outer = Builder("branch"), Builder("whole")
    kinds = ("int8", "int32", "float32")
    inside = [inner.input("x", x.shape, "uint8")]
    inside += [inner.input(f"w{i}", w.shape, k) for i, (w, k) in enumerate(zip(weights, kinds))]
    branch = Subgraph(inner.finish({"y": inner.add(op, *inside, **attrs)}))
    values = [outer.input("p", (), "bool"), outer.input("x", x.shape, "uint8")]
    values += [outer.weight(w, f"w{i}") for i, w in enumerate(weights)]
    graph = outer.finish({"y": outer.add("cond", *values, true_fn=branch, false_fn=branch)})
    write_onnx(graph, tmp_path / "m.onnx")
    arrays = {"p": np.array(True), "x": x}
    with np.errstate(all="ignore"):
        same(computed(tmp_path / "m.onnx", arrays), evaluate(graph, arrays), op)


@pytest.mark.parametrize("x_high", [127, 255])
def test_sums_of_bytes_are_ops_of_whole_numbers(x_high: int, tmp_path: Path) -> None:
    """Weights of one byte; as int8 only where no pair of products passes 16 bits."""
    onnx = pytest.importorskip("onnx", reason="onnx, the oracle of this test, is missing")
    from tests.formats.test_onnx_writer import computed

    builder = Builder("one")
    x = builder.input("x", (1, 6, 7, 3), "uint8")
    weights = [builder.weight(a[0], f"w{i}") for i, a in enumerate(summed(3, 2, 3, 4, depth=4))]
    sums = {"pad": 12, "x_high": x_high, "high": 100}
    made = builder.add("conv2d_int8", x, *weights, zero=9, **sums)
    graph = builder.finish({"y": builder.add("max_pool", made, size=(2, 2), strides=(1, 1))})
    write_onnx(graph, tmp_path / "m.onnx")
    written = onnx.load(str(tmp_path / "m.onnx")).graph
    kinds = [n.op_type for n in written.node]
    assert [k for k in kinds if k != "Identity"] == [
        "Transpose", "QLinearConv", "Clip", "MaxPool", "Transpose"
    ]  # fmt: skip
    (kernel,) = (t for t in written.initializer if t.name.endswith("kernel"))
    assert kernel.data_type == (onnx.TensorProto.INT8 if x_high == 127 else onnx.TensorProto.UINT8)
    arrays = {"x": bytes_(1, 6, 7, 3, high=x_high)}
    with np.errstate(all="ignore"):
        same(computed(tmp_path / "m.onnx", arrays), evaluate(graph, arrays), "QLinearConv")


def test_a_network_of_bytes_in_onnx_runtime(tmp_path: Path) -> None:
    """Full int8 of TFLite: the same bytes."""
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime, the oracle, is missing")
    path = SHARED / "fixtures" / "mobilenet_v1_025_128" / "model_int8.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    model = fl.load(path)
    write_onnx(model, tmp_path / "m.onnx")
    (given,) = model.graph.inputs
    x = {given.name: RNG.uniform(-1, 1, given.shape).astype(np.float32)}
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    (made,), (wanted,) = session.run(None, x), evaluate(model.graph, x).values()
    np.testing.assert_array_equal(made, wanted)


def test_a_network_of_bytes_in_tfjs(tmp_path: Path) -> None:
    """Full int8 of TFLite: TF.js itself gives the same bytes, but for a step here and there."""
    path = SHARED / "fixtures" / "mobilenet_v1_025_128" / "model_int8.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    made = fl.convert(path, tmp_path / "web")
    assert made.ok and made.kind == "tfjs-graph"
    graph = fl.load(path).graph
    (given,) = graph.inputs
    x = {given.name: RNG.uniform(-1, 1, given.shape).astype(np.float32)}
    (answer,) = run([(tmp_path / "web", x)])
    step = 1 / 256  # of the softmax at the end
    assert worst(answer, evaluate(graph, x)) <= step


def test_what_cannot_be_put_together_is_told(tmp_path: Path) -> None:
    graph = trace(lambda x: fl.linalg.inverse(x), {"x": fl.spec((3, 3))})
    for write, path in ((write_graph_model, "m"), (write_onnx, "m.onnx")):
        with pytest.raises(FanlightError, match="E-FORMAT-040") as caught:
            write(graph, tmp_path / path)
        assert "solve" in str(caught.value)
