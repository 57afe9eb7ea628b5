"""Ops on bytes: what a quantised model computes, exactly (docs/adr/0005).

An activation is uint8 and stands for `(q - zero) * scale`; a weight is int8. Sums are int32 and
wrap around. What follows a sum is float32, one rounding per operation, in the order written;
`round` goes to the nearest, halves to even; `clip` goes to 0 .. high, and NaN becomes 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from fanlight.ops import check, image, windows
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.pointwise import EXACT, pointwise
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]
Arrays = Sequence[np.ndarray]

BYTES = ("uint8",)
_WHOLE = NotDifferentiable("it computes in whole numbers")
NONE = "cannot occur: inputs are integers, and scales must be finite"
# float32 adds whole numbers exactly as long as no sum reaches this.
EXACT_SUM = 1 << 24
MAX_FLOAT32 = float(np.finfo(np.float32).max)
# Images are worked on a piece at a time that stays in the cache.
_PIECE_BYTES = 4 << 20

_ZERO = Attr(0, "the byte of the result that stands for 0")
_HIGH = Attr(127, "greatest byte of the result, 1 to 255")


def _scale(doc: str) -> Attr:
    return Attr(REQUIRED, doc)


# --- checks ---------------------------------------------------------------------------------------


def _check_byte(op: str, attrs: Attrs, *names: str) -> None:
    for name in names:
        check.integer(op, attrs, name, 0, 255)


def _check_result(op: str, attrs: Attrs) -> None:
    high = check.integer(op, attrs, "high", 1, 255)
    check.integer(op, attrs, "zero", 0, high)


def _check_float32(op: str, attrs: Attrs, *names: str) -> None:
    for name in names:
        value = check.number(op, attrs, name)
        if abs(value) > MAX_FLOAT32:
            raise check.attr_error(op, name, "a number that fits float32", value)


def _check_positive(op: str, attrs: Attrs, name: str) -> None:
    value = check.number(op, attrs, name)
    # Neither the scale nor its reciprocal may vanish or overflow in float32.
    if not (value > 0 and 1e-37 <= value <= 1e37):
        raise check.attr_error(op, name, "a number from 1e-37 to 1e37", value)


# --- elementwise ----------------------------------------------------------------------------------


def _to_byte(v: sc.Expr, zero: int, high: int) -> sc.Expr:
    """uint8(clip(round(v) + zero))."""
    return sc.cast(sc.clip(sc.make("round", v) + zero, 0, high), "uint8")


def _real(q: sc.Expr, zero: int) -> sc.Expr:
    return sc.cast(q - zero, "float32")


def _quantize(x: sc.Expr, *, scale: float, zero: int, high: int) -> sc.Expr:
    return _to_byte(x * float(np.float32(1 / scale)), zero, high)


def _check_quantize(op: str, attrs: Attrs) -> None:
    _check_positive(op, attrs, "scale")
    _check_result(op, attrs)


pointwise(
    "quantize",
    1,
    _quantize,
    family="quantized",
    vjp=_WHOLE,
    doc="float32 -> uint8: clip(round(x * float32(1 / scale)) + zero). "
    "Source: docs/adr/0005-int8.md.",
    attrs={"scale": _scale("what one step of a byte stands for"), "zero": _ZERO, "high": _HIGH},
    check_attrs=_check_quantize,
    tol=EXACT,
    nan="becomes 0",
)


def _dequantize(x: sc.Expr, *, scale: float, zero: int) -> sc.Expr:
    return _real(x, zero) * float(scale)


def _check_dequantize(op: str, attrs: Attrs) -> None:
    _check_float32(op, attrs, "scale")
    _check_byte(op, attrs, "zero")


pointwise(
    "dequantize",
    1,
    _dequantize,
    family="quantized",
    vjp=_WHOLE,
    doc="uint8 -> float32: float32(x - zero) * scale. Source: docs/adr/0005-int8.md.",
    dtypes=BYTES,
    attrs={
        "scale": _scale("what one step of a byte stands for"),
        "zero": Attr(0, "the byte of x that stands for 0"),
    },
    check_attrs=_check_dequantize,
    tol=EXACT,
    nan=NONE,
)


def _add(
    a: sc.Expr,
    b: sc.Expr,
    *,
    scale_a: float,
    zero_a: int,
    scale_b: float,
    zero_b: int,
    zero: int,
    high: int,
) -> sc.Expr:
    v = _real(a, zero_a) * float(scale_a) + _real(b, zero_b) * float(scale_b)
    return _to_byte(v, zero, high)


def _check_add(op: str, attrs: Attrs) -> None:
    _check_float32(op, attrs, "scale_a", "scale_b")
    _check_byte(op, attrs, "zero_a", "zero_b")
    _check_result(op, attrs)


pointwise(
    "add_int8",
    2,
    _add,
    family="quantized",
    vjp=_WHOLE,
    doc="The sum of two uint8 values of different scales, which broadcast: clip(round("
    "float32(a - zero_a) * scale_a + float32(b - zero_b) * scale_b) + zero). A negative scale "
    "subtracts. Source: docs/adr/0005-int8.md.",
    dtypes=BYTES,
    attrs={
        "scale_a": _scale("the scale of a, divided by the result's"),
        "zero_a": Attr(0, "the byte of a that stands for 0"),
        "scale_b": _scale("the scale of b, divided by the result's"),
        "zero_b": Attr(0, "the byte of b that stands for 0"),
        "zero": _ZERO,
        "high": _HIGH,
    },
    check_attrs=_check_add,
    tol=EXACT,
    nan=NONE,
)


def _mul(
    a: sc.Expr, b: sc.Expr, *, zero_a: int, zero_b: int, scale: float, zero: int, high: int
) -> sc.Expr:
    v = sc.cast((a - zero_a) * (b - zero_b), "float32") * float(scale)
    return _to_byte(v, zero, high)


def _check_mul(op: str, attrs: Attrs) -> None:
    _check_float32(op, attrs, "scale")
    _check_byte(op, attrs, "zero_a", "zero_b")
    _check_result(op, attrs)


pointwise(
    "mul_int8",
    2,
    _mul,
    family="quantized",
    vjp=_WHOLE,
    doc="The product of two uint8 values, which broadcast: clip(round(float32((a - zero_a) * "
    "(b - zero_b)) * scale) + zero). Source: docs/adr/0005-int8.md.",
    dtypes=BYTES,
    attrs={
        "zero_a": Attr(0, "the byte of a that stands for 0"),
        "zero_b": Attr(0, "the byte of b that stands for 0"),
        "scale": _scale("the scale of a times that of b, divided by the result's"),
        "zero": _ZERO,
        "high": _HIGH,
    },
    check_attrs=_check_mul,
    tol=EXACT,
    nan=NONE,
)


def _prelu(
    x: sc.Expr, slope: sc.Expr, *, zero_x: int, scale: float, zero: int, high: int
) -> sc.Expr:
    v = _real(x, zero_x) * float(scale)
    return _to_byte(sc.where(v < 0, v * slope, v), zero, high)


def _check_prelu(op: str, attrs: Attrs) -> None:
    _check_float32(op, attrs, "scale")
    _check_byte(op, attrs, "zero_x")
    _check_result(op, attrs)


pointwise(
    "prelu_int8",
    2,
    _prelu,
    family="quantized",
    vjp=_WHOLE,
    doc="(x uint8, slope float32), which broadcast: v = float32(x - zero_x) * scale; clip(round("
    "v * slope where v < 0, else v) + zero). Source: docs/adr/0005-int8.md.",
    first=BYTES,
    attrs={
        "zero_x": Attr(0, "the byte of x that stands for 0"),
        "scale": _scale("the scale of x, divided by the result's"),
        "zero": _ZERO,
        "high": _HIGH,
    },
    check_attrs=_check_prelu,
    tol=EXACT,
    nan="of a slope that is used becomes 0",
)


# --- any function of one byte ---------------------------------------------------------------------


def _infer_lookup(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    x, table = types
    check.tensor("lookup", "x", x, BYTES)
    check.tensor("lookup", "table", table, BYTES, 1, "[256]")
    if table.shape != (256,):
        raise check.shape_error("lookup", "table", "[256]", table)
    return [x]


register(
    Row(
        name="lookup",
        family="quantized",
        vjp=_WHOLE,
        arity=(2, 2),
        infer=_infer_lookup,
        eval=lambda arrays, attrs: [np.take(arrays[1], arrays[0])],
        doc="x uint8 [...], table uint8 [256] -> uint8 [...]: table[x], so any function of one "
        "value: sigmoid, hard_swish, another scale. Source: docs/adr/0005-int8.md.",
        wasm="kernel",
        tol={"uint8": 0.0},
        nan="cannot occur",
    )
)


# --- sums of products -----------------------------------------------------------------------------

_SUM_ATTRS = {
    "x_high": Attr(
        127,
        "greatest byte that x holds, a promise of the graph. Up to 127, kernels may multiply "
        "bytes; above, they widen them first",
    ),
    "zero": _ZERO,
    "high": _HIGH,
    "residual_scale": Attr(1.0, "factor of `residual - residual_zero`, in the unit of v"),
    "residual_zero": Attr(0, "the byte of the residual that stands for 0"),
    "output": Attr("uint8", "uint8, or float32: v itself, zero and high are not used"),
}
_CONV_ATTRS = {
    "strides": windows.STRIDES,
    "padding": windows.PADDING,
    "dilations": windows.DILATIONS,
    "pad": Attr(0, "the byte that stands outside the image: the zero point of x"),
    **_SUM_ATTRS,
}
_SUM_DOC = (
    "acc = bias + the sum over raw bytes (bias int32, one per channel, holds -zero_x * sum(w) "
    "too); v = float32(acc) * scale (float32, one per channel), with a residual (uint8, of the "
    "result's shape) v = v + float32(residual - residual_zero) * residual_scale; "
    "uint8(clip(round(v) + zero)), or v for output float32. Source: docs/adr/0005-int8.md."
)


def _check_sum(op: str, types: Sequence[TensorType], attrs: Attrs, shape: tuple) -> TensorType:
    """Bias, scale, residual and the attributes that all sums share; the type of the result."""
    depth = shape[-1]
    for name, type, dtype in zip(("bias", "scale"), types[2:4], ("int32", "float32"), strict=True):
        check.tensor(op, name, type, (dtype,), 1, f"[{depth}]")
        if type.shape != (depth,):
            raise check.shape_error(op, name, f"[{depth}], one per channel", type)
    if len(types) == 5:
        check.tensor(op, "residual", types[4], BYTES)
        if types[4].shape != shape:
            raise check.shape_error(op, "residual", f"the result's shape {list(shape)}", types[4])
    check.integer(op, attrs, "x_high", 1, 255)
    _check_result(op, attrs)
    _check_float32(op, attrs, "residual_scale")
    _check_byte(op, attrs, "residual_zero")
    return TensorType(shape, check.choice(op, attrs, "output", ("uint8", "float32")))


def exact_product(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x uint8 [..., K] times w int8 [K, N], in int32 that wraps around."""
    # A product of float32 or float64 matrices is exact while no partial sum is rounded, and far
    # faster than one of integers.
    shape = (*x.shape[:-1], w.shape[1])
    x = x.reshape(prod(x.shape[:-1]), len(w))  # one product, not one per row
    most = int(x.max(initial=0))
    largest = most * 128 * len(w)
    if largest >= EXACT_SUM:
        largest = most * int(np.abs(w.astype(np.int32)).sum(axis=0).max(initial=0))
    if largest < EXACT_SUM:
        product = np.matmul(x.astype(np.float32), w.astype(np.float32)).astype(np.int32)
    else:
        wide = np.matmul(x.astype(np.float64), w.astype(np.float64))
        product = wide.astype(np.int64).astype(np.int32)
    return product.reshape(shape)


