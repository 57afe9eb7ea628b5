"""Ops that order elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step, one_hot
from fanlight.ops.check import NUMBERS
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType


def _infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    x = types[0]
    check.tensor("top_k", "x", x, NUMBERS)
    if x.rank == 0:
        raise check.shape_error("top_k", "x", "at least one dim", x)
    k = check.integer("top_k", attrs, "k", 0, x.bound[-1])
    shape = (*x.shape[:-1], k)
    return [TensorType(shape, x.dtype), TensorType(shape, "int32")]


def _eval(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    x, k = arrays[0], attrs["k"]
    # Negated in a dtype that holds every negative, so that a stable ascending sort is descending.
    negated = -x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
    order = np.argsort(negated, axis=-1, kind="stable")[..., :k]
    return [np.take_along_axis(x, order, axis=-1), order.astype(np.int32)]


def _backward(step: Step) -> list[Any]:
    """Each value's gradient goes back to where the value was."""
    (x,), (_, indices), g = step.inputs, step.outputs, step.g
    if g is None:
        return [None]
    places = one_hot(step, indices, x.shape[-1])
    # Chosen and not multiplied: 0 times infinity would be NaN.
    spread = step.fused(
        lambda p, g: sc.where(sc.equal(p, 1.0), g, 0.0), places, step.reshape(g, (*g.shape, 1))
    )
    return [step.apply("sum", spread, axes=(-2,), keepdims=False)]


register(
    Row(
        name="top_k",
        family="sorting",
        arity=(1, 1),
        attrs={"k": Attr(REQUIRED, "how many, 0 to the size of the last dim")},
        infer=_infer,
        eval=_eval,
        doc="[..., n] -> the k greatest elements of the last dim in descending order, and their "
        "indices (int32), both [..., k]. Equal elements: the lower index first. "
        "Takes float32 or int32. Source: tf.math.top_k.",
        wasm="kernel",
        tol={"float32": 0.0, "int32": 0.0},
        nan="comes last",
        vjp=_backward,
    )
)
