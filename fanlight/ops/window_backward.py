"""Gradients of convolutions, pooling and resizing, in terms of the same ops.

The gradient of a convolution after its input is a convolution of the spread gradient with the
turned kernel (Dumoulin & Visin 2016, chapter 4); after its kernel it is an op of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step

Pair = tuple[int, int]


def _turned(step: Step, w: Any) -> Any:
    """A kernel [kh, kw, C, D], turned by half a circle, with C and D exchanged."""
    return step.transpose(step.apply("reverse", w, axes=(0, 1)), (0, 1, 3, 2))


def _spread(step: Step, x: Any, strides: Sequence[int]) -> Any:
    """Zeros between the pixels."""
    for d in (0, 1):
        x = step.spread(x, 1 + d, strides[d])
    return x


def _full(
    step: Step, g: Any, size: Pair, window: Pair, padding: Sequence[Pair], dilations: Sequence[int]
) -> Any:
    """A spread gradient, framed so that a window with steps of 1 gives the image's size."""
    frame = [(0, 0)]
    for d in (0, 1):
        reach = (window[d] - 1) * dilations[d]
        low = reach - padding[d][0]
        frame.append((low, size[d] + reach - low - g.shape[1 + d]))
    return step.frame(g, [*frame, (0, 0)])


def conv2d_input(
    step: Step, g: Any, w: Any, size: Pair, attrs: Any, op: str = "conv2d", kernel: Any = None
) -> Any:
    """The gradient after the image, of `size`, of a convolution with kernel w."""
    strides, dilations = attrs["strides"], attrs.get("dilations", (1, 1))
    g = _spread(step, g, strides)
    g = _full(step, g, size, tuple(w.shape[:2]), attrs["padding"], dilations)
    turned = _turned(step, w) if kernel is None else kernel
    return step.apply(op, g, turned, strides=(1, 1), dilations=dilations)


def _conv2d_kernel(step: Step, x: Any, g: Any, window: Pair, attrs: Any) -> Any:
    """The gradient after the kernel."""
    x = step.frame(x, [(0, 0), *attrs["padding"], (0, 0)])
    own = {"strides": attrs["strides"], "dilations": attrs.get("dilations", (1, 1))}
    return step.apply("conv2d_kernel", x, g, size=window, **own)


def conv2d_kernel(step: Step) -> list[Any]:
    """y is linear in both: after x the gradient of an image, after g the convolution itself."""
    (x, g), w, attrs = step.inputs, step.g, step.attrs
    own = {"strides": attrs["strides"], "dilations": attrs["dilations"]}
    own["padding"] = ((0, 0), (0, 0))
    return [
        conv2d_input(step, g, w, (x.shape[1], x.shape[2]), own),
        step.apply("conv2d", x, w, **own),
    ]


def conv2d(step: Step) -> list[Any]:
    (x, w), g, attrs = step.inputs, step.g, step.attrs
    size, window = (x.shape[1], x.shape[2]), (w.shape[0], w.shape[1])
    return [
        conv2d_input(step, g, w, size, attrs) if step.wanted[0] else None,
        _conv2d_kernel(step, x, g, window, attrs) if step.wanted[1] else None,
    ]


def conv2d_transpose(step: Step) -> list[Any]:
    """y = conv_input(x): after x it is the convolution, after w that of y's gradient with x."""
    (x, w), g = step.inputs, step.g
    attrs = {"strides": step.attrs["strides"], "padding": step.attrs["padding"]}
    window = (w.shape[0], w.shape[1])
    return [
        step.apply("conv2d", g, w, **attrs) if step.wanted[0] else None,
        _conv2d_kernel(step, g, x, window, attrs) if step.wanted[1] else None,
    ]


def depthwise_conv2d(step: Step) -> list[Any]:
    (x, w), g, attrs = step.inputs, step.g, step.attrs
    kh, kw, channels, multiplier = w.shape
    wide = channels * multiplier
    kernel = step.reshape(step.apply("reverse", w, axes=(0, 1)), (kh, kw, wide, 1))
    size = (x.shape[1], x.shape[2])
    of_x = None
    if step.wanted[0]:
        of_x = conv2d_input(step, g, w, size, attrs, "depthwise_conv2d", kernel)
    if multiplier != 1 and of_x is not None:
        split = (*of_x.shape[:3], channels, multiplier)
        of_x = step.apply("sum", step.reshape(of_x, split), axes=(4,), keepdims=False)
    x = step.frame(x, [(0, 0), *attrs["padding"], (0, 0)])
    if multiplier != 1:
        many = step.reshape(x, (*x.shape, 1))
        many = step.apply("broadcast_to", many, shape=(*x.shape, multiplier))
        x = step.reshape(many, (*x.shape[:3], wide))
    attrs = {"size": (kh, kw), "strides": attrs["strides"], "dilations": attrs["dilations"]}
    found = step.apply("depthwise_conv2d_kernel", x, g, **attrs) if step.wanted[1] else None
    return [of_x, None if found is None else step.reshape(found, w.shape)]


