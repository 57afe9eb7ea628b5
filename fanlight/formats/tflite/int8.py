"""Quantised operators that have a row in whole numbers (fanlight/ops/quantized.py).

Each gives None where the row does not fit the operator: then it is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.spatial import same_padding
from fanlight.formats.tflite.call import HANDLERS, Bytes, Call, Cell
from fanlight.formats.tflite.neural import check_dense
from fanlight.formats.tflite.quantization import Scale
from fanlight.formats.tflite.schema import SAME
from fanlight.formats.tflite.tables import TABLES, prelu_table, round_away
from fanlight.ops.quantized import byte_taps

Byte = tuple[Tensor, Scale]
_MOST_TIES = 4096  # pixels of a window of which float32 can tell a half from what is next to it
IntHandler = Callable[[Call], Bytes | list[Bytes] | None]
INT8: dict[str, IntHandler] = {}

# Ops that only move elements, or pick some: they work on bytes as on any numbers, if what comes
# and what goes have one scale.
MOVES = frozenset(
    "RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE SLICE STRIDED_SLICE CONCATENATION SPLIT SPLIT_V GATHER "
    "GATHER_ND PACK UNPACK TILE SPACE_TO_DEPTH DEPTH_TO_SPACE MAX_POOL_2D BROADCAST_TO REVERSE_V2 "
    "MIRROR_PAD MAXIMUM MINIMUM REDUCE_MAX REDUCE_MIN".split()
)
# What the two weights of a pair of pixels add up to in XNNPACK's resize.
_RESIZE_ONE = 2048
# Slopes of a PRELU that have a table each.
_MOST_SLOPES = 1 << 12
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
    cells = call.cells
    if call.operator.kind == "CONCATENATION":
        cells = [_rescaled(call, i) for i in range(len(cells))]
    scales = [c.scale for c in cells if c is not None and c.info.grid is not None]
    scales += [call.result_scale(i) for i in range(len(call.results))]
    first = call.bytes_of(0) or call.bytes_of(1)
    if first is None or any(s != scales[-1] for s in scales) or call.whole_option("activation"):
        return None
    again = Call(call.operator, call.em, cells, call.results, call.warnings, bytewise=True)
    made = HANDLERS[call.operator.kind](again)
    made = made if isinstance(made, list | tuple) else [made]
    # Some ops widen bytes on their way.
    return [Bytes(call.em.cast(t, "uint8", f"{call.node.name}/bytes")) for t in made]


def _rescaled(call: Call, index: int) -> Cell | None:
    """Input `index` on the grid of the result, as LiteRT brings uint8 tensors onto it."""
    cell, x, result = call.cells[index], call.bytes_of(index), call.result_scale()
    if cell is None or x is None or result is None or x[1] == result:
        return cell
    factor = np.float32(x[1].scale) * (np.float32(1) / np.float32(result.scale))
    steps = np.arange(256, dtype=np.float32) * factor - np.float32(x[1].zero) * factor
    table = np.clip(round_away(steps) + result.zero, 0, 255).astype(np.uint8)
    moved = np.take(table, x[0]) if isinstance(x[0], np.ndarray) else _lookup(call, x[0], table)
    return Cell.of(call.em, call.results[0], f"{cell.name}/rescaled", Bytes(moved))


def _lookup(call: Call, x: Tensor, table: np.ndarray) -> Tensor:
    return call.op("lookup", x, call.em.named(table, f"{call.node.name}/table"))


def _looked_up(call: Call) -> Bytes | None:
    """The op on each of the 256 numbers that the input can be."""
    x, result = call.bytes_of(0), call.result_scale()
    if x is None or result is None or isinstance(x[0], np.ndarray):
        return None
    exact = TABLES.get(call.operator.kind)
    table = exact(call, x[1], result) if exact is not None else None
    if table is None:
        table = _by_float(call, x[1], result)
    table = np.clip(table, 0, 255).astype(np.uint8)
    return Bytes(x[0] if np.array_equal(table, np.arange(256)) else _lookup(call, x[0], table))


def _by_float(call: Call, x: Scale, result: Scale) -> np.ndarray:
    """The importer's numbers, each at the nearest place of the grid."""
    every = (np.arange(256, dtype=np.float32) - np.float32(x.zero)) * np.float32(x.scale)
    cell = Cell.of(call.em, call.cell(0).info, "every", Bytes(np.arange(256, dtype=np.uint8)))
    cell._real = every
    numbers = Call(call.operator, call.em, [cell], call.results, call.warnings)
    made = np.nan_to_num(np.asarray(HANDLERS[call.operator.kind](numbers), np.float64))
    with np.errstate(over="ignore"):
        return round_away(made / result.scale) + result.zero


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
    # Each step in float32, as XNNPACK takes it: a factor that is nearer decides ties otherwise.
    factor = np.float32(x.scale) * scales.astype(np.float32) / np.float32(result.scale)
    return bias.astype(np.int32), np.broadcast_to(factor.astype(np.float32), (count,)).copy()