# 127 times this is the most that int16 holds.
PAIR_REACH = 258


def pair_reach(w: np.ndarray, run: int) -> np.ndarray:
    """How far int16 sums of four products can go, in steps of x: the largest sum of the positive
    (or of the negative) weights among four that kernels may add up before they widen, int32 [N].

    Up to PAIR_REACH, with x of at most 127, kernels may do that (see gemm_int8.py, "pairs").

    Args:
        w: int8 [..., N].
        run: how many rows of w meet neighbouring bytes of x, for a convolution kw * C.
    """
    rows = w.reshape(-1, run, w.shape[-1]).astype(np.int32)
    padded = np.pad(rows, ((0, 0), (0, -run % 8), (0, 0)))
    # A lane meets bytes 2p, 2p + 1 of one group of four and of the next.
    groups = padded.reshape(rows.shape[0], -1, 2, 2, 2, rows.shape[-1])
    above = np.maximum(groups, 0).sum(axis=(2, 4)).max(axis=(0, 1, 2), initial=0)
    below = np.maximum(-groups, 0).sum(axis=(2, 4)).max(axis=(0, 1, 2), initial=0)
    return np.maximum(above, below)


def sum_reach(w: np.ndarray, bias: np.ndarray, x_high: int) -> np.ndarray:
    """How far a layer's sums, with its bias, can be from 0: float64 [N]. int32 must hold it.

    Args:
        w: int8 [..., N], or [kh, kw, N, 1] of a depthwise convolution.
        bias: int32 [N].
        x_high: greatest byte of x.
    """
    total: np.ndarray = np.abs(w.reshape(-1, bias.size).astype(np.float64)).sum(axis=0)
    return total * x_high + np.abs(bias.astype(np.float64))


