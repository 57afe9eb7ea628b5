"""A batch norm folds into its convolution; activations and the shortcut fuse into theirs."""

from __future__ import annotations

import numpy as np

from fanlight.graph import Builder, Graph


def make() -> Graph:
    b = Builder("residual_block")
    x = b.input("x", (1, 4, 4, 2), "float32")
    w1 = b.weight(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2) / 4, "w1")
    w2 = b.weight(np.float32([1, -1, 0.5, 2]).reshape(1, 1, 2, 2), "w2")
    window = {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilations": (1, 1)}
    h = b.add("conv2d", x, w1, name="first", **window)
    statistics = ([0.5, 0.25], [3.0, 3.0], [1.0, -1.0], [2.0, 4.0])
    h = b.add("batch_norm", h, *(b.weight(np.float32(s)) for s in statistics), epsilon=1.0)
    h = b.add("relu6", h)
    h = b.add("conv2d", h, w2, name="second", **window)
    h = b.add("add", h, x, name="shortcut")
    return b.finish({"y": b.add("relu", h)})
