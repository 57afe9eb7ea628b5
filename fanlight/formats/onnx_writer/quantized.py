"""Ops on bytes as ops of ONNX that compute in whole numbers, with the same results.

Scales of ONNX's quantised ops are three: of the input, of the weights and of the result. Ours is
one factor, so that of the weights is it, and the others are 1. What makes a byte of a float32 is
QuantizeLinear with a scale of 1: round, halves to even, add the zero point, cut off.

Weights go as int8 where inputs end at 127. Where they end at 255, weights are uint8 around 128:
processors without instructions of their own for it add two products of uint8 and int8 in 16 bits,
in which 2 * 255 * 127 has no room.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fanlight.formats.onnx_writer import proto
from fanlight.formats.onnx_writer.elementwise import operands
from fanlight.formats.onnx_writer.neural import window_size
from fanlight.formats.onnx_writer.nodes import Out, Unsupported

_FLOAT, _INT = proto.TYPES["float32"], proto.TYPES["int32"]
_MIDDLE = 128


def _real(o: Out, x: str, scale: float, zero: int, part: str) -> str:
    """float32(x - zero) * scale."""
    return o.op("DequantizeLinear", x, float(scale), o.w.scalar(zero, "uint8"), part=part)


def _byte(o: Out, v: str) -> str:
    """uint8(clip(round(v) + zero)), up to the greatest byte of the result."""
    zero, high = o.w.scalar(o.attrs["zero"], "uint8"), int(o.attrs["high"])
    if high == 255:
        return o.op("QuantizeLinear", v, 1.0, zero)
    return _high(o, o.op("QuantizeLinear", v, 1.0, zero, part="byte"))


def _high(o: Out, byte: str) -> str:
    ends = (o.w.scalar(n, "uint8") for n in (0, o.attrs["high"]))
    return o.op("Clip", byte, *ends)


# --- elementwise ----------------------------------------------------------------------------------


def quantize(o: Out) -> str:
    (x,) = operands(o)
    return _byte(o, o.op("Mul", x, float(np.float32(1 / o.attrs["scale"])), part="steps"))


def dequantize(o: Out) -> str:
    (x,) = operands(o)
    zero = o.w.scalar(o.attrs["zero"], "uint8")
    return o.op("DequantizeLinear", x, float(o.attrs["scale"]), zero)


def add(o: Out) -> str:
    a, b = (
        _real(o, x, o.attrs[f"scale_{n}"], o.attrs[f"zero_{n}"], n)
        for x, n in zip(operands(o), "ab", strict=True)
    )
    return _byte(o, o.op("Add", a, b, part="sum"))


def mul(o: Out) -> str:
    a, b = (
        _real(o, x, 1.0, o.attrs[f"zero_{n}"], n) for x, n in zip(operands(o), "ab", strict=True)
    )
    product = o.op("Mul", a, b, part="product")
    return _byte(o, o.op("Mul", product, float(o.attrs["scale"]), part="scaled"))


def prelu(o: Out) -> str:
    x, slope = operands(o)
    v = _real(o, x, o.attrs["scale"], o.attrs["zero_x"], "real")
    below = o.op("Where", o.op("Less", v, 0.0, part="less"), o.op("Mul", v, slope, part="mul"), v,
                 part="bent")  # fmt: skip
    return _byte(o, below)


def lookup(o: Out) -> str:
    table = o.x(1)
    turned = o.w.is_turned(o.node.inputs[0])
    x = o.chw() if turned else o.x()
    return o.op("Gather", table, o.op("Cast", x, part="index", to=_INT), axis=0)


# --- sums of products -----------------------------------------------------------------------------


def _weights(o: Out, perm: tuple[int, ...], integer: bool) -> tuple[str, str]:
    """The weights in ONNX's order, and the byte that stands for 0 in them.

    Args:
        integer: of ConvInteger, which runtimes know with weights of uint8 alone.
    """
    array = o.array(1)
    if array is None:  # made by other ops
        made = o.op("Transpose", o.x(1), part="kernel", perm=perm)
        return made, o.w.scalar(0, "int8")
    array = array.transpose(perm)
    if o.attrs["x_high"] <= 127 and not integer:
        return o.w.const(np.ascontiguousarray(array), f"{o.name}/kernel"), o.w.scalar(0, "int8")
    moved = (array.astype(np.int32) + _MIDDLE).astype(np.uint8)
    return o.w.const(moved, f"{o.name}/kernel"), o.w.scalar(_MIDDLE, "uint8")


def _bias(o: Out, axes: tuple[int, ...]) -> str:
    """The bias of a sum over x - pad: ours is of sums over raw bytes."""
    w, bias, pad = o.array(1), o.array(2), int(o.attrs["pad"])
    if w is not None and bias is not None:
        taps = w.astype(np.int64).sum(axes).reshape(bias.shape)
        return o.w.const((bias + taps * pad).astype(np.int32), f"{o.name}/bias")
    if not pad:
        return o.x(2)
    whole = o.op("Cast", o.x(1), part="whole", to=_INT)
    taps = o.op("ReduceSum", whole, o.w.integers(axes), part="taps", keepdims=0)
    taps = o.op("Reshape", taps, o.w.integers([-1]), part="row")
    return o.op("Add", o.x(2), o.op("Mul", taps, o.w.scalar(pad, "int32"), part="pads"),
                part="bias")  # fmt: skip


def _finished(o: Out, total: str, turned: bool) -> str:
    """What follows an int32 sum that has its bias."""
    channels = int(o.type(3).shape[0])  # type: ignore[arg-type]

    def row(reference: str, array: np.ndarray | None, part: str) -> str:
        if not turned:
            return reference
        shape = (channels, 1, 1)
        if array is not None:
            return o.w.const(array.reshape(shape), f"{o.name}/{part}")
        return o.op("Reshape", reference, o.w.integers(shape), part=part)

    real = o.op("Cast", total, part="real", to=_FLOAT)
    last = o.attrs["output"] == "float32" and len(o.node.inputs) == 4
    v = o.op("Mul", real, row(o.x(3), o.array(3), "scale"), part="" if last else "scaled")
    if len(o.node.inputs) == 5:
        other = o.chw(4) if turned else o.x(4)
        rest = _real(o, other, o.attrs["residual_scale"], o.attrs["residual_zero"], "residual")
        v = o.op("Add", v, rest, part="" if o.attrs["output"] == "float32" else "sum")
    return v if o.attrs["output"] == "float32" else _byte(o, v)


def convolution(o: Out) -> str:
    """QLinearConv, or ConvInteger where a residual or a float32 result wants the sum itself."""
    deep = o.node.op == "depthwise_conv2d_int8"
    perm, axes = ((2, 3, 0, 1), (0, 1)) if deep else ((3, 2, 0, 1), (0, 1, 2))
    high, wide, channels, _ = window_size(o)
    (top, bottom), (left, right) = o.attrs["padding"]
    attrs: dict[str, Any] = {
        "kernel_shape": (high, wide),
        "strides": o.attrs["strides"],
        "dilations": o.attrs["dilations"],
        "pads": [top, left, bottom, right],
        "group": channels if deep else 1,
    }
    zero = o.w.scalar(o.attrs["pad"], "uint8")
    bias, x = _bias(o, axes), o.chw()
    if len(o.node.inputs) == 4 and o.attrs["output"] == "uint8":
        w, middle = _weights(o, perm, False)
        one = o.w.scalar(1.0)
        limited = o.attrs["high"] < 255
        made = o.op("QLinearConv", x, one, zero, w, o.x(3), middle, one,
                    o.w.scalar(o.attrs["zero"], "uint8"), bias,
                    part="byte" if limited else "", **attrs)  # fmt: skip
        return _high(o, made) if limited else made
    w, middle = _weights(o, perm, True)
    total = o.op("ConvInteger", x, w, zero, middle, part="sum", **attrs)
    array = o.w.constants.get(bias)
    shape = (-1, 1, 1)
    column = (
        o.op("Reshape", bias, o.w.integers(shape), part="column")
        if array is None
        else o.w.const(array.reshape(shape), f"{o.name}/bias")
    )
    return _finished(o, o.op("Add", total, column, part="biased"), True)


def matmul(o: Out) -> str:
    w, middle = _weights(o, (0, 1), False)
    total = o.op("MatMulInteger", o.x(), w, o.w.scalar(0, "uint8"), middle, part="products")
    return _finished(o, o.op("Add", total, o.x(2), part="biased"), False)


# --- means ----------------------------------------------------------------------------------------


def mean(o: Out) -> str:
    """A sum of whole numbers, times what the scale is by how many they are."""
    shape = o.type().shape
    axes = sorted(a % len(shape) for a in o.attrs["axes"])
    sizes = [d for d in (shape[a] for a in axes) if isinstance(d, int)]
    if len(sizes) < len(axes):
        raise Unsupported("a mean along a free dim")
    count = prod(sizes)
    whole = o.op("Cast", o.x(), part="whole", to=_INT)
    if axes:
        whole = o.op("ReduceSum", whole, o.w.integers(axes), part="total",
                     keepdims=int(o.attrs["keepdims"]))  # fmt: skip
    less = o.w.scalar(count * int(o.attrs["zero_x"]), "int32")
    real = o.op("Cast", o.op("Sub", whole, less, part="centred"), part="real", to=_FLOAT)
    factor = np.float32(o.attrs["scale"]) / np.float32(count)
    return _byte(o, o.op("Mul", real, float(factor), part="scaled"))


WRITES: dict[str, Any] = {
    "quantize": quantize,
    "dequantize": dequantize,
    "add_int8": add,
    "mul_int8": mul,
    "prelu_int8": prelu,
    "lookup": lookup,
    "conv2d_int8": convolution,
    "depthwise_conv2d_int8": convolution,
    "matmul_int8": matmul,
    "mean_int8": mean,
}
