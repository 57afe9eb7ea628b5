"""Convolutions and pooling over one, two or three dims, made of the two-dimensional ops.

Tensors are [N, ..., C]: a batch, one to three spatial dims, channels; the batch may be left out.
Arguments that every function here takes:

strides, dilations: a whole number, or one per spatial dim.
padding: "valid" (none), "same" (as many places as strides fit into the size, the odd pixel behind),
    a whole number of pixels on every side, or pairs (before, after), one per spatial dim.

Every function raises E-OP-004 for shapes that do not fit, E-OP-005 for such arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import inf
from typing import Any

import numpy as np

from fanlight.tensor.arguments import as_whole, as_wholes, choice, flag, misfit, refused
from fanlight.tensor.core import Tensor, apply, cast, tensor

Ints = int | Sequence[int]
Padding = str | int | Sequence[tuple[int, int]]
Pairs = tuple[tuple[int, int], ...]


# --- arguments ------------------------------------------------------------------------------------


def per_dim(op: str, argument: str, value: Any, count: int) -> tuple[int, ...]:
    """An argument that is one whole number from 1 on for all dims, or one for each."""
    values = as_wholes(value)
    if values is None and not isinstance(value, list | tuple):
        one = as_whole(value)
        values = None if one is None else (one,) * count
    if values is None or len(values) != count or not all(0 < v < 2**31 for v in values):
        raise refused(op, argument, f"a whole number from 1 on, or {count} of them", value)
    return values


def padding_pairs(
    op: str,
    padding: Any,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Pairs:
    """A padding argument as (before, after) per spatial dim."""
    count = len(sizes)
    name = padding if isinstance(padding, str) else ""
    if name == "valid":
        return ((0, 0),) * count
    if name == "same":
        pairs = []
        for n, k, s, d in zip(sizes, window, strides, dilations, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return tuple(pairs)
    one = None if isinstance(padding, list | tuple | np.ndarray) else as_whole(padding)
    if one is not None and one >= 0:
        return ((one, one),) * count
    parts = padding if isinstance(padding, list | tuple) or np.ndim(padding) else ()
    found = [as_wholes(part) or () for part in parts]
    if len(found) != count or any(len(p) != 2 or min(p) < 0 for p in found):
        expected = f"'valid', 'same', a whole number from 0 on, or {count} pairs of them"
        raise refused(op, "padding", expected, padding)
    return tuple((a, b) for a, b in found)


_DIMS = {1: "[N, W, C]", 2: "[N, H, W, C]", 3: "[N, D, H, W, C]"}


def batched(op: str, x: Any, count: int, dtypes: Sequence[str] = ("float32",)) -> Tensor:
    """x as a batch of pictures with `count` spatial dims."""
    x = tensor(x)
    if x.dtype not in dtypes:
        x = cast(x, "float32")
    if x.rank == count + 1:
        x = _reshape(x, (1, *x.shape))
    if x.rank != count + 2:
        raise misfit(op, "x", f"{_DIMS[count]}, or that without N", x.type)
    return x


def _like(y: Tensor, x: Any, count: int) -> Tensor:
    """The result without the batch that its input did not have."""
    return _reshape(y, y.shape[1:]) if tensor(x).rank == count + 1 else y


def _kernel(op: str, w: Any, rank: int, dims: str) -> Tensor:
    w = cast(w, "float32")
    if w.rank != rank:
        raise misfit(op, "w", dims, w.type)
    return w


def _reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    result: Tensor = x if x.shape == tuple(shape) else apply("reshape", x, shape=tuple(shape))
    return result


def places(
    op: str,
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pairs: Pairs,
) -> tuple[int, ...]:
    """How many results there are per spatial dim; E-OP-004 if a window does not fit."""
    found = []
    for n, k, s, d, pair in zip(sizes, window, strides, dilations, pairs, strict=True):
        room, reach = n + sum(pair), (k - 1) * d + 1
        if k < 1 or reach > room:
            raise misfit(op, "x", f"at least {reach} pixels per window, padding included", room)
        found.append((room - reach) // s + 1)
    return tuple(found)


# --- convolutions ---------------------------------------------------------------------------------


def conv1d(
    x: Any, w: Any, strides: Ints = 1, padding: Padding = "valid", dilations: Ints = 1
) -> Tensor:
    """[N, W, C] with a kernel [k, C, D] -> [N, w, D]; see conv2d."""
    return _conv("conv1d", 1, x, w, strides, padding, dilations)


def conv2d(
    x: Any, w: Any, strides: Ints = 1, padding: Padding = "valid", dilations: Ints = 1
) -> Tensor:
    """[N, H, W, C] with a kernel [kh, kw, C, D] -> [N, h, w, D], a cross-correlation.

    y[n, i, j, d] = sum over p, q, c of x[n, i sh + p dh, j sw + q dw, c] * w[p, q, c, d], padding
    being zeros; h = (H + padding - (kh - 1) dh - 1) // sh + 1. Source: tf.nn.conv2d.
    """
    return _conv("conv2d", 2, x, w, strides, padding, dilations)


def conv3d(
    x: Any, w: Any, strides: Ints = 1, padding: Padding = "valid", dilations: Ints = 1
) -> Tensor:
    """[N, D, H, W, C] with a kernel [kd, kh, kw, C, E] -> [N, d, h, w, E]; see conv2d."""
    return _conv("conv3d", 3, x, w, strides, padding, dilations)


_KERNELS = {1: "[k, C, D]", 2: "[kh, kw, C, D]", 3: "[kd, kh, kw, C, D]"}


def _conv(
    op: str, count: int, given: Any, w: Any, strides: Ints, padding: Any, dilations: Ints
) -> Tensor:
    x = batched(op, given, count)
    w = _kernel(op, w, count + 2, _KERNELS[count])
    steps = per_dim(op, "strides", strides, count)
    gaps = per_dim(op, "dilations", dilations, count)
    sizes, window = x.shape[1:-1], w.shape[:count]
    pairs = padding_pairs(op, padding, sizes, window, steps, gaps)
    if w.shape[-2] != x.shape[-1]:
        raise misfit(op, "w", f"{_KERNELS[count]} with C = {x.shape[-1]} of x {x.type}", w.type)
    batch, out = x.shape[0], places(op, sizes, window, steps, gaps, pairs)
    if count == 1:
        x, w = _reshape(x, (x.shape[0], 1, *x.shape[1:])), _reshape(w, (1, *w.shape))
        steps, gaps, pairs = (1, *steps), (1, *gaps), ((0, 0), *pairs)
    elif count == 3:
        x, w = _deep(x, out[0], w.shape[0], steps[0], gaps[0], pairs[0]), _flat(w)
        steps, gaps, pairs = steps[1:], gaps[1:], pairs[1:]
    y = apply("conv2d", x, w, strides=steps, padding=pairs, dilations=gaps)
    return _like(_reshape(y, (batch, *out, w.shape[-1])), given, count)


def _deep(
    x: Tensor, out: int, taps: int, stride: int, dilation: int, pair: tuple[int, int]
) -> Tensor:
    """[N, D, H, W, C] -> [N out, H, W, taps C]: the slices that a window sees, as channels."""
    if any(pair):
        x = apply("pad", x, paddings=((0, 0), pair, (0, 0), (0, 0), (0, 0)))
    n, _, height, width, channels = x.shape
    seen = []
    for tap in range(taps):
        first = tap * dilation
        end = (n, first + (out - 1) * stride + 1, height, width, channels)
        begin, strides = (0, first, 0, 0, 0), (1, stride, 1, 1, 1)
        seen.append(apply("strided_slice", x, begin=begin, end=end, strides=strides))
    joined = apply("concat", *seen, axis=-1) if taps > 1 else seen[0]
    return _reshape(joined, (n * out, height, width, taps * channels))


def _flat(w: Tensor) -> Tensor:
    """A kernel [kd, kh, kw, C, D] as [kh, kw, kd C, D]."""
    depth, high, wide, channels, out = w.shape
    return _reshape(
        apply("transpose", w, perm=(1, 2, 0, 3, 4)), (high, wide, depth * channels, out)
    )


def depthwise_conv2d(
    x: Any, w: Any, strides: Ints = 1, padding: Padding = "valid", dilations: Ints = 1
) -> Tensor:
    """[N, H, W, C] with kernels [kh, kw, C, M] -> [N, h, w, C M]: each channel has its own M
    kernels. Sizes as conv2d. Source: tf.nn.depthwise_conv2d.
    """
    op = "depthwise_conv2d"
    images = batched(op, x, 2)
    w = _kernel(op, w, 4, "[kh, kw, C, M]")
    steps, gaps = per_dim(op, "strides", strides, 2), per_dim(op, "dilations", dilations, 2)
    pairs = padding_pairs(op, padding, images.shape[1:3], w.shape[:2], steps, gaps)
    y: Tensor = apply(op, images, w, strides=steps, padding=pairs, dilations=gaps)
    return _like(y, x, 2)


def separable_conv2d(
    x: Any,
    depthwise: Any,
    pointwise: Any,
    strides: Ints = 1,
    padding: Padding = "valid",
    dilations: Ints = 1,
) -> Tensor:
    """depthwise_conv2d with [kh, kw, C, M], then conv2d with [1, 1, C M, D] -> [N, h, w, D].

    Source: tf.nn.separable_conv2d.
    """
    pointwise = _kernel("separable_conv2d", pointwise, 4, "pointwise [1, 1, C M, D]")
    if pointwise.shape[:2] != (1, 1):
        raise misfit("separable_conv2d", "pointwise", "[1, 1, C M, D]", pointwise.type)
    return conv2d(depthwise_conv2d(x, depthwise, strides, padding, dilations), pointwise)


def conv1d_transpose(
    x: Any,
    w: Any,
    output_size: Ints | None = None,
    strides: Ints = 1,
    padding: Padding = "valid",
) -> Tensor:
    """[N, w, C] with a kernel [k, D, C] -> [N, W, D]; see conv2d_transpose."""
    return _transposed("conv1d_transpose", 1, x, w, output_size, strides, padding)


def conv2d_transpose(
    x: Any,
    w: Any,
    output_size: Ints | None = None,
    strides: Ints = 1,
    padding: Padding = "valid",
) -> Tensor:
    """[N, h, w, C] with a kernel [kh, kw, D, C] -> [N, H, W, D]: the gradient of conv2d.

    That is, y[n, i sh + p - top, j sw + q - left, d] is the sum of all x[n, i, j, c] *
    w[p, q, d, c]. Source: tf.nn.conv2d_transpose.

    Args:
        output_size: (H, W): sizes from which conv2d, with these strides and this padding, makes
            (h, w); TensorFlow.js's [N, H, W, D] is taken, too. Default: (h - 1) sh + kh - padding,
            and h sh for "same".
    """
    return _transposed("conv2d_transpose", 2, x, w, output_size, strides, padding)


def conv3d_transpose(
    x: Any,
    w: Any,
    output_size: Ints | None = None,
    strides: Ints = 1,
    padding: Padding = "valid",
) -> Tensor:
    """[N, d, h, w, C] with a kernel [kd, kh, kw, E, C] -> [N, D, H, W, E]; see conv2d_transpose."""
    return _transposed("conv3d_transpose", 3, x, w, output_size, strides, padding)


def _transposed(
    op: str, count: int, given: Any, w: Any, output: Any, strides: Ints, padding: Any
) -> Tensor:
    x = batched(op, given, count)
    w = _kernel(op, w, count + 2, _KERNELS[count].replace("C, D", "D, C"))
    steps, ones = per_dim(op, "strides", strides, count), (1,) * count
    if w.shape[-1] != x.shape[-1]:
        raise misfit(op, "w", f"[..., D, C] with C = {x.shape[-1]} of x {x.type}", w.type)
    small, window = x.shape[1:-1], w.shape[:count]
    size = _output_size(op, output, small, window, steps, padding)
    pairs = padding_pairs(op, padding, size, window, steps, ones)
    if places(op, size, window, steps, ones, pairs) != small:
        raise refused(op, "output_size", f"sizes from which a convolution makes {small}", output)
    batch, out = x.shape[0], w.shape[-2]
    options = {"strides": steps[-2:], "padding": pairs[-2:], "output_size": size[-2:]}
    if count == 1:
        x, w = _reshape(x, (batch, 1, *x.shape[1:])), _reshape(w, (1, *w.shape))
        options = {
            "strides": (1, *steps), "padding": ((0, 0), *pairs), "output_size": (1, *size)
        }  # fmt: skip
    if count < 3:
        y = apply("conv2d_transpose", x, w, **options)
        return _like(_reshape(y, (batch, *size, out)), given, count)
    taps = window[0]
    x = _reshape(x, (batch * small[0], *x.shape[2:]))
    w = apply("transpose", w, perm=(1, 2, 0, 3, 4))
    w = _reshape(w, (*w.shape[:2], taps * out, w.shape[-1]))
    y = apply("conv2d_transpose", x, w, **options)
    parts = _reshape(y, (batch, small[0], *size[1:], taps, out))
    return _like(_stacked_up(parts, size[0], steps[0], pairs[0]), given, 3)


def _output_size(
    op: str,
    given: Any,
    small: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Any,
) -> tuple[int, ...]:
    count = len(small)
    if given is not None:
        whole = isinstance(given, list | tuple) and len(given) == count + 2
        return per_dim(op, "output_size", given[1:-1] if whole else given, count)
    if isinstance(padding, str) and padding == "same":
        return tuple(n * s for n, s in zip(small, strides, strict=True))
    pairs = padding_pairs(op, padding, small, window, strides, (1,) * count)
    sizes = zip(small, window, strides, pairs, strict=True)
    found = tuple((n - 1) * s + k - sum(pair) for n, k, s, pair in sizes)
    if any(n < 1 for n in found):
        raise refused(op, "padding", f"less than what makes the result {found}", padding)
    return found


def _stacked_up(parts: Tensor, size: int, stride: int, pair: tuple[int, int]) -> Tensor:
    """[N, d, H, W, taps, E] -> [N, size, H, W, E]: taps of place i are at i stride on."""
    n, count, height, width, taps, channels = parts.shape
    whole = size + sum(pair)
    total: Any = None
    for tap in range(taps):
        part = apply(
            "slice", parts, begin=(0, 0, 0, 0, tap, 0),
            size=(n, count, height, width, 1, channels),
        )  # fmt: skip
        part = _reshape(part, (n, count, 1, height, width, channels))
        if stride > 1:
            part = apply("pad", part, paddings=_only(2, (0, stride - 1), 6))
        part = _reshape(part, (n, count * stride, height, width, channels))
        room = whole - tap
        if room < count * stride:
            part = apply("slice", part, begin=(0,) * 5, size=(n, room, height, width, channels))
        part = apply("pad", part, paddings=_only(1, (tap, room - part.shape[1]), 5))
        total = part if total is None else apply("add", total, part)
    if any(pair):
        begin = (0, pair[0], 0, 0, 0)
        total = apply("slice", total, begin=begin, size=(n, size, height, width, channels))
    result: Tensor = total
    return result


def _only(axis: int, pair: tuple[int, int], rank: int) -> Pairs:
    return tuple(pair if d == axis else (0, 0) for d in range(rank))


# --- pooling --------------------------------------------------------------------------------------


def max_pool1d(
    x: Any, size: Ints, strides: Ints | None = None, padding: Padding = "valid"
) -> Tensor:
    """[N, W, C] -> [N, w, C]; see max_pool."""
    return _pool("max_pool1d", "max_pool", 1, x, size, strides, padding)


def max_pool(x: Any, size: Ints, strides: Ints | None = None, padding: Padding = "valid") -> Tensor:
    """[N, H, W, C] -> [N, h, w, C]: the greatest pixel of each window; padding does not count.

    Strides are those of the window where none are given. Source: tf.nn.max_pool2d.
    """
    return _pool("max_pool", "max_pool", 2, x, size, strides, padding)


def max_pool3d(
    x: Any, size: Ints, strides: Ints | None = None, padding: Padding = "valid"
) -> Tensor:
    """[N, D, H, W, C] -> [N, d, h, w, C]; see max_pool."""
    return _pool("max_pool3d", "max_pool", 3, x, size, strides, padding)


def avg_pool1d(
    x: Any,
    size: Ints,
    strides: Ints | None = None,
    padding: Padding = "valid",
    count_include_pad: bool = False,
) -> Tensor:
    """[N, W, C] -> [N, w, C]; see avg_pool."""
    return _pool("avg_pool1d", "avg_pool", 1, x, size, strides, padding, count_include_pad)


def avg_pool(
    x: Any,
    size: Ints,
    strides: Ints | None = None,
    padding: Padding = "valid",
    count_include_pad: bool = False,
) -> Tensor:
    """[N, H, W, C] -> [N, h, w, C]: the mean of each window.

    Args:
        strides: those of the window where none are given.
        count_include_pad: whether padding counts as zeros, as PyTorch has it; else it does not
            count, as TensorFlow has it.

    Source: tf.nn.avg_pool2d; torch.nn.functional.avg_pool2d.
    """
    return _pool("avg_pool", "avg_pool", 2, x, size, strides, padding, count_include_pad)


def avg_pool3d(
    x: Any,
    size: Ints,
    strides: Ints | None = None,
    padding: Padding = "valid",
    count_include_pad: bool = False,
) -> Tensor:
    """[N, D, H, W, C] -> [N, d, h, w, C]; see avg_pool."""
    return _pool("avg_pool3d", "avg_pool", 3, x, size, strides, padding, count_include_pad)


def _pool(
    op: str,
    kind: str,
    count: int,
    given: Any,
    size: Any,
    strides: Any,
    padding: Any,
    zeros: bool = False,
) -> Tensor:
    """`zeros`: whether padding counts."""
    dtypes = ("float32", "uint8") if kind == "max_pool" else ("float32",)
    x = batched(op, given, count, dtypes)
    window = per_dim(op, "size", size, count)
    steps = window if strides is None else per_dim(op, "strides", strides, count)
    ones = (1,) * count
    pairs = padding_pairs(op, padding, x.shape[1:-1], window, steps, ones)
    out = places(op, x.shape[1:-1], window, steps, ones, pairs)
    if flag(op, "count_include_pad", zeros) and any(map(any, pairs)):
        x = apply("pad", x, paddings=((0, 0), *pairs, (0, 0)))
        pairs = ((0, 0),) * count
    n, *sizes, channels = x.shape
    if count == 1:
        x = _reshape(x, (n, 1, *sizes, channels))
        window, steps, pairs = (1, *window), (1, *steps), ((0, 0), *pairs)
    elif count == 3:
        x = _reshape(x, (n * sizes[0], *sizes[1:], channels))
    y = apply(kind, x, size=window[-2:], strides=steps[-2:], padding=pairs[-2:])
    if count == 3:
        # Maxima of maxima, and means of means over windows of one size.
        y = _reshape(y, (n, sizes[0], out[1] * out[2], channels))
        depth = ((pairs[0]), (0, 0))
        y = apply(kind, y, size=(window[0], 1), strides=(steps[0], 1), padding=depth)
    return _like(_reshape(y, (n, *out, channels)), given, count)


def pool(
    x: Any,
    size: Ints,
    kind: str,
    padding: Padding = "valid",
    dilations: Ints = 1,
    strides: Ints = 1,
) -> Tensor:
    """[N, H, W, C] -> [N, h, w, C]: pooling whose windows may have gaps.

    Args:
        kind: "max" or "avg"; padding does not count in either.

    Source: tf.nn.pool.
    """
    images = batched("pool", x, 2)
    choice("pool", "kind", kind, ("max", "avg"))
    window, steps = per_dim("pool", "size", size, 2), per_dim("pool", "strides", strides, 2)
    gaps = per_dim("pool", "dilations", dilations, 2)
    pairs = padding_pairs("pool", padding, images.shape[1:3], window, steps, gaps)
    if gaps == (1, 1):
        y = apply(f"{kind}_pool", images, size=window, strides=steps, padding=pairs)
        return _like(y, x, 2)
    outside = -inf if kind == "max" else 0.0
    seen = [part for *_, part in _taps("pool", images, window, steps, gaps, pairs, outside)]
    total = _folded("maximum" if kind == "max" else "add", seen)
    if kind == "avg":
        inside = tensor(np.ones((1, *images.shape[1:3], 1), np.float32))
        counts = [part for *_, part in _taps("pool", inside, window, steps, gaps, pairs, 0.0)]
        total = apply("div", total, _folded("add", counts))
    return _like(total, x, 2)


def _folded(op: str, parts: Sequence[Tensor]) -> Tensor:
    total, *rest = parts
    for part in rest:
        total = apply(op, total, part)
    return total


def _taps(
    op: str,
    x: Tensor,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pairs: Pairs,
    outside: float,
) -> Iterator[tuple[int, int, Tensor]]:
    """(row, column, what that tap sees at every place) of [N, H, W, C]."""
    out = places(op, x.shape[1:3], window, strides, dilations, pairs)
    if any(map(any, pairs)):
        x = apply("pad", x, paddings=((0, 0), *pairs, (0, 0)), value=outside)
    n, channels = x.shape[0], x.shape[3]
    for i, j in product(*map(range, window)):
        top, left = i * dilations[0], j * dilations[1]
        low, right = top + (out[0] - 1) * strides[0] + 1, left + (out[1] - 1) * strides[1] + 1
        yield (
            i,
            j,
            apply(
                "strided_slice", x, begin=(0, top, left, 0), end=(n, low, right, channels),
                strides=(1, *strides, 1),
            ),
        )  # fmt: skip


def dilation2d(
    x: Any, w: Any, strides: Ints = 1, padding: Padding = "valid", dilations: Ints = 1
) -> Tensor:
    """Grey-scale dilation: [N, H, W, C] with [kh, kw, C] -> [N, h, w, C].

    y[n, i, j, c] = max over p, q of x[n, i sh + p dh, j sw + q dw, c] + w[p, q, c]; padding does
    not count. Source: tf.nn.dilation2d.
    """
    op = "dilation2d"
    images = batched(op, x, 2)
    w = _kernel(op, w, 3, "[kh, kw, C]")
    if w.shape[2] != images.shape[3]:
        raise misfit(op, "w", f"[kh, kw, {images.shape[3]}] for x {images.type}", w.type)
    steps, gaps = per_dim(op, "strides", strides, 2), per_dim(op, "dilations", dilations, 2)
    pairs = padding_pairs(op, padding, images.shape[1:3], w.shape[:2], steps, gaps)
    channels = w.shape[2]
    raised = []
    for i, j, seen in _taps(op, images, w.shape[:2], steps, gaps, pairs, -inf):
        tap = apply("slice", w, begin=(i, j, 0), size=(1, 1, channels))
        raised.append(apply("add", seen, _reshape(tap, (channels,))))
    return _like(_folded("maximum", raised), x, 2)


def max_pool_with_argmax(
    x: Any,
    size: Ints,
    strides: Ints | None = None,
    padding: Padding = "valid",
    include_batch_in_index: bool = False,
) -> tuple[Tensor, Tensor]:
    """(max_pool of x [N, H, W, C], where the maxima lie: int32, of the same shape).

    An index is (row * W + column) * C + channel of the first of the greatest pixels of a window;
    with the batch, that of the whole tensor. Source: tf.nn.max_pool_with_argmax.
    """
    op = "max_pool_with_argmax"
    images = batched(op, x, 2)
    window = per_dim(op, "size", size, 2)
    steps = window if strides is None else per_dim(op, "strides", strides, 2)
    pairs = padding_pairs(op, padding, images.shape[1:3], window, steps, (1, 1))
    pooled = apply("max_pool", images, size=window, strides=steps, padding=pairs)
    taps = [part for *_, part in _taps(op, images, window, steps, (1, 1), pairs, -inf)]
    stacked = apply("concat", *(_reshape(t, (1, *t.shape)) for t in taps), axis=0)
    tap = apply("arg_max", stacked, axis=0)
    n, height, width, channels = images.shape
    _, out_h, out_w, _ = pooled.shape
    row = np.arange(out_h, dtype=np.int32)[:, None, None] * steps[0] - pairs[0][0]
    column = np.arange(out_w, dtype=np.int32)[None, :, None] * steps[1] - pairs[1][0]
    base = np.arange(channels)
    whole = np.broadcast_to(base, pooled.shape).copy()
    if flag(op, "include_batch_in_index", include_batch_in_index):
        whole += np.arange(n)[:, None, None, None] * (height * width * channels)
    down = apply("floor_div", tap, tensor(window[1]))
    across = apply("sub", tap, apply("mul", down, tensor(window[1])))
    # Where all that a window sees is -infinity, the first tap counts, which may be padding.
    down = apply("clip", apply("add", down, tensor(row)), lo=0, hi=max(height - 1, 0))
    across = apply("clip", apply("add", across, tensor(column)), lo=0, hi=max(width - 1, 0))
    moved = apply("add", apply("mul", down, tensor(width)), across)
    places_of = apply("add", apply("mul", moved, tensor(channels)), tensor(whole, "int32"))
    return _like(pooled, x, 2), _like(places_of, x, 2)
