"""Importers of quantised forms: QDQ, QLinear and integer ops.

Whole numbers of 8 bits are int32 or uint8 here. Sums of products are exact, in int32.
QLinearMatMul and QLinearConv whose weights, scales and zero points are known are ops on bytes of
the table (qlinear.py); the others are products of float32 that are cut where they could round.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import kinds, qlinear, whole
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.neural import matmul_of
from fanlight.formats.onnx.windows import convolved
from fanlight.formats.spatial import from_nhwc


def spread(call: Call, scale: Tensor, shape: Any, part: str) -> Tensor:
    """A scale or zero point: one, one for each of a dim, or one for each block of a dim."""
    rank = len(shape)
    if math.prod(scale.shape) == 1:
        return call.reshape(scale, (), part)
    axis = call.axis(rank, 1)
    block = call.whole("block_size")
    if block:
        times = np.repeat(np.arange(scale.shape[axis], dtype=np.int32), block)[: shape[axis]]
        if len(times) < shape[axis]:
            raise call.refuse("the blocks do not fit", received=list(scale.shape))
        return call.op("gather", scale, times, part=part, axis=axis)
    if len(scale.shape) != 1 or scale.shape[0] != shape[axis]:
        raise call.refuse("its scales do not fit", received=f"{list(scale.shape)}, {list(shape)}")
    return call.reshape(scale, [shape[axis] if a == axis else 1 for a in range(rank)], part)


def whole_of(call: Call, x: Tensor, kind: int, part: str) -> Tensor:
    """float32 numbers, rounded, cut off at the ends of a kind of whole numbers."""
    low, high = kinds.LIMITS.get(kind, (-(2**31), 2**31 - 1))
    rounded = call.op("round", x, part=f"{part}/round")
    if kind in kinds.LIMITS:
        rounded = call.op("clip", rounded, part=f"{part}/clip", lo=float(low), hi=float(high))
    return call.cast(rounded, kinds.dtype_of_kind(kind, call.where), part)


@importer("QuantizeLinear")
def quantize_linear(call: Call) -> Tensor:
    x, scale = call.f32(0), call.f32(1)
    kind = call.kind(2) if call.has(2) else call.whole("output_dtype") or kinds.UINT8
    call.made_kinds[0] = kind
    if kind not in kinds.LIMITS:
        kinds.dtype_of_kind(kind, call.where)
        raise call.refuse("this kind of result", received=kinds.NAMES.get(kind, kind))
    y = call.op("div", x, spread(call, scale, x.shape, "scale"), part="steps")
    if call.has(2):
        y = call.op("round", y, part="near")
        y = call.op("add", y, spread(call, call.f32(2), x.shape, "zero"), part="moved")
    return whole_of(call, y, kind, "bytes")


@importer("DequantizeLinear")
def dequantize_linear(call: Call) -> Tensor:
    x, scale = call.f32(0), call.f32(1)
    call.made_kinds[0] = call.kind(1)
    if call.has(2):
        x = call.op("sub", x, spread(call, call.f32(2), x.shape, "zero"), part="centred")
    return call.op("mul", x, spread(call, scale, x.shape, "scale"))


@importer("DynamicQuantizeLinear")
def dynamic_quantize_linear(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    x = call.f32()
    axes = tuple(range(len(x.shape)))
    zero = call.const(0.0)
    top = call.op("maximum", call.op("max", x, part="max", axes=axes), zero, part="top")
    low = call.op("minimum", call.op("min", x, part="min", axes=axes), zero, part="low")
    width = call.op("sub", top, low, part="width")
    flat = call.op("equal", width, zero, part="flat")
    scale = call.op("div", call.op("select", flat, call.const(1.0), width, part="span"),
                    call.const(255.0), part="scale")  # fmt: skip
    start = call.op("neg", call.op("div", low, scale, part="start"), part="zero")
    point = call.op("round", call.op("clip", start, part="inside", lo=0.0, hi=255.0), part="point")
    steps = call.op("round", call.op("div", x, scale, part="steps"), part="near")
    moved = call.op("add", steps, point, part="moved")
    call.made_kinds.update({0: kinds.UINT8, 1: kinds.FLOAT, 2: kinds.UINT8})
    return (whole_of(call, moved, kinds.UINT8, "bytes"), scale,
            whole_of(call, point, kinds.UINT8, "zero_point"))  # fmt: skip


def _centred(call: Call, index: int, zero: int, axis: int | None = None) -> Tensor:
    """An input less its zero point, as float32."""
    x = call.f32(index)
    if not call.has(zero):
        return x
    point = call.f32(zero)
    if math.prod(point.shape) == 1:
        point = call.reshape(point, (), f"zero{index}")
    elif axis is not None and len(point.shape) == 1:
        point = call.reshape(point, [point.shape[0] if a == axis else 1
                                     for a in range(len(x.shape))], f"zero{index}")  # fmt: skip
    return call.op("sub", x, point, part=f"centred{index}")


def _most(call: Call, x: Tensor, index: int, zero: int) -> int:
    """How far from 0 the numbers of an input less its zero point lie at most."""
    if isinstance(x, np.ndarray) or not call.has(zero):
        return whole.magnitude(call, x, call.kind(index))
    low, high = kinds.LIMITS.get(call.kind(index), (-128, 255))
    point = call.x(zero)
    if isinstance(point, np.ndarray) and point.size:
        return int(max(point.max() - low, high - point.min()))
    return high - low


@importer("MatMulInteger")
def matmul_integer(call: Call) -> Tensor:
    a = _centred(call, 0, 2, len(call.x(0).shape) - 2)
    b = _centred(call, 1, 3, len(call.x(1).shape) - 1)
    call.made_kinds[0] = kinds.INT32
    return matmul_of(call, a, b, most=(_most(call, a, 0, 2), _most(call, b, 1, 3)))


@importer("ConvInteger")
def conv_integer(call: Call) -> Tensor:
    """Exact: channels by blocks, as many as sums of products below 2^24 have."""
    call.made_kinds[0] = kinds.INT32
    total = _conv_sum(call, (0, 2), (1, 3))
    return from_nhwc(call.em, total, call.name)


def _conv_sum(call: Call, of_x: tuple[int, int], of_w: tuple[int, int]) -> Tensor:
    """The sums of a convolution, int32 with channels last; which inputs x and its zero point are,
    and w and its own.
    """
    x, w = _centred(call, *of_x), _centred(call, *of_w, 0)
    depth, taps = w.shape[1] if len(w.shape) > 1 else 1, math.prod(w.shape[2:])
    most = _most(call, x, *of_x)
    step = whole.EXACT // max(taps * most * _most(call, w, *of_w), 1)
    if isinstance(w, np.ndarray) and w.ndim > 1:
        sums = np.abs(w.astype(np.float64)).sum(tuple(range(1, w.ndim)))
        step = depth if most * sums.max(initial=0) <= whole.EXACT else step
    if step * 256 < depth:
        raise call.refuse("its window is too large for exact sums", received=list(w.shape))
    total: Tensor | None = None
    for at in range(0, max(depth, 1), step):
        end = min(at + step, depth)
        part_x, part_w = x, w
        if step < depth:
            # Of every group the channels from `at` on.
            place = np.arange(x.shape[1], dtype=np.int32)
            place = place[(place % depth >= at) & (place % depth < end)]
            part_x = call.op("gather", x, place, part=f"x{at}", axis=1)
            part_w = call.op("gather", w, np.arange(at, end, dtype=np.int32), part=f"w{at}", axis=1)
        y = call.op("round", convolved(call, part_x, part_w), part="whole")
        y = call.cast(y, "int32", "int")
        total = y if total is None else call.op("add", total, y, part="total")
    assert total is not None
    return total


def _requantized(call: Call, y: Tensor, factor: Tensor, zero: int) -> Tensor:
    """int32 sums -> the kind of an output's zero point."""
    kind = call.kind(zero)
    call.made_kinds[0] = kind
    y = call.cast(y, "float32", "real")
    near = call.op("round", call.op("mul", y, factor, part="scaled"), part="near")
    point = call.reshape(call.f32(zero), (), "zero_y")
    return whole_of(call, call.op("add", near, point, part="moved"), kind, "bytes")


