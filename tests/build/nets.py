"""Tiny graphs to build: small enough to know every answer."""

from __future__ import annotations

import numpy as np

from fanlight.graph import Builder, Graph

RNG_SEED = 7


def pixels(height: int = 12, width: int = 16, channels: int = 3) -> Graph:
    """A "classifier" whose scores are the sigmoids of the pixels that it was shown."""
    b = Builder("pixels")
    x = b.input("x", (1, height, width, channels), "float32")
    flat = b.add("reshape", x, shape=(1, height * width * channels))
    return b.finish({"y": b.add("sigmoid", flat)})


def classifier(classes: int = 5, channels: int = 3, *, lead: tuple[float, float] | None = None,
               final: str | None = "softmax") -> Graph:  # fmt: skip
    """Convolution, mean and dense; `lead` = (scale, offset) applied to the input first."""
    rng = np.random.default_rng(RNG_SEED)
    b = Builder("classifier")
    x = b.input("x", (1, 8, 8, channels), "float32")
    h = x
    if lead is not None:
        h = b.add("mul", h, b.weight(np.float32(lead[0]).reshape(())))
        h = b.add("add", h, b.weight(np.float32(lead[1]).reshape(())))
    w = b.weight(rng.normal(0, 0.4, (3, 3, channels, 8)).astype(np.float32))
    h = b.add("conv2d", h, w, strides=(2, 2), padding=((0, 1), (0, 1)), dilations=(1, 1))
    h = b.add("relu", h)
    h = b.add("mean", h, axes=(1, 2), keepdims=False)
    h = b.add("matmul", h, b.weight(rng.normal(0, 1, (8, classes)).astype(np.float32)))
    if final == "softmax":
        h = b.add("softmax", h, axis=-1)
    elif final is not None:
        h = b.add(final, h)
    return b.finish({"y": h})
