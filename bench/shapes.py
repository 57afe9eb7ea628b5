"""Single ops and recurrent steps, as graphs of their own: what published image models have not.

Weights are seeded random numbers; only the shapes matter to the time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fanlight.graph import Builder, Graph, Value


class _Net:
    """A Builder with the few layers that these graphs are made of."""

    def __init__(self, name: str) -> None:
        self.b = Builder(name)
        self.rng = np.random.default_rng(7)

    def weight(self, *shape: int) -> Value:
        return self.b.weight(self.rng.normal(0, 0.1, shape).astype(np.float32))

    def part(self, x: Value, index: int, units: int) -> Value:
        """Columns index * units .. (index + 1) * units."""
        rows = int(x.shape[0])
        return self.b.add("slice", x, begin=(0, index * units), size=(rows, units))


def lstm_step(batch: int, features: int, units: int) -> Graph:
    """One step of Keras's LSTM: gates i, f, c, o of x W + h U + b; then the new state."""
    net = _Net(f"LSTM step, {batch} x {features} -> {units}")
    b = net.b
    x, h = b.input("x", (batch, features)), b.input("h", (batch, units))
    c = b.input("c", (batch, units))
    gates = b.add("add", b.add("matmul", x, net.weight(features, 4 * units)),
                  b.add("matmul", h, net.weight(units, 4 * units)))  # fmt: skip
    gates = b.add("add", gates, net.weight(4 * units))
    i, f, g, o = (net.part(gates, k, units) for k in range(4))
    kept = b.add("mul", b.add("sigmoid", f), c)
    state = b.add("add", kept, b.add("mul", b.add("sigmoid", i), b.add("tanh", g)))
    return b.finish({"h": b.add("mul", b.add("sigmoid", o), b.add("tanh", state)), "c": state})


def gru_step(batch: int, features: int, units: int) -> Graph:
    """One step of Keras's GRU with reset_after: z, r, and a candidate from r (h U + b)."""
    net = _Net(f"GRU step, {batch} x {features} -> {units}")
    b = net.b
    x, h = b.input("x", (batch, features)), b.input("h", (batch, units))
    left = b.add("add", b.add("matmul", x, net.weight(features, 3 * units)), net.weight(3 * units))
    right = b.add("add", b.add("matmul", h, net.weight(units, 3 * units)), net.weight(3 * units))
    (xz, xr, xh), (hz, hr, hh) = (
        tuple(net.part(side, k, units) for k in range(3)) for side in (left, right)
    )
    z = b.add("sigmoid", b.add("add", xz, hz))
    r = b.add("sigmoid", b.add("add", xr, hr))
    candidate = b.add("tanh", b.add("add", xh, b.add("mul", r, hh)))
    moved = b.add("mul", z, b.add("sub", h, candidate))
    return b.finish({"h": b.add("add", candidate, moved)})


def product(rows: int, inner: int, columns: int, batch: int = 0) -> Graph:
    """x times a weight, or a batch of products of two inputs."""
    lead = (batch,) if batch else ()
    times = f"{batch} x " if batch else ""
    net = _Net(f"matmul, {times}{rows} x {inner} x {columns}")
    x = net.b.input("x", (*lead, rows, inner))
    w = net.b.input("w", (*lead, inner, columns)) if batch else net.weight(inner, columns)
    return net.b.finish({"y": net.b.add("matmul", x, w)})


def convolution(side: int, channels: int, kernel: int) -> Graph:
    """A same-padded convolution."""
    net = _Net(f"{kernel} x {kernel} convolution, {side} x {side} x {channels}")
    x = net.b.input("x", (1, side, side, channels))
    edge = kernel // 2
    y = net.b.add(
        "conv2d", x, net.weight(kernel, kernel, channels, channels),
        padding=((edge, edge), (edge, edge)),
    )  # fmt: skip
    return net.b.finish({"y": y})


def transposed(side: int, channels: int) -> Graph:
    """A 4 x 4 transposed convolution with strides of 2, as decoders have."""
    net = _Net(f"4 x 4 transposed convolution, {side} x {side} x {channels}")
    x = net.b.input("x", (1, side, side, channels))
    y = net.b.add(
        "conv2d_transpose", x, net.weight(4, 4, channels, channels), strides=(2, 2),
        padding=((1, 1), (1, 1)), output_size=(2 * side, 2 * side),
    )  # fmt: skip
    return net.b.finish({"y": y})


def on_pixels(op: str, side: int, channels: int) -> Graph:
    """An op that takes no products: "prelu", "max_pool", "resize_bilinear"."""
    net = _Net(f"{op}, {side} x {side} x {channels}")
    b = net.b
    x = b.input("x", (1, side, side, channels))
    if op == "prelu":
        y = b.add(op, x, net.weight(channels))
    elif op == "max_pool":
        y = b.add(op, x, size=(3, 3), strides=(2, 2), padding=((0, 1), (0, 1)))
    else:
        y = b.add(op, x, size=(2 * side, 2 * side))
    return b.finish({"y": y})


def softmax(rows: int, columns: int) -> Graph:
    """Over the last dim."""
    net = _Net(f"softmax, {rows} x {columns}")
    x = net.b.input("x", (rows, columns))
    return net.b.finish({"y": net.b.add("softmax", x, axis=-1)})


SHAPES: tuple[Callable[[], Graph], ...] = (
    lambda: lstm_step(1, 256, 512),
    lambda: lstm_step(32, 64, 128),
    lambda: gru_step(1, 256, 512),
    lambda: gru_step(32, 64, 128),
    lambda: product(1, 1024, 1024),
    lambda: product(512, 512, 512),
    lambda: product(1024, 1024, 1024),
    lambda: product(256, 64, 256, batch=8),
    lambda: convolution(28, 64, 3),
    lambda: convolution(28, 64, 5),
    lambda: transposed(28, 64),
    lambda: on_pixels("prelu", 56, 64),
    lambda: on_pixels("max_pool", 56, 64),
    lambda: on_pixels("resize_bilinear", 28, 64),
    lambda: softmax(1024, 1024),
)
