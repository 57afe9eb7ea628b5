"""A network written for channels first loses its transposes; others are left as they are."""

from __future__ import annotations

import numpy as np

from fanlight.graph import Builder, Value, parse
from fanlight.passes import optimize
from fanlight.passes.core import Context
from fanlight.passes.sink_transposes import SinkTransposes
from tests.passes.support import assert_same_meaning

RNG = np.random.default_rng(4)


class ChannelsFirst(Builder):
    """[N, C, H, W] layers, each wrapped in transposes, as an importer writes them."""

    def w(self, *shape: int) -> Value:
        return self.weight(np.float32(RNG.normal(size=shape)))

    def wrapped(self, op: str, x: Value, *rest: Value, **attrs: object) -> Value:
        inside = self.add("transpose", x, perm=(0, 2, 3, 1))
        return self.add("transpose", self.add(op, inside, *rest, **attrs), perm=(0, 3, 1, 2))


def test_a_residual_network_of_channels_first() -> None:
    net = ChannelsFirst("nchw")
    x = net.input("x", (1, 8, 8, 3))
    value = net.add("transpose", x, perm=(0, 3, 1, 2))
    value = net.add("sub", value, net.w(3, 1, 1))
    value = net.wrapped("conv2d", value, net.w(3, 3, 3, 4))
    value = net.add("relu", net.add("add", value, net.w(4, 1, 1)))
    branch = net.add("pad", value, paddings=((0, 0), (0, 0), (1, 1), (1, 1)))
    branch = net.wrapped("conv2d", branch, net.w(3, 3, 4, 4))
    value = net.add("add", value, net.add("mul", branch, net.w(1, 4, 1, 1)))
    value = net.add("concat", value, net.wrapped("max_pool", value, size=(1, 1)), axis=1)
    value = net.add("mean", value, axes=(2, 3))
    value = net.add("matmul", value, net.w(8, 5))
    graph = net.finish({"y": value})
    after = optimize(graph, verify=True)
    assert_same_meaning(graph, after)
    assert "transpose" not in [n.op for n in after.nodes]
    assert len(after.nodes) <= 7


def test_what_would_not_get_cheaper_is_left() -> None:
    graph = parse(
        """graph g(%x: f32[2, 3, 4]) {
          %t = transpose(%x) {perm=[2, 0, 1]}
          %a = relu(%t)
          %b = neg(%t)
          return a=%a, b=%b
        }"""
    )
    assert SinkTransposes().run(graph, Context()) is graph


def test_a_reduction_in_front_of_a_transpose_leaves_less_to_move() -> None:
    graph = parse(
        """graph g(%x: f32[2, 3, 4, 5]) {
          %t = transpose(%x) {perm=[3, 1, 0, 2]}
          %m = mean(%t) {axes=[1], keepdims=true}
          %n = sum(%m) {axes=[-1, 1]}
          return n=%n
        }"""
    )
    after = SinkTransposes().run(graph, Context())
    assert_same_meaning(graph, after)
    assert sum(n.output.type.size for n in after.nodes if n.op == "transpose") <= 10
