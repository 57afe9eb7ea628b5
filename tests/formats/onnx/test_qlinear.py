"""QLinearConv and QLinearMatMul: the same bytes as onnx's evaluator, by ops on bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.build import build
from fanlight.formats import load_graph, write_onnx
from fanlight.graph import Builder, evaluate

REASON = "the oracle of these tests is the onnx package"
onnx = pytest.importorskip("onnx", reason=REASON)
reference = pytest.importorskip("onnx.reference", reason=REASON)
helper = onnx.helper
U8, S8 = np.uint8, np.int8
RNG = np.random.default_rng(3)


def bytes_(kind: Any, *shape: int) -> np.ndarray:
    limits = np.iinfo(kind)
    return RNG.integers(limits.min, limits.max, shape, endpoint=True).astype(kind)


def check(
    folder: Path, op: str, given: dict[str, np.ndarray], open_: tuple[str, ...], **attrs: Any
) -> set[str]:
    """Ours, by NumPy and as WebAssembly, and the evaluator's are equal; which ops there are.

    open_: the inputs of the node that are inputs of the model; the others are known.
    """

    def kind(x: np.ndarray) -> int:
        return int(helper.np_dtype_to_tensor_dtype(x.dtype))

    graph = helper.make_graph(
        [helper.make_node(op, list(given), ["y"], **attrs)], "g",
        [helper.make_tensor_value_info(n, kind(given[n]), given[n].shape) for n in open_],
        [helper.make_tensor_value_info("y", kind(given["zero_y"]), None)],
        [onnx.numpy_helper.from_array(a, n) for n, a in given.items() if n not in open_],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, folder / "m.onnx")
    fed = {n: given[n] for n in open_}
    (wanted,) = reference.ReferenceEvaluator(model).run(None, fed)
    source = load_graph(folder / "m.onnx")
    own = {v.name: fed[v.name].astype(v.dtype) for v in source.graph.inputs}
    built = build(source.graph, folder / "bundle")
    for made in (evaluate(source.graph, own), built.run(own)):
        np.testing.assert_array_equal(made["y"].astype(np.int64), wanted.astype(np.int64))
    return {n.op for n in source.graph.nodes}


def conv(kinds: tuple[Any, Any, Any], channels: int, groups: int, out: int = 6) -> dict[str, Any]:
    x, w, y = kinds
    return {
        "x": bytes_(x, 1, channels, 7, 6), "scale_x": np.float32(0.02), "zero_x": x(7),
        "w": bytes_(w, out, channels // groups, 3, 2),
        "scale_w": RNG.uniform(0.001, 0.003, out).astype(np.float32),
        "zero_w": np.full(out, 128 if w is U8 else 0, w),
        "scale_y": np.float32(0.3), "zero_y": y(11),
        "bias": RNG.integers(-900, 900, out).astype(np.int32),
    }  # fmt: skip


@pytest.mark.parametrize("kinds", [(U8, S8, U8), (U8, U8, U8), (S8, S8, S8), (S8, S8, U8)])
@pytest.mark.parametrize("groups", [1, 6])
def test_convolutions_are_ops_on_bytes(tmp_path: Path, kinds: Any, groups: int) -> None:
    given = conv(kinds, 6, groups)
    ops = check(tmp_path, "QLinearConv", given, ("x",), group=groups, pads=[1, 0, 1, 1],
                strides=[2, 1])  # fmt: skip
    assert ("conv2d_int8" if groups == 1 else "depthwise_conv2d_int8") in ops
    assert "conv2d" not in ops and "depthwise_conv2d" not in ops


@pytest.mark.parametrize("open_", [("x",), ("x", "w"), ("x", "zero_x"), ("x", "bias")])
def test_sums_of_convolutions_are_exact(tmp_path: Path, open_: tuple[str, ...]) -> None:
    """With sums far beyond 2^24, whether the weights are known or not."""
    given = conv((U8, S8, U8), 300, 1, 2)
    given["x"][:, :, :4], given["w"][:] = 255, 127
    given["x"][0, 0, 0, 0] = 254
    given["scale_y"] = np.float32(12.7)
    ops = check(tmp_path, "QLinearConv", given, open_)
    assert ("conv2d_int8" in ops) == (open_ == ("x",))


@pytest.mark.parametrize("groups", [2, 3])
def test_groups_of_channels(tmp_path: Path, groups: int) -> None:
    check(tmp_path, "QLinearConv", conv((U8, S8, U8), 6, groups), ("x",), group=groups)


def test_weights_that_are_no_signed_bytes(tmp_path: Path) -> None:
    given = conv((U8, U8, U8), 4, 1) | {"zero_w": np.full(6, 3, U8)}
    assert "conv2d" in check(tmp_path, "QLinearConv", given, ("x",))


def product(kinds: tuple[Any, Any, Any], *shape: int, columns: int = 5) -> dict[str, Any]:
    a, b, y = kinds
    return {
        "a": bytes_(a, *shape), "scale_a": np.float32([0.02]), "zero_a": np.array([9], a),
        "b": bytes_(b, shape[-1], columns), "scale_b": np.float32([0.003]),
        "zero_b": np.array([128 if b is U8 else 0], b),
        "scale_y": np.float32([0.31]), "zero_y": np.array([100 if y is U8 else -20], y),
    }  # fmt: skip


@pytest.mark.parametrize("kinds", [(U8, S8, U8), (U8, U8, U8), (S8, S8, S8)])
@pytest.mark.parametrize("shape", [(3, 20), (2, 3, 20)])
def test_products_are_ops_on_bytes(tmp_path: Path, kinds: Any, shape: tuple[int, ...]) -> None:
    assert "matmul_int8" in check(tmp_path, "QLinearMatMul", product(kinds, *shape), ("a",))


@pytest.mark.parametrize("open_", [("a",), ("a", "b")])
def test_sums_of_products_are_exact(tmp_path: Path, open_: tuple[str, ...]) -> None:
    given = product((U8, S8, U8), 2, 3000)
    given["a"][:], given["b"][:] = 255, 127
    given["b"][0, :3] = -128, 5, 126
    given["scale_y"] = np.float32([30.1])
    check(tmp_path, "QLinearMatMul", given, open_)


def test_a_network_of_bytes_comes_back_as_one(tmp_path: Path) -> None:
    """What is written of ops on bytes is read as them again."""
    builder = Builder("one")
    x = builder.input("x", (1, 8, 8, 3), "uint8")
    for i, channels in enumerate((3, 4)):
        w = builder.weight(bytes_(S8, 3, 3, channels, 4), f"w{i}")
        bias = builder.weight(RNG.integers(-90, 90, 4).astype(np.int32), f"b{i}")
        scale = builder.weight(RNG.uniform(0.001, 0.002, 4).astype(np.float32), f"s{i}")
        x = builder.add("conv2d_int8", x, w, bias, scale, pad=5, zero=5, high=255, x_high=255,
                        padding=((1, 1), (1, 1)))  # fmt: skip
    graph = builder.finish({"y": x})
    write_onnx(graph, tmp_path / "m.onnx")
    again = load_graph(tmp_path / "m.onnx").graph
    assert [n.op for n in again.nodes].count("conv2d_int8") == 2
    given = {"x": bytes_(U8, 1, 8, 8, 3)}
    np.testing.assert_array_equal(evaluate(again, given)["y"], evaluate(graph, given)["y"])
