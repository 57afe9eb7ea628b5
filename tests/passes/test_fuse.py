"""What is fused into producers and into one another, and what must not be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.graph import Builder, Graph, Value, evaluate, parse, verify
from fanlight.jit import Program
from fanlight.ops import scalar as sc
from fanlight.passes.core import Context
from fanlight.passes.fuse_elementwise import MAX_COST, MAX_INPUTS, FuseElementwise
from fanlight.passes.fuse_epilogue import MAX_EXTRAS, FuseEpilogue
from fanlight.passes.sink_movement import SinkMovement
from tests.passes.support import assert_same_meaning

RNG = np.random.default_rng(2)


class Net(Builder):
    """A builder with an image and a 1x1 convolution at hand."""

    def __init__(self) -> None:
        super().__init__("net")
        self.x = self.input("x", (1, 3, 3, 4))

    def w(self, *shape: int) -> Value:
        return self.weight(np.float32(RNG.normal(size=shape)))

    def conv(self, x: Value | None = None) -> Value:
        return self.add("conv2d", x or self.x, self.w(1, 1, 4, 4))


def epilogue(graph: Graph) -> Graph:
    after = verify(FuseEpilogue().run(graph, Context()))
    assert_same_meaning(graph, after)
    return after


def fuse(graph: Graph) -> Graph:
    after = verify(FuseElementwise().run(graph, Context()))
    assert_same_meaning(graph, after)
    return after


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


# --- epilogues ------------------------------------------------------------------------------------


def test_the_later_of_two_convolutions_takes_their_sum() -> None:
    net = Net()
    first = net.add("relu", net.add("add", net.conv(), net.w(4)))
    second = net.add("relu6", net.add("add", net.conv(first), net.w(4)))
    third = net.add("add", net.add("add", net.conv(first), net.w(1, 1, 1, 4)), second)
    after = epilogue(net.finish({"y": third}))
    assert ops(after) == ["conv2d", "conv2d", "conv2d"]
    assert [len(n.inputs) for n in after.nodes] == [3, 3, 4]
    assert after.nodes[2].attrs["epilogue"] == "add(add(a0, a1), a2)"


def test_an_operand_that_comes_later_delays_the_convolution() -> None:
    net = Net()
    early = net.conv()
    late = net.add("max_pool", net.x, size=(1, 1), strides=(1, 1))
    y = net.add("add", early, net.add("abs", late))
    after = epilogue(net.finish({"y": y}))
    assert ops(after) == ["max_pool", "abs", "conv2d"]


@pytest.mark.parametrize("op", ["swish by hand", "hard swish by hand", "select"])
def test_branches_that_meet_again_are_fused(op: str) -> None:
    net = Net()
    c = net.conv()
    three, six = net.weight(np.float32(3)), net.weight(np.float32(6))
    if op == "swish by hand":
        y = net.add("mul", c, net.add("sigmoid", c))
    elif op == "hard swish by hand":
        y = net.add("div", net.add("mul", c, net.add("relu6", net.add("add", c, three))), six)
    else:  # a bool in between
        y = net.add("select", net.add("less", c, three), net.add("mul", c, six), c)
    after = epilogue(net.finish({"y": y}))
    assert ops(after) == ["conv2d"]
    assert len(after.nodes[0].inputs) == 2


def test_a_depthwise_convolution_and_a_product_have_epilogues() -> None:
    net = Net()
    d = net.add("depthwise_conv2d", net.x, net.w(2, 2, 4, 2))
    y = net.add("prelu", d, net.w(1, 1, 8))
    m = net.add("matmul", net.input("m", (2, 5)), net.w(5, 3))
    z = net.add("tanh", net.add("add", m, net.w(3)))
    after = epilogue(net.finish({"y": y, "z": z}))
    assert ops(after) == ["depthwise_conv2d", "matmul"]


def test_what_must_stay_outside_an_epilogue() -> None:
    net = Net()
    seen = net.conv()  # an output itself
    rows = net.add("mul", net.conv(), net.w(1, 3, 1, 1))  # an operand per row
    whole = net.add("mul", net.conv(), net.input("batch", (5, 3, 3, 4)))  # a larger result
    turned = net.add("transpose", net.conv(), perm=(0, 2, 1, 3))  # no elementwise op
    positive = net.add("greater", net.conv(), net.weight(np.float32(0)))  # another dtype
    two = net.conv()  # two users that never meet
    outputs = {"seen": seen, "a": net.add("relu", seen), "rows": rows, "whole": whole}
    outputs |= {"turned": turned, "positive": positive}
    outputs |= {"b": net.add("relu", two), "c": net.add("neg", two)}
    graph = net.finish(outputs)
    assert epilogue(graph) is graph


def test_an_epilogue_has_few_operands_and_the_rest_stays() -> None:
    net = Net()
    value = net.conv()
    for _ in range(MAX_EXTRAS + 2):
        value = net.add("relu", net.add("add", value, net.w(4)))
    after = epilogue(net.finish({"y": value}))
    assert len(after.nodes[0].inputs) == 2 + MAX_EXTRAS
    assert ops(after) == ["conv2d", "add", "relu", "add", "relu"]


def test_an_epilogue_grows_on_an_epilogue() -> None:
    net = Net()
    bias = net.w(4)
    c = net.add("conv2d", net.x, net.w(1, 1, 4, 4), bias, epilogue="add(a0, a1)")
    y = net.add("mul", net.add("relu", c), bias)
    after = epilogue(net.finish({"y": y}))
    assert [n.attrs["epilogue"] for n in after.nodes] == ["mul(max(add(a0, a1), 0), a1)"]


@settings(max_examples=40)
@given(st.data())
def test_whatever_broadcasts_to_a_result_may_stand_in_its_epilogue(data: st.DataObject) -> None:
    """What no kernel reads in an epilogue ([3, 3, 4], [1, 3, 1, 4], ...) is computed after it."""
    net, shape = Net(), (1, 3, 3, 4)
    dims = tuple(n if data.draw(st.booleans()) else 1 for n in shape)
    extra = net.input("e", dims[data.draw(st.integers(0, 4)) :])
    y = net.add("conv2d", net.x, net.w(1, 1, 4, 4), extra, epilogue="max(add(a0, a1), 0)")
    graph = net.finish({"y": y})
    inputs = {v.name: np.float32(RNG.normal(size=v.shape)) for v in graph.inputs}
    (want,) = evaluate(graph, inputs).values()
    found = Program(graph).run([inputs[v.name] for v in graph.inputs])
    np.testing.assert_allclose(found[0], want, rtol=1e-5, atol=1e-5)
    epilogue(graph)


# --- elementwise ----------------------------------------------------------------------------------


def test_nothing_is_computed_twice() -> None:
    # exp is read by two groups: it stays a node.
    graph = parse(
        """graph g(%x: f32[4]) {
          %e = exp(%x)
          %a = neg(%e)
          %s = sum(%a) {axes=[0]}
          %b = mul(%e, %s)
          %y = tanh(%b)
          return y=%y
        }"""
    )
    after = fuse(graph)
    assert ops(after) == ["exp", "neg", "sum", "fused"]


def test_a_smaller_operand_is_not_recomputed_for_each_element() -> None:
    graph = parse(
        """graph g(%x: f32[3, 4], %s: f32[4]) {
          %e = exp(%s)
          %f = neg(%e)
          %m = mul(%x, %f)
          %y = abs(%m)
          return y=%y
        }"""
    )
    assert [(n.op, len(n.inputs)) for n in fuse(graph).nodes] == [("fused", 1), ("fused", 2)]


def test_diamonds_and_numbers_fuse_into_one_body() -> None:
    graph = parse(
        """graph g(%x: f32[4], %i: i32[4], %u: u8[4]) {
          weight %half: f32[1] = [0.5]
          weight %two: i32[] = [2]
          %a = mul(%x, %half)
          %b = tanh(%a)
          %c = mul(%i, %two)
          %d = cast(%c) {dtype="uint8"}
          %e = add(%d, %u)
          %f = cast(%e) {dtype="float32"}
          %g = add(%a, %b)
          %h = add(%g, %f)
          %p = greater(%h, %x)
          %y = select(%p, %h, %x)
          return y=%y
        }"""
    )
    after = fuse(graph)
    assert [(n.op, len(n.inputs)) for n in after.nodes] == [("fused", 3)]
    assert not after.weights


def test_a_group_has_limits() -> None:
    builder = Builder()
    values = [builder.input(f"x{i}", (4,)) for i in range(MAX_INPUTS + 3)]
    value = values[0]
    for other in values[1:]:
        value = builder.add("add", value, other)
    after = fuse(builder.finish({"y": value}))
    assert all(len(n.inputs) <= MAX_INPUTS for n in after.nodes)
    assert ops(after) == ["fused", "fused"]

    builder = Builder()
    value = builder.input("x", (4,))
    for _ in range(30):
        value = builder.add("gelu", value)
    after = fuse(builder.finish({"y": value}))
    costs = [sc.cost(sc.parse(n.attrs["body"])) for n in after.nodes]
    assert max(costs) <= MAX_COST
    assert len(costs) < 8


def test_a_result_keeps_the_shape_that_a_number_gave_it() -> None:
    graph = parse(
        """graph g(%x: f32[4]) {
          weight %one: f32[1, 1] = [1.0]
          %a = relu(%x)
          %b = add(%a, %one)
          %y = neg(%b)
          return y=%y
        }"""
    )
    after = fuse(graph)
    assert after.outputs[0][1].shape == (1, 4)


def test_outputs_in_the_middle_stay_visible() -> None:
    graph = parse(
        """graph g(%x: f32[4]) {
          %a = neg(%x)
          %b = exp(%a)
          %c = abs(%b)
          return b=%b, c=%c
        }"""
    )
    assert ops(fuse(graph)) == ["fused", "abs"]


# --- movement in between --------------------------------------------------------------------------


def test_arithmetic_moves_in_front_of_a_sub_pixel_shuffle_and_a_crop() -> None:
    net = Net()
    c = net.add("conv2d", net.x, net.w(1, 1, 4, 8))
    value = net.add("depth_to_space", c, block=2)
    value = net.add("slice", value, begin=(0, 0, 1, 0), size=(1, 6, 5, 2))
    value = net.add("add", value, net.w(2))
    value = net.add("relu", net.add("mul", value, net.w(1, 1, 1, 1)))
    graph = net.finish({"y": value})
    after = verify(SinkMovement().run(graph, Context()))
    assert_same_meaning(graph, after)
    assert ops(after) == ["conv2d", "add", "mul", "relu", "depth_to_space", "slice"]
    assert ops(epilogue(after)) == ["conv2d", "depth_to_space", "slice"]


def test_a_residual_moves_in_front_of_a_reshape() -> None:
    net = Net()
    other = net.input("r", (1, 2, 3))
    m = net.add("reshape", net.add("matmul", net.input("m", (2, 5)), net.w(5, 3)), shape=(1, 2, 3))
    m = net.add("mul", m, net.add("sigmoid", m))
    graph = net.finish({"y": net.add("add", m, other)})
    after = verify(SinkMovement().run(graph, Context()))
    assert_same_meaning(graph, after)
    assert ops(epilogue(after)) == ["reshape", "matmul", "reshape"]


def test_arithmetic_does_not_move_where_it_gains_nothing() -> None:
    net = Net()
    a = net.add("slice", net.conv(), begin=(0, 0, 0, 0), size=(1, 1, 1, 4))  # a small part
    b = net.add("slice", net.conv(), begin=(0, 0, 0, 1), size=(1, 3, 3, 3))  # other channels
    c = net.add("reshape", net.conv(), shape=(1, 36))  # other channels, too
    d = net.add("reshape", net.x, shape=(9, 4))  # nothing to grow from
    outputs = {name: net.add("add", v, net.w(v.shape[-1])) for name, v in zip("abcd", (a, b, c, d))}
    graph = net.finish(outputs)
    assert SinkMovement().run(graph, Context()) is graph
