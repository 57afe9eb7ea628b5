"""Matrix product, float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
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
    )
)
