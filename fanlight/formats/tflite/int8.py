"""Quantised operators that have a row in whole numbers (fanlight/ops/quantized.py).

Each gives None where the row does not fit the operator: then it is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.spatial import same_padding
from fanlight.formats.tflite.call import HANDLERS, Bytes, Call, Cell
from fanlight.formats.tflite.neural import check_dense
from fanlight.formats.tflite.quantization import Scale
from fanlight.formats.tflite.schema import SAME

Byte = tuple[Tensor, Scale]
IntHandler = Callable[[Call], Bytes | list[Bytes] | None]
INT8: dict[str, IntHandler] = {}

# Ops that only move elements, or pick some: they work on bytes as on any numbers, if what comes
# and what goes have one scale.
MOVES = frozenset(
    "RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE SLICE STRIDED_SLICE CONCATENATION SPLIT SPLIT_V GATHER "
    "GATHER_ND PACK UNPACK TILE SPACE_TO_DEPTH DEPTH_TO_SPACE MAX_POOL_2D BROADCAST_TO REVERSE_V2 "
    "MIRROR_PAD MAXIMUM MINIMUM REDUCE_MAX REDUCE_MIN".split()
)
# Functions of one number: a table of 256 bytes says all.
_LOOKUPS = frozenset(
    "LOGISTIC TANH RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU HARD_SWISH ELU GELU EXP LOG SQRT "
    "RSQRT ABS NEG SQUARE SIN COS QUANTIZE".split()
)


def _integer(*kinds: str) -> Callable[[IntHandler], IntHandler]:
    def register(function: IntHandler) -> IntHandler:
        for kind in kinds:
            INT8[kind] = function
        return function

    return register


def in_whole_numbers(call: Call) -> Bytes | list[Bytes] | None:
    """The operator's results by integer rows; None if it has to be computed in float32."""
    kind = call.operator.kind
    if kind in MOVES:
        return _moved(call)
    if kind in _LOOKUPS:
        return _looked_up(call)
    return INT8[kind](call) if kind in INT8 else None


def _moved(call: Call) -> list[Bytes] | None:
    """The importer of the op, given bytes."""
    scales = [c.scale for c in call.cells if c is not None and c.info.grid is not None]
    scales += [call.result_scale(i) for i in range(len(call.results))]
    first = call.bytes_of(0) or call.bytes_of(1)
    if first is None or any(s != first[1] for s in scales) or call.whole_option("activation"):
        return None
    again = Call(call.operator, call.em, call.cells, call.results, call.warnings, bytewise=True)
    made = HANDLERS[call.operator.kind](again)
    made = made if isinstance(made, list | tuple) else [made]
    # Some ops widen bytes on their way.
    return [Bytes(call.em.cast(t, "uint8", f"{call.node.name}/bytes")) for t in made]


def _looked_up(call: Call) -> Bytes | None:
    """The op on each of the 256 numbers that the input can be."""
    x, result = call.bytes_of(0), call.result_scale()
    if x is None or result is None or isinstance(x[0], np.ndarray):
        return None
    every = (np.arange(256, dtype=np.float32) - np.float32(x[1].zero)) * np.float32(x[1].scale)
    cell = Cell.of(call.em, call.cell(0).info, "every", Bytes(np.arange(256, dtype=np.uint8)))
    cell._real = every
    numbers = Call(call.operator, call.em, [cell], call.results, call.warnings)
    made = np.asarray(HANDLERS[call.operator.kind](numbers), np.float64)
    if np.isnan(made).any():
        made = np.nan_to_num(made)
    table = np.clip(round_away(made / result.scale) + result.zero, 0, 255).astype(np.uint8)
    if np.array_equal(table, np.arange(256)):
        return Bytes(x[0])
    return Bytes(call.op("lookup", x[0], call.em.named(table, f"{call.node.name}/table")))


def round_away(x: np.ndarray) -> np.ndarray:
    """Nearest whole numbers, halves away from zero, as C++ rounds."""
    return np.asarray(np.trunc(x + np.copysign(0.5, x)))


