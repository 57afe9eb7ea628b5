"""Rules of ONNX that its node tests do not reach, as onnx's schemas say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.build import build
from fanlight.formats import load_graph
from fanlight.graph import evaluate

onnx = pytest.importorskip("onnx")
F, I64, B = 1, 7, 9  # dtypes


def run(path: Path, nodes: list[Any], x: Any, out: Any, opset: int = 17,
        **constants: np.ndarray) -> Any:  # fmt: skip
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", out, None)],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    onnx.save(model, path / "m.onnx")
    return fl.load(path / "m.onnx")(x)


def test_a_loop_whose_condition_is_a_stored_false_turns_once(tmp_path: Path) -> None:
    helper = onnx.helper
    body = helper.make_graph(
        [helper.make_node("Add", ["v", "one"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", I64), ("c", B), ("v", F))],
        [helper.make_tensor_value_info(n, t, []) for n, t in (("stop", B), ("w", F))],
        [onnx.numpy_helper.from_array(np.asarray(False), "stop"),
         onnx.numpy_helper.from_array(np.asarray(1, np.float32), "one")],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["m", "", "x"], ["y"], body=body)
    got = run(tmp_path, [loop], np.asarray(0, np.float32), F, m=np.asarray(10, np.int64))
    assert float(got) == 1.0


def test_what_a_fused_convolution_adds(tmp_path: Path) -> None:
    node = onnx.helper.make_node("FusedConv", ["x", "w", "b", "z"], ["y"], domain="com.microsoft",
                                 activation="Relu")  # fmt: skip
    one = np.ones((1, 1, 1, 1), np.float32)
    got = run(tmp_path, [node], one, F, w=one, b=np.zeros(1, np.float32), z=5 * one)
    assert got.reshape(-1).tolist() == [6.0]


def test_where_a_transposed_convolution_is_cut(tmp_path: Path) -> None:
    node = onnx.helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], output_shape=[6])
    x = np.asarray([[[1, 2, 3]]], np.float32)
    got = run(tmp_path, [node], x, F, w=np.asarray([[[1, 10, 100]]], np.float32))
    assert got.reshape(-1).tolist() == [10, 102, 20, 203, 30, 300]


def test_powers_of_whole_numbers_are_cut(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Pow", ["x", "p"], ["y"])
    x = np.asarray([2, 3, 7, 5], np.int32)
    got = run(tmp_path, [node], x, 6, p=np.asarray([1.5, 0.5, 0.5, 3], np.float32))
    assert got.tolist() == [2, 1, 2, 125]


def test_resize_of_opset_10_takes_the_element_behind_where_a_dim_shrinks(tmp_path: Path) -> None:
    """The node test resize_downsample_nearest of ONNX 1.5, and what grows and shrinks at once."""
    node = onnx.helper.make_node("Resize", ["x", "s"], ["y"], mode="nearest")
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 4)
    got = run(tmp_path, [node], x, F, 10, s=np.float32([1, 1, 0.6, 0.6]))
    np.testing.assert_array_equal(got, np.float32([[[[1, 3]]]]))
    got = run(tmp_path, [node], x, F, 10, s=np.float32([1, 1, 1.5, 0.6]))
    np.testing.assert_array_equal(got, np.float32([[[[1, 3], [1, 3], [5, 7]]]]))
    got = run(tmp_path, [node], x, F, 10, s=np.float32([1, 1, 1, 0.5]))
    np.testing.assert_array_equal(got, np.float32([[[[1, 3], [5, 7]]]]))


# --- whole numbers: products beyond 2^24, which float32 cannot hold -------------------------------

WRAPS = 1 << 32


def evaluated(
    path: Path, node: Any, given: dict[str, np.ndarray], wanted: np.ndarray, known: Any = (),
    into_wasm: bool = False,
) -> None:  # fmt: skip
    """The node with some inputs known, against a result modulo 2^32."""
    helper = onnx.helper

    def info(name: str, array: np.ndarray | None, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, None if array is None else array.shape)

    kinds = {k: helper.np_dtype_to_tensor_dtype(v.dtype) for k, v in given.items()}
    graph = helper.make_graph(
        [node], "g",
        [info(k, v, kinds[k]) for k, v in given.items() if k not in known],
        [info("y", None, helper.np_dtype_to_tensor_dtype(wanted.dtype))],
        [onnx.numpy_helper.from_array(v, k) for k, v in given.items() if k in known],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path / "m.onnx")
    source = load_graph(path / "m.onnx").graph
    dtypes = {v.name: v.dtype for v in source.inputs}
    inputs = {k: given[k].astype(d) for k, d in dtypes.items()}
    modulo = wanted.astype(np.int64) % WRAPS
    np.testing.assert_array_equal(evaluate(source, inputs)["y"].astype(np.int64) % WRAPS, modulo)
    if into_wasm:
        made = build(source, path / "bundle").run(inputs)["y"]
        np.testing.assert_array_equal(made.astype(np.int64) % WRAPS, modulo)


@pytest.mark.parametrize("known", [(), ("b",)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int16, np.uint8])
def test_matmul_of_whole_numbers_is_exact(tmp_path: Path, dtype: Any, known: Any) -> None:
    random, limits = np.random.default_rng(3), np.iinfo(dtype)
    low, high = max(limits.min, -(2**31)), min(limits.max, 2**31 - 1)
    node = onnx.helper.make_node("MatMul", ["a", "b"], ["y"])
    for a, b in (((2, 3, 700), (700, 4)), ((5,), (5, 2)), ((3, 2), (2,)), ((1, 0), (0, 2))):
        given = {"a": random.integers(low, high + 1, a, dtype=np.int64).astype(dtype),
                 "b": random.integers(low, high + 1, b, dtype=np.int64).astype(dtype)}  # fmt: skip
        with np.errstate(over="ignore"):
            wanted = np.matmul(given["a"].astype(np.int64), given["b"].astype(np.int64))
        evaluated(tmp_path, node, given, wanted.astype(dtype), known)


def test_matmul_of_small_known_numbers_needs_one_product(tmp_path: Path) -> None:
    """Sums that float32 holds are made in it at once."""
    given = {"a": np.full((2, 3000), 255, np.uint8), "b": np.ones((3000, 2), np.uint8)}
    node = onnx.helper.make_node("MatMulInteger", ["a", "b"], ["y"])
    wanted = np.matmul(given["a"].astype(np.int32), given["b"].astype(np.int32))
    evaluated(tmp_path, node, given, wanted, ("b",))
    ops = [n.op for n in load_graph(tmp_path / "m.onnx").graph.nodes]
    assert ops.count("matmul") == 1 and "reshape" not in ops


def test_gemm_of_whole_numbers_is_exact(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    a, b, c = (random.integers(-(10**5), 10**5, s, dtype=np.int32) for s in ((9, 4), (3, 9), (3,)))
    node = onnx.helper.make_node("Gemm", ["a", "b", "c"], ["y"], transA=1, transB=1)
    wanted = a.T.astype(np.int64) @ b.T.astype(np.int64) + c
    evaluated(tmp_path, node, {"a": a, "b": b, "c": c}, wanted.astype(np.int32))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int16, np.uint8])
@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,jk->bik", [(2, 3, 40), (40, 4)]),
        ("i,i", [(90,), (90,)]),
        ("ij,j,kj->ik", [(2, 9), (9,), (3, 9)]),
        ("ii->i", [(4, 4)]),
    ],
)
def test_einsum_of_whole_numbers_is_exact(
    tmp_path: Path, equation: str, shapes: list[tuple[int, ...]], dtype: Any
) -> None:
    random, limits = np.random.default_rng(7), np.iinfo(dtype)
    low, high = max(limits.min, -(2**31)), min(limits.max, 2**31 - 1)
    given = {f"x{i}": random.integers(low, high + 1, s, dtype=np.int64).astype(dtype)
             for i, s in enumerate(shapes)}  # fmt: skip
    node = onnx.helper.make_node("Einsum", list(given), ["y"], equation=equation)
    with np.errstate(over="ignore"):
        wanted = np.einsum(equation, *(x.astype(np.int64) for x in given.values()))
    evaluated(tmp_path, node, given, np.asarray(wanted).astype(dtype), into_wasm=True)


@pytest.mark.parametrize("known", [(), ("b", "zb")])
@pytest.mark.parametrize("zeros", [False, True])
def test_matmul_integer_is_exact(tmp_path: Path, zeros: bool, known: Any) -> None:
    random = np.random.default_rng(5)
    a = random.integers(200, 256, (3, 900)).astype(np.uint8)
    b = random.integers(90, 128, (900, 2)).astype(np.int8)
    given: dict[str, np.ndarray] = {"a": a, "b": b}
    wide = {k: v.astype(np.int64) for k, v in given.items()}
    if zeros:
        given |= {"za": np.asarray(3, np.uint8), "zb": np.asarray([-128, -1], np.int8)}
        wide = {"a": wide["a"] - 3, "b": wide["b"] - given["zb"]}
    wanted = wide["a"] @ wide["b"]
    assert wanted.max() > 1 << 24
    node = onnx.helper.make_node("MatMulInteger", list(given), ["y"])
    kept = tuple(k for k in known if k in given)
    evaluated(tmp_path, node, given, wanted.astype(np.int32), kept, into_wasm=True)


@pytest.mark.parametrize("group", [1, 3])
def test_conv_integer_is_exact(tmp_path: Path, group: int) -> None:
    random = np.random.default_rng(6)
    x = random.integers(200, 256, (1, 132 * group, 3, 4)).astype(np.uint8)
    w = random.integers(200, 256, (2 * group, 132, 2, 2)).astype(np.uint8)
    node = onnx.helper.make_node("ConvInteger", ["x", "w"], ["y"], group=group)
    wanted = np.zeros((1, 2 * group, 2, 3), np.int64)
    for m in range(2 * group):
        part = x[0, m // 2 * 132 : (m // 2 + 1) * 132].astype(np.int64)
        for i, j in np.ndindex(2, 3):
            wanted[0, m, i, j] = (part[:, i : i + 2, j : j + 2] * w[m]).sum()
    assert wanted.max() > 1 << 24
    evaluated(tmp_path, node, {"x": x, "w": w}, wanted.astype(np.int32))