def finish_sum(total: np.ndarray, rest: Arrays, attrs: Attrs) -> np.ndarray:
    """What follows the sum: `rest` is bias, scale and perhaps the residual."""
    bias, scale = rest[:2]
    with np.errstate(all="ignore"):
        v = (total + bias).astype(np.float32)
        v *= scale
        if len(rest) == 3:
            real = (rest[2].astype(np.int32) - np.int32(attrs["residual_zero"])).astype(np.float32)
            real *= np.float32(attrs["residual_scale"])
            v += real
        return v if attrs["output"] == "float32" else to_bytes(v, attrs)


def to_bytes(v: np.ndarray, attrs: Attrs) -> np.ndarray:
    """uint8(clip(round(v) + zero)); v (float32) is overwritten."""
    np.rint(v, out=v)
    v += np.float32(attrs["zero"])
    # fmax takes the number where the other is NaN.
    np.fmax(v, np.float32(0), out=v)
    np.minimum(v, np.float32(attrs["high"]), out=v)
    return v.astype(np.uint8)


def _infer_conv(op: str, types: Sequence[TensorType], attrs: Attrs, form: str) -> TensorType:
    x, w = types[:2]
    check.tensor(op, "x", x, BYTES, 4, windows.IMAGE)
    check.tensor(op, "w", w, ("int8",), 4, form)
    if w.shape[2] != x.shape[3]:
        raise check.shape_error(op, "w", f"{form} with C = {x.shape[3]}, for x {x}", w)
    _check_byte(op, attrs, "pad")
    size = windows.output_size(op, x, w.bound[:2], attrs)
    depth = w.bound[3] if op == "conv2d_int8" else w.bound[2]
    return _check_sum(op, types, attrs, (x.shape[0], *size, depth))