def _limits(call: Call, result: Scale) -> tuple[int, int]:
    """The bytes between which the fused activation keeps the result."""
    low, high = {
        "": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0),
        "relu_n1_to_1": (-1.0, 1.0),
    }.get(call.activation(), (None, None))  # fmt: skip
    if low is None or high is None:
        raise call.refuse("the fused activation is none of whole numbers", expected="a ReLU")
    at = np.array([low, high]) / result.scale
    first, last = np.clip(round_away(at) + result.zero, 0, 255)
    return int(first), int(last)


def _held(call: Call, y: Tensor, low: int, high: int = 255) -> Bytes:
    """Bytes of `low` to `high`."""
    if low > 0 or high < 255:
        table = np.clip(np.arange(256), low, high).astype(np.uint8)
        y = call.op("lookup", y, call.em.named(table, f"{call.node.name}/limits"), part="held")
    return Bytes(y)


def _weights(call: Call, index: int = 1) -> tuple[np.ndarray, np.ndarray] | None:
    """Stored weights less their zero points, int16, and their scales; None for other ones.

    Those of int8 are int8; uint8 weights of old files may need nine bits.
    """
    cell = call.cell(index)
    grid, stored = cell.info.grid, cell.stored
    if stored is None or grid is None or cell.info.type not in ("int8", "uint8"):
        return None
    zero = grid.zero[0]
    if (grid.zero != zero).any() or not -128 <= zero <= 255:
        return None
    return stored.astype(np.int16) - np.int16(zero), grid.scale


def _sums(call: Call, w: np.ndarray, x: Scale, scales: np.ndarray, result: Scale) -> Any:
    """Bias and scale per output channel: w is [..., N]. None where int32 might overflow."""
    count = w.shape[-1]
    bias = np.zeros(count, np.int64)
    if call.has(2):
        cell = call.cell(2)
        if cell.stored is None or cell.stored.size != count or cell.info.type not in (
            "int32", "int64"
        ):  # fmt: skip
            return None
        bias = cell.stored.reshape(-1).astype(np.int64)
    wide = w.reshape(-1, count).astype(np.int64)
    bias = bias - x.zero * wide.sum(axis=0)
    if (np.abs(wide).sum(axis=0) * 255 + np.abs(bias)).max(initial=0) >= 1 << 31:
        return None
    factor = scales.astype(np.float64) * x.scale / result.scale
    return bias.astype(np.int32), np.broadcast_to(factor.astype(np.float32), (count,)).copy()


def _product(call: Call, op: str, x: Byte, w: np.ndarray, sums: Any, **attrs: Any) -> Bytes:
    """One of the rows that sum products."""
    result = call.result_scale()
    assert result is not None
    low, high = _limits(call, result)
    name = call.node.name
    bias, scale = sums
    if w.min(initial=0) < -128 or w.max(initial=0) > 127:
        return _held(call, _wide_product(call, op, x, w, sums, attrs), low, high)
    parts = ((w.astype(np.int8), "weights"), (bias, "bias"), (scale, "scale"))
    named = [call.em.value(a, f"{name}/{part}") for a, part in parts]
    top = max(high, 1, result.zero)
    byte = call.em.value(x[0])
    y = call.op(op, byte, *named, x_high=255, zero=result.zero, high=top, **attrs)
    return _held(call, y, low, 255 if top == high else high)


def _wide_product(
    call: Call, op: str, x: Byte, w: np.ndarray, sums: Any, attrs: dict[str, Any]
) -> Tensor:
    """The same for weights of nine bits: whole numbers in float32, which holds the sums exactly
    up to 2**24; larger ones are rounded, far below one step of the result."""
    result = call.result_scale()
    assert result is not None
    name = call.node.name
    bias, scale = sums
    # The sums' bias takes the zero point out of raw bytes; here it is taken out before.
    own = bias + x[1].zero * w.reshape(-1, bias.size).astype(np.int64).sum(axis=0)
    whole = call.op("dequantize", x[0], part="whole", scale=1.0, zero=x[1].zero)
    weights = call.em.named(w.astype(np.float32), f"{name}/weights")
    window = {k: v for k, v in attrs.items() if k != "pad"}
    total = call.op(op.removesuffix("_int8"), whole, weights, part="sums", **window)
    total = call.op("add", total, call.em.named(own.astype(np.float32), f"{name}/bias"), part="b")
    scaled = call.op("mul", total, call.em.named(scale, f"{name}/scale"), part="scaled")
    return call.op("quantize", scaled, scale=1.0, zero=result.zero, high=255)


