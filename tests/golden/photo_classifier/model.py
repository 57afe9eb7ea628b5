"""Pixels in, answers out: what the classify task puts around a model."""

from __future__ import annotations

import numpy as np

import fanlight as fl
from fanlight.graph import Builder, Graph

TASK = fl.tasks.classify(["dark", "bright"], input_range=(-1, 1))


def make() -> Graph:
    b = Builder("photo_classifier")
    x = b.input("x", (1, 2, 2, 3), "float32")
    mean = b.add("mean", x, axes=(1, 2), keepdims=False)
    w = b.weight(np.float32([[-1, 1], [-1, 1], [-1, 1]]), "w")
    return b.finish({"y": b.add("matmul", mean, w, name="brightness")})
