"""Rows compute in float64 what is given so: by that, rounding is told from mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fanlight.ops import row as rows
from fanlight.ops.types import TensorType

RNG = np.random.default_rng(2)
IMAGE, SAME = (1, 6, 6, 4), ((1, 1), (1, 1))
CASES: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {
    "conv2d": ([IMAGE, (3, 3, 4, 5)], {"padding": SAME}),
    "depthwise_conv2d": ([IMAGE, (3, 3, 4, 2)], {"padding": SAME}),
    "conv2d_transpose": ([IMAGE, (2, 2, 3, 4)], {"strides": (2, 2), "output_size": (12, 12)}),
    "avg_pool": ([IMAGE], {"size": (3, 3), "padding": SAME}),
    "resize_bilinear": ([IMAGE], {"size": (8, 12), "coordinates": "align_corners"}),
    "softmax": ([(3, 40)], {"axis": 1}),
    "matmul": ([(4, 30), (30, 5)], {}),
    "sigmoid": ([(7,)], {}),
}


@pytest.mark.parametrize("op", CASES)
def test_a_row_keeps_float64(op: str) -> None:
    shapes, attrs = CASES[op]
    wide = [RNG.normal(size=s) for s in shapes]
    narrow = [a.astype(np.float32) for a in wide]
    full, _ = rows.infer(op, [TensorType(s) for s in shapes], attrs)
    (exact,) = rows.evaluate(op, wide, full)
    (rounded,) = rows.evaluate(op, narrow, full)
    assert exact.dtype == np.float64 and rounded.dtype == np.float32
    assert 1e-9 < np.abs(exact - rounded).max() < 1e-4