def _infer_conv2d(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    return [_infer_conv("conv2d_int8", types, attrs, "[kh, kw, C, D]")]


def _eval_conv2d(arrays: Arrays, attrs: Attrs) -> list[np.ndarray]:
    x, w = arrays[:2]
    strides, dilations = attrs["strides"], attrs["dilations"]
    x = windows.padded(x, attrs["padding"], attrs["pad"])
    if w.shape[:2] == (1, 1):
        total = exact_product(x[:, :: strides[0], :: strides[1]], w[0, 0])
        return [finish_sum(total, arrays[2:], attrs)]
    size, matrix = windows.places(x, w.shape, strides, dilations), w.reshape(-1, w.shape[3])
    total = np.empty((x.shape[0], *size, w.shape[3]), np.int32)
    for item, rows, seen in windows.unrolled(x, w.shape[:2], strides, dilations):
        total[item, rows] = exact_product(seen, matrix).reshape(-1, *total.shape[2:])
    return [finish_sum(total, arrays[2:], attrs)]


def _infer_depthwise(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "depthwise_conv2d_int8"
    result = _infer_conv(op, types, attrs, "[kh, kw, C, 1]")
    if types[1].shape[3] != 1:
        raise check.shape_error(op, "w", "[kh, kw, C, 1]", types[1])
    return [result]


def _eval_depthwise(arrays: Arrays, attrs: Attrs) -> list[np.ndarray]:
    x, w = arrays[:2]
    kh, kw, channels = w.shape[:3]
    strides, dilations = attrs["strides"], attrs["dilations"]
    x = windows.padded(x, attrs["padding"], attrs["pad"])
    out = windows.places(x, w.shape, strides, dilations)
    total = np.zeros((x.shape[0], *out, channels), np.int32)
    # A few rows at a time: all taps of a piece then work in the cache. Products of a byte and an
    # int8 fit float32, which multiplies faster than int32, and so do sums of 512 of them.
    dtype = np.float32 if kh * kw <= 512 else np.int32
    step = max(1, (_PIECE_BYTES // 16) // max(1, out[1] * channels * 4))
    for top in range(0, out[0], step):
        count = min(step, out[0] - top)
        piece = x[:, top * strides[0] :][
            :, : (count - 1) * strides[0] + (kh - 1) * dilations[0] + 1
        ]
        sums = np.zeros((x.shape[0], count, out[1], channels), dtype)
        wide = piece.astype(dtype)
        for i, j, seen in windows.taps(wide, (count, out[1]), (kh, kw), strides, dilations):
            sums += seen * w[i, j, :, 0].astype(dtype)
        total[:, top : top + count] = sums
    return [finish_sum(total, arrays[2:], attrs)]


def _infer_matmul(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "matmul_int8"
    x, w = types[:2]
    check.tensor(op, "x", x, BYTES)
    check.tensor(op, "w", w, ("int8",), 2, "[K, N]")
    if not x.rank or x.shape[-1] != w.shape[0]:
        raise check.shape_error(op, "w", f"as many rows as x {x} has columns", w)
    return [_check_sum(op, types, attrs, (*x.shape[:-1], w.shape[1]))]


def _eval_matmul(arrays: Arrays, attrs: Attrs) -> list[np.ndarray]:
    return [finish_sum(exact_product(*arrays[:2]), arrays[2:], attrs)]


def _sum_row(name: str, infer: Any, evaluate: Any, attrs: Mapping[str, Attr], doc: str) -> Row:
    return register(
        Row(
            name=name,
            family="quantized",
            vjp=_WHOLE,
            arity=(4, 5),
            attrs=attrs,
            infer=infer,
            eval=evaluate,
            doc=f"(x uint8, w int8, bias, scale, perhaps residual): {doc} {_SUM_DOC}",
            wasm="kernel",
            tol=EXACT,
            nan=NONE,
        )
    )


_sum_row(
    "conv2d_int8",
    _infer_conv2d,
    _eval_conv2d,
    _CONV_ATTRS,
    "a convolution, x [N, H, W, C], w [kh, kw, C, D] -> [N, h, w, D], sizes and errors as of "
    "conv2d.",
)
_sum_row(
    "depthwise_conv2d_int8",
    _infer_depthwise,
    _eval_depthwise,
    _CONV_ATTRS,
    "a convolution of each channel by itself, x [N, H, W, C], w [kh, kw, C, 1] -> [N, h, w, C], "
    "sizes and errors as of depthwise_conv2d.",
)
_sum_row(
    "matmul_int8",
    _infer_matmul,
    _eval_matmul,
    _SUM_ATTRS,
    "a matrix product, x [..., K], w [K, N] -> [..., N]; E-OP-004 if the inner sizes differ.",
)


# --- means ----------------------------------------------------------------------------------------

_MEAN_ATTRS = {
    "zero_x": Attr(0, "the byte of x that stands for 0"),
    "scale": _scale("the scale of x, divided by the result's"),
    "zero": _ZERO,
    "high": _HIGH,
}


def _check_mean(op: str, attrs: Attrs) -> None:
    _check_positive(op, attrs, "scale")
    _check_byte(op, attrs, "zero_x")
    _check_result(op, attrs)


def _finish_mean(total: np.ndarray, count: np.ndarray, attrs: Attrs) -> np.ndarray:
    """`total` and `count` int32, which broadcast."""
    v = np.asarray((total - count * np.int32(attrs["zero_x"])).astype(np.float32))
    v *= np.float32(attrs["scale"]) / count.astype(np.float32)
    return to_bytes(v, attrs)


def _infer_avg_pool(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "avg_pool_int8"
    x = types[0]
    check.tensor(op, "x", x, BYTES, 4, windows.IMAGE)
    size = check.integers(op, attrs, "size", 2, 1)
    out = windows.output_size(op, x, size, attrs)
    if any(side >= n for n, pair in zip(size, attrs["padding"], strict=True) for side in pair):
        raise check.attr_error(op, "padding", "less than the window's size", attrs["padding"])
    _check_mean(op, attrs)
    return [TensorType((x.shape[0], *out, x.shape[3]), "uint8")]


def _eval_avg_pool(arrays: Arrays, attrs: Attrs) -> list[np.ndarray]:
    x = arrays[0]
    padding, size, strides = attrs["padding"], attrs["size"], attrs["strides"]
    inside = windows.padded(np.ones((1, *x.shape[1:3], 1), np.int32), padding)
    x = windows.padded(x, padding)
    height, width = ((x.shape[1 + a] - size[a]) // strides[a] + 1 for a in (0, 1))
    total = np.zeros((x.shape[0], height, width, x.shape[3]), np.int32)
    count = np.zeros((1, height, width, 1), np.int32)
    for _, _, seen in windows.taps(x, (height, width), size, strides):
        total += seen
    for _, _, seen in windows.taps(inside, (height, width), size, strides):
        count += seen
    return [_finish_mean(total, count, attrs)]


register(
    Row(
        name="avg_pool_int8",
        family="quantized",
        vjp=_WHOLE,
        arity=(1, 1),
        attrs={
            "size": windows.SIZE,
            "strides": windows.STRIDES,
            "padding": windows.PADDING,
            **_MEAN_ATTRS,
        },
        infer=_infer_avg_pool,
        eval=_eval_avg_pool,
        doc="x uint8 [N, H, W, C] -> uint8 [N, h, w, C], sizes as of avg_pool: clip(round("
        "float32(sum - count * zero_x) * (scale / float32(count))) + zero), sum and count over the "
        "pixels of a window that lie in the image. E-OP-005 for a padding as large as the window. "
        "Source: docs/adr/0005-int8.md.",
        wasm="kernel",
        tol=EXACT,
        nan=NONE,
    )
)


def _infer_mean(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "mean_int8"
    x = types[0]
    check.tensor(op, "x", x, BYTES)
    axes = check.axes(op, attrs, "axes", x)
    keep = check.flag(op, attrs, "keepdims")
    _check_mean(op, attrs)
    if any(x.shape[d] == 0 for d in axes):
        raise check.shape_error(op, "x", "at least one element to reduce", x)
    shape = tuple(1 if d in axes else n for d, n in enumerate(x.shape) if keep or d not in axes)
    return [TensorType(shape, "uint8")]


def _eval_mean(arrays: Arrays, attrs: Attrs) -> list[np.ndarray]:
    x = arrays[0]
    axes = tuple(d % x.ndim for d in attrs["axes"])
    total = np.asarray(x.sum(axis=axes, keepdims=attrs["keepdims"], dtype=np.int32))
    count = np.int32(prod(x.shape[d] for d in axes))
    return [_finish_mean(total, np.asarray(count), attrs)]


register(
    Row(
        name="mean_int8",
        family="quantized",
        vjp=_WHOLE,
        arity=(1, 1),
        attrs={
            "axes": Attr(REQUIRED, "the dims to reduce; negative ones count from the end"),
            "keepdims": Attr(False, "whether the reduced dims stay, with size 1"),
            **_MEAN_ATTRS,
        },
        infer=_infer_mean,
        eval=_eval_mean,
        doc="x uint8 [...] -> uint8, the mean over `axes`, whose dims go or become 1: "
        "clip(round(float32(sum - count * zero_x) * (scale / float32(count))) + zero). E-OP-004 if "
        "there are no elements. Source: docs/adr/0005-int8.md.",
        wasm="kernel",
        tol=EXACT,
        nan=NONE,
    )
)


# --- resizing -------------------------------------------------------------------------------------


def byte_taps(n: int, m: int, coordinates: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lower source pixel, upper one, weight of the upper one in 256ths) per result pixel."""
    at, unit = image.samples(n, m, coordinates)
    at = np.clip(at, 0, (n - 1) * unit)
    lower = at // unit
    weight = (512 * (at - lower * unit) + unit) // (2 * unit)
    return lower, np.minimum(lower + 1, n - 1), weight


def _infer_resize(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "resize_bilinear_int8"
    x = types[0]
    check.tensor(op, "x", x, BYTES, 4, windows.IMAGE)
    size = check.integers(op, attrs, "size", 2, 1)
    check.choice(op, attrs, "coordinates", image.COORDINATES)
    if 0 in x.shape[1:3]:
        raise check.shape_error(op, "x", "at least one pixel", x)
    return [TensorType((x.shape[0], *size, x.shape[3]), "uint8")]


def _eval_resize(arrays: Arrays, attrs: Attrs) -> list[np.ndarray]:
    x = arrays[0].astype(np.int32)
    for axis in (1, 2):
        lower, upper, weight = byte_taps(
            x.shape[axis], attrs["size"][axis - 1], attrs["coordinates"]
        )
        t = weight.astype(np.int32).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        x = np.take(x, lower, axis=axis) * (256 - t) + np.take(x, upper, axis=axis) * t
    return [((x + 32768) >> 16).astype(np.uint8)]


register(
    Row(
        name="resize_bilinear_int8",
        family="quantized",
        vjp=_WHOLE,
        arity=(1, 1),
        attrs={
            "size": Attr(REQUIRED, "height and width of the result"),
            "coordinates": Attr("half_pixel", "half_pixel, align_corners or asymmetric, as there"),
        },
        infer=_infer_resize,
        eval=_eval_resize,
        doc="uint8 [N, H, W, C] -> uint8 [N, h, w, C]: resize_bilinear in integers: weights along "
        "each dim are rounded to 256ths (halves up) and add up to 256; (sum of pixel * weight * "
        "weight + 32768) >> 16. Scale and zero point stay the same. Source: docs/adr/0005-int8.md.",
        wasm="kernel",
        tol={"uint8": 0.0},
        nan="cannot occur",
    )
)
