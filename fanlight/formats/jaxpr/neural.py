"""Importers of products, convolutions and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.jaxpr.call import Call, importer
from fanlight.formats.jaxpr.shaping import combined, cut, framed, spread
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor import windows

Pairs = tuple[tuple[int, int], ...]
_MOST_TAPS = 4096

# --- products -------------------------------------------------------------------------------------


@importer("dot_general")
def dot_general(call: Call) -> Tensor:
    """As a matmul of [batch, rows, inner] by [batch, inner, columns]."""
    (over_a, over_b), (batch_a, batch_b) = call.params["dimension_numbers"]
    a, b = call.x(0), call.x(1)
    if dtype_of(a) != dtype_of(b) or dtype_of(a) == "bool":
        kind = "float32" if "float32" in (dtype_of(a), dtype_of(b)) else "int32"
        a, b = call.cast(a, kind), call.cast(b, kind)
    free_a = [d for d in range(len(a.shape)) if d not in over_a and d not in batch_a]
    free_b = [d for d in range(len(b.shape)) if d not in over_b and d not in batch_b]
    batch = tuple(a.shape[d] for d in batch_a)
    rows, columns = [a.shape[d] for d in free_a], [b.shape[d] for d in free_b]
    inner = math.prod(a.shape[d] for d in over_a)
    left = call.transpose(a, [*batch_a, *free_a, *over_a])
    left = call.reshape(left, (*batch, math.prod(rows), inner))
    # Where the second factor has its inner dims last already, the product reads it turned.
    turned = [*batch_b, *free_b, *over_b] == list(range(len(b.shape))) and free_b != []
    order = [*batch_b, *free_b, *over_b] if turned else [*batch_b, *over_b, *free_b]
    sizes = (math.prod(columns), inner) if turned else (inner, math.prod(columns))
    right = call.reshape(call.transpose(b, order), (*batch, *sizes))
    made = call.function(lambda a, b: fn.matmul(a, b, transpose_b=turned), left, right)
    return call.reshape(made, (*batch, *rows, *columns))


# --- convolutions ---------------------------------------------------------------------------------


@importer("conv_general_dilated")
def convolution(call: Call) -> Tensor:
    """Any order of dims; images become [N, ..., C] and kernels [..., C, D]."""
    numbers = call.params["dimension_numbers"]
    x_spec, w_spec, out_spec = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    if int(call.params.get("batch_group_count", 1)) != 1:
        raise call.refuse("groups of the batch", expected="batch_group_count 1")
    count = len(x_spec) - 2
    if not 1 <= count <= 3:
        raise call.refuse("so many dims", expected="1 to 3", received=count)
    x = call.transpose(call.x(0, "float32"), [x_spec[0], *x_spec[2:], x_spec[1]])
    w = call.transpose(call.x(1, "float32"), [*w_spec[2:], w_spec[1], w_spec[0]])
    y = _convolved(call, x, w, count)
    places = [out_spec[0], *out_spec[2:], out_spec[1]]
    return call.transpose(y, [places.index(d) for d in range(count + 2)])


def _convolved(call: Call, x: Tensor, w: Tensor, count: int) -> Tensor:
    params = call.params
    strides = tuple(int(s) for s in params["window_strides"])
    gaps = tuple(int(d) for d in params["rhs_dilation"] or (1,) * count)
    wide = tuple(int(d) for d in params["lhs_dilation"] or (1,) * count)
    pads: Pairs = tuple((int(a), int(b)) for a, b in params["padding"])
    groups = int(params.get("feature_group_count", 1))
    if any(d != 1 for d in wide):
        reach = [(k - 1) * g for k, g in zip(w.shape[:count], gaps, strict=True)]
        turned = all(0 <= p <= r for (a, b), r in zip(pads, reach, strict=True) for p in (a, b))
        if groups == 1 and all(s == 1 for s in strides) and turned and count <= 2:
            return _transposed(call, x, w, wide, gaps, pads)
        x = spread(call, x, (0, *(d - 1 for d in wide), 0))
    if any(p < 0 for pair in pads for p in pair):
        kept = tuple((min(a, 0), min(b, 0)) for a, b in pads)
        x = framed(call, x, ((0, 0), *kept, (0, 0)))
        pads = tuple((max(a, 0), max(b, 0)) for a, b in pads)
    channels, out = x.shape[-1], w.shape[-1]
    if groups == channels and groups > 1 and count <= 2:
        return _depthwise(call, x, w, strides, gaps, pads)
    inner, outer = channels // groups, out // groups
    parts = []
    for g in range(groups):
        part = _channels(call, x, g * inner, inner)
        kernel = _channels(call, w, g * outer, outer)
        parts.append(_one(call, part, kernel, count, strides, gaps, pads))
    return parts[0] if groups == 1 else call.op("concat", *parts, axis=count + 1)


def _channels(call: Call, x: Tensor, begin: int, size: int) -> Tensor:
    return cut(call, x, (*(0 for _ in x.shape[1:]), begin), (*x.shape[:-1], size))


def _flat(call: Call, x: Tensor, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """A line as an image of height 1."""
    if count == 2:
        return x, w
    return call.reshape(x, (x.shape[0], 1, *x.shape[1:])), call.reshape(w, (1, *w.shape))


def _line(call: Call, y: Tensor, count: int) -> Tensor:
    return y if count == 2 else call.reshape(y, (y.shape[0], *y.shape[2:]))


def _of_two(values: Sequence[Any], one: Any) -> tuple[Any, ...]:
    return tuple(values) if len(values) == 2 else (one, *values)


def _one(
    call: Call, x: Tensor, w: Tensor, count: int, strides: Any, gaps: Any, pads: Pairs
) -> Tensor:
    if count == 3:
        made: Tensor = call.function(
            lambda x, w: windows.conv3d(x, w, strides, "valid", gaps),
            framed(call, x, ((0, 0), *pads, (0, 0))),
            w,
        )
        return made
    x, w = _flat(call, x, w, count)
    y = call.op("conv2d", x, w, strides=_of_two(strides, 1), padding=_of_two(pads, (0, 0)),
                dilations=_of_two(gaps, 1))  # fmt: skip
    return _line(call, y, count)


def _depthwise(call: Call, x: Tensor, w: Tensor, strides: Any, gaps: Any, pads: Pairs) -> Tensor:
    count = len(w.shape) - 2
    x, w = _flat(call, x, w, count)
    channels = x.shape[-1]
    w = call.reshape(w, (*w.shape[:2], channels, w.shape[-1] // channels))
    y = call.op("depthwise_conv2d", x, w, strides=_of_two(strides, 1),
                padding=_of_two(pads, (0, 0)), dilations=_of_two(gaps, 1))  # fmt: skip
    return _line(call, y, count)


def _transposed(call: Call, x: Tensor, w: Tensor, wide: Any, gaps: Any, pads: Pairs) -> Tensor:
    """A convolution of an image with zeros between its pixels, without those zeros.

    It is the transposed convolution by the kernel turned round, which has [kh, kw, D, C].
    """
    count = len(w.shape) - 2
    w = spread(call, w, (*(g - 1 for g in gaps), 0, 0))
    w = call.op("reverse", w, axes=tuple(range(count)))
    w = call.transpose(w, (*range(count), count + 1, count))
    sizes, cuts = [], []
    for n, s, k, (low, high) in zip(x.shape[1:], wide, w.shape, pads, strict=False):
        sizes.append((n - 1) * s + 1 + low + high - (k - 1))
        cuts.append((k - 1 - low, k - 1 - high))
    x, w = _flat(call, x, w, count)
    y = call.op("conv2d_transpose", x, w, strides=_of_two(wide, 1),
                padding=_of_two(cuts, (0, 0)), output_size=_of_two(sizes, 1))  # fmt: skip
    return _line(call, y, count)


# --- windows --------------------------------------------------------------------------------------

_COMBINE = {
    "reduce_window_sum": "add", "reduce_window_max": "max", "reduce_window_min": "min",
}  # fmt: skip


@importer("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def reduce_window(call: Call) -> Tensor:
    return _windows(call, call.x(), _COMBINE[call.primitive], _neutral(call))


def _neutral(call: Call) -> Any:
    """What does not count: 0 of a sum, the least number of a maximum."""
    kind, dtype = _COMBINE[call.primitive], call.dtype
    if kind == "add":
        return 0
    if dtype == "float32":
        return -math.inf if kind == "max" else math.inf
    if dtype == "bool":
        return kind == "min"
    info = np.iinfo(np.dtype(dtype))
    return int(info.min if kind == "max" else info.max)


@importer("reduce_window")
def reduce_window_by(call: Call) -> Tensor:
    """The general form, where what combines two numbers is one primitive."""
    body = getattr(call.params["jaxpr"], "jaxpr", call.params["jaxpr"])
    names = [e.primitive.name for e in body.eqns]
    if len(call.inputs) != 2 or names not in (["add"], ["max"], ["min"], ["mul"]):
        raise call.refuse(
            "this way to combine the numbers of a window",
            expected="add, mul, max or min",
            received=", ".join(names)[:80],
        )
    first = call.x(1)
    if not isinstance(first, np.ndarray):
        raise call.refuse("its first value depends on the input")
    return _windows(call, call.x(0), names[0], first.reshape(-1)[0].item())


def _windows(call: Call, x: Tensor, op: str, neutral: Any) -> Tensor:
    params, rank = call.params, len(x.shape)
    window = tuple(int(k) for k in params["window_dimensions"])
    strides = tuple(int(s) for s in params["window_strides"])
    gaps = tuple(int(d) for d in params["window_dilation"] or (1,) * rank)
    wide = tuple(int(d) for d in params["base_dilation"] or (1,) * rank)
    pads: Pairs = tuple((int(a), int(b)) for a, b in params["padding"])
    x = spread(call, x, [d - 1 for d in wide], neutral)
    usual = neutral == {"add": 0, "max": -math.inf, "min": math.inf}.get(op)
    dims = [d for d in range(rank) if window[d] > 1 or strides[d] > 1 or pads[d] != (0, 0)]
    if dtype_of(x) == "float32" and usual and len(dims) <= 2 and all(g == 1 for g in gaps):
        return _pooled(call, x, op, neutral, dims, (window, strides, pads))
    return _tapped(call, framed(call, x, pads, neutral), op, window, strides, gaps)


def _pooled(
    call: Call, x: Tensor, op: str, neutral: Any, dims: list[int], geometry: tuple[Any, ...]
) -> Tensor:
    """By the pooling ops, on images [other dims, H, W, 1], or as it is where it is NHWC."""
    window, strides, pads = geometry
    if not dims:
        return x
    outer = any(p < 0 for d in dims for p in pads[d])
    if op == "add" or outer or any(max(pads[d]) >= window[d] for d in dims):
        x = framed(call, x, pads, neutral)
        pads = tuple((0, 0) for _ in pads)
    if min(dims) >= 1 and max(dims) <= 2 and len(x.shape) == 4:
        own, size = [0, 1, 2, 3], x.shape
        dims = [1, 2]
    else:
        own = [*(d for d in range(len(x.shape)) if d not in dims), *dims]
        inner = [x.shape[d] for d in dims]
        inner = [1, *inner] if len(inner) == 1 else inner
        size = (math.prod(x.shape[d] for d in own[: len(own) - len(dims)]), *inner, 1)
    image = call.reshape(call.transpose(x, own), size)
    attrs = {
        "size": _of_two([window[d] for d in dims], 1),
        "strides": _of_two([strides[d] for d in dims], 1),
        "padding": _of_two([pads[d] for d in dims], (0, 0)),
    }
    if op == "add":
        mean = call.op("avg_pool", image, **attrs)
        made = call.op("mul", mean, call.em.const(float(math.prod(attrs["size"]))))
    elif op == "min":
        made = call.op("neg", call.op("max_pool", call.op("neg", image), **attrs))
    else:
        made = call.op("max_pool", image, **attrs)
    shape = tuple(call.shape[d] for d in own)
    return call.transpose(call.reshape(made, shape), [own.index(d) for d in range(len(own))])


def _tapped(call: Call, x: Tensor, op: str, window: Any, strides: Any, gaps: Any) -> Tensor:
    """Tap by tap: what each place of the window sees, put together."""
    taps = math.prod(window)
    if taps > _MOST_TAPS:
        raise call.refuse("the window is too large", expected=_MOST_TAPS, received=taps)
    check_size(TensorType((taps, *call.shape), dtype_of(x)), call.where)
    parts = []
    for tap in product(*(range(k) for k in window)):
        begin = tuple(t * g for t, g in zip(tap, gaps, strict=True))
        end = tuple(b + (n - 1) * s + 1 for b, n, s in zip(begin, call.shape, strides, strict=True))
        parts.append(call.op("strided_slice", x, begin=begin, end=end, strides=strides))
    return combined(call, op, parts)
