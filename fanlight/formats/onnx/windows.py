"""Importers of ops with windows: convolutions and pooling. ONNX has the channels first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, dtype_of
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.onnx.shaping import cut
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.tensor import windows

Pairs = tuple[tuple[int, int], ...]


def spatial(call: Call, x: Tensor, most: int = 3) -> int:
    """How many spatial dims [N, C, ...] has."""
    count = len(x.shape) - 2
    if not 1 <= count <= most or 0 in x.shape:
        raise call.refuse(
            "this rank is not supported",
            expected=f"[N, C] and 1 to {most} more dims, none of them 0",
            received=list(x.shape),
        )
    return count


def per_dim(call: Call, name: str, count: int, default: int = 1) -> tuple[int, ...]:
    found = call.items(name)
    values = tuple(found) if found else (default,) * count
    if len(values) != count or min(values) < 1 or max(values) > 1 << 20:
        raise call.refuse(f"{name} does not fit {count} dims", received=values[:8])
    return values


def paddings(
    call: Call,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Pairs:
    kind = call.text("auto_pad", "NOTSET")
    count = len(sizes)
    if kind == "VALID":
        return ((0, 0),) * count
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        found = []
        for size, w, s, d in zip(sizes, window, strides, dilations, strict=True):
            total = max((-(-size // s) - 1) * s + (w - 1) * d + 1 - size, 0)
            less, more = total // 2, total - total // 2
            found.append((less, more) if kind == "SAME_UPPER" else (more, less))
        return tuple(found)
    if kind not in ("NOTSET", ""):
        raise call.refuse("unknown auto_pad", received=kind[:40])
    pads = call.items("pads") or [0] * (2 * count)
    if len(pads) != 2 * count or min(pads) < 0 or max(pads) > 1 << 20:
        raise call.refuse("pads do not fit", expected=f"{2 * count} of them", received=pads[:12])
    return tuple((pads[i], pads[i + count]) for i in range(count))


# --- convolution ----------------------------------------------------------------------------------


@importer("Conv")
def conv(call: Call) -> Tensor:
    x, w = call.f32(0), call.f32(1)
    y = convolved(call, x, w)
    if call.has(2):
        bias = call.f32(2)
        y = call.op("add", y, bias, part="biased")
    return from_nhwc(call.em, y, call.name)


def convolved(call: Call, x: Tensor, w: Tensor) -> Tensor:
    """Convolution of [N, C, ...] with [M, C / groups, ...]; the result has its channels last."""
    count = spatial(call, x)
    if len(w.shape) != len(x.shape) or 0 in w.shape:
        raise call.refuse("the kernel does not fit", received=f"{list(x.shape)}, {list(w.shape)}")
    window = tuple(w.shape[2:])
    strides, dilations = per_dim(call, "strides", count), per_dim(call, "dilations", count)
    pads = paddings(call, x.shape[2:], window, strides, dilations)
    groups = call.whole("group", 1)
    channels, out = x.shape[1], w.shape[0]
    if groups < 1 or channels != w.shape[1] * groups or out % groups:
        raise call.refuse(
            "the kernel does not fit the channels",
            expected=f"{channels} channels in {groups} groups",
            received=f"kernel {list(w.shape)}",
        )
    nhwc = to_nhwc(call.em, x, call.name)
    kernel = call.transpose(w, (*range(2, count + 2), 1, 0), "kernel")
    if count == 1:
        nhwc = call.reshape(nhwc, (nhwc.shape[0], 1, *nhwc.shape[1:]), "row")
        kernel = call.reshape(kernel, (1, *kernel.shape), "kernel_row")
        strides, dilations, pads = (1, *strides), (1, *dilations), ((0, 0), *pads)
    attrs: dict[str, Any] = {"strides": strides, "dilations": dilations, "padding": pads}
    if groups > 1 and w.shape[1] == 1 and count < 3:
        # [kh, kw, 1, C * M]: channel c has the M kernels from c M on.
        shape = (*kernel.shape[:2], channels, out // channels)
        y = call.op("depthwise_conv2d", nhwc, call.reshape(kernel, shape, "kernels"),
                    part="conv", **attrs)  # fmt: skip
    elif groups > 1:
        last = len(nhwc.shape) - 1
        xs = cut(call, nhwc, last, [channels // groups] * groups)
        ws = cut(call, kernel, len(kernel.shape) - 1, [out // groups] * groups)
        parts = [_one(call, a, b, count, attrs) for a, b in zip(xs, ws, strict=True)]
        y = call.op("concat", *parts, part="groups", axis=last)
    else:
        y = _one(call, nhwc, kernel, count, attrs)
    return call.reshape(y, (y.shape[0], *y.shape[2:]), "line") if count == 1 else y


def _one(call: Call, x: Tensor, w: Tensor, count: int, attrs: dict[str, Any]) -> Tensor:
    if count < 3:
        return call.op("conv2d", x, w, part="conv", **attrs)
    return call.function(lambda a, b: windows.conv3d(a, b, **attrs), x, w)[0]


@importer("ConvTranspose")
def conv_transpose(call: Call) -> Tensor:
    """[N, C, ...] with a kernel [C, M / groups, ...]."""
    x, w = call.f32(0), call.f32(1)
    count = spatial(call, x)
    groups = call.whole("group", 1)
    if (
        len(w.shape) != len(x.shape)
        or groups < 1
        or x.shape[1] % groups
        or (w.shape[0] != x.shape[1])
    ):
        raise call.refuse("the kernel does not fit", received=f"{list(x.shape)}, {list(w.shape)}")
    strides, dilations = per_dim(call, "strides", count), per_dim(call, "dilations", count)
    extra = call.items("output_padding") or [0] * count
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    if len(extra) != count:
        raise call.refuse("output_padding does not fit", received=extra[:8])
    wide = [(n - 1) * s + r + e
            for n, s, r, e in zip(x.shape[2:], strides, reach, extra, strict=True)]  # fmt: skip
    sizes, pads = _transposed_sizes(call, x, wide, strides, reach, extra)
    nhwc = to_nhwc(call.em, x, call.name)
    kernel = call.transpose(w, (*range(2, count + 2), 1, 0), "kernel")
    if any(d > 1 for d in dilations):
        kernel = _spread(call, kernel, dilations)
    if count == 1:
        nhwc = call.reshape(nhwc, (nhwc.shape[0], 1, *nhwc.shape[1:]), "row")
        kernel = call.reshape(kernel, (1, *kernel.shape), "kernel_row")
        strides, wide, sizes, pads = (1, *strides), [1, *wide], [1, *sizes], [0, *pads]
    last = len(nhwc.shape) - 1
    xs = cut(call, nhwc, last, [x.shape[1] // groups] * groups) if groups > 1 else [nhwc]
    ws = cut(call, kernel, last, [x.shape[1] // groups] * groups) if groups > 1 else [kernel]
    parts = [_one_transposed(call, a, b, strides, wide) for a, b in zip(xs, ws, strict=True)]
    y = call.op("concat", *parts, part="groups", axis=last) if groups > 1 else parts[0]
    # The whole result first; what pads take away is cut off, what is still wanted is 0.
    low = [max(p, 0) for p in pads]
    have = [min(n, full - a) for n, full, a in zip(sizes, wide, low, strict=True)]
    if low != [0] * len(low) or have != list(y.shape[1:-1]):
        y = call.op("slice", y, part="inner", begin=(0, *low, 0),
                    size=(y.shape[0], *have, y.shape[-1]))  # fmt: skip
    more = [n - h for n, h in zip(sizes, have, strict=True)]
    if any(more):
        y = call.op("pad", y, part="outer", paddings=((0, 0), *((0, m) for m in more), (0, 0)))
    if count == 1:
        y = call.reshape(y, (y.shape[0], *y.shape[2:]), "line")
    if call.has(2):
        y = call.op("add", y, call.f32(2), part="biased")
    return from_nhwc(call.em, y, call.name)


def _transposed_sizes(
    call: Call,
    x: Tensor,
    wide: Sequence[int],
    strides: Sequence[int],
    reach: Sequence[int],
    extra: Sequence[int],
) -> tuple[list[int], list[int]]:
    """Sizes of the result, and how much is cut off in front."""
    count = len(wide)
    shape = call.items("output_shape")
    kind = call.text("auto_pad", "NOTSET")
    if shape:
        sizes = list(shape)[-count:]
    elif kind.startswith("SAME"):
        sizes = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    else:
        pads = [0] * (2 * count) if kind == "VALID" else call.items("pads") or [0] * (2 * count)
        if len(pads) != 2 * count or min(pads) < 0:
            raise call.refuse("pads do not fit", received=pads[:12])
        sizes = [full - pads[i] - pads[i + count] for i, full in enumerate(wide)]
        if min(sizes) < 1:
            raise call.refuse("pads leave nothing", received=pads[:12])
        return sizes, list(pads[:count])
    total = [full - n for full, n in zip(wide, sizes, strict=True)]
    if len(sizes) != count or min(sizes) < 1 or max(sizes) > 1 << 20:
        raise call.refuse("the output shape does not fit", received=sizes[:8])
    if kind == "SAME_UPPER":
        return sizes, [max(t // 2, 0) for t in total]
    return sizes, [max(t - t // 2, 0) for t in total]


def _spread(call: Call, kernel: Tensor, dilations: Sequence[int]) -> Tensor:
    """A kernel with zeros between its taps."""
    for axis, d in enumerate(dilations):
        if d > 1:
            shape = list(kernel.shape)
            column = call.reshape(kernel, (*shape[: axis + 1], 1, *shape[axis + 1 :]), "taps")
            pads = [(0, 0)] * (len(shape) + 1)
            pads[axis + 1] = (0, d - 1)
            column = call.op("pad", column, part="gaps", paddings=tuple(pads), value=0.0)
            joined = call.reshape(column, (*shape[:axis], shape[axis] * d, *shape[axis + 1 :]), "j")
            size = list(joined.shape)
            size[axis] = (shape[axis] - 1) * d + 1
            kernel = call.op(
                "slice", joined, part="spread", begin=(0,) * len(size), size=tuple(size)
            )
    return kernel


def _one_transposed(
    call: Call, x: Tensor, w: Tensor, strides: Sequence[int], wide: Sequence[int]
) -> Tensor:
    if len(wide) == 2:
        return call.op("conv2d_transpose", x, w, part="conv", strides=tuple(strides),
                       padding=((0, 0), (0, 0)), output_size=tuple(wide))  # fmt: skip
    return call.function(
        lambda a, b: windows.conv3d_transpose(a, b, tuple(wide), strides, ((0, 0),) * 3), x, w
    )[0]


# --- pooling --------------------------------------------------------------------------------------


def _pool_geometry(call: Call, x: Tensor) -> tuple[Any, ...]:
    count = spatial(call, x)
    window = per_dim(call, "kernel_shape", count, 0) if call.items("kernel_shape") else ()
    if not window:
        raise call.refuse("it has no kernel_shape")
    strides, dilations = per_dim(call, "strides", count), per_dim(call, "dilations", count)
    pads = paddings(call, x.shape[2:], window, strides, dilations)
    more = []
    if call.flag("ceil_mode"):
        # A last window that is cut short by the border counts, if it begins inside.
        for n, w, s, d, (a, b) in zip(x.shape[2:], window, strides, dilations, pads, strict=True):
            reach = (w - 1) * d + 1
            steps = -(-(n + a + b - reach) // s) + 1
            if (steps - 1) * s >= n + a:
                steps -= 1
            more.append(max((steps - 1) * s + reach - (n + a + b), 0))
    return count, window, strides, dilations, pads, tuple(more or (0,) * count)


def _images(call: Call, x: Tensor, geometry: tuple[Any, ...]) -> tuple[Any, ...]:
    """[N, ..., C] with two or three spatial dims, and the geometry to it."""
    count, window, strides, dilations, pads, more = geometry
    nhwc = to_nhwc(call.em, x, call.name)
    if count == 1:
        nhwc = call.reshape(nhwc, (nhwc.shape[0], 1, *nhwc.shape[1:]), "row")
        window, strides, dilations = (1, *window), (1, *strides), (1, *dilations)
        pads, more = ((0, 0), *pads), (0, *more)
    return nhwc, window, strides, dilations, pads, more


def _back(call: Call, y: Tensor, count: int) -> Tensor:
    if count == 1:
        y = call.reshape(y, (y.shape[0], *y.shape[2:]), "line")
    return from_nhwc(call.em, y, call.name)


def _max(call: Call, x: Tensor, window: Any, strides: Any, dilations: Any, pads: Pairs) -> Tensor:
    """The greatest of each window of [N, ..., C]."""
    if len(window) == 2 and max(dilations) == 1:
        return call.op("max_pool", x, part="pool", size=window, strides=strides, padding=pads)
    if len(window) == 2:
        return call.function(lambda a: windows.pool(a, window, "max", pads, dilations, strides), x)[
            0
        ]
    return _taps_folded(call, x, window, strides, dilations, pads, -math.inf, "maximum")


def _taps_folded(
    call: Call, x: Tensor, window: Any, strides: Any, dilations: Any, pads: Pairs, outside: float,
    op: str,
) -> Tensor:  # fmt: skip
    """Windows of any rank, tap by tap, dim by dim."""
    for axis, (w, s, d, pair) in enumerate(
        zip(window, strides, dilations, pads, strict=True), start=1
    ):
        if any(pair):
            widths = [(0, 0)] * len(x.shape)
            widths[axis] = pair
            x = call.op("pad", x, part="padded", paddings=tuple(widths), value=outside)
        steps = (x.shape[axis] - (w - 1) * d - 1) // s + 1
        parts = []
        for tap in range(w):
            begin, end, by = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
            begin[axis], by[axis] = tap * d, s
            end[axis] = tap * d + (steps - 1) * s + 1
            parts.append(call.op("strided_slice", x, part="tap", begin=tuple(begin),
                                 end=tuple(end), strides=tuple(by)))  # fmt: skip
        total = parts[0]
        for part in parts[1:]:
            total = call.op(op, total, part, part="fold")
        x = total
    return x


def _all(pads: Pairs, more: Sequence[int]) -> Pairs:
    return tuple((a, b + m) for (a, b), m in zip(pads, more, strict=True))


@importer("MaxPool")
def max_pool(call: Call) -> Any:
    x = call.x()
    whole = dtype_of(x)
    geometry = _pool_geometry(call, x)
    x = x if whole == "uint8" else call.f32()
    nhwc, window, strides, dilations, pads, more = _images(call, x, geometry)
    pads = _all(pads, more)
    y = _max(call, nhwc, window, strides, dilations, pads)
    result = _back(call, y, geometry[0])
    if whole == "int32":
        result = call.cast(result, "int32", "whole")
    if not call.wants(1):
        return result
    return result, _argmax(call, nhwc, geometry[0], window, strides, dilations, pads)


def _argmax(
    call: Call, x: Tensor, count: int, window: Any, strides: Any, dilations: Any, pads: Pairs
) -> Tensor:
    """Where the maxima lie, counted through [N, C, ...], or through its columns."""
    if count == 3:
        raise call.refuse("indices of maxima in three dims")
    n, h, w, c = x.shape
    sizes = [(s + a + b - (k - 1) * d - 1) // t + 1 for s, (a, b), k, d, t in
             zip((h, w), pads, window, dilations, strides, strict=True)]  # fmt: skip
    padded = call.op("pad", x, part="wide", paddings=((0, 0), *pads, (0, 0)), value=-math.inf)
    taps = []
    for i in range(window[0]):
        for j in range(window[1]):
            at = (i * dilations[0], j * dilations[1])
            end = [a + (m - 1) * t + 1 for a, m, t in zip(at, sizes, strides, strict=True)]
            part = call.op("strided_slice", padded, part="tap", begin=(0, *at, 0),
                           end=(n, *end, c), strides=(1, *strides, 1))  # fmt: skip
            taps.append(call.reshape(part, (*part.shape, 1), "tap1"))
    best = call.op("arg_max", call.op("concat", *taps, part="taps", axis=4), part="best", axis=4)
    rows = np.arange(sizes[0])[:, None, None] * strides[0] - pads[0][0]
    columns = np.arange(sizes[1])[None, :, None] * strides[1] - pads[1][0]
    tap = np.arange(window[0] * window[1])
    row = (tap // window[1]) * dilations[0]
    column = (tap % window[1]) * dilations[1]
    by_row = call.whole("storage_order") == 0
    of_tap = row * w + column if by_row else row + column * h
    base = rows * w + columns if by_row else rows + columns * h
    base = base + (np.arange(n)[:, None, None, None] * c + np.arange(c)) * (h * w)
    offset = call.op("gather", of_tap.astype(np.int32), best, part="offset")
    found = call.op("add", offset, base.astype(np.int32), part="place")
    call.made_kinds[1] = 7
    return _back(call, found, count)


@importer("AveragePool")
def average_pool(call: Call) -> Tensor:
    x = call.f32()
    geometry = _pool_geometry(call, x)
    nhwc, window, strides, dilations, pads, more = _images(call, x, geometry)
    return _back(call, _mean(call, nhwc, window, strides, dilations, pads, more), geometry[0])


def _mean(
    call: Call, x: Tensor, window: Any, strides: Any, dilations: Any, pads: Pairs,
    more: Sequence[int],
) -> Tensor:  # fmt: skip
    """The mean of each window; `more` is what lies beyond the padding and never counts."""
    full = _all(pads, more)
    counted = call.flag("count_include_pad")
    if (
        len(window) == 2
        and max(dilations) == 1
        and (not counted or not any(w for pair in pads for w in pair))
    ):
        return call.op("avg_pool", x, part="pool", size=window, strides=strides, padding=full)
    total = _taps_folded(call, x, window, strides, dilations, full, 0.0, "add")
    ones = np.ones((1, *x.shape[1:-1], 1), np.float32)
    if counted:
        ones = np.pad(ones, ((0, 0), *pads, (0, 0)), constant_values=1.0)
        full = tuple((0, m) for m in more)
    counts = _taps_folded(call, ones, window, strides, dilations, full, 0.0, "add")
    return call.op("div", total, counts, part="mean")


@importer("LpPool")
def lp_pool(call: Call) -> Tensor:
    x = call.f32()
    geometry = _pool_geometry(call, x)
    p = call.real("p", 2)
    nhwc, window, strides, dilations, pads, more = _images(call, x, geometry)
    size = call.op("abs", nhwc, part="abs")
    powers = call.op("pow", size, call.const(p), part="powers")
    total = _taps_folded(call, powers, window, strides, dilations, _all(pads, more), 0.0, "add")
    return _back(call, call.op("pow", total, call.const(1 / p), part="root"), geometry[0])


def _global(call: Call, op: str) -> Tensor:
    x = call.f32()
    if len(x.shape) < 3:
        raise call.refuse("it takes [N, C, ...]", received=list(x.shape))
    return call.op(op, x, axes=tuple(range(2, len(x.shape))), keepdims=True)


@importer("GlobalAveragePool")
def global_average_pool(call: Call) -> Tensor:
    return _global(call, "mean")


@importer("GlobalMaxPool")
def global_max_pool(call: Call) -> Tensor:
    return _global(call, "max")


@importer("GlobalLpPool")
def global_lp_pool(call: Call) -> Tensor:
    x, p = call.op("abs", call.f32(), part="abs"), call.real("p", 2)
    powers = call.op("pow", x, call.const(p), part="powers")
    axes = tuple(range(2, len(x.shape)))
    total = call.op("sum", powers, part="total", axes=axes, keepdims=True)
    return call.op("pow", total, call.const(1 / p))


@importer("MaxUnpool")
def max_unpool(call: Call) -> Tensor:
    x, at = call.f32(0), call.x(1)
    count = spatial(call, x)
    window, strides = per_dim(call, "kernel_shape", count), per_dim(call, "strides", count)
    pads = call.items("pads") or [0] * (2 * count)
    sizes = [(n - 1) * s - pads[i] - pads[i + count] + k for i, (n, s, k) in
             enumerate(zip(x.shape[2:], strides, window, strict=True))]  # fmt: skip
    shape = [*x.shape[:2], *sizes]
    wanted = list(call.ints(2, "the output shape")) if call.has(2) else shape
    flat = call.reshape(x, (math.prod(x.shape),), "flat")
    places = call.reshape(call.cast(at, "int32"), (math.prod(x.shape), 1), "places")
    total = math.prod(shape)
    made = call.op("scatter_nd", places, flat, part="placed", mode="update", shape=(total,))
    y = call.reshape(made, shape, "unpooled")
    if wanted != shape:
        # The indices count through the smaller result; the larger one is zero beyond it.
        more = [(0, b - a) for a, b in zip(shape, wanted, strict=False)]
        if len(wanted) != len(shape) or min(b for _, b in more) < 0:
            raise call.refuse("the output shape is too small", received=wanted[:8])
        y = call.op("pad", y, part="wide", paddings=tuple(more), value=0.0)
    return y
