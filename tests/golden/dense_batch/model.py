"""Two dense layers; dropout's remains and a double transpose vanish, dead code is not built."""

from __future__ import annotations

import numpy as np

from fanlight.graph import Builder, Graph


def make() -> Graph:
    b = Builder("dense_batch")
    x = b.input("x", (1, 2, 4), "float32")
    h = b.add("transpose", b.add("transpose", x, perm=(0, 2, 1)), perm=(0, 2, 1))
    h = b.add("reshape", h, shape=(1, 8))
    b.add("exp", h, name="nobody_reads_this")
    h = b.add("mul", h, b.weight(np.float32(1)), name="dropout_at_inference")
    h = b.add("matmul", h, b.weight(np.eye(8, 2, dtype=np.float32), "w1"))
    h = b.add("add", h, b.weight(np.float32([0.5, -0.5]), "b1"))
    h = b.add("tanh", h)
    return b.finish({"y": b.add("softmax", h, axis=-1)})
