"""Small networks for the tests of the bench: every op of the MobileNets in a few layers."""

from __future__ import annotations

import numpy as np

from fanlight.graph import Builder, Graph

IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 9, 9, 3)).astype(np.float32)


def small_network() -> Graph:
    """Every op of the MobileNets, padding of both kinds, batch norms, a residual."""
    rng = np.random.default_rng(1)
    b = Builder("small")

    def weight(*shape: int) -> object:
        return b.weight(rng.normal(0, 0.5, shape).astype(np.float32))

    def normed(x: object, channels: int) -> object:
        spread = b.weight(rng.uniform(0.5, 2, channels).astype(np.float32))
        values = [weight(channels), spread, weight(channels), weight(channels)]
        return b.add("batch_norm", x, *values, epsilon=1e-3)

    x = b.input("x", IMAGE.shape)
    y = b.add("pad", x, paddings=((0, 0), (0, 1), (0, 1), (0, 0)), value=0.0)
    y = b.add("conv2d", y, weight(3, 3, 3, 8), strides=(2, 2))
    y = b.add("relu6", normed(y, 8))
    z = b.add("depthwise_conv2d", y, weight(3, 3, 8, 1), padding=((1, 1), (1, 1)))
    z = b.add("relu", normed(z, 8))
    z = normed(b.add("conv2d", z, weight(1, 1, 8, 8)), 8)
    y = b.add("add", y, z)
    y = b.add("mean", y, axes=(1, 2), keepdims=False)
    y = b.add("add", b.add("matmul", y, weight(8, 5)), weight(5))
    return b.finish({"y": b.add("softmax", y, axis=-1)})
