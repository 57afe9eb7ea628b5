"""Models whose examples meet: found when they are read, and not computed item by item."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.convert import convert
from fanlight.errors import FanlightError
from fanlight.formats import load_graph
from tests.formats.tflite_writer import Graph, Op, Tensor, constant, write

onnx = pytest.importorskip("onnx", reason="these tests make models with the onnx package")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

node = helper.make_node


def saved(
    folder: Path, nodes: list[Any], shape: list[Any], outputs: list[str] | None = None,
    **weights: Any,
) -> Path:  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs or ["y"]],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


ROWS: list[Any] = ["n", 4]
GRU = {"w": np.ones((1, 12, 2), np.float32), "r": np.ones((1, 12, 4), np.float32)}
MEET: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {
    "x times x transposed": (
        [node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["y"])],
        ROWS, {}),
    "less the mean of the batch": (
        [node("ReduceMean", ["x"], ["m"], axes=[0]), node("Sub", ["x", "m"], ["y"])], ROWS, {}),
    "the mean of all": ([node("ReduceMean", ["x"], ["m"]), node("Sub", ["x", "m"], ["y"])],
                        ROWS, {}),
    "softmax over the batch": ([node("Softmax", ["x"], ["y"], axis=0)], ROWS, {}),
    "softmax behind a new first dim": (
        [node("Unsqueeze", ["x", "s"], ["u"]), node("Softmax", ["u"], ["v"], axis=1),
         node("Squeeze", ["v", "s"], ["y"])], ROWS, {"s": np.array([0])}),
    "all in one row": (
        [node("Reshape", ["x", "s"], ["u"]), node("Softmax", ["u"], ["v"], axis=1),
         node("Reshape", ["v", "b"], ["y"])],
        ROWS, {"s": np.array([1, -1]), "b": np.array([-1, 4])}),
    "running sums": ([node("CumSum", ["x", "a"], ["y"])], ROWS, {"a": np.array(0)}),
    "the batch is time": ([node("GRU", ["x", "w", "r"], ["y"], hidden_size=4)],
                          ["n", 3, 2], GRU),
    "examples in another order": ([node("Gather", ["x", "i"], ["y"], axis=0)], ROWS,
                                  {"i": np.array([-1])}),
    "how many there are": (
        [node("Shape", ["x"], ["s"]), node("Cast", ["s"], ["f"], to=1),
         node("ReduceProd", ["f"], ["p"], keepdims=0), node("Div", ["x", "p"], ["y"])], ROWS, {}),
    "normalised as in training": (
        [node("BatchNormalization", ["x", "a", "a", "a", "a"], ["y", "e", "f"], training_mode=1)],
        ["n", 3, 2, 2], {"a": np.ones(3, np.float32)}),
}  # fmt: skip
APART: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {
    "softmax of each": ([node("Softmax", ["x"], ["y"], axis=1)], ROWS, {}),
    "softmax of a new first dim": (
        [node("Unsqueeze", ["x", "s"], ["u"]), node("Softmax", ["u"], ["v"], axis=0),
         node("Squeeze", ["v", "s"], ["y"])], ROWS, {"s": np.array([0])}),
    "each with itself": (
        [node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), node("MatMul", ["x", "t"], ["y"])],
        ["n", 3, 4], {}),
    "recurrent": ([node("GRU", ["x", "w", "r"], ["y"], hidden_size=4, layout=1)],
                  ["n", 3, 2], GRU),
    "recurrent, time first": (
        [node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
         node("GRU", ["t", "w", "r"], ["", "h"], hidden_size=4),
         node("Squeeze", ["h", "s"], ["y"])],
        ["n", 3, 2], {**GRU, "s": np.array([0])}),
    "flattened": ([node("Flatten", ["x"], ["y"])], ["n", 3, 4], {}),
    "merged with heads and split": (
        [node("Reshape", ["x", "s"], ["u"]), node("Softmax", ["u"], ["v"], axis=1),
         node("Reshape", ["v", "b"], ["y"])],
        ["n", 3, 4], {"s": np.array([-1, 4]), "b": np.array([-1, 3, 4])}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(MEET))
def test_examples_that_meet(tmp_path: Path, name: str) -> None:
    """One example as it is; several where their number is said, as onnx's evaluator has them."""
    nodes, shape, weights = MEET[name]
    path = saved(tmp_path, nodes, shape, **weights)
    source = load_graph(path)
    assert source.mixes and not any(p.batched for p in (*source.inputs, *source.outputs))
    assert any("input_shapes" in w for w in source.warnings)
    x = np.random.default_rng(1).normal(size=(3, *shape[1:])).astype(np.float32)
    with pytest.raises(FanlightError, match="E-INPUT-002") as caught:
        fl.load(path)(x)
    assert "examples of a batch meet" in str(caught.value)
    wanted = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})[0]
    made = fl.load(path, input_shapes={"x": x.shape})(x)
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)
    one = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x[:1]})[0]
    np.testing.assert_allclose(fl.load(path)(x[:1]), one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(APART))
