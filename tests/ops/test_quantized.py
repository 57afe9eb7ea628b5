"""Ops on bytes against their formulas, in Python's integers and float32 of one rounding each."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from fanlight.errors import FanlightError
from fanlight.ops import TensorType
from fanlight.ops import row as rows
from fanlight.ops.quantized import exact_product
from tests.ops.support import call

RNG = np.random.default_rng(5)


def octets(*shape: int, high: int = 127) -> np.ndarray:
    return RNG.integers(0, high + 1, shape).astype(np.uint8)


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-127, 128, shape).astype(np.int8)


def clip(v: Any, zero: int, high: int) -> np.ndarray:
    """uint8(clip(round(v) + zero)) in float64, which holds every float32 exactly."""
    return np.clip(np.rint(np.asarray(v, np.float64)) + zero, 0, high).astype(np.uint8)


def f32(x: Any) -> np.ndarray:
    return np.asarray(x).astype(np.float32)


def integers(x: np.ndarray) -> np.ndarray:
    return x.astype(np.int64)


# --- elementwise ----------------------------------------------------------------------------------


def test_quantize() -> None:
    x = np.float32([-9, -0.3, -0.25, 0, 0.25, 0.3, 0.75, 1.25, 12.6, 90, np.inf, -np.inf, np.nan])
    got = call("quantize", x, scale=0.5, zero=3)
    assert got.tolist() == [0, 2, 3, 3, 3, 4, 5, 5, 28, 127, 127, 0, 0]
    assert call("quantize", x, scale=0.5, zero=3, high=255)[9] == 183
    x = f32(RNG.normal(size=1000) * 20)
    inverse = np.float32(1 / 0.3)
    assert np.array_equal(call("quantize", x, scale=0.3, zero=40), clip(x * inverse, 40, 127))


def test_quantize_of_dequantize_gives_the_byte_back() -> None:
    q = np.arange(256, dtype=np.uint8)
    for scale, zero in product([1e-3, 0.0123, 0.7, 41.0], [0, 17, 128, 255]):
        real = call("dequantize", q, scale=scale, zero=zero)
        assert np.array_equal(real, f32(integers(q) - zero) * np.float32(scale))
        assert np.array_equal(call("quantize", real, scale=scale, zero=zero, high=255), q)


def test_add_multiply_prelu() -> None:
    a, b = octets(4, 5, 6), octets(4, 1, 6)
    sum_attrs = {"scale_a": 0.61, "zero_a": 9, "scale_b": -0.37, "zero_b": 80, "zero": 50}
    first = f32(integers(a) - 9) * np.float32(0.61)
    second = f32(integers(b) - 80) * np.float32(-0.37)
    assert np.array_equal(call("add_int8", a, b, **sum_attrs), clip(first + second, 50, 127))
    scaled = f32((integers(a) - 9) * (integers(b) - 80)) * np.float32(0.0131)
    got = call("mul_int8", a, b, zero_a=9, zero_b=80, scale=0.0131, zero=50, high=99)
    assert np.array_equal(got, clip(scaled, 50, 99))
    slope = f32(RNG.normal(size=6))
    v = f32(integers(a) - 64) * np.float32(0.83)
    got = call("prelu_int8", a, slope, zero_x=64, scale=0.83, zero=60)
    assert np.array_equal(got, clip(np.where(v < 0, v * slope, v), 60, 127))


def test_lookup() -> None:
    table = RNG.permutation(256).astype(np.uint8)
    x = octets(3, 7, high=255)
    assert np.array_equal(call("lookup", x, table), table[x])


# --- sums of products -----------------------------------------------------------------------------


def finish(total: np.ndarray, scale: np.ndarray, zero: int, high: int, residual: Any) -> np.ndarray:
    v = f32(total) * scale
    if residual is not None:
        array, factor, middle = residual
        v = v + f32(integers(array) - middle) * np.float32(factor)
    assert v.dtype == np.float32
    return clip(v, zero, high)


def slow_convolution(
    x: np.ndarray, w: np.ndarray, strides: Any, padding: Any, dilations: Any, pad: int
) -> np.ndarray:
    """Every tap of every window, in int64."""
    x = np.pad(integers(x), ((0, 0), *padding, (0, 0)), constant_values=pad)
    kh, kw = w.shape[:2]
    h, width = (
        (x.shape[1 + a] - (w.shape[a] - 1) * dilations[a] - 1) // strides[a] + 1 for a in (0, 1)
    )
    total = np.zeros((x.shape[0], h, width, w.shape[3]), np.int64)
    for n, i, j, p, q in product(range(x.shape[0]), range(h), range(width), range(kh), range(kw)):
        pixel = x[n, i * strides[0] + p * dilations[0], j * strides[1] + q * dilations[1]]
        total[n, i, j] += pixel @ integers(w[p, q])
    return total


CONVOLUTIONS = [
    ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1)),
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((3, 2), (2, 1), ((0, 1), (2, 0)), (1, 2)),
    ((5, 5), (2, 2), ((2, 1), (1, 2)), (1, 1)),
]


@pytest.mark.parametrize(("window", "strides", "padding", "dilations"), CONVOLUTIONS)
@pytest.mark.parametrize("high", [127, 255])
def test_conv2d(window: Any, strides: Any, padding: Any, dilations: Any, high: int) -> None:
    x, w = octets(2, 9, 8, 5, high=high), weights(*window, 5, 6)
    bias, scale = RNG.integers(-9999, 9999, 6).astype(np.int32), f32(RNG.random(6) * 1e-3)
    window_attrs = {"strides": strides, "padding": padding, "dilations": dilations, "pad": 77}
    total = slow_convolution(x, w, strides, padding, dilations, 77) + bias
    got = call("conv2d_int8", x, w, bias, scale, **window_attrs, x_high=high, zero=30)
    assert np.array_equal(got, finish(total, scale, 30, 127, None))
    real = call("conv2d_int8", x, w, bias, scale, **window_attrs, output="float32")
    assert np.array_equal(real, f32(total) * scale)
    other = octets(*got.shape)
    attrs = {**window_attrs, "residual_scale": 0.4, "residual_zero": 12, "high": 100}
    got = call("conv2d_int8", x, w, bias, scale, other, **attrs)
    assert np.array_equal(got, finish(total, scale, 0, 100, (other, 0.4, 12)))


@pytest.mark.parametrize(("window", "strides", "padding", "dilations"), CONVOLUTIONS)
def test_depthwise(window: Any, strides: Any, padding: Any, dilations: Any) -> None:
    x, w = octets(2, 9, 8, 5), weights(*window, 5, 1)
    bias, scale = RNG.integers(-9999, 9999, 5).astype(np.int32), f32(RNG.random(5) * 1e-3)
    diagonal = np.zeros((*window, 5, 5), np.int8)
    diagonal[:, :, range(5), range(5)] = w[..., 0]
    total = slow_convolution(x, diagonal, strides, padding, dilations, 64) + bias
    attrs = {"strides": strides, "padding": padding, "dilations": dilations, "pad": 64}
    got = call("depthwise_conv2d_int8", x, w, bias, scale, **attrs, zero=60)
    assert np.array_equal(got, finish(total, scale, 60, 127, None))


@pytest.mark.parametrize("shape", [(7,), (4, 7), (2, 3, 7), (0, 7)])
def test_matmul(shape: tuple[int, ...]) -> None:
    x, w = octets(*shape), weights(7, 3)
    bias, scale = RNG.integers(-999, 999, 3).astype(np.int32), f32(RNG.random(3) * 1e-2)
    total = integers(x) @ integers(w) + bias
    got = call("matmul_int8", x, w, bias, scale, zero=60)
    assert np.array_equal(got, finish(total, scale, 60, 127, None))
    real = call("matmul_int8", x, w, bias, scale, octets(*shape[:-1], 3) * 0, output="float32")
    assert np.array_equal(real, f32(total) * scale)


@pytest.mark.parametrize("inner", [0, 1, 8, 519, 1041, 70_000])
def test_sums_are_exact_for_any_number_of_products(inner: int) -> None:
    """The largest bytes, the largest weights: above 2^24 float32 would round."""
    x = np.full((2, inner), 255, np.uint8)
    w = np.full((inner, 2), 127, np.int8)
    x[1, ::2] = 254
    w[:, 1] = -127
    exact = integers(x) @ integers(w)
    assert np.array_equal(exact_product(x, w), exact.astype(np.int32))  # wraps around


def test_rounding_is_to_even_and_nothing_overflows() -> None:
    x, w = np.full((1, 1), 1, np.uint8), np.full((1, 1), 1, np.int8)
    for total, byte in ((1, 60), (3, 62), (5, 62), (-1, 60), (-3, 58)):
        bias = np.int32([total - 1])
        assert call("matmul_int8", x, w, bias, np.float32([0.5]), zero=60)[0, 0] == byte
    for bias, byte in ((2**31 - 2, 127), (-(2**31), 0)):
        for scale in (1.0, 3e38):
            got = call("matmul_int8", x, w, np.int32([bias]), np.float32([scale]), zero=60)
            assert got[0, 0] == byte


# --- means, pools, resizing -----------------------------------------------------------------------


def test_average_pool_counts_what_lies_in_the_image() -> None:
    x = octets(2, 5, 6, 3)
    attrs = {"size": (3, 3), "strides": (2, 2), "padding": ((1, 1), (1, 0))}
    got = call("avg_pool_int8", x, **attrs, zero_x=20, scale=0.9, zero=30)
    padded = np.pad(integers(x), ((0, 0), (1, 1), (1, 0), (0, 0)))
    inside = np.pad(np.ones((5, 6)), ((1, 1), (1, 0)))
    for n, i, j in np.ndindex(got.shape[:3]):
        window = (slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3))
        count = int(inside[window].sum())
        total = padded[n][window].sum(axis=(0, 1)) - count * 20
        factor = np.float32(0.9) / np.float32(count)
        assert np.array_equal(got[n, i, j], clip(f32(total) * factor, 30, 127))


@pytest.mark.parametrize(("axes", "keepdims"), [((1, 2), False), ((1, 2), True), ((-1,), False)])
def test_mean(axes: tuple[int, ...], keepdims: bool) -> None:
    x = octets(2, 7, 7, 5)
    count = int(np.prod([x.shape[a] for a in axes]))
    total = integers(x).sum(axis=axes, keepdims=keepdims) - count * 9
    got = call("mean_int8", x, axes=axes, keepdims=keepdims, zero_x=9, scale=1.3, zero=4)
    assert np.array_equal(got, clip(f32(total) * (np.float32(1.3) / np.float32(count)), 4, 127))


def test_maximum_and_nearest_on_bytes() -> None:
    x = octets(1, 5, 6, 3, high=255)
    window = {"size": (3, 3), "strides": (2, 2), "padding": ((1, 1), (1, 1))}
    assert np.array_equal(call("max_pool", x, **window), call("max_pool", f32(x), **window))
    assert call("max_pool", x, **window).dtype == np.uint8
    for coordinates in ("half_pixel", "align_corners", "asymmetric"):
        attrs = {"size": (7, 4), "coordinates": coordinates}
        got = call("resize_nearest", x, **attrs)
        assert got.dtype == np.uint8
        assert np.array_equal(got, call("resize_nearest", f32(x), **attrs))


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_bilinear_is_close_to_the_real_one(coordinates: str) -> None:
    x = octets(1, 5, 6, 3, high=255)
    for size in ((10, 12), (3, 2), (5, 6), (1, 1), (7, 13)):
        real = call("resize_bilinear", f32(x), size=size, coordinates=coordinates)
        got = call("resize_bilinear_int8", x, size=size, coordinates=coordinates)
        assert np.abs(got - real).max() <= 0.5 + 2 * 255 / 512
    flat = np.full((1, 3, 3, 1), 255, np.uint8)
    assert (call("resize_bilinear_int8", flat, size=(8, 7)) == 255).all()


# --- errors ---------------------------------------------------------------------------------------


def t(*shape: int, dtype: str = "uint8") -> TensorType:
    return TensorType(shape, dtype)


X, W = t(1, 4, 4, 3), t(2, 2, 3, 5, dtype="int8")
BIAS, SCALE = t(5, dtype="int32"), t(5, dtype="float32")
CASES: list[tuple[str, list[TensorType], dict[str, Any], str, str]] = [
    ("quantize", [t(2)], {"scale": 1.0}, "E-OP-003", "float32"),
    ("quantize", [t(2, dtype="float32")], {"scale": 0.0}, "E-OP-005", "scale"),
    ("quantize", [t(2, dtype="float32")], {"scale": float("nan")}, "E-OP-005", "scale"),
    ("quantize", [t(2, dtype="float32")], {"scale": 1e-40}, "E-OP-005", "scale"),
    ("quantize", [t(2, dtype="float32")], {"scale": 1.0, "zero": 128}, "E-OP-005", "0 to 127"),
    ("quantize", [t(2, dtype="float32")], {"scale": 1.0, "high": 256}, "E-OP-005", "high"),
    ("dequantize", [t(2, dtype="float32")], {"scale": 1.0}, "E-OP-003", "uint8"),
    ("dequantize", [t(2)], {"scale": 1e39}, "E-OP-005", "float32"),
    ("dequantize", [t(2)], {"scale": 1.0, "zero": 256}, "E-OP-005", "zero"),
    ("add_int8", [t(2), t(3)], {"scale_a": 1.0, "scale_b": 1.0}, "E-OP-004", "broadcast"),
    ("add_int8", [t(2), t(2)], {"scale_a": 1.0}, "E-OP-002", "scale_b"),
    ("mul_int8", [t(2), t(2, dtype="int32")], {"scale": 1.0}, "E-OP-003", "uint8"),
    ("prelu_int8", [t(2), t(2)], {"scale": 1.0}, "E-OP-003", "float32"),
    ("lookup", [t(2), t(255)], {}, "E-OP-004", "[256]"),
    ("lookup", [t(2, dtype="int32"), t(256)], {}, "E-OP-003", "uint8"),
    ("conv2d_int8", [X, W, BIAS], {}, "E-OP-001", "4 to 5"),
    ("conv2d_int8", [X, t(2, 2, 3, 5), BIAS, SCALE], {}, "E-OP-003", "int8"),
    ("conv2d_int8", [X, t(2, 2, 4, 5, dtype="int8"), BIAS, SCALE], {}, "E-OP-004", "C = 3"),
    ("conv2d_int8", [X, W, t(4, dtype="int32"), SCALE], {}, "E-OP-004", "bias"),
    ("conv2d_int8", [X, W, BIAS, BIAS], {}, "E-OP-003", "scale"),
    ("conv2d_int8", [X, W, BIAS, SCALE, t(1, 4, 4, 5)], {}, "E-OP-004", "[1, 3, 3, 5]"),
    ("conv2d_int8", [X, W, BIAS, SCALE], {"output": "int32"}, "E-OP-005", "output"),
    ("conv2d_int8", [X, W, BIAS, SCALE], {"pad": -1}, "E-OP-005", "pad"),
    ("conv2d_int8", [X, W, BIAS, SCALE], {"x_high": 0}, "E-OP-005", "x_high"),
    ("depthwise_conv2d_int8", [X, t(2, 2, 3, 2, dtype="int8"), BIAS, SCALE], {}, "E-OP-004", "3"),
    ("matmul_int8", [t(4), t(3, 5, dtype="int8"), BIAS, SCALE], {}, "E-OP-004", "rows"),
    (
        "avg_pool_int8",
        [X],
        {"size": (2, 2), "padding": ((2, 0), (0, 0)), "scale": 1.0},
        "E-OP-005",
        "padding",
    ),
    ("mean_int8", [t(0, 3)], {"axes": (0,), "scale": 1.0}, "E-OP-004", "one element"),
    ("resize_bilinear_int8", [t(1, 0, 3, 1)], {"size": (2, 2)}, "E-OP-004", "one pixel"),
    ("max_pool", [t(1, 4, 4, 1, dtype="int32")], {"size": (2, 2)}, "E-OP-003", "uint8"),
]


@pytest.mark.parametrize(("op", "types", "attrs", "code", "word"), CASES, ids=lambda v: str(v)[:24])
def test_wrong_calls(
    op: str, types: list[TensorType], attrs: dict[str, Any], code: str, word: str
) -> None:
    with pytest.raises(FanlightError) as caught:
        rows.infer(op, types, attrs)
    assert caught.value.code == code, str(caught.value)
    assert word in str(caught.value), str(caught.value)
