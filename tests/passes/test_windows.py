"""Pads, dilation and explicit padding of convolutions."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.graph import Builder, Graph, Value
from fanlight.passes import Pass, optimize
from fanlight.passes.absorb_pad import AbsorbPad
from fanlight.passes.core import EXPLICIT_PADDING, Context
from fanlight.passes.explicit_padding import ExplicitPadding
from fanlight.passes.restore_dilation import RestoreDilation
from tests.passes.support import assert_same_meaning

RNG = np.random.default_rng(6)
FRAME = ((0, 0), (1, 2), (0, 3), (0, 0))


class Net(Builder):
    def __init__(self) -> None:
        super().__init__("net")
        self.x = self.input("x", (1, 6, 7, 2))

    def conv(self, x: Value, op: str = "conv2d", **attrs: object) -> Value:
        w = self.weight(np.float32(RNG.normal(size=(3, 2, 2, 3))))
        return self.add(op, x, w, **attrs)


def check(step: Pass, graph: Graph) -> list[str]:
    after = step.run(graph, Context())
    assert_same_meaning(graph, after)
    assert_same_meaning(graph, optimize(graph, verify=True))
    return [n.op for n in after.nodes]


# --- pads that a convolution takes over -----------------------------------------------------------


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
def test_a_pad_and_a_padding_add_up(op: str) -> None:
    net = Net()
    padded = net.add("pad", net.x, paddings=FRAME)
    y = net.conv(padded, op, padding=((1, 0), (0, 1)), strides=(2, 1), dilations=(1, 2))
    assert check(AbsorbPad(), net.finish({"y": y})) == [op]


def test_two_convolutions_take_one_pad() -> None:
    net = Net()
    padded = net.add("pad", net.x, paddings=FRAME)
    ends = {"a": net.conv(padded), "b": net.conv(padded, "depthwise_conv2d")}
    assert check(AbsorbPad(), net.finish(ends)) == ["conv2d", "depthwise_conv2d"]


def test_pads_that_stay() -> None:
    net = Net()
    zeros = net.add("pad", net.x, paddings=FRAME)
    other = net.add("pad", net.x, paddings=FRAME, value=1.0)
    channels = net.add("pad", net.input("c", (1, 6, 7, 1)), paddings=((0, 0),) * 3 + ((0, 1),))
    shared = net.add("pad", net.x, paddings=FRAME)
    seen = net.add("pad", net.add("relu", net.x), paddings=FRAME)
    ends = {
        "pool": net.add("max_pool", zeros, size=(2, 2)),
        "one": net.conv(other),
        "channels": net.conv(channels),
        "shared": net.conv(shared),
        "elsewhere": net.add("tanh", shared),
        "seen": seen,
        "seen conv": net.conv(seen),
    }
    graph = net.finish(ends)
    assert AbsorbPad().run(graph, Context()) is graph
    assert_same_meaning(graph, optimize(graph, verify=True))


def test_paddings_alike_are_made_once() -> None:
    net = Net()
    padding = ((1, 1), (0, 1))
    ends = {name: net.conv(net.x, padding=padding) for name in "ab"}
    ends["c"] = net.conv(net.x, padding=((1, 1), (1, 1)))
    ends["d"] = net.conv(net.x, "depthwise_conv2d", padding=padding)
    graph = net.finish(ends)
    assert EXPLICIT_PADDING.fault(graph) is not None
    ops = check(ExplicitPadding(), graph)
    assert ops == ["pad", "conv2d", "conv2d", "pad", "conv2d", "depthwise_conv2d"]


# --- dilation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
@pytest.mark.parametrize("block", [(2, 2), (2, 1), (1, 4)])
@pytest.mark.parametrize("same", [False, True])
def test_dilation_is_restored(op: str, block: tuple[int, int], same: bool) -> None:
    net = Net()
    # As TensorFlow: the padding of the dilated window, then as much as fills the blocks.
    base = [(b * (k - 1) // 2, b * (k - 1) - b * (k - 1) // 2) for b, k in zip(block, (3, 2))]
    if not same:
        base = [(0, 0), (0, 0)]
    extra = [-(n + sum(p)) % b for n, b, p in zip((6, 7), block, base)]
    paddings = tuple((p, q + e) for (p, q), e in zip(base, extra))
    value = net.add("space_to_batch", net.x, block=block, paddings=paddings)
    value = net.conv(value, op)
    crops = tuple((0, e) for e in extra)
    value = net.add("batch_to_space", value, block=block, crops=crops)
    assert check(RestoreDilation(), net.finish({"y": value})) == [op]


def test_a_detour_that_is_no_dilation_stays() -> None:
    net = Net()
    value = net.add("space_to_batch", net.x, block=(2, 1), paddings=((0, 0), (0, 0)))
    value = net.conv(value, strides=(1, 2))
    value = net.add("batch_to_space", value, block=(2, 1), crops=((0, 0), (0, 0)))
    graph = net.finish({"y": value})
    assert RestoreDilation().run(graph, Context()) is graph
