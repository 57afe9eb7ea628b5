"""What convolution and pooling share: windows over the height and width of [N, H, W, C]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.ops import check
from fanlight.ops.row import REQUIRED, Attr
from fanlight.ops.types import TensorType

IMAGE = "[N, H, W, C]"
Pair = tuple[int, int]

STRIDES = Attr((1, 1), "steps of the window (down, right)")
PADDING = Attr(((0, 0), (0, 0)), "((top, bottom), (left, right)) pixels around the image")
DILATIONS = Attr((1, 1), "distance between the taps of a window (down, right)")
SIZE = Attr(REQUIRED, "height and width of the window")


def output_size(op: str, x: TensorType, window: Sequence[int], attrs: Mapping[str, Any]) -> Pair:
    """Height and width of the result; E-OP-004 if the window does not fit into the image.

    (size + padding - ((window - 1) * dilation + 1)) // stride + 1
    """
    strides = check.integers(op, attrs, "strides", 2, 1)
    padding = check.pairs(op, attrs, "padding", 2)
    dilations = check.integers(op, attrs, "dilations", 2, 1) if "dilations" in attrs else (1, 1)
    sizes = []
    for axis in (0, 1):
        room = x.bound[1 + axis] + sum(padding[axis])
        reach = (window[axis] - 1) * dilations[axis] + 1
        if window[axis] < 1 or reach > room:
            dim = "width" if axis else "height"
            raise check.shape_error(
                op, "x", f"a padded {dim} of at least {reach}, the window's", f"{x}, padded: {room}"
            )
        sizes.append((room - reach) // strides[axis] + 1)
    return sizes[0], sizes[1]


def padded(x: np.ndarray, padding: Sequence[Pair], value: float = 0) -> np.ndarray:
    """The image with its frame; the image itself if there is none."""
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=x.dtype.type(value))


def taps(
    x: np.ndarray,
    out: Pair,
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] = (1, 1),
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(row, column, what that tap of the window sees at every place: a view [N, h, w, C])."""
    for i in range(window[0]):
        for j in range(window[1]):
            top, left = i * dilations[0], j * dilations[1]
            rows = slice(top, top + (out[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (out[1] - 1) * strides[1] + 1, strides[1])
            yield i, j, x[:, rows, columns]


# A piece of unrolled windows stays in the cache, and a large image needs little extra memory.
_PIECE_BYTES = 4 << 20


def unrolled(
    x: np.ndarray, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[tuple[int, slice, np.ndarray]]:
    """(item, rows of the result, what their windows see [rows * w, kh * kw * C]) by pieces."""
    (kh, kw), (sh, sw), (dh, dw) = window, strides, dilations
    reach = ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    # [N, h, w, C, reach, reach] -> [N, h, w, kh, kw, C]
    view = view[:, ::sh, ::sw, :, ::dh, ::dw].transpose(0, 1, 2, 4, 5, 3)
    items, height, width = view.shape[:3]
    seen = kh * kw * x.shape[3]
    step = max(1, _PIECE_BYTES // max(1, width * seen * 4))
    for item in range(items):
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            count = (rows.stop - rows.start) * width
            yield item, rows, view[item, rows].reshape(count, seen)


def places(
    x: np.ndarray, window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Pair:
    """Height and width of the result, for an image with its frame."""
    height, width = (
        (x.shape[1 + a] - (window[a] - 1) * dilations[a] - 1) // strides[a] + 1 for a in (0, 1)
    )
    return height, width