@importer("QLinearMatMul")
def qlinear_matmul(call: Call) -> Tensor:
    """a, its scale, its zero point, b, ..., the result's scale and zero point."""
    made = qlinear.matmul(call)
    if made is not None:
        return made
    a = _centred(call, 0, 2, len(call.x(0).shape) - 2)
    b = _centred(call, 3, 5, len(call.x(3).shape) - 1)
    scale_a, scale_b = call.f32(1), call.f32(4)
    if math.prod(scale_a.shape) > 1 and len(scale_a.shape) == 1:
        scale_a = call.reshape(scale_a, (scale_a.shape[0], 1), "rows")
    both = call.op("mul", scale_a, scale_b, part="scales")
    factor = call.op("div", both, call.f32(6), part="factor")
    if math.prod(factor.shape) == 1:
        factor = call.reshape(factor, (), "one")
    sums = matmul_of(call, a, b, most=(_most(call, a, 0, 2), _most(call, b, 3, 5)))
    return _requantized(call, sums, factor, 7)


@importer("QLinearConv")
def qlinear_conv(call: Call) -> Tensor:
    """x, its scale, its zero point, w, ..., the result's scale and zero point, bias."""
    made = qlinear.convolution(call)
    if made is not None:
        return made
    y = _conv_sum(call, (0, 2), (3, 5))
    if call.has(8):
        y = call.op("add", y, call.cast(call.x(8), "int32", "bias"), part="biased")
    scale_w = call.f32(4)
    if math.prod(scale_w.shape) == 1:
        scale_w = call.reshape(scale_w, (), "scale_w")
    scale_x = call.reshape(call.f32(1), (), "scale_x")
    both = call.op("mul", scale_x, scale_w, part="scales")
    factor = call.op("div", both, call.reshape(call.f32(6), (), "scale_y"), part="factor")
    return from_nhwc(call.em, _requantized(call, y, factor, 7), call.name)