def _product(call: Call, op: str, x: Byte, w: np.ndarray, sums: Any, **attrs: Any) -> Bytes:
    """One of the rows that sum products."""
    result = call.result_scale()
    assert result is not None
    low, high = _limits(call, result)
    name = call.node.name
    bias, scale = sums
    pieces = _pieces(w)
    if op == "depthwise_conv2d_int8" and len(pieces) > 1:
        return _held(call, _sum_of_pieces(call, x, pieces, sums, attrs), low, high)
    if len(pieces) > 1:  # all meet the same numbers
        w = np.concatenate(pieces, axis=-2)
        x = (call.op("concat", *[x[0]] * len(pieces), part="again", axis=-1), x[1])
    parts = ((w.astype(np.int8), "weights"), (bias, "bias"), (scale, "scale"))
    named = [call.em.value(a, f"{name}/{part}") for a, part in parts]
    top = max(high, 1, result.zero)
    byte = call.em.value(x[0])
    y = call.op(op, byte, *named, x_high=255, zero=result.zero, high=top, **attrs)
    return _held(call, y, low, 255 if top == high else high)


def _pieces(w: np.ndarray) -> list[np.ndarray]:
    """Arrays of eight bits that add up to `w`: one, or more for the uint8 weights of old files."""
    found: list[np.ndarray] = []
    while not found or w.any():
        found.append(np.clip(w, -128, 127))
        w = w - found[-1]
    return found


def _sum_of_pieces(
    call: Call, x: Byte, pieces: list[np.ndarray], sums: Any, attrs: dict[str, Any]
) -> Tensor:
    """A convolution of each channel by itself for each piece of the weights; their sums are whole
    numbers, which float32 adds exactly up to 2**24."""
    result = call.result_scale()
    assert result is not None
    em, name = call.em, call.node.name
    bias, scale = sums
    attrs = {**attrs, "x_high": 255, "output": "float32"}
    ones = np.ones(bias.size, np.float32)
    total: Any = None
    for number, piece in enumerate(pieces):
        own = bias if total is None else np.zeros_like(bias)
        parts = ((piece.astype(np.int8), "weights"), (own, "bias"), (ones, "ones"))
        named = [em.value(a, f"{name}/{part}{number}") for a, part in parts]
        y = call.op("depthwise_conv2d_int8", em.value(x[0]), *named, part=f"sums{number}", **attrs)
        total = y if total is None else call.op("add", total, y, part="sum")
    scaled = call.op("mul", total, em.named(scale, f"{name}/scale"), part="scaled")
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
    kind = call.operator.kind
    if kind == "MUL":
        zeros: dict[str, Any] = {
            "zero_a": a[1].zero, "zero_b": b[1].zero, "zero": result.zero,
        }  # fmt: skip
        factor = np.float32(a[1].scale) * np.float32(b[1].scale) / np.float32(result.scale)
        y = call.op("mul_int8", a[0], b[0], scale=float(factor), high=high, **zeros)
        return _held(call, y, low)
    total = _sum_of_two(call, (a, b), result, -1 if kind == "SUB" else 1)
    if total is None:
        return None
    byte = call.op("clip", total, part="held", lo=low, hi=high)
    return Bytes(call.em.cast(byte, "uint8", f"{call.node.name}/bytes"))


