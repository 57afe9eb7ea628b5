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


@pytest.mark.parametrize("depth", [40, 3000])
@pytest.mark.parametrize("high", [127, 255])
def test_sums_with_a_float_result_come_back_as_one(tmp_path: Path, depth: int, high: int) -> None:
    """MatMulInteger, Add, Cast, Mul: weights stay int8, and sums beyond 2^24 exact."""
    builder = Builder("one")
    x = builder.input("x", (2, depth), "uint8")
    w = builder.weight(bytes_(S8, depth, 6), "w")
    bias = builder.weight(RNG.integers(-90, 90, 6).astype(np.int32), "b")
    scale = builder.weight(RNG.uniform(0.001, 0.002, 6).astype(np.float32), "s")
    y = builder.add("matmul_int8", x, w, bias, scale, x_high=high, output="float32")
    graph = builder.finish({"y": y})
    write_onnx(graph, tmp_path / "m.onnx")
    again = load_graph(tmp_path / "m.onnx").graph
    assert [n.op for n in again.nodes] == ["matmul_int8"]
    assert sum(a.nbytes for a in again.weights.values()) == depth * 6 + 48
    given = {"x": np.minimum(bytes_(U8, 2, depth), high).astype(U8)}
    np.testing.assert_array_equal(evaluate(again, given)["y"], evaluate(graph, given)["y"])
    write_onnx(again, tmp_path / "again.onnx")
    assert [n.op for n in load_graph(tmp_path / "again.onnx").graph.nodes] == ["matmul_int8"]


def sums(
    folder: Path,
    *,
    kind: Any = U8,
    bias: Any = None,
    scale: Any = None,
    more: bool = False,
    zero: Any = None,
    to: int = 1,
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The ops that a row from MatMulInteger to Mul is read as, what they give, what ONNX gives."""
    w = RNG.integers(-120, 121, (5, 3)).astype(S8)  # less 2 they are bytes, too
    known = {"w": w, "zx": np.asarray(9, kind), "zw": np.asarray(2 if zero is None else zero, S8),
             "bias": np.int32([1, -7, 90]) if bias is None else bias,
             "scale": np.float32([0.5, 0.25, 2]) if scale is None else scale}  # fmt: skip
    nodes = [
        onnx.helper.make_node("MatMulInteger", ["x", "w", "zx", "zw"], ["t"]),
        onnx.helper.make_node("Add", ["t", "bias"], ["b"]),
        onnx.helper.make_node("Cast", ["b"], ["c"], to=to),
        onnx.helper.make_node("Mul", ["c", "scale"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info("y", to, None)]
    if more:
        ends.append(onnx.helper.make_tensor_value_info("t", onnx.TensorProto.INT32, None))
    graph = onnx.helper.make_graph(
        nodes, "g", [onnx.helper.make_tensor_value_info("x", 2 if kind is U8 else 3, (4, 5))], ends,
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in known.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    onnx.save(model, folder / "m.onnx")
    given = bytes_(kind, 4, 5)
    wanted = onnx.reference.ReferenceEvaluator(model).run(["y"], {"x": given})[0]
    made = load_graph(folder / "m.onnx").graph
    name = made.inputs[0].name
    fed = {name: given.astype(U8 if kind is U8 else np.int32)}
    return [n.op for n in made.nodes], evaluate(made, fed)["y"], wanted


@pytest.mark.parametrize("kind", [U8, S8])
@pytest.mark.parametrize("scale", [None, np.float32(0.5), np.float32([[3]])])
def test_rows_of_sums_are_one_op(tmp_path: Path, kind: Any, scale: Any) -> None:
    ops, made, wanted = sums(tmp_path, kind=kind, scale=scale)
    assert "matmul_int8" in ops
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize(
    "options",
    [
        {"bias": np.int32([[1], [2], [3], [4]])},
        {"scale": np.float32([[1], [2], [3], [4]])},
        {"scale": np.float32([np.inf, 1, 1])},
        {"bias": np.full(3, 2**31 - 1, np.int32)},
        {"zero": -128},
        {"more": True},
        {"bias": np.int32([[[1, -7, 90]]])},
        {"scale": np.float32([[[0.5, 0.25, 2]]])},
        {"scale": np.full((1, 1, 1, 1), 0.5, np.float32)},
    ],
)
def test_rows_that_are_not_one_op(tmp_path: Path, options: dict[str, Any]) -> None:
    ops, made, wanted = sums(tmp_path, **options)
    assert "matmul_int8" not in ops
    assert made.shape == wanted.shape
    np.testing.assert_allclose(made, wanted, rtol=1e-6)
