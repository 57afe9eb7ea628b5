"""Graphs print, and what is printed parses to the same graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import Builder, Graph, evaluate, parse, to_text, verify
from fanlight.ops.types import Dim
from tests.passes.support import RandomGraph, random_inputs

NET = """graph "net"(%x: f32[1, 4]) {
  weight %w: f32[4, 2] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
  %m: f32[1, 2] = matmul(%x, %w) {transpose_a=false, transpose_b=false} @ "dense/MatMul"
  %y: f32[1, 2] = relu(%m)
  return "y"=%y
}
"""


def _weights(graph: Graph) -> dict[str, np.ndarray]:
    return {v.name: array for v, array in graph.weights.items()}


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 12))
def test_round_trip(seed: int, steps: int) -> None:
    graph = verify(RandomGraph(seed, steps).graph)
    again = verify(parse(to_text(graph), _weights(graph)))
    assert to_text(again) == to_text(graph)
    inputs = random_inputs(graph)
    for name, array in evaluate(graph, inputs).items():
        np.testing.assert_array_equal(evaluate(again, inputs)[name], array)


def test_the_specimen_prints_as_it_is_written() -> None:
    graph = verify(parse(NET))
    assert to_text(graph) == str(graph) == NET
    assert graph.nodes[0].name == "dense/MatMul"


def test_types_defaults_comments_and_blank_lines_may_be_left_out() -> None:
    graph = parse(
        """
        # a comment
        graph net(%x: f32[1, 4]) {

          weight %w: f32[4, 2] = [1, 2, 3, 4, 5, 6, 7, 8]
          %m = matmul(%x, %w) @ "dense/MatMul"
          %y = relu(%m)
          return y=%y
        }"""
    )
    assert to_text(graph) == NET


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, float("inf"), float("-inf")])


@given(values=st.lists(NUMBERS, min_size=1, max_size=16))
def test_small_float_weights_are_exact(values: list[float]) -> None:
    builder = Builder()
    array = np.array(values, np.float32)
    graph = builder.finish({"y": builder.add("neg", builder.weight(array))})
    (again,) = parse(to_text(graph)).weights.values()
    np.testing.assert_array_equal(again, array)
    np.testing.assert_array_equal(np.signbit(again), np.signbit(array))


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "uint8"])
def test_weights_of_every_dtype(dtype: str) -> None:
    builder = Builder()
    array = np.array([[0, 1], [1, 1]], dtypes.to_numpy(dtype))
    graph = builder.finish({"y": builder.add("reshape", builder.weight(array), shape=(4,))})
    (again,) = parse(to_text(graph)).weights.values()
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_symbols_names_and_attributes_of_every_kind() -> None:
    builder = Builder('a "name" with\nanything')
    image = builder.input("image", (Dim("height", 64, 2), Dim("width", 32), 4), "uint8")
    x = builder.add("resize_image", image, size=(4, 6), crop="center", name='layer "1"/resize')
    x = builder.add("clip", x, lo=float("-inf"), hi=1e-7)
    x = builder.add("fused", x, body="select(lt(a0, 1e-08), inf, a0)")
    graph = builder.finish({"out:0": x, 'odd "name"': x})
    again = verify(parse(to_text(graph)))
    assert to_text(again) == to_text(graph)
    assert again.inputs[0].type == image.type
    assert again.inputs[0].shape[0] is not again.inputs[0].shape[1]
    assert [n for n, _ in again.outputs] == ["out:0", 'odd "name"']
    assert again.nodes[1].attrs["lo"] == float("-inf")


def test_several_outputs_of_a_node() -> None:
    builder = Builder()
    values, indices = builder.add("top_k", builder.input("x", (5,)), k=2, outputs=("v", "i"))
    graph = builder.finish({"values": values, "indices": indices})
    assert "%v: f32[2], %i: i32[2] = top_k(%x)" in to_text(graph)
    assert to_text(parse(to_text(graph))) == to_text(graph)


BAD = [
    # text that replaces a line of NET -> code, line number
    ("", "", "E-GRAPH-004", None),
    ('graph "net"(', "graf net(", "E-GRAPH-004", 1),
    ("f32[1, 4])", "f33[1, 4])", "E-GRAPH-004", 1),
    ("f32[1, 4])", "f32[1, -4])", "E-GRAPH-004", 1),
    ("%x: f32[1, 4]", "x: f32[1, 4]", "E-GRAPH-004", 1),
    ("[1.0, 2.0, ", "[1.0, ", "E-GRAPH-004", 2),
    ("[1.0, 2.0, ", "[1.0, two, ", "E-GRAPH-004", 2),
    (" = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]", "", "E-GRAPH-006", 2),
    ("matmul(%x, %w)", "matmul(%x, %u)", "E-GRAPH-004", 3),
    ("matmul(%x, %w)", "matmul(%x, w)", "E-GRAPH-004", 3),
    ("matmul(%x, %w)", "matmul %x, %w", "E-GRAPH-004", 3),
    ("matmul(%x, %w)", "matmull(%x, %w)", "E-OP-006", None),
    ("matmul(%x, %w)", "matmul(%x)", "E-OP-001", None),
    ("transpose_a=false", "transpose_a=False", "E-GRAPH-004", 3),
    ("transpose_a=false", "transpose_a", "E-GRAPH-004", 3),
    ("transpose_a=false", "transposed=false", "E-OP-002", None),
    ("%m: f32[1, 2] =", "%m: f32[2, 1] =", "E-GRAPH-003", 3),
    ("%m: f32[1, 2] =", "%x: f32[1, 2] =", "E-GRAPH-002", 3),
    ("%m: f32[1, 2] =", "%m: f32[1, 2], %n: f32[1, 2] =", "E-GRAPH-004", 3),
    ('"y"=%y', '"y"=%z', "E-GRAPH-004", 5),
    ('"y"=%y', "%y", "E-GRAPH-004", 5),
    ('  return "y"=%y\n', "", "E-GRAPH-004", None),
]


@pytest.mark.parametrize(("old", "new", "code", "line"), BAD)
def test_what_does_not_parse(old: str, new: str, code: str, line: int | None) -> None:
    text = NET.replace(old, new) if old else ""
    assert text != NET
    with pytest.raises(FanlightError) as caught:
        parse(text)
    assert caught.value.code == code
    if line is not None:
        assert f"line {line}" in str(caught.value)


def test_an_array_of_another_type_is_refused() -> None:
    text = to_text(parse(NET)).replace(" = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]", "")
    parse(text, {"w": np.zeros((4, 2), np.float32)})
    for array in (np.zeros((2, 4), np.float32), np.zeros((4, 2), np.int32)):
        with pytest.raises(FanlightError) as caught:
            parse(text, {"w": array})
        assert caught.value.code == "E-GRAPH-006"


@given(text=st.text(max_size=60) | st.text(alphabet='graph%xy:f32[]{}(), =\n"@1', max_size=80))
def test_any_text_parses_or_has_a_coded_error(text: str) -> None:
    try:
        parse(text)
    except FanlightError as error:
        assert error.code.startswith(("E-GRAPH-", "E-OP-"))


@given(data=st.data())
def test_damaged_text_parses_or_has_a_coded_error(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(NET) - 1))
    junk = data.draw(st.text(alphabet='%[]{}(),="@:\\ 01ax\n', max_size=3))
    length = data.draw(st.integers(0, 4))
    try:
        parse(NET[:position] + junk + NET[position + length :])
    except FanlightError as error:
        assert error.code.startswith(("E-GRAPH-", "E-OP-"))