def _sum_of_two(call: Call, given: tuple[Byte, Byte], result: Scale, sign: int) -> Tensor | None:
    """a + b or a - b on the result's grid, int32, as XNNPACK computes them; None if it would not.

    Both are multiplied by whole numbers of 21 bits; their sum is shifted down, halves up.
    """
    factors = [float(np.float32(x.scale) / np.float32(result.scale)) for _, x in given]
    if not (2.0**-10 <= max(factors) < 2.0**8 and min(factors) >= 2.0**-10):
        return None
    shift = 20 - int(np.floor(np.log2(max(factors))))
    whole = [int(np.rint(np.ldexp(f, shift))) for f in factors]
    whole[1] *= sign
    em, name = call.em, call.node.name
    start = (1 << (shift - 1)) - sum(m * x.zero for m, (_, x) in zip(whole, given, strict=True))
    total: Tensor = em.const(start, "int32")
    for part, m, (x, _) in zip("ab", whole, given, strict=True):
        wide = em.cast(x, "int32", f"{name}/{part}")
        scaled = call.op("mul", wide, em.const(m, "int32"), part=f"{part}/scaled")
        total = call.op("add", scaled, total, part=f"{part}/sum")
    shifted = call.op("right_shift", total, em.const(shift, "int32"), part="shifted")
    return call.op("add", shifted, em.const(result.zero, "int32"))


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
    scale = x[1].scale / result.scale
    if x[1] == result and 0 < prod(size) <= _MOST_TIES:
        # LiteRT takes the mean of the file's numbers and rounds halves away from 0; the row rounds
        # them to even. A factor this much above 1 moves halves, and nothing else over one.
        raw = 0 if call.results[0].type == "uint8" else 128
        attrs |= {"zero_x": raw, "zero": raw, "high": max(high, raw)}
        scale = 1 + 1 / (512 * prod(size))
    y = call.op("avg_pool_int8", x[0], scale=scale, **attrs, **window)
    return _held(call, y, low, 255 if attrs["high"] == high else high)


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
    if call.operator.kind == "RESIZE_NEAREST_NEIGHBOR":
        return Bytes(call.op("resize_nearest", x[0], size=size, coordinates=how))
    taps = [resize_taps(int(x[0].shape[1 + i]), size[i], how) for i in range(2)]
    ours = [byte_taps(int(x[0].shape[1 + i]), size[i], how) for i in range(2)]
    if all(
        np.array_equal(np.stack([*mine[:2], mine[2] * (_RESIZE_ONE // 256)]), np.stack(theirs))
        for mine, theirs in zip(ours, taps, strict=True)
    ):
        return Bytes(call.op("resize_bilinear_int8", x[0], size=size, coordinates=how))
    return Bytes(_between(call, x[0], taps))


def resize_taps(n: int, m: int, how: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lower source pixel, upper one, weight of the upper one in 2048ths) of each pixel of the
    result, as XNNPACK works them out, which LiteRT takes: in float32.
    """
    real = np.float32
    scale = real(n - 1) / real(m - 1) if how == "align_corners" and m > 1 else real(n) / real(m)
    at = np.arange(m).astype(real) * scale
    if how == "half_pixel":
        at = at + (real(0.5) * scale - real(0.5))
    at = np.clip(at, real(0), real(n - 1))
    lower = at.astype(np.int64)
    weight = np.rint((at - lower.astype(real)) * real(_RESIZE_ONE)).astype(np.int64)
    return lower, np.minimum(lower + 1, n - 1), weight


def _between(
    call: Call, x: Tensor, taps: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> Tensor:
    """Bytes between the nearest four, by weights of 2048ths along each dim: what
    `resize_bilinear_int8` does with 256ths. Sums stay below 2^31.
    """
    made = call.em.cast(x, "int32", f"{call.node.name}/whole")
    one = np.asarray(_RESIZE_ONE, np.int32)
    for axis in (2, 1):
        lower, upper, weight = taps[axis - 1]
        low, high = (
            call.op("gather", made, at.astype(np.int32), part=part, axis=axis)
            for at, part in ((lower, f"low{axis}"), (upper, f"high{axis}"))
        )
        share = weight.astype(np.int32).reshape((-1, 1) if axis == 2 else (-1, 1, 1))
        step = call.op("mul", call.op("sub", high, low, part="step"), share, part="share")
        made = call.op("add", call.op("mul", low, one, part="ones"), step, part=f"along{axis}")
    half = np.asarray(_RESIZE_ONE**2 // 2, np.int32)
    near = call.op("add", made, half, part="half")
    bits = np.asarray(2 * (_RESIZE_ONE.bit_length() - 1), np.int32)
    whole = call.op("right_shift", near, bits, part="near")
    return call.em.cast(whole, "uint8", f"{call.node.name}/bytes")


@_integer("PRELU")
def _prelu(call: Call) -> Bytes | None:
    x, result = call.bytes_of(0), call.result_scale()
    slope = call.x(1)
    if x is None or result is None or not isinstance(slope, np.ndarray):
        return None
    stored = call.bytes_of(1)
    if stored is not None and 0 < slope.size <= _MOST_SLOPES and slope.shape[-1:] == (slope.size,):
        made = _prelu_of_table(call, x, stored, result)
        if made is not None:
            return made
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


def _prelu_of_table(
    call: Call, x: tuple[Tensor, Scale], stored: tuple[Tensor, Scale], result: Scale
) -> Bytes | None:
    """A slope for each channel, or one: a table of 256 bytes for each."""
    slopes = np.asarray(stored[0]).reshape(-1).astype(np.int64) - stored[1].zero
    table = prelu_table(slopes, x[1], stored[1].scale, result)
    if table is None:
        return None
    if len(table) == 1:
        return Bytes(_lookup(call, x[0], table[0]))
    own = np.arange(len(table), dtype=np.int32) * 256
    at = call.op("add", call.em.cast(x[0], "int32", f"{call.node.name}/whole"), own, part="at")
    found = call.op("gather", table.reshape(-1).astype(np.int32), at, part="found", axis=0)
    return Bytes(call.em.cast(found, "uint8", f"{call.node.name}/bytes"))
