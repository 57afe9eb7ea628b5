"""Weights as int8, one scale per output channel, and biases as int32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fanlight.graph import Graph, Value
from fanlight.ops.quantized import PAIR_REACH, pair_reach
from fanlight.passes.quantize.layout import Layout
from fanlight.passes.quantize.steps import Step

LEVELS = 127
CUTS = np.linspace(1.0, 0.6, 11)
TINY = 1e-20
COARSER = 1.02
# A bias is at most this many steps, so that what is summed to it still counts.
BIAS_STEPS = 1 << 28


def matrix(step: Step, array: np.ndarray) -> np.ndarray:
    """The weights of a layer as [K, N], float64."""
    array = array.astype(np.float64)
    if step.kind == "depthwise_conv2d":
        return array.reshape(-1, array.shape[2])
    return array.reshape(-1, array.shape[-1])


def input_factor(step: Step, array: np.ndarray, per_channel: np.ndarray) -> np.ndarray:
    """Numbers per input channel as they apply to `matrix`: [K, 1], or [1, N] of depthwise ones."""
    if step.kind == "depthwise_conv2d":
        return per_channel.reshape(1, -1)
    taps = int(np.prod(array.shape[:-2])) if step.kind == "conv2d" else 1
    return np.tile(per_channel, taps).reshape(-1, 1)


def quantize_weights(
    w: np.ndarray, importance: np.ndarray, *, search: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """(int8 [K, N], scale [N]): symmetric, -127 .. 127.

    Args:
        w: [K, N] in the unit of one step of the input.
        importance: [K, 1] or [1, N], mean square of what each weight multiplies.
        search: whether to look for the cut with the least error; else nothing is cut.
    """
    largest = np.maximum(np.abs(w).max(axis=0), TINY)
    best, scale = None, largest / LEVELS
    least = np.full(w.shape[1], np.inf)
    for cut in CUTS if search else CUTS[:1]:
        step = largest * cut / LEVELS
        q = np.clip(np.rint(w / step), -LEVELS, LEVELS)
        error = np.sum(np.broadcast_to(importance, w.shape) * (w - q * step) ** 2, axis=0)
        better = error < least
        if best is None:
            best = q
        best[:, better] = q[:, better]
        scale = np.where(better, step, scale)
        least = np.minimum(error, least)
    assert best is not None
    return best.astype(np.int8), scale


def fit_pairs(
    w: np.ndarray, q: np.ndarray, scale: np.ndarray, run: int
) -> tuple[np.ndarray, np.ndarray]:
    """The weights and scales, coarser in channels where sums of four products would leave int16.

    Kernels for processors without 8-bit dot products add such sums up in int16, if they may, and
    are half as fast again for it. Few channels are met, and they lose a fraction of a bit.

    Args:
        w, q, scale: as of `quantize_weights`.
        run: see `pair_reach`.
    """
    q, scale = q.copy(), scale.copy()
    while (over := np.flatnonzero(pair_reach(q, run) > PAIR_REACH)).size:
        scale[over] *= COARSER
        rounded = np.rint(w[:, over] / scale[over])
        q[:, over] = np.clip(rounded, -LEVELS, LEVELS).astype(np.int8)
    return q, scale


def quantize_bias(
    bias: np.ndarray, scale: np.ndarray, weights: np.ndarray, zero: float
) -> np.ndarray:
    """int32 [N]: the bias in steps of the sum, less what the zero point of x adds to it."""
    steps = bias / scale - zero * weights.astype(np.float64).sum(axis=0)
    return np.clip(np.rint(steps), -(2**31), 2**31 - 1).astype(np.int32)


def wide_enough(scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The scales, larger where a bias would be too many steps (channels without weights)."""
    return np.maximum(scale, np.abs(bias) / BIAS_STEPS)


def importance_of(graph: Graph, layout: Layout) -> Mapping[Value, np.ndarray]:
    """value -> how much an error of each channel weighs in the layers that read it; mean 1."""
    found: dict[Value, np.ndarray] = {}
    for value in layout.bytes:
        total = np.zeros(len(layout.slots[value]))
        for step in layout.users.get(value, ()):
            if step.is_layer and step.inputs[0] is value:
                total += _energy(step, graph.weights[step.node.inputs[1]])
        mean = total.mean() if total.size else 0.0
        # A channel that no weight reads still counts a little: for the other users.
        found[value] = total / mean + 1e-3 if mean > 0 else np.ones(len(total))
    return found


def _energy(step: Step, array: np.ndarray) -> np.ndarray:
    squares = array.astype(np.float64) ** 2
    if step.kind == "depthwise_conv2d":
        energy = squares.sum(axis=(0, 1, 3))
    elif step.kind == "conv2d":
        energy = squares.sum(axis=(0, 1, 3))
    else:
        energy = squares.sum(axis=1)
    mean = energy.mean()
    return energy / mean if mean > 0 else np.ones(len(energy))