def test_examples_that_stay_apart(tmp_path: Path, name: str) -> None:
    nodes, shape, weights = APART[name]
    path = saved(tmp_path, nodes, shape, **weights)
    source = load_graph(path)
    assert source.mixes == () and source.inputs[0].batched
    x = np.random.default_rng(1).normal(size=(3, *shape[1:])).astype(np.float32)
    wanted = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})[0]
    np.testing.assert_allclose(fl.load(path)(x), wanted, rtol=1e-4, atol=1e-5)


def test_what_is_computed_of_large_weights_tells_nothing(tmp_path: Path) -> None:
    """The second look has zeros for them: their sum is no number that follows the batch."""
    table = np.random.default_rng(2).normal(size=(4, 5000)).astype(np.float32)
    nodes = [
        node("ReduceSum", ["w"], ["s"], keepdims=0),
        node("Gather", ["w", "i"], ["row"], axis=1),
        node("Mul", ["x", "s"], ["a"]),
        node("Add", ["a", "row"], ["y"]),
    ]
    source = load_graph(saved(tmp_path, nodes, ROWS, w=table, i=np.array(3)))
    assert source.mixes == () and source.inputs[0].batched


def test_what_takes_one_example_only_stays_as_it_is(tmp_path: Path) -> None:
    """A shape of [1, 2, 2] in the file: nothing else was ever computed with it."""
    path = saved(tmp_path, [node("Reshape", ["x", "s"], ["y"])], ROWS, s=np.array([1, 2, 2]))
    source = load_graph(path)
    assert source.mixes == () and source.inputs[0].batched


def test_a_free_batch_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, *MEET["softmax over the batch"][:2])
    with pytest.raises(FanlightError, match="E-CONVERT-002") as caught:
        convert(path, tmp_path / "out.onnx", dynamic=["batch"])
    assert "softmax" in str(caught.value)
    convert(path, tmp_path / "out.onnx")
    dims = onnx.load(tmp_path / "out.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims] == [1, 4]


def test_the_second_look_takes_no_memory_for_weights(tmp_path: Path) -> None:
    """Kernels are turned when a model is read: not once more for the look at its batch."""
    kernel = np.ones((256, 256, 3, 3), np.float32)
    nodes = [node("Conv", ["x", "k"], ["y"])]
    free = saved(tmp_path, nodes, ["n", 256, 3, 3], k=kernel)
    load_graph(free)  # what is imported and cached once does not count
    peaks = []
    for shapes in ({"x": (2, 256, 3, 3)}, {}):  # of a given batch nothing is to be found out
        tracemalloc.start()
        source = load_graph(free, input_shapes=shapes)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert source.inputs[0].batched == (not shapes)
    assert peaks[1] < peaks[0] + kernel.nbytes / 8


def test_tflite(tmp_path: Path) -> None:
    def graph(axis: int) -> Graph:
        shapes = {0: (1, 4), 1: (4,)}
        return Graph(
            [Tensor((1, 4), free=(-1, 4)), constant(np.array([axis], np.int32)),
             Tensor(shapes[axis], free=((4,), (-1,))[axis])],
            [0], [2], [Op("MEAN", [0, 1], [2], 27)],
        )  # fmt: skip

    for axis, meet in ((0, True), (1, False)):
        (tmp_path / "m.tflite").write_bytes(write(graph(axis)))
        source = load_graph(tmp_path / "m.tflite")
        assert bool(source.mixes) == meet, axis
        assert source.inputs[0].batched != meet


def test_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the programs are made with torch")

    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.dim = dim

        def forward(self, x: Any) -> Any:
            return torch.softmax(x * 2.0, dim=self.dim)

    for dim, meet in ((0, True), (1, False)):
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(Net(dim), (torch.ones(3, 4),), dynamic_shapes=({0: batch},))
        torch.export.save(program, tmp_path / "m.pt2")
        source = load_graph(tmp_path / "m.pt2")
        assert bool(source.mixes) == meet, dim
        assert source.inputs[0].batched != meet