def depthwise_conv2d_kernel(step: Step) -> list[Any]:
    """y is linear in both: after x the gradient of an image, after g the convolution itself."""
    (x, g), slope, attrs = step.inputs, step.g, step.attrs
    kh, kw, channels = slope.shape
    w = step.reshape(slope, (kh, kw, channels, 1))
    own = {"strides": attrs["strides"], "dilations": attrs["dilations"]}
    own["padding"] = ((0, 0), (0, 0))
    kernel = step.apply("reverse", w, axes=(0, 1))
    size = (x.shape[1], x.shape[2])
    return [
        conv2d_input(step, g, w, size, own, "depthwise_conv2d", kernel),
        step.apply("depthwise_conv2d", x, w, **own),
    ]


def _taps(
    step: Step,
    x: Any,
    g: Any,
    window: Pair,
    strides: Sequence[int],
    dilations: Sequence[int] = (1, 1),
) -> Iterator[tuple[int, int, Any]]:
    """(row, column, what that tap sees at every place) of an image with its frame."""
    n, height, width, _ = g.shape
    for i in range(window[0]):
        for j in range(window[1]):
            top, left = i * dilations[0], j * dilations[1]
            end = (
                n,
                top + (height - 1) * strides[0] + 1,
                left + (width - 1) * strides[1] + 1,
                x.shape[3],
            )
            begin = (0, top, left, 0)
            yield (
                i,
                j,
                step.apply("strided_slice", x, begin=begin, end=end, strides=(1, *strides, 1)),
            )


def _scattered(step: Step, shape: Sequence[int], parts: Iterator[tuple[int, int, Any]]) -> Any:
    """The sum of what each tap gives back to the pixels that it saw; `shape` has the frame."""
    attrs, total = step.attrs, None
    for top, left, part in parts:
        part = _spread(step, part, attrs["strides"])
        frame = [(0, 0)]
        for d, first in enumerate((top, left)):
            frame.append((first, shape[1 + d] - first - part.shape[1 + d]))
        total = step.add(total, step.frame(part, [*frame, (0, 0)]))
    cut = [(-low, -high) for low, high in attrs["padding"]]
    return step.frame(total, [(0, 0), *cut, (0, 0)])


def _framed_shape(step: Step) -> list[int]:
    n, height, width, channels = step.inputs[0].shape
    (top, bottom), (left, right) = step.attrs["padding"]
    return [n, height + top + bottom, width + left + right, channels]


def max_pool(step: Step) -> list[Any]:
    """All of it goes to the first of the greatest pixels of a window, as TensorFlow does."""
    (x,), (y,), g, attrs = step.inputs, step.outputs, step.g, step.attrs
    widths = ((0, 0), *attrs["padding"], (0, 0))
    framed = step.apply("pad", x, paddings=widths, value=-np.inf) if _any(widths) else x

    def parts() -> Iterator[tuple[int, int, Any]]:
        left = step.fused(
            lambda y: sc.where(sc.equal(y, y), 1.0, 0.0), y
        )  # 1 until the greatest has been met
        for i, j, seen in _taps(step, framed, g, attrs["size"], attrs["strides"]):
            hit = step.fused(lambda s, y, left: sc.where(sc.equal(s, y), left, 0.0), seen, y, left)
            left = step.apply("sub", left, hit)
            yield i, j, step.apply("mul", g, hit)

    return [_scattered(step, _framed_shape(step), parts())]


def avg_pool(step: Step) -> list[Any]:
    (x,), g, attrs = step.inputs, step.g, step.attrs
    (kh, kw), (sh, sw) = attrs["size"], attrs["strides"]
    inside = np.pad(np.ones(x.shape[1:3], np.float32), attrs["padding"])
    seen = np.lib.stride_tricks.sliding_window_view(inside, (kh, kw))[::sh, ::sw]
    counts = seen.sum(axis=(2, 3))[: g.shape[1], : g.shape[2], None]
    # A window that misses the image gives NaN, and nothing goes back from there.
    safe = np.where(counts == 0, 0, 1 / np.maximum(counts, 1)).astype(np.float32)
    share = step.apply("mul", g, step.constant(safe))
    places = ((i, j, share) for i in range(kh) for j in range(kw))
    return [_scattered(step, _framed_shape(step), places)]


def _any(widths: Sequence[Pair]) -> bool:
    return any(map(any, widths))


def resizing(
    matrix: Callable[[int, int, str], np.ndarray],
) -> Callable[[Step], list[Any]]:
    """The rule of a resize that is linear along each dim.

    Args:
        matrix: (pixels of the source, of the result, coordinates) -> the weights [result, source].
    """

    def rule(step: Step) -> list[Any]:
        (x,), g = step.inputs, step.g
        n, height, width, channels = x.shape
        rows, columns = step.attrs["size"]
        coordinates = step.attrs["coordinates"]
        # [N, h, w, C]: first the columns, then the rows.
        across = step.constant(matrix(width, columns, coordinates))
        g = step.apply("matmul", across, g, transpose_a=True)
        down = step.constant(matrix(height, rows, coordinates))
        flat = step.reshape(g, (n, rows, width * channels))
        return [step.reshape(step.apply("matmul", down, flat, transpose_a=True), x.shape)]

    return rule
