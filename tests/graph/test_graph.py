"""Building, verifying, evaluating and editing graphs, and the errors of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, Node, Value, evaluate, evaluate_values, parse, verify
from fanlight.graph.rewrite import Editor, rebuild, remove_dead, use_counts
from fanlight.ops.types import Dim, TensorType


def small() -> Graph:
    return parse(
        """graph small(%x: f32[2, 3], %i: i32[3]) {
          weight %c: f32[3] = [1.0, 2.0, 3.0]
          %a = add(%x, %c)
          %b = relu(%a)
          %f = cast(%i) {dtype="float32"}
          %y = mul(%b, %f)
          return y=%y, b=%b
        }"""
    )


def code_of(function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(FanlightError) as caught:
        function(*args, **options)
    return caught.value.code


# --- building -------------------------------------------------------------------------------------


def test_names_are_unique_and_clean() -> None:
    builder = Builder()
    names = [builder.input(n, ()).name for n in ("a", "a", "a b", "a_b", "", "x/y.z-1")]
    assert names == ["a", "a_2", "a_b", "a_b_2", "v", "x/y.z-1"]


def test_weights_are_narrowed_and_not_copied() -> None:
    builder = Builder()
    assert builder.weight(np.zeros((2, 2))).type == TensorType((2, 2), "float32")
    assert builder.weight(np.array(7)).type == TensorType((), "int32")
    array = np.zeros(4, np.float32)
    value = builder.weight(array)
    assert np.shares_memory(builder.array(value), array)
    assert code_of(builder.weight, np.zeros(2, np.complex64), "c") == "E-OP-003"


def test_calls_are_checked() -> None:
    builder = Builder()
    x = builder.input("x", (2, 3))
    assert code_of(builder.add, "nothing", x) == "E-OP-006"
    assert code_of(builder.add, "relu", x, x) == "E-OP-001"
    assert code_of(builder.add, "relu", x, alpha=1) == "E-OP-002"
    assert code_of(builder.add, "clip", x, lo=1) == "E-OP-002"
    assert code_of(builder.add, "relu", Builder().input("x", (2, 3))) == "E-GRAPH-001"
    assert code_of(builder.finish, {}) == "E-GRAPH-005"
    with pytest.raises(FanlightError, match="conv2d") as caught:
        builder.add("conv2d", x, x, name="block1/Conv2D")
    assert "block1/Conv2D" in str(caught.value)


def test_a_graph_goes_into_another() -> None:
    builder = Builder()
    x = builder.input("a", (2, 3))
    outputs = builder.inline(small(), {"x": x, "i": builder.input("b", (3,), "int32")})
    graph = verify(builder.finish(outputs))
    x_array = np.float32([[-5, 0, 1], [1, 2, 3]])
    ones = np.ones(3, np.int32)
    expected = evaluate(small(), {"x": x_array, "i": ones})
    received = evaluate(graph, {"a": x_array, "b": ones})
    np.testing.assert_array_equal(received["y"], expected["y"])


# --- verifying ------------------------------------------------------------------------------------


def test_faults_are_found() -> None:
    graph = small()
    a, b, f, y = graph.nodes
    assert verify(graph) is graph
    assert code_of(verify, replace(graph, outputs=())) == "E-GRAPH-005"
    assert code_of(verify, replace(graph, nodes=(b, a, f, y))) == "E-GRAPH-001"
    assert code_of(verify, replace(graph, nodes=(a, b, f))) == "E-GRAPH-001"
    assert code_of(verify, replace(graph, weights={})) == "E-GRAPH-001"
    assert code_of(verify, replace(graph, nodes=(a, a, b, f, y))) == "E-GRAPH-002"
    twin = Value("a", b.output.type)
    clash = (Node("relu", (a.output,), (twin,), {}, "b"),)
    named = replace(graph, nodes=(a, *clash), outputs=(("y", twin),))
    assert code_of(verify, named) == "E-GRAPH-002"
    wrong = Node("relu", (a.output,), (Value("w", TensorType((7,))),), {}, "w")
    typed = replace(graph, nodes=(a, wrong), outputs=(("w", wrong.output),))
    assert code_of(verify, typed) == "E-GRAPH-003"
    without_attrs = replace(f, attrs={})
    assert code_of(verify, replace(graph, nodes=(a, b, without_attrs, y))) == "E-OP-002"
    (c,) = graph.weights
    for array in (np.zeros(4, np.float32), np.zeros(3)):
        assert code_of(verify, replace(graph, weights={c: array})) == "E-GRAPH-006"


# --- evaluating -----------------------------------------------------------------------------------

X, WHOLE = np.zeros((2, 3), np.float32), np.zeros(3, np.int32)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, "E-INPUT-001"),
        ({"x": X}, "E-INPUT-001"),
        ({"x": X, "i": WHOLE, "z": WHOLE}, "E-INPUT-001"),
        ({"x": X[0], "i": WHOLE}, "E-INPUT-002"),
        ({"x": X[:1], "i": WHOLE}, "E-INPUT-002"),
        ({"x": WHOLE, "i": WHOLE}, "E-INPUT-003"),
        ({"x": X, "i": X[0]}, "E-INPUT-003"),
        ({"x": np.zeros((2, 3), bool), "i": WHOLE}, "E-INPUT-003"),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict, code: str) -> None:
    assert code_of(evaluate, small(), inputs) == code


def test_wide_and_strided_inputs_are_taken() -> None:
    x = np.arange(12, dtype=np.float64).reshape(3, 4).T[:2]
    results = evaluate(small(), {"x": x, "i": [1, 2, 3]})
    c = np.array([1, 2, 3])
    np.testing.assert_array_equal(results["b"], np.float32(x + c))
    np.testing.assert_array_equal(results["y"], np.float32((x + c) * c))
    assert results["y"].dtype == np.float32


def test_symbolic_sizes() -> None:
    builder = Builder()
    side = Dim("side", 8, 2)
    image = builder.input("image", (side, side, 4), "uint8")
    graph = builder.finish({"y": builder.add("resize_image", image, size=(3, 3))})
    for n in (2, 8):
        result = evaluate(graph, {"image": np.full((n, n, 4), 7, np.uint8)})
        np.testing.assert_allclose(result["y"], np.full((1, 3, 3, 3), 7.0))
    for shape in ((1, 1, 4), (9, 9, 4), (3, 4, 4)):
        assert code_of(evaluate, graph, {"image": np.zeros(shape, np.uint8)}) == "E-INPUT-004"


def test_values_inside_can_be_asked_for() -> None:
    graph = small()
    wanted = [graph.nodes[0].output, graph.inputs[0], *graph.weights]
    arrays = evaluate_values(graph, {"x": X, "i": WHOLE}, wanted)
    assert set(arrays) == set(wanted)
    np.testing.assert_array_equal(arrays[wanted[0]], np.float32([[1, 2, 3]] * 2))


def test_an_input_or_a_weight_may_be_an_output() -> None:
    builder = Builder()
    x, c = builder.input("x", (2,)), builder.weight(np.float32([1, 2]))
    graph = verify(builder.finish({"x": x, "c": c}))
    results = evaluate(graph, {"x": np.float32([3, 4])})
    assert [a.tolist() for a in results.values()] == [[3, 4], [1, 2]]


# --- editing --------------------------------------------------------------------------------------


def test_an_edit_without_changes_is_the_same_graph() -> None:
    graph = small()
    assert rebuild(graph, lambda editor, node, inputs: None) is graph


def test_what_an_edit_keeps_stays_the_same_object() -> None:
    graph = small()

    def visit(editor: Editor, node: Node, inputs: list[Value]) -> Any:
        return [inputs[0]] if node.op == "relu" else None

    after = verify(rebuild(graph, visit))
    assert [n.op for n in after.nodes] == ["add", "cast", "mul"]
    assert after.nodes[0] is graph.nodes[0]
    assert after.nodes[2].outputs == graph.nodes[3].outputs
    assert dict(after.outputs)["b"] is graph.nodes[0].output
    assert all(after.weights[v] is array for v, array in graph.weights.items())
    assert [n.op for n in graph.nodes] == ["add", "relu", "cast", "mul"]


def test_an_edit_that_changes_types_is_refused() -> None:
    def wrong_value(editor: Editor, node: Node, inputs: list[Value]) -> Any:
        return [inputs[0]] if node.op == "cast" else None

    def wrong_op(editor: Editor, node: Node, inputs: list[Value]) -> Any:
        return editor.become(node, "abs", *inputs) if node.op == "cast" else None

    def too_early(editor: Editor, node: Node, inputs: list[Value]) -> Any:
        later = small().nodes[2].output
        return editor.become(node, "relu", later) if node.op == "add" else None

    assert code_of(rebuild, small(), wrong_value) == "E-GRAPH-007"
    assert code_of(rebuild, small(), wrong_op) == "E-GRAPH-007"
    assert code_of(rebuild, small(), too_early) in ("E-GRAPH-001", "E-GRAPH-007")


def test_uses_and_dead_code() -> None:
    graph = small()
    a, b, f, _ = (n.output for n in graph.nodes)
    counts = use_counts(graph)
    assert (counts[a], counts[b], counts[f]) == (1, 2, 1)
    assert remove_dead(graph) is graph
    less = remove_dead(replace(graph, outputs=(("b", b),)))
    assert [n.op for n in less.nodes] == ["add", "relu"]
    assert less.inputs == graph.inputs


def test_names_are_counted_on_and_stay_what_they_were() -> None:
    class Asked(set):
        questions = 0

        def __contains__(self, name: object) -> bool:
            self.questions += 1
            return super().__contains__(name)

    b = Builder()
    b._names = asked = Asked(("relu_3",))
    names = [b.fresh("relu") for _ in range(300)]
    assert names == ["relu", "relu_2", *(f"relu_{i}" for i in range(4, 302))]
    assert asked.questions < 2 * len(names) + 3
    assert b.fresh("relu_2") == "relu_2_2"
