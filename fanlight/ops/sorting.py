"""Ops that order elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.backward import Step
from fanlight.ops.check import NUMBERS
from fanlight.ops.indexing_backward import along_last
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType


def _check(op: str, types: Sequence[TensorType]) -> TensorType:
    (x,) = types
    check.tensor(op, "x", x, NUMBERS)
    if x.rank == 0:
        raise check.shape_error(op, "x", "at least one dim", x)
    return x


def _order(x: np.ndarray, descending: bool) -> np.ndarray:
    """Indices that sort the last dim, equal elements in their order and NaNs last."""
    if not descending:
        return np.argsort(x, axis=-1, kind="stable")
    # Negated in a dtype that holds every negative, so that a stable ascending sort is descending.
    negated = -x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
    return np.argsort(negated, axis=-1, kind="stable")


def _taken(x: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
    return [np.take_along_axis(x, order, axis=-1), order.astype(np.int32)]


def _backward(step: Step) -> list[Any]:
    """Each value's gradient goes back to where the value was."""
    (x,), (_, indices), g = step.inputs, step.outputs, step.g
    return [None if g is None else along_last(step, x, indices, g)]


def _infer_top_k(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    x = _check("top_k", types)
    k = check.integer("top_k", attrs, "k", 0, x.bound[-1])
    shape = (*x.shape[:-1], k)
    return [TensorType(shape, x.dtype), TensorType(shape, "int32")]


def _infer_sort(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    x = _check("sort", types)
    check.flag("sort", attrs, "descending")
    return [x, TensorType(x.shape, "int32")]


register(
    Row(
        name="top_k",
        family="sorting",
        arity=(1, 1),
        attrs={"k": Attr(REQUIRED, "how many, 0 to the size of the last dim")},
        infer=_infer_top_k,
        eval=lambda arrays, attrs: _taken(arrays[0], _order(arrays[0], True)[..., : attrs["k"]]),
        doc="[..., n] -> the k greatest elements of the last dim in descending order, and their "
        "indices (int32), both [..., k]. Equal elements: the lower index first. "
        "Takes float32 or int32. Source: tf.math.top_k.",
        wasm="kernel",
        tol={"float32": 0.0, "int32": 0.0},
        nan="comes last",
        vjp=_backward,
        positions=True,
    )
)
register(
    Row(
        name="sort",
        family="sorting",
        arity=(1, 1),
        attrs={"descending": Attr(False, "whether the greatest comes first")},
        infer=_infer_sort,
        eval=lambda arrays, attrs: _taken(arrays[0], _order(arrays[0], attrs["descending"])),
        doc="[..., n] -> the elements of the last dim in ascending order, and their indices "
        "(int32), both [..., n]. Stable: equal elements, -0 and 0 among them, keep their order. "
        "Takes float32 or int32. Source: numpy.argsort(kind='stable').",
        wasm="kernel",
        tol={"float32": 0.0, "int32": 0.0},
        nan="comes last, also where the order is descending",
        vjp=_backward,
        positions=True,
    )
)
