"""The byte ops under wasmtime: every byte equal to the NumPy meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fanlight import ops
from fanlight.ops.row import complete_attrs
from fanlight.targets import Target
from tests.codegen.kernel_runner import TARGETS, run_op

targets = pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)


def some_bytes(*shape: int, high: int = 255, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high + 1, shape).astype(np.uint8)


def check(
    op: str, arrays: list[np.ndarray], target: Target, constant: Sequence[int] = (), **attrs: Any
) -> np.ndarray:
    """Compare one op with its row; the runner also compares several splits of the work."""
    row = ops.lookup(op)
    (want,) = row.eval(arrays, complete_attrs(row, attrs))
    (got,) = run_op(op, arrays, target, constant=constant, **attrs)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    return got


# --- lookup ---------------------------------------------------------------------------------------


@targets
@pytest.mark.parametrize("seven", [True, False])
def test_lookup_of_every_byte(target: Target, seven: bool) -> None:
    table = some_bytes(256, seed=1)
    if seven:
        table[128:] = table[127]
    for constant in ((), (1,)):
        check("lookup", [np.arange(256, dtype=np.uint8), table], target, constant=constant)
        for size in (1, 5, 15, 16, 17, 31, 63, 64, 65, 200, 1000):
            check("lookup", [some_bytes(size), table], target, constant=constant)
        check("lookup", [some_bytes(2, 7, 9, 5), table], target, constant=constant)


@targets
def test_lookup_sees_a_single_entry_of_the_upper_half(target: Target) -> None:
    """The short form may only be taken if the whole upper half repeats entry 127."""
    x = np.arange(256, dtype=np.uint8)
    for entry in (128, 143, 200, 255):
        table = np.full(256, 9, np.uint8)
        table[entry] = 10
        check("lookup", [x, table], target)
        check("lookup", [x, table], target, constant=(1,))


# --- pools and means ------------------------------------------------------------------------------

MEAN = {"zero_x": 9, "scale": 0.9, "zero": 5, "high": 127}
# shape, size, strides, padding
POOLS = [
    ((1, 4, 4, 16), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((2, 5, 7, 3), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((1, 6, 5, 17), (3, 2), (1, 1), ((0, 1), (1, 0))),
    ((1, 9, 9, 70), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((1, 7, 7, 33), (7, 7), (1, 1), ((0, 0), (0, 0))),
    ((1, 5, 6, 5), (5, 6), (3, 2), ((4, 4), (5, 5))),
    ((1, 3, 3, 12), (4, 4), (1, 1), ((2, 2), (2, 2))),
    ((1, 20, 19, 40), (17, 18), (2, 1), ((1, 0), (0, 3))),
]


@targets
@pytest.mark.parametrize("shape,size,strides,padding", POOLS)
@pytest.mark.parametrize("op", ["max_pool", "avg_pool_int8"])
def test_pools(op: str, target: Target, shape: Any, size: Any, strides: Any, padding: Any) -> None:
    attrs = MEAN if op == "avg_pool_int8" else {}
    window = {"size": size, "strides": strides, "padding": padding}
    check(op, [some_bytes(*shape)], target, **window, **attrs)


@targets
def test_pools_of_any_number_of_channels(target: Target) -> None:
    for channels in range(1, 68):
        x = some_bytes(1, 4, 5, channels, seed=channels)
        window = {"size": (2, 3), "strides": (1, 1), "padding": ((1, 0), (0, 1))}
        check("max_pool", [x], target, **window)
        check("avg_pool_int8", [x], target, **window, **MEAN)


@targets
def test_max_pool_of_windows_that_miss_the_image(target: Target) -> None:
    window = {"size": (2, 2), "strides": (1, 3), "padding": ((3, 3), (2, 4))}
    got = check("max_pool", [some_bytes(1, 2, 2, 5) | 1], target, **window)
    assert (got == 0).any() and got.any()


@targets
def test_means_of_pools_that_overflow_sixteen_bits(target: Target) -> None:
    x = np.full((1, 20, 300, 18), 255, np.uint8)
    for size in ((16, 16), (1, 300), (20, 20), (2, 129), (20, 300)):
        window = {"size": size, "strides": (1, 1), "padding": ((0, 0), (0, 0))}
        got = check("avg_pool_int8", [x], target, **window, **{**MEAN, "high": 255})
        assert (got == 226).all()  # (255 - 9) * 0.9 + 5


@targets
@pytest.mark.parametrize("keepdims", [True, False])
def test_means(target: Target, keepdims: bool) -> None:
    shapes = [(1, 7, 7, 33), (2, 3, 5, 16), (1, 20, 20, 70), (5,), (3, 40), (2, 1, 9), (4, 3, 2, 5)]
    for shape in shapes:
        x = some_bytes(*shape)
        for count in range(1 << len(shape)):
            axes = tuple(d for d in range(len(shape)) if count >> d & 1)
            check("mean_int8", [x], target, axes=axes, keepdims=keepdims, **MEAN)


@targets
def test_long_means(target: Target) -> None:
    for shape, axes in (
        ((1, 30, 41, 35), (1, 2)),
        ((2, 257, 3), (1,)),
        ((256, 17), (0,)),
        ((3, 70_001), (1,)),
        ((70_001,), (0,)),
    ):
        for x in (some_bytes(*shape), np.full(shape, 255, np.uint8)):
            check("mean_int8", [x], target, axes=axes, **{**MEAN, "high": 255})


# --- resizing -------------------------------------------------------------------------------------


@targets
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("op", ["resize_nearest", "resize_bilinear_int8"])
def test_resizes(op: str, target: Target, coordinates: str) -> None:
    for shape, size in (
        ((1, 4, 4, 16), (8, 8)),
        ((2, 5, 3, 7), (9, 11)),
        ((1, 13, 11, 33), (4, 5)),
        ((1, 1, 1, 4), (3, 2)),
        ((1, 6, 7, 20), (1, 1)),
        ((3, 8, 6, 9), (8, 6)),
        ((1, 33, 65, 1), (64, 100)),
    ):
        check(op, [some_bytes(*shape)], target, size=size, coordinates=coordinates)


@targets
def test_bilinear_resize_keeps_the_extremes(target: Target) -> None:
    for value in (0, 1, 127, 128, 254, 255):
        x = np.full((1, 3, 4, 24), value, np.uint8)
        assert (check("resize_bilinear_int8", [x], target, size=(7, 10)) == value).all()
    x = some_bytes(1, 5, 5, 24) & 1
    check("resize_bilinear_int8", [x * 255], target, size=(13, 12))


# --- elementwise ----------------------------------------------------------------------------------

# Where float32 rounding to bytes may go wrong: halves, the limits of the magic number, infinities.
EDGES = np.array(
    [
        *(s * v for s in (1, -1) for v in (0.0, 0.5, 1.5, 2.5, 126.5, 127.5, 254.5, 255.5, 1e-42)),
        *(s * 2.0**e * m for s in (1, -1) for e in range(6, 33) for m in (1, 1.5, 1.9999)),
        *(s * v for s in (1, -1) for v in (3e38, np.inf, 12582912, 12582911, 25165824, 4194304.5)),
        np.nan,
        -np.nan,
    ],
    np.float32,
)


@targets
@pytest.mark.parametrize(
    "zero,high", [(0, 127), (7, 127), (1, 255), (128, 255), (255, 255), (3, 3)]
)
def test_quantize_of_every_kind_of_float(target: Target, zero: int, high: int) -> None:
    for scale in (1.0, 0.5, 3.7, 1e-30, 1e30):
        for count in (len(EDGES), 64, 17, 5, 3):
            check("quantize", [EDGES[-count:]], target, scale=scale, zero=zero, high=high)
    nans = np.full(33, np.nan, np.float32)
    (got,) = run_op("quantize", [nans], target, scale=1.0, zero=zero, high=high)
    assert (got == 0).all()


@targets
def test_slopes_of_every_kind(target: Target) -> None:
    x = some_bytes(5, len(EDGES))
    for zero in (0, 40):
        check("prelu_int8", [x, EDGES], target, zero_x=100, scale=0.7, zero=zero)


@targets
def test_sums_and_products_beyond_the_magic_number(target: Target) -> None:
    """Scales that make float32 infinite, or NaN as the difference of infinities."""
    a, b = (x.reshape(-1) for x in np.meshgrid(some_bytes(37), some_bytes(19, seed=1)))
    a, b = a.copy(), b.copy()
    for scale in (1e6, 1e36, 3e38):
        for sign in (1, -1):
            attrs = {"zero_a": 100, "zero_b": 90, "zero": 60}
            check("add_int8", [a, b], target, scale_a=scale, scale_b=sign * scale, **attrs)
            check("mul_int8", [a, b], target, scale=sign * scale, **attrs)


@targets
def test_bytes_of_any_run_length(target: Target) -> None:
    sums = {"scale_a": 0.6, "zero_a": 9, "scale_b": -0.7, "zero_b": 80, "zero": 70}
    for size in (*range(1, 36), 63, 64, 65, 127, 130):
        x, y = some_bytes(3, size), some_bytes(3, size, seed=1)
        check("add_int8", [x, y], target, **sums)
        check("add_int8", [x, y[:1]], target, **sums)
        check("add_int8", [x, y[:, :1]], target, **sums)
        check("dequantize", [x], target, scale=0.3, zero=5)
        check("prelu_int8", [x, np.resize(EDGES, size)], target, scale=0.3, zero_x=90)


@targets
def test_fused_chains_of_bytes(target: Target) -> None:
    """Bytes inside of a chain are rounded as at its end, and bools are masks."""
    x, f = some_bytes(3, 50), EDGES[:50]
    byte = "uint8(min(max(add(round(mul(float32(sub(a0, 7)), 0.3)), 5), 0), 127))"
    for body in (
        f"mul(float32(int32({byte})), a1)",
        f"uint8(add(int32({byte}), 300))",
        f"mul(float32(sub(int32({byte}), 40)), a1)",
        "float32(sub(int32(uint8(min(max(add(round(a1), 90), 0), 255))), 255))",
        "float32(sub(int32(uint8(round(a1))), 0))",
        f"add(float32(sub(int32({byte}), 300)), float32(sub(7, int32({byte}))))",
        "uint8(round(mul(float32(sub(int32(uint8(round(a1))), 200)), 0.7)))",
        "uint8(min(add(round(mul(a1, 3.0)), 9), 200))",
        "uint8(max(round(a1), 0))",
        "uint8(max(min(add(4, round(a1)), 99), 0))",
        "uint8(mul(a1, 2.0))",
        "lt(float32(a0), a1)",
        "uint8(sub(a0, 100))",
        "select(lt(a0, 100), a1, float32(a0))",
        "round(a0)",
    ):
        (want,) = ops.lookup("fused").eval([x, f], {"body": body})
        (got,) = run_op("fused", [x, f], target, body=body)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want, err_msg=body)
    (got,) = run_op("fused", [x > 99, x], target, body="and(a0, lt(a1, 200))")
    np.testing.assert_array_equal(got, (x > 99) & (x < 200))
