"""Float networks to quantise: small, with random weights, of the forms that real ones have."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.graph import Builder, Graph, Value


class Net:
    """A builder of layers."""

    def __init__(self, shape: tuple[int, ...] = (1, 16, 16, 3), seed: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder("net")
        self.x = self.b.input("x", shape)

    def weight(self, *shape: int, scale: float | None = None) -> Value:
        fan = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
        size = scale if scale is not None else np.sqrt(2 / fan)
        return self.b.weight((self.rng.normal(size=shape) * size).astype(np.float32))

    def conv(self, x: Value, depth: int, window: int = 1, stride: int = 1, act: str = "") -> Value:
        side = (window // 2, window // 2)
        attrs: dict[str, Any] = {"strides": (stride, stride), "padding": (side, side)}
        w = self.weight(window, window, x.shape[3], depth)
        return self.finish(self.b.add("conv2d", x, w, **attrs), act)

    def depthwise(self, x: Value, window: int = 3, stride: int = 1, act: str = "relu6") -> Value:
        side = (window // 2, window // 2)
        w = self.weight(window, window, x.shape[3], 1, scale=np.sqrt(2) / window)
        attrs: dict[str, Any] = {"strides": (stride, stride), "padding": (side, side)}
        return self.finish(self.b.add("depthwise_conv2d", x, w, **attrs), act)

    def dense(self, x: Value, depth: int, act: str = "") -> Value:
        return self.finish(self.b.add("matmul", x, self.weight(x.shape[-1], depth)), act)

    def finish(self, y: Value, act: str) -> Value:
        y = self.b.add("add", y, self.weight(y.shape[-1], scale=0.3))
        return self.b.add(act, y) if act else y

    def head(self, x: Value, classes: int = 7, keep: bool = False) -> Graph:
        """Mean, dense, softmax."""
        h = self.b.add("mean", x, axes=(1, 2), keepdims=keep)
        h = self.b.add("reshape", h, shape=(1, x.shape[3]))
        return self.b.finish({"scores": self.b.add("softmax", self.dense(h, classes))})


def mobile() -> Graph:
    """Depthwise and pointwise layers with relu6."""
    n = Net()
    h = n.conv(n.x, 8, 3, 2, "relu6")
    for depth in (16, 24):
        h = n.conv(n.depthwise(h), depth, act="relu6")
    return n.head(h)


def residual() -> Graph:
    """Inverted bottlenecks with sums of linear results, and a sum with a relu behind it."""
    n = Net()
    h = n.conv(n.x, 8, 3, act="relu6")
    h = n.conv(h, 8)
    for _ in range(2):
        wide = n.depthwise(n.conv(h, 24, act="relu6"))
        h = n.b.add("add", h, n.conv(wide, 8))
    other = n.conv(h, 8, 3)
    h = n.b.add("relu", n.b.add("add", other, n.conv(h, 8)))
    return n.head(h)


def everything() -> Graph:
    """Every op that has a form in bytes, once or more."""
    n = Net()
    b = n.b
    h = n.conv(n.x, 8, 3, act="relu")
    # Squeeze and excite, with hard activations.
    g = b.add("mean", h, axes=(1, 2), keepdims=True)
    g = b.add("hard_sigmoid", n.conv(n.conv(g, 4, act="relu"), 8))
    h = n.conv(b.add("mul", h, g), 8, act="hard_swish")
    # Two branches, joined.
    p = b.add("pad", h, paddings=((0, 0), (1, 0), (1, 0), (0, 0)))
    p = b.add("max_pool", p, size=(3, 3), strides=(2, 2))
    q = b.add("avg_pool", h, size=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    h = b.add("concat", p, n.conv(q, 8, act="relu"), axis=3)
    slope = b.weight(np.float32(n.rng.random(16)))
    h = b.add("prelu", n.conv(h, 16, 3), slope)
    h = b.add("leaky_relu", n.conv(h, 8), alpha=0.1)
    # Up again, by both ways, and a sum and a difference that no layer takes.
    up = b.add("resize_nearest", h, size=(16, 16))
    other = b.add("resize_bilinear", h, size=(16, 16))
    both = b.add("relu", b.add("add", up, other))
    both = b.add("sub", both, b.add("sigmoid", up))
    h = n.conv(both, 8, 3, 2, "relu")
    h = b.add("depth_to_space", n.conv(h, 8), block=2)
    h = b.add("slice", n.depthwise(h, act="relu"), begin=(0, 1, 0, 0), size=(1, 12, 16, 2))
    flat = b.add("reshape", h, shape=(1, 384))
    return b.finish({"scores": b.add("softmax", n.dense(flat, 5)), "map": h})


NETS = {"mobile": mobile, "residual": residual, "everything": everything}


def calibration(graph: Graph, count: int = 24, seed: int = 9) -> list[dict[str, np.ndarray]]:
    """Smooth random pictures in -1 .. 1."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shape = graph.inputs[0].shape
        coarse = rng.normal(size=(1, 4, 4, shape[3])).repeat(shape[1] // 4, 1)
        smooth = coarse.repeat(shape[2] // 4, 2) + 0.2 * rng.normal(size=shape)
        made.append({graph.inputs[0].name: np.float32(np.tanh(smooth))})
    return made
