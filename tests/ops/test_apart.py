"""Which calls keep examples apart: every case of symbolic dims, an example at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fanlight.ops import TABLE, Dim, TensorType, symbols
from fanlight.ops import row as rows
from fanlight.ops.apart import keeps_apart
from tests.ops.test_symbols import CASES, IDS, Case, arrays_of, f, i

N = Dim("n", 5)
SIZES = {"n": 3, "m": 4}
# Padding does not matter in these, and examples meet.
MEET: list[Case] = [
    ("add", [f(N, 1), f(1, N)], {}),
    ("matmul", [f(N, 3), f(3, N)], {}),
    ("gather", [f(N, 3), i(N)], {}),
    ("concat", [f(2, N), f(2, N)], {"axis": 0}),
    ("transpose", [f(N, 2)], {"perm": (1, 0)}),
    ("dim_size", [f(N, 2)], {"axis": 0}),
    ("strided_slice", [f(N.merged(2))], {"begin": (0,), "end": (N.merged(2),), "strides": (1,)}),
]


def told(case: Case) -> tuple[bool, list[TensorType]]:
    op, inputs, attrs = case
    row = TABLE[op]
    types = [TensorType(tuple(s), t) for s, t in inputs]
    full, outputs = rows.infer(op, types, attrs)
    return keeps_apart(row, types, full, outputs, "n"), outputs


def one_of(array: np.ndarray, shape: Any, example: int) -> np.ndarray:
    """That example of an array alone; the array itself if it has none."""
    for axis, d in enumerate(shape):
        if isinstance(d, Dim) and d.name == "n":
            return np.take(array, range(example * d.times, (example + 1) * d.times), axis)
    return array


@pytest.mark.parametrize("case", [*CASES, *MEET], ids=[*IDS, *(f"meet-{c[0]}" for c in MEET)])
def test_what_is_kept_apart_is_the_same_alone(case: Case) -> None:
    op, inputs, attrs = case
    apart, outputs = told(case)
    if not apart:
        return
    arrays = arrays_of(case, SIZES)
    alone_sizes = {**SIZES, "n": 1}

    def run(given: list[np.ndarray], sizes: dict[str, int]) -> list[np.ndarray]:
        full = rows.complete_attrs(TABLE[op], symbols.resolved(attrs, sizes))
        return rows.evaluate(op, given, full)

    whole = run(arrays, SIZES)
    for example in range(3):
        parts = [one_of(a, s, example) for a, (s, _) in zip(arrays, inputs, strict=True)]
        for got, y, t in zip(run(parts, alone_sizes), whole, outputs, strict=True):
            np.testing.assert_allclose(got, one_of(y, t.shape, example), rtol=1e-5, atol=1e-6)


def test_which_are() -> None:
    """What models are made of is known to be apart; what mixes examples never is."""
    apart = {op for op, *rest in CASES if told((op, *rest))[0]}
    assert apart >= {
        *("add", "select", "cast", "fused", "matmul", "conv2d", "depthwise_conv2d", "max_pool"),
        *("avg_pool", "reshape", "transpose", "broadcast_to", "slice", "pad", "concat", "gather"),
        *("softmax", "arg_max", "batch_norm", "resize_bilinear", "conv2d_transpose", "top_k"),
        *("reverse", "tile", "mirror_pad", "strided_slice", "depth_to_space"),
    }
    assert not apart & {"random_bits", "scatter_nd", "non_max_suppression", "conv2d_kernel"}
    shaped = [f(N, 3)]
    for op in ("sum", "mean", "prod", "max", "min", "reverse"):
        assert not told((op, shaped, {"axes": (0,)}))[0]
        assert told((op, shaped, {"axes": (1,)}))[0]
    for op in ("cumsum", "cumprod", "cummax", "cummin", "softmax", "log_softmax", "arg_max"):
        assert not told((op, shaped, {"axis": 0}))[0]
        assert told((op, shaped, {"axis": -1}))[0]
    assert told(("gather", [f(7, 3), i(N)], {}))[0] and not told(("gather", [f(N, 3), i(4)], {}))[0]
    # What is counted out along the batch is another number for each example.
    assert not told(("slice", [f(10, 2)], {"begin": (0, 0), "size": (N, 2)}))[0]
    assert told(("sort", [f(N, 3)], {}))[0] and not told(("sort", [f(3, N)], {}))[0]
    assert told(("broadcast_to", [f(3)], {"shape": (N, 3)}))[0]
    for case in MEET[:3]:
        assert not told(case)[0]
    assert not told(MEET[5])[0]
