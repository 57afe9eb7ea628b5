"""Ops on bytes, as what they mean in float32: for formats whose sums are not of whole numbers.

Sums of products are of `x - zero`, so that they stay small; from 2^24 on float32 rounds them, and a
result may then be one step off. All else is as exact as the op.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from fanlight.ops.quantized import byte_taps
from fanlight.tensor import functions as F
from fanlight.tensor.core import Tensor, apply, tensor


def _real(x: Tensor, zero: float = 0) -> Tensor:
    x = apply("cast", x, dtype="float32")
    return x - float(zero) if zero else x


def _byte(v: Tensor, zero: int, high: int) -> Tensor:
    v = apply("round", v)
    v = v + float(zero) if zero else v
    return apply("cast", apply("clip", v, lo=0, hi=high), dtype="uint8")


def _quantize(x: Tensor, scale: float, zero: int, high: int) -> Tensor:
    return _byte(x * float(np.float32(1 / scale)), zero, high)


def _dequantize(x: Tensor, scale: float, zero: int) -> Tensor:
    return _real(x, zero) * float(scale)


def _add(a: Tensor, b: Tensor, *, scale_a: float, zero_a: int, scale_b: float, zero_b: int,
         zero: int, high: int) -> Tensor:  # fmt: skip
    return _byte(_real(a, zero_a) * scale_a + _real(b, zero_b) * scale_b, zero, high)


def _mul(a: Tensor, b: Tensor, *, zero_a: int, zero_b: int, scale: float, zero: int,
         high: int) -> Tensor:  # fmt: skip
    return _byte(_real(a, zero_a) * _real(b, zero_b) * scale, zero, high)


def _prelu(x: Tensor, slope: Tensor, *, zero_x: int, scale: float, zero: int,
           high: int) -> Tensor:  # fmt: skip
    return _byte(apply("prelu", _real(x, zero_x) * scale, slope), zero, high)


def _lookup(x: Tensor, table: Tensor) -> Tensor:
    index = apply("cast", x, dtype="int32")
    numbers = apply("gather", apply("cast", table, dtype="int32"), index, axis=0)
    return apply("cast", numbers, dtype="uint8")


def _ends(total: Tensor, bias: Tensor, scale: Tensor, residual: tuple[Tensor, ...],
          attrs: dict[str, Any]) -> Tensor:  # fmt: skip
    v = (total + apply("cast", bias, dtype="float32")) * scale
    if residual:
        v = v + _real(residual[0], attrs["residual_zero"]) * float(attrs["residual_scale"])
    return v if attrs["output"] == "float32" else _byte(v, attrs["zero"], attrs["high"])


def _convolution(op: str) -> Callable[..., Tensor]:
    def call(x: Tensor, w: Tensor, bias: Tensor, scale: Tensor, *residual: Tensor, strides: Any,
             padding: Any, dilations: Any, pad: int, **attrs: Any) -> Tensor:  # fmt: skip
        # The byte outside the image is the zero point of x: less that, zeros are outside.
        real = apply("cast", w, dtype="float32")
        made = apply(op, _real(x, pad), real, strides=strides, padding=padding, dilations=dilations)
        taps = apply("sum", _whole(w), axes=(0, 1) if op != "conv2d" else (0, 1, 2), keepdims=False)
        own = bias + F.reshape(taps, bias.shape) * tensor(pad, "int32")
        return _ends(made, own, scale, residual, attrs)

    return call


def _whole(w: Tensor) -> Tensor:
    return apply("cast", w, dtype="int32")


def _matmul(x: Tensor, w: Tensor, bias: Tensor, scale: Tensor, *residual: Tensor,
            **attrs: Any) -> Tensor:  # fmt: skip
    made = apply("matmul", _real(x), apply("cast", w, dtype="float32"))
    return _ends(made, bias, scale, residual, attrs)


def _avg_pool(x: Tensor, *, size: Any, strides: Any, padding: Any, zero_x: int, scale: float,
              zero: int, high: int) -> Tensor:  # fmt: skip
    """A sum of each channel by itself, times what the scale is by how many lie in the image."""
    channels = int(x.shape[3])
    ones = tensor(np.ones((*size, channels, 1), np.float32))
    made = apply("depthwise_conv2d", _real(x, zero_x), ones, strides=strides, padding=padding)
    counts = []
    for n, window, step, pads in zip(x.shape[1:3], size, strides, padding, strict=True):
        inside = np.pad(np.ones(int(n), np.int32), pads)
        counts.append(np.lib.stride_tricks.sliding_window_view(inside, window).sum(1)[::step])
    count = np.outer(*counts).astype(np.float32)
    return _byte(made * tensor((np.float32(scale) / count)[None, :, :, None]), zero, high)


def _mean(x: Tensor, *, axes: Any, keepdims: bool, zero_x: int, scale: float, zero: int,
          high: int) -> Tensor:  # fmt: skip
    made = apply("sum", _real(x, zero_x), axes=tuple(axes), keepdims=keepdims)
    count = prod(int(x.shape[a]) for a in {a % len(x.shape) for a in axes})
    return _byte(made * float(np.float32(scale) / np.float32(count)), zero, high)


def _resize(x: Tensor, *, size: Any, coordinates: str) -> Tensor:
    """Weights are 256ths along each dim, and the whole sum is below 2^24: exact."""
    made = _real(x)
    for axis in (1, 2):
        lower, upper, weight = byte_taps(int(x.shape[axis]), size[axis - 1], coordinates)
        share = tensor(weight.astype(np.float32).reshape((-1, 1, 1) if axis == 1 else (-1, 1)))
        one, two = (
            apply("gather", made, tensor(at.astype(np.int32)), axis=axis) for at in (lower, upper)
        )
        made = one * (256.0 - share) + two * share
    made = apply("floor", (made + 32768.0) * (1 / 65536))
    return apply("cast", made, dtype="uint8")


BYTES: dict[str, Callable[..., Tensor]] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "add_int8": _add,
    "mul_int8": _mul,
    "prelu_int8": _prelu,
    "lookup": _lookup,
    "conv2d_int8": _convolution("conv2d"),
    "depthwise_conv2d_int8": _convolution("depthwise_conv2d"),
    "matmul_int8": _matmul,
    "avg_pool_int8": _avg_pool,
    "mean_int8": _mean,
    "resize_bilinear_int8": _resize,
}
