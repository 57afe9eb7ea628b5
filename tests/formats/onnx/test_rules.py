"""Rules of ONNX that its node tests do not reach, as onnx's schemas say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

onnx = pytest.importorskip("onnx")
F, I64, B = 1, 7, 9  # dtypes


def run(path: Path, nodes: list[Any], x: np.ndarray, out: Any, opset: int = 17,
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
