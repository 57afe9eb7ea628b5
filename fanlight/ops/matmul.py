"""Matrix product, float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.backward import Step
from fanlight.ops.check import FLOATS
from fanlight.ops.row import Attr, Row, broadcast_shapes, register
from fanlight.ops.types import TensorType


def _matrix(type: TensorType, transposed: bool) -> tuple[int, int]:
    rows, columns = type.bound[-2:]
    return (columns, rows) if transposed else (rows, columns)


def _infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    a, b = types
    for name, type in (("a", a), ("b", b)):
        check.tensor("matmul", name, type, FLOATS)
        if type.rank < 2:
            raise check.shape_error("matmul", name, "2 dims or more", type)
    rows, inner = _matrix(a, check.flag("matmul", attrs, "transpose_a"))
    depth, columns = _matrix(b, check.flag("matmul", attrs, "transpose_b"))
    if inner != depth:
        raise check.shape_error("matmul", "b", f"{inner} rows for the columns of a {a}", b)
    batch = broadcast_shapes("matmul", [TensorType(t.shape[:-2]) for t in types])
    return [TensorType((*batch, rows, columns))]


def _eval(arrays: Sequence[np.ndarray], attrs: Mapping[str, Any]) -> list[np.ndarray]:
    a, b = arrays
    a = np.swapaxes(a, -1, -2) if attrs["transpose_a"] else a
    b = np.swapaxes(b, -1, -2) if attrs["transpose_b"] else b
    with np.errstate(all="ignore"):
        return [np.matmul(a, b)]


def _backward(step: Step) -> list[Any]:
    (a, b), g = step.inputs, step.g
    ta, tb = step.attrs["transpose_a"], step.attrs["transpose_b"]

    def product(left: Any, right: Any, flip_left: bool, flip_right: bool) -> Any:
        return step.apply("matmul", left, right, transpose_a=flip_left, transpose_b=flip_right)

    # Of y = a b: a' = g b^T and b' = a^T g, and the transpose of that for a transposed input.
    of_a = of_b = None
    if step.wanted[0]:
        of_a = product(b, g, tb, True) if ta else product(g, b, False, not tb)
        of_a = step.sum_to(of_a, a.shape)
    if step.wanted[1]:
        of_b = product(g, a, True, ta) if tb else product(a, g, not ta, False)
        of_b = step.sum_to(of_b, b.shape)
    return [of_a, of_b]


register(
    Row(
        name="matmul",
        family="matmul",
        arity=(2, 2),
        attrs={
            "transpose_a": Attr(False, "whether the last two dims of a are exchanged first"),
            "transpose_b": Attr(False, "whether the last two dims of b are exchanged first"),
        },
        infer=_infer,
        eval=_eval,
        doc="[..., m, k] x [..., k, n] -> [..., m, n]: sum over k of a * b; leading dims "
        "broadcast. E-OP-004 if the inner sizes differ. Source: numpy.matmul.",
        epilogue=True,
        wasm="kernel",
        tol={"float32": 1e-5},
        vjp=_backward,
    )
)