def _window(call: Call, x: Tensor, taps: tuple[int, int]) -> dict[str, Any]:
    """strides, dilations and padding as attributes of the table."""
    o = call.options
    strides = (o.get("stride_h", 1), o.get("stride_w", 1))
    dilations = (o.get("dilation_h", 1), o.get("dilation_w", 1))
    if min(*strides, *dilations) < 1 or len(x.shape) != 4:
        raise call.refuse("strides and dilations must be at least 1", received=strides + dilations)
    padding = ((0, 0), (0, 0))
    if o.get("padding", SAME) == SAME:
        sides = zip(x.shape[1:3], taps, strides, dilations, strict=True)
        padding = tuple(same_padding(*side) for side in sides)  # type: ignore[assignment]
    return {"strides": strides, "dilations": dilations, "padding": padding}


@_integer("CONV_2D", "DEPTHWISE_CONV_2D")
def _conv2d(call: Call) -> Bytes | None:
    x, result, weights = call.bytes_of(0), call.result_scale(), _weights(call)
    if x is None or result is None or weights is None or len(x[0].shape) != 4:
        return None
    w, scales = weights
    depthwise = call.operator.kind == "DEPTHWISE_CONV_2D"
    if w.ndim != 4 or 0 in w.shape or scales.size not in (1, w.shape[3 if depthwise else 0]):
        return None
    channels = x[0].shape[3]
    if depthwise:
        if w.shape[3] != channels:
            return None
        w = np.ascontiguousarray(w[0])  # [kh, kw, C]
    else:
        if w.shape[3] != channels:
            return None
        w = np.ascontiguousarray(w.transpose(1, 2, 3, 0))
    sums = _sums(call, w, x[1], scales, result)
    if sums is None:
        return None
    window = _window(call, x[0], w.shape[:2])
    op = "conv2d_int8"
    if depthwise:
        op, w = "depthwise_conv2d_int8", w.reshape(*w.shape, 1)
    return _product(call, op, x, w, sums, pad=x[1].zero, **window)


@_integer("FULLY_CONNECTED")
def _fully_connected(call: Call) -> Bytes | None:
    x, result, weights = call.bytes_of(0), call.result_scale(), _weights(call)
    if x is None or result is None or weights is None:
        return None
    w, scales = weights
    check_dense(call, x[0], w.shape)
    if scales.size not in (1, w.shape[0]):
        return None
    w = np.ascontiguousarray(w.T)
    sums = _sums(call, w, x[1], scales, result)
    if sums is None:
        return None
    rows = x[0]
    if not call.options.get("keep_num_dims"):
        count = int(np.prod(rows.shape, dtype=np.int64)) // w.shape[0]
        rows = call.em.reshape(rows, (count, w.shape[0]), f"{call.node.name}/rows")
    return _product(call, "matmul_int8", (rows, x[1]), w, sums)


@_integer("ADD", "SUB", "MUL")
def _arithmetic(call: Call) -> Bytes | None:
    a, b, result = call.bytes_of(0), call.bytes_of(1), call.result_scale()
    if a is None or b is None or result is None:
        return None
    low, high = _limits(call, result)
    if high < max(1, result.zero):
        return None
    zeros: dict[str, Any] = {
        "zero_a": a[1].zero,
        "zero_b": b[1].zero,
        "zero": result.zero,
        "high": high,
    }
    kind = call.operator.kind
    if kind == "MUL":
        scale = a[1].scale * b[1].scale / result.scale
        return _held(call, call.op("mul_int8", a[0], b[0], scale=scale, **zeros), low)
    sign = -1 if kind == "SUB" else 1
    factors = _multipliers(a[1].scale / result.scale, b[1].scale / result.scale)
    scales: dict[str, Any] = {"scale_a": factors[0], "scale_b": sign * factors[1]}
    return _held(call, call.op("add_int8", a[0], b[0], **scales, **zeros), low)


