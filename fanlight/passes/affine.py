"""Per-channel arithmetic `x * scale + offset`, however a model spells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fanlight.graph import Node, Value


@dataclass(frozen=True)
class Affine:
    """`x * scale + offset`; float64 arrays of 1 or C numbers, C the size of the last dim."""

    scale: np.ndarray
    offset: np.ndarray

    def then(self, after: Affine) -> Affine:
        """This step, and `after` applied to its result."""
        return Affine(self.scale * after.scale, self.offset * after.scale + after.offset)

    @property
    def is_offset(self) -> bool:
        """Whether nothing is scaled."""
        return bool((self.scale == 1).all())

    @property
    def is_scale(self) -> bool:
        """Whether nothing is added."""
        return bool((self.offset == 0).all())

    @property
    def uniform(self) -> bool:
        """Whether all channels are treated alike."""
        alike = (self.scale == self.scale[0]).all() and (self.offset == self.offset[0]).all()
        return bool(alike)


IDENTITY = Affine(np.ones(1), np.zeros(1))


def step(node: Node, weights: Mapping[Value, np.ndarray]) -> tuple[Value, Affine] | None:
    """The value that a node scales and shifts per channel, and by how much; None if it does not."""
    if node.output.dtype != "float32":
        return None
    if node.op == "batch_norm":
        return _batch_norm(node, weights)
    if node.op == "neg":
        return node.inputs[0], Affine(-np.ones(1), np.zeros(1))
    if node.op not in ("add", "sub", "mul", "div"):
        return None
    first, second = node.inputs
    if (first in weights) == (second in weights):
        return None
    data, other = (second, first) if first in weights else (first, second)
    constant = per_channel(weights[other], node.output)
    if constant is None or data.shape != node.output.shape:
        return None
    one, zero = np.ones(1), np.zeros(1)
    if node.op == "mul":
        return data, Affine(constant, zero)
    if node.op == "add":
        return data, Affine(one, constant)
    if node.op == "sub":
        return data, (Affine(one, -constant) if other is second else Affine(-one, constant))
    if other is first or (constant == 0).any():
        return None
    return data, Affine(1 / constant, zero)


def per_channel(array: np.ndarray, like: Value) -> np.ndarray | None:
    """An array as float64 of 1 or C numbers, if that is how it broadcasts over `like`."""
    if array.size == 1:
        return array.reshape(1).astype(np.float64)
    last = like.shape[-1] if like.shape else None
    if array.size == last and array.shape[-1] == last and array.ndim <= like.type.rank:
        return array.reshape(-1).astype(np.float64)
    return None


def _batch_norm(node: Node, weights: Mapping[Value, np.ndarray]) -> tuple[Value, Affine] | None:
    if not all(v in weights for v in node.inputs[1:]):
        return None
    mean, variance, offset, scale = (weights[v].astype(np.float64) for v in node.inputs[1:])
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.attrs["epsilon"])
        result = Affine(factor.reshape(-1), (offset - mean * factor).reshape(-1))
    return node.inputs[0], result


# --- linear ops with a weight ---------------------------------------------------------------------

LINEAR = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "matmul")


def is_linear(node: Node, weights: Mapping[Value, np.ndarray]) -> bool:
    """Whether a node is a convolution or a product with a constant second operand, nothing more."""
    return (
        node.op in LINEAR
        and len(node.inputs) == 2
        and node.inputs[1] in weights
        and node.inputs[0] not in weights
        and node.output.dtype == "float32"
    )


def scale_outputs(node: Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """The weight whose results are `scale` times the old one's; None if it would overflow."""
    if scale.size > 1:
        if node.op == "depthwise_conv2d":
            scale = scale.reshape(weight.shape[2:])
        elif node.op == "conv2d_transpose" or node.attrs.get("transpose_b"):
            scale = scale.reshape(-1, 1)
    return _scaled(weight, scale)


def scale_inputs(node: Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """The weight that does to x what the old one does to `x * scale`; None if it overflows."""
    if scale.size > 1 and not node.attrs.get("transpose_b"):
        scale = scale.reshape(-1, 1)
    return _scaled(weight, scale)


def offset_outputs(node: Node, weight: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """What a constant input (one number per channel) becomes, where no padding is read: [C]."""
    if node.op == "matmul":
        axis = -1 if node.attrs["transpose_b"] else -2
        shape = (-1,) if node.attrs["transpose_b"] else (-1, 1)
        return (weight.astype(np.float64) * offset.reshape(shape)).sum(axis)
    taps = weight.sum((0, 1), dtype=np.float64)
    if node.op == "depthwise_conv2d":
        return (taps * offset.reshape(-1, 1)).reshape(-1)
    return (taps * offset.reshape(-1, 1)).sum(0)


def _scaled(weight: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    out = np.empty_like(weight)
    with np.errstate(all="ignore"):
        # Multiplied in float64 and rounded once, in blocks: no float64 copy of the weight.
        np.multiply(weight, scale, out=out, dtype=np.float64, casting="unsafe")
    return out if np.isfinite(out).all() or not np.isfinite(weight).all() else None
