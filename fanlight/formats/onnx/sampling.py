"""Importers of ops that take numbers at places which are computed, or take bits for numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor, check_size, dtype_of
from fanlight.formats.onnx import kinds
from fanlight.formats.onnx.call import Call, importer
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.ops.types import TensorType
from fanlight.tensor import functions as fn
from fanlight.tensor.core import apply, cast
from fanlight.tensor.image import grid_sample

_MODES = {"bilinear": "linear", "bicubic": "cubic"}  # names before opset 20
# Windows of more taps, or with more groups, are no convolutions, but an attack on memory.
_MOST_TAPS, _MOST_GROUPS, _MOST_PARTS = 1024, 1024, 64


def _at(x: Any, places: Sequence[Any]) -> Any:
    """Between the numbers of x [N, *sizes, C], at places [N, P], one for each size -> [N, P, C].

    What lies outside counts as zero.
    """
    n, *sizes, channels = x.shape
    rows = fn.reshape(x, (n * math.prod(sizes), channels))
    first = (np.arange(n, dtype=np.int32) * math.prod(sizes))[:, None]
    low = [fn.floor(p) for p in places]
    share = [p - q for p, q in zip(places, low, strict=True)]
    total: Any = None
    for corner in product((0, 1), repeat=len(sizes)):
        index: Any = np.zeros((1, 1), np.int32)
        weight: Any = 1.0
        for d, up in enumerate(corner):
            place, last = low[d] + float(up), sizes[d] - 1.0
            index = index * sizes[d] + cast(fn.clip(place, 0.0, last), "int32")
            inside = fn.logical_and(place >= 0.0, place <= last)
            weight = weight * fn.where(inside, share[d] if up else 1.0 - share[d], 0.0)
        part = fn.expand_dims(weight, -1) * apply("gather", rows, index + first, axis=0)
        total = part if total is None else total + part
    return total


def _volume(x: Any, grid: Any, mode: str, padding: str, align: bool) -> Any:
    """grid_sample of volumes: x [N, D, H, W, C], grid [N, d, h, w, 3], whose numbers are x, y, z
    from -1 to 1."""
    n, *sizes, channels = x.shape
    shape = grid.shape[1:-1]
    places = []
    for d, size in enumerate(sizes):
        place = fn.reshape(grid[..., len(sizes) - 1 - d], (n, math.prod(shape)))
        if align:
            place, walls = (place + 1.0) * ((size - 1) / 2), (0.0, size - 1.0)
        else:
            place, walls = ((place + 1.0) * float(size) - 1.0) * 0.5, (-0.5, size - 0.5)
        if padding == "reflection":
            place = _mirrored(place, *walls)
        if padding != "zeros":
            place = fn.clip(place, 0.0, size - 1.0)
        places.append(fn.round(place) if mode == "nearest" else place)
    return fn.reshape(_at(x, places), (n, *shape, channels))


def _mirrored(place: Any, low: float, high: float) -> Any:
    """A place beyond a wall as where its mirror shows it."""
    span = high - low
    if span <= 0:
        return place * 0.0 + low
    off = fn.floor_mod(place - low, 2.0 * span)
    return fn.where(off > span, 2.0 * span - off, off) + low


@importer("GridSample")
def grid_sample_(call: Call) -> Tensor:
    """X [N, C, H, W], grid [N, h, w, 2] -> [N, C, h, w]; volumes have a depth before H and h."""
    x, grid = call.f32(0), call.f32(1)
    mode = call.text("mode", "linear")
    mode, padding = _MODES.get(mode, mode), call.text("padding_mode", "zeros")
    align = call.flag("align_corners")
    dims = len(x.shape) - 2
    if dims not in (2, 3) or len(grid.shape) != dims + 2 or grid.shape[0] != x.shape[0]:
        raise call.refuse("the grid does not fit", expected="[N, C, H, W] and [N, h, w, 2]",
                          received=f"{list(x.shape)}, {list(grid.shape)}")  # fmt: skip
    modes = ("linear", "nearest", "cubic") if dims == 2 else ("linear", "nearest")
    if mode not in modes or padding not in ("zeros", "border", "reflection"):
        raise call.refuse("its rule of sampling is not known",
                          expected=f"{', '.join(modes)}; zeros, border, reflection",
                          received=f"{mode}, {padding}")  # fmt: skip
    if grid.shape[-1] != dims or min(*x.shape, *grid.shape) < 1:
        raise call.refuse("the grid does not fit", expected=f"{dims} numbers for each place",
                          received=f"{list(x.shape)}, {list(grid.shape)}")  # fmt: skip
    nhwc = to_nhwc(call.em, x, call.name)
    if dims == 3:
        made = call.function(lambda x, g: _volume(x, g, mode, padding, align), nhwc, grid)[0]
    else:
        rule = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
        made = call.function(lambda x, g: grid_sample(x, g, rule, padding, align), nhwc, grid)[0]
    return call.cast(from_nhwc(call.em, made, call.name), dtype_of(call.x()), "back")


def _pair(call: Call, name: str, default: Sequence[int]) -> tuple[int, ...]:
    found = tuple(call.items(name) or default)
    if len(found) != len(default) or not all(isinstance(v, int) for v in found):
        raise call.refuse(f"{name} does not fit", expected=len(default), received=found[:8])
    return found


@importer("DeformConv")
def deform_conv(call: Call) -> Tensor:
    """A convolution whose taps are moved: X [N, C, H, W], W [D, C / groups, kh, kw], offset
    [N, 2 taps, h, w] (down, across), perhaps a bias, perhaps a factor for each tap.

    Source: Dai et al. 2017, Zhu et al. 2019 (the factors).
    """
    x, w, offset = call.f32(0), call.f32(1), call.f32(2)
    bias = call.f32(3) if call.has(3) else None
    mask = call.f32(4) if call.has(4) else None
    groups, parts = call.whole("group", 1), call.whole("offset_group", 1)
    if len(x.shape) != 4 or len(w.shape) != 4 or min(*x.shape, *w.shape, groups, parts) < 1:
        raise call.refuse("only pictures are convolved so", expected="[N, C, H, W]",
                          received=f"{list(x.shape)}, {list(w.shape)}")  # fmt: skip
    (n, channels, *sizes), (made, own, *kernel) = x.shape, w.shape
    strides, gaps = _pair(call, "strides", (1, 1)), _pair(call, "dilations", (1, 1))
    pads = _pair(call, "pads", (0, 0, 0, 0))
    taps = math.prod(kernel)
    if min(*strides, *gaps) < 1 or taps > _MOST_TAPS:
        raise call.refuse("its window makes no sense", received=[kernel, strides, gaps])
    if groups > _MOST_GROUPS or parts > _MOST_PARTS:
        raise call.refuse("it has too many groups",
                          expected=f"at most {_MOST_GROUPS}, and {_MOST_PARTS} of offsets",
                          received=[groups, parts])  # fmt: skip
    steps = [
        (sizes[d] + pads[d] + pads[d + 2] - gaps[d] * (kernel[d] - 1) - 1) // strides[d] + 1
        for d in (0, 1)
    ]
    count = math.prod(steps)
    wanted = (n, parts * taps * 2, *steps)
    if (own * groups, channels % parts, made % groups) != (channels, 0, 0) or min(steps) < 1 or (
        tuple(offset.shape) != wanted
    ):  # fmt: skip
        raise call.refuse("its sizes do not fit", expected=f"offsets {list(wanted)}",
                          received=f"{list(x.shape)}, {list(w.shape)}, {list(offset.shape)}"
                          )  # fmt: skip
    if mask is not None and tuple(mask.shape) != (n, parts * taps, *steps):
        raise call.refuse("the mask does not fit", received=list(mask.shape))
    check_size(TensorType((n, count, taps, channels), "float32"), call.where)
    # Where each tap is without offsets: [taps, steps], down and across.
    grids = np.meshgrid(*(np.arange(k) for k in kernel), indexing="ij")
    spots = np.meshgrid(*(np.arange(s) for s in steps), indexing="ij")
    at = [
        (grids[d].reshape(-1, 1) * gaps[d] + spots[d].reshape(1, -1) * strides[d] - pads[d])
        .astype(np.float32)[None]
        for d in (0, 1)
    ]  # fmt: skip

    def run(x: Any, w: Any, offset: Any, *rest: Any) -> Any:
        moves = fn.reshape(offset, (n, parts, taps, 2, count))
        factors = fn.reshape(rest[0], (n, parts, taps, count)) if rest else None
        columns = []
        for p in range(parts):
            width = channels // parts
            places = [
                fn.reshape(moves[:, p, :, d] + at[d], (n, taps * count)) for d in (0, 1)
            ]  # fmt: skip
            taken = _at(x[..., p * width : (p + 1) * width], places)
            taken = fn.reshape(taken, (n, taps, count, width))
            if factors is not None:
                taken = taken * fn.expand_dims(factors[:, p], -1)
            columns.append(taken)
        whole = columns[0] if parts == 1 else fn.concat(columns, axis=-1)
        rows = fn.transpose(whole, (0, 2, 1, 3))
        results = []
        for g in range(groups):
            each = made // groups
            part = fn.reshape(rows[..., g * own : (g + 1) * own], (n * count, taps * own))
            kernels = fn.transpose(w[g * each : (g + 1) * each], (2, 3, 1, 0))
            results.append(part @ fn.reshape(kernels, (taps * own, each)))
        y = results[0] if groups == 1 else fn.concat(results, axis=-1)
        return fn.reshape(y, (n, *steps, made))

    inputs = [to_nhwc(call.em, x, call.name), w, offset, *([] if mask is None else [mask])]
    y = call.function(run, *inputs)[0]
    if bias is not None:
        y = call.op("add", y, bias, part="biased")
    return from_nhwc(call.em, y, call.name)


_BITS = {
    kinds.FLOAT: "<f4", kinds.FLOAT16: "<f2", kinds.INT32: "<i4", kinds.UINT32: "<u4",
    kinds.INT16: "<i2", kinds.UINT16: "<u2", kinds.INT8: "<i1", kinds.UINT8: "<u1",
    kinds.BOOL: "<u1",
}  # fmt: skip


@importer("BitCast")
def bit_cast(call: Call) -> Tensor:
    """The same bits as numbers of another kind, as wide. Between whole numbers it is computed;
    the bits of floats are taken at import, from numbers that are known."""
    x, source, target = call.x(), call.kind(), call.whole("to")
    call.made_kinds[0] = target
    if source not in _BITS or target not in _BITS:
        names = [kinds.NAMES.get(k, str(k)) for k in (source, target)]
        raise call.refuse("bits are not kept of numbers of this kind",
                          expected=", ".join(kinds.NAMES[k] for k in _BITS),
                          received=" to ".join(names))  # fmt: skip
    own, other = np.dtype(_BITS[source]), np.dtype(_BITS[target])
    if own.itemsize != other.itemsize:
        raise call.refuse("both kinds must be as wide", received=f"{own} to {other}")
    dtype = kinds.dtype_of_kind(target, call.where)
    floats = "f" in (own.kind, other.kind)
    if isinstance(x, np.ndarray) or (floats and own != other):
        stored = call.known(0, "the bits").astype(np.int64 if own.kind != "f" else own).astype(own)
        return np.ascontiguousarray(stored.view(other).astype(dtype)).reshape(x.shape)
    if target not in kinds.LIMITS or source == target:
        return call.cast(x, dtype)  # of 32 bits: uint32 travels as int32
    whole = call.cast(x, "int32", "whole")
    low, high = kinds.LIMITS[target]
    span = call.const(high - low + 1, "int32")
    turned = call.op("floor_mod", call.op("sub", whole, call.const(low, "int32"), part="off"),
                     span, part="round")  # fmt: skip
    return call.cast(call.op("add", turned, call.const(low, "int32"), part="moved"), dtype)