def _multipliers(a: float, b: float) -> tuple[float, float]:
    """The factors of a sum, as XNNPACK holds them: whole numbers of 21 bits over a power of two."""
    exponent = 20 - int(np.floor(np.log2(max(a, b))))
    first, second = (float(np.ldexp(np.rint(np.ldexp(v, exponent)), -exponent)) for v in (a, b))
    return first, second


@_integer("AVERAGE_POOL_2D")
def _average_pool(call: Call) -> Bytes | None:
    x, result = call.bytes_of(0), call.result_scale()
    if x is None or result is None or len(x[0].shape) != 4:
        return None
    size = (call.whole_option("filter_height"), call.whole_option("filter_width"))
    window = _window(call, x[0], size)
    del window["dilations"]
    low, high = _limits(call, result)
    if high < max(1, result.zero):
        return None
    attrs: dict[str, Any] = {"zero_x": x[1].zero, "zero": result.zero, "high": high, "size": size}
    y = call.op("avg_pool_int8", x[0], scale=x[1].scale / result.scale, **attrs, **window)
    return _held(call, y, low)


@_integer("MEAN")
def _mean(call: Call) -> Bytes | None:
    x, result = call.bytes_of(0), call.result_scale()
    if x is None or result is None:
        return None
    rank = len(x[0].shape)
    axes = tuple(sorted({a % rank if rank else 0 for a in call.ints(1, "the axes")}))
    if not axes or len(axes) > rank:
        return None
    keep = bool(call.options.get("keep_dims"))
    attrs: dict[str, Any] = {
        "zero_x": x[1].zero,
        "zero": result.zero,
        "high": 255,
        "keepdims": keep,
    }
    scale = x[1].scale / result.scale
    return Bytes(call.op("mean_int8", x[0], axes=axes, scale=scale, **attrs))


@_integer("PAD", "PADV2")
def _pad(call: Call) -> Bytes | None:
    """Zeros are the zero point; a value of PADV2 is on the grid of the image."""
    x, value = call.bytes_of(0), call.bytes_of(2)
    if x is None or call.result_scale() != x[1] or (call.has(2) and value is None):
        return None
    fill = x[1].zero
    if value is not None:
        if not isinstance(value[0], np.ndarray) or value[0].size != 1 or value[1] != x[1]:
            return None
        fill = int(value[0].reshape(-1)[0])
    return Bytes(call.tf("PadV2", x[0], call.x(1), np.asarray(fill, np.int32)))


@_integer("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
def _resize(call: Call) -> Bytes | None:
    x = call.bytes_of(0)
    if x is None or call.result_scale() != x[1]:
        return None
    size = call.ints(1, "the size")
    how = "asymmetric"
    if call.options.get("align_corners"):
        how = "align_corners"
    elif call.options.get("half_pixel_centers"):
        how = "half_pixel"
    nearest = call.operator.kind == "RESIZE_NEAREST_NEIGHBOR"
    op = "resize_nearest" if nearest else "resize_bilinear_int8"
    return Bytes(call.op(op, x[0], size=size, coordinates=how))


@_integer("PRELU")
def _prelu(call: Call) -> Bytes | None:
    x, result = call.bytes_of(0), call.result_scale()
    slope = call.x(1)
    if x is None or result is None or not isinstance(slope, np.ndarray):
        return None
    return Bytes(
        call.op(
            "prelu_int8",
            x[0],
            slope,
            zero_x=x[1].zero,
            scale=x[1].scale / result.scale,
            zero=result.zero,
            high=255,
        )
    )
