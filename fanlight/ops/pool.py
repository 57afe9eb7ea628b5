"""Pooling over windows of [N, H, W, C]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import real_of
from fanlight.ops import check, window_backward, windows
from fanlight.ops.backward import Rule
from fanlight.ops.check import FLOATS
from fanlight.ops.row import Row, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]


def _output(x: np.ndarray, attrs: Attrs) -> tuple[int, int]:
    sizes = [
        (x.shape[1 + a] + sum(attrs["padding"][a]) - attrs["size"][a]) // attrs["strides"][a] + 1
        for a in (0, 1)
    ]
    return sizes[0], sizes[1]


def _eval_max(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x = arrays[0]
    out = _output(x, attrs)
    x = windows.padded(x, attrs["padding"], 0 if x.dtype == np.uint8 else -np.inf)
    result: np.ndarray | None = None
    for _, _, seen in windows.taps(x, out, attrs["size"], attrs["strides"]):
        result = seen.copy() if result is None else np.maximum(result, seen, out=result)
    assert result is not None  # a window has at least one tap
    return [result]


def _eval_avg(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    x = arrays[0]
    out = _output(x, attrs)
    inside = windows.padded(np.ones((1, *x.shape[1:3], 1), np.float32), attrs["padding"])
    x = windows.padded(x, attrs["padding"])
    total = np.zeros((x.shape[0], *out, x.shape[3]), real_of(x))
    count = np.zeros((1, *out, 1), np.float32)
    with np.errstate(all="ignore"):
        for _, _, seen in windows.taps(x, out, attrs["size"], attrs["strides"]):
            total += seen
        for _, _, seen in windows.taps(inside, out, attrs["size"], attrs["strides"]):
            count += seen
        total /= count
    return [total]


def _pool(
    name: str, evaluate: Any, vjp: Rule, formula: str, tol: float, dtypes: Sequence[str]
) -> Row:
    def infer(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
        x = types[0]
        check.tensor(name, "x", x, dtypes, 4, windows.IMAGE)
        size = check.integers(name, attrs, "size", 2, 1)
        return [
            TensorType(
                (x.shape[0], *windows.output_size(name, x, size, attrs), x.shape[3]), x.dtype
            )
        ]

    return register(
        Row(
            name=name,
            family="pool",
            arity=(1, 1),
            attrs={
                "size": windows.SIZE,
                "strides": windows.STRIDES,
                "padding": windows.PADDING,
            },
            infer=infer,
            eval=evaluate,
            doc=f"[N, H, W, C] -> [N, h, w, C], h = (H + top + bottom - size) // stride + 1: "
            f"{formula}. E-OP-004 if the window is larger than the padded image. "
            f"Takes {' or '.join(dtypes)}.",
            wasm="kernel",
            tol=dict.fromkeys(dtypes, tol),
            vjp=vjp,
        )
    )


_pool(
    "max_pool",
    _eval_max,
    window_backward.max_pool,
    "the greatest pixel of each window; padding counts as -infinity (of bytes: as 0). "
    "Source: tf.nn.max_pool2d",
    0.0,
    (*FLOATS, "uint8"),
)
_pool(
    "avg_pool",
    _eval_avg,
    window_backward.avg_pool,
    "the mean of the pixels of each window that lie in the image: padding is not counted, "
    "and a window that misses the image gives NaN. Source: tf.nn.avg_pool2d",
    1e-5,
    FLOATS,
)
