"""Importers of operators on pictures: interpolation, pixel shuffle, grids."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fanlight.formats.emitter import Tensor
from fanlight.formats.spatial import from_nhwc, to_nhwc
from fanlight.formats.torch.call import Call, importer
from fanlight.tensor import functions as fn
from fanlight.tensor import image

_SIDE = 1 << 14


def _target(call: Call, x: Tensor, count: int) -> tuple[tuple[int, ...], list[float | None]]:
    """The size of the result, and the scales that were given."""
    shape = x.shape[2:]
    if len(x.shape) != count + 2:
        raise call.refuse("the input does not fit", received=list(x.shape))
    scales: list[float | None] = [None] * count
    given = call.get("scale_factors")
    if isinstance(given, list) and len(given) == count:
        scales = [float(s) for s in given]
    else:
        names = ("scales",) if count == 1 else ("scales_d", "scales_h", "scales_w")[-count:]
        scales = [None if call.get(n) is None else call.real(n) for n in names]
    if call.has("output_size"):
        sizes = call.ints("output_size")
    else:
        sizes = tuple(math.floor(n * (s or 0)) for n, s in zip(shape, scales, strict=True))
    if len(sizes) != count or not all(1 <= n <= _SIDE for n in sizes) or 0 in shape:
        raise call.refuse("the size is none", received=list(sizes[:4]))
    return sizes, scales


def _matrix(
    mode: str, n: int, m: int, scale: float | None, align: bool, antialias: bool
) -> np.ndarray:
    """[m, n]: what each of m places takes of n, as torch computes them."""
    made = np.zeros((m, n), np.float64)
    step = n / m if not scale else 1 / scale
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    for i in range(m):
        if mode == "nearest":
            made[i, min(int(i * step), n - 1)] = 1
            continue
        if mode == "exact":
            made[i, min(int((i + 0.5) * step), n - 1)] = 1
            continue
        at = i * step if align else (i + 0.5) * step - 0.5
        if antialias:
            wide = max(step, 1.0)
            reach = (1.0 if mode == "linear" else 2.0) * wide
            centre = at + 0.5
            low, high = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), n)
            taps = np.arange(low, high)
            weights = _kernel(mode, (taps + 0.5 - centre) / wide, -0.5)
            made[i, taps] = weights / weights.sum()
            continue
        if mode == "linear":
            at = max(at, 0.0)
            low = min(int(at), n - 1)
            taps = np.array([low, min(low + 1, n - 1)])
            weights = np.array([1 - (at - low), at - low])
        else:
            low = math.floor(at)
            taps = np.arange(low - 1, low + 3)
            weights = _kernel("cubic", taps - at, -0.75)
            taps = np.clip(taps, 0, n - 1)
        np.add.at(made[i], taps, weights)
    return made.astype(np.float32)


def _kernel(mode: str, x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    if mode == "linear":
        return np.maximum(1 - x, 0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


@importer("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
          "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "upsample_linear1d",
          "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
          "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")  # fmt: skip
def upsample(call: Call) -> Tensor:
    target = call.node.target.split(".")[1]
    count = int(next(c for c in target if c.isdigit()))
    x = call.x("input" if "input" in call.args else "self")
    mode = next(
        kind for word, kind in (("exact", "exact"), ("nearest", "nearest"), ("cubic", "cubic"),
                                ("linear", "linear")) if word in target
    )  # fmt: skip
    sizes, scales = _target(call, x, count)
    align, antialias = call.flag("align_corners"), target.endswith("_aa")
    plain = all(
        s is None or abs(n * s - m) < 1e-9
        for n, m, s in zip(x.shape[2:], sizes, scales, strict=True)
    )
    if count == 2 and plain and not antialias and mode != "cubic":
        coordinates = {"exact": "half_pixel", "nearest": "asymmetric"}.get(
            mode, "align_corners" if align else "half_pixel"
        )
        op = "resize_bilinear" if mode == "linear" else "resize_nearest"
        turned = to_nhwc(call.em, x, call.name())
        y = call.op(op, turned, part="resize", size=sizes, coordinates=coordinates)
        return from_nhwc(call.em, y, call.name())
    if max((*sizes, *x.shape[2:])) > 4096:
        raise call.refuse("the picture is too large for this mode", received=list(sizes))
    matrices = [
        _matrix(mode, n, m, s, align, antialias)
        for n, m, s in zip(x.shape[2:], sizes, scales, strict=True)
    ]

    def compute(x: Any) -> Any:
        for k, matrix in enumerate(matrices):
            axis = 2 + k
            perm = [d for d in range(x.rank) if d != axis] + [axis]
            back = [perm.index(d) for d in range(x.rank)]
            x = fn.transpose(fn.matmul(fn.transpose(x, perm), matrix.T), back)
        return x

    return call.function(compute, x)


@importer("pixel_shuffle")
def pixel_shuffle(call: Call) -> Tensor:
    x, r = call.x(), call.whole("upscale_factor")
    *lead, c, h, w = x.shape
    if r < 1 or c % (r * r):
        raise call.refuse("the factor does not fit", received=[r, *x.shape])
    k = len(lead)

    def compute(x: Any) -> Any:
        x = fn.reshape(x, (*lead, c // (r * r), r, r, h, w))
        x = fn.transpose(x, (*range(k), k, k + 3, k + 1, k + 4, k + 2))
        return fn.reshape(x, (*lead, c // (r * r), h * r, w * r))

    return call.function(compute, x)


@importer("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Tensor:
    x, r = call.x(), call.whole("downscale_factor")
    *lead, c, h, w = x.shape
    if r < 1 or h % r or w % r:
        raise call.refuse("the factor does not fit", received=[r, *x.shape])
    k = len(lead)

    def compute(x: Any) -> Any:
        x = fn.reshape(x, (*lead, c, h // r, r, w // r, r))
        x = fn.transpose(x, (*range(k), k, k + 2, k + 4, k + 1, k + 3))
        return fn.reshape(x, (*lead, c * r * r, h // r, w // r))

    return call.function(compute, x)


@importer("channel_shuffle")
def channel_shuffle(call: Call) -> Tensor:
    x, groups = call.x(), call.whole("groups")
    n, c, *rest = x.shape
    if groups < 1 or c % groups:
        raise call.refuse("the groups do not fit", received=[groups, c])

    def compute(x: Any) -> Any:
        apart = fn.reshape(x, (n, groups, c // groups, *rest))
        return fn.reshape(fn.transpose(apart, (0, 2, 1, *range(3, 3 + len(rest)))), (n, c, *rest))

    return call.function(compute, x)


@importer("grid_sampler", "grid_sampler_2d")
def grid_sampler(call: Call) -> Tensor:
    modes, pads = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    mode, padding = call.whole("interpolation_mode", 0), call.whole("padding_mode", 0)
    if mode not in (0, 1, 2) or padding not in (0, 1, 2) or len(call.x("input").shape) != 4:
        raise call.refuse(
            "this way to sample", expected="pictures, " + ", ".join(modes), received=mode
        )
    align = call.flag("align_corners")
    turned = to_nhwc(call.em, call.x("input"), call.name())
    y = call.function(
        lambda x, g: image.grid_sample(x, g, modes[mode], pads[padding], align),
        turned, call.x("grid"),
    )  # fmt: skip
    return from_nhwc(call.em, y, call.name())


@importer("im2col")
def im2col(call: Call) -> Tensor:
    x = call.x()
    (kh, kw), (dh, dw) = call.spread("kernel_size", 2), call.spread("dilation", 2, 1)
    (ph, pw), (sh, sw) = call.spread("padding", 2, 0), call.spread("stride", 2, 1)
    n, c, h, w = x.shape
    oh = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    ow = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    if min(oh, ow, kh, kw, sh, sw) < 1 or kh * kw > 4096:
        raise call.refuse("the windows do not fit", received=[kh, kw, oh, ow])

    def compute(x: Any) -> Any:
        x = fn.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        parts = [
            x[:, :, i * dh : i * dh + (oh - 1) * sh + 1 : sh,
              j * dw : j * dw + (ow - 1) * sw + 1 : sw]
            for i in range(kh) for j in range(kw)
        ]  # fmt: skip
        return fn.reshape(fn.stack(parts, 2), (n, c * kh * kw, oh * ow))

    return call.function(compute, x)
