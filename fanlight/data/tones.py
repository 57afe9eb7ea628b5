"""Changes of colours, of histograms and of sharpness by given amounts; see transforms.py.

Pictures are [N, H, W, C] or [H, W, C]; results are float32. All of them are functions of tensors:
they can be traced and built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.data.transforms import Range, batch_of, each, like
from fanlight.tensor import Tensor, cast, image
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import misfit, refused
from fanlight.tensor.indices import gather
from fanlight.tensor.scans import cumsum
from fanlight.tensor.segments import unsorted_segment_sum
from fanlight.tensor.windows import depthwise_conv2d


def _column(x: Tensor) -> Tensor:
    """[N] as [N, 1, 1, 1]."""
    return fn.reshape(x, (-1, 1, 1, 1))


def _to_bytes(x: Tensor, value_range: Range) -> Tensor:
    """Values of a range as such from 0 to 255."""
    low, high = map(float, value_range)
    return x if (low, high) == (0.0, 255.0) else (x - low) / (high - low) * 255.0


def _from_bytes(x: Tensor, value_range: Range) -> Tensor:
    """Values from 0 to 255 as such of a range."""
    low, high = map(float, value_range)
    return x if (low, high) == (0.0, 255.0) else x / 255.0 * (high - low) + low


# --- values ---------------------------------------------------------------------------------------


def invert(images: Any, which: Any = True, value_range: Range = (0, 255)) -> Tensor:
    """Pictures as their negatives where `which` is true: low + high - x."""
    x = batch_of("invert", images)
    chosen = _column(each("invert", "which", which, x.shape[0], "bool"))
    return like(fn.where(chosen, float(value_range[0]) + float(value_range[1]) - x, x), images)


def posterize(images: Any, bits: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures with the first `bits`, 1 to 8, of each value's eight."""
    x = batch_of("posterize", images)
    count = each("posterize", "bits", bits, x.shape[0])
    step = _column(fn.pow(2.0, 8.0 - count))
    whole = fn.clip(_to_bytes(x, value_range), 0.0, 255.0)
    return like(_from_bytes(fn.floor(whole / step) * step, value_range), images)


def solarize(
    images: Any, threshold: Any, addition: Any = 0.0, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures whose values from a threshold on are inverted, after something was added to them.

    Args:
        threshold, addition: of values from 0 to 255, whatever the range is.
    """
    x = batch_of("solarize", images)
    limit = _column(each("solarize", "threshold", threshold, x.shape[0]))
    more = _column(each("solarize", "addition", addition, x.shape[0]))
    y = fn.clip(_to_bytes(x, value_range) + more, 0.0, 255.0)
    return like(_from_bytes(fn.where(y < limit, y, 255.0 - y), value_range), images)


def degenerate_colors(images: Any, share: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures mixed with this share of themselves in grey, clipped to the range."""
    x = batch_of("degenerate_colors", images)
    if x.shape[-1] != 3:
        raise misfit("degenerate_colors", "images", "3 channels: red, green, blue", x.type)
    by = _column(each("degenerate_colors", "share", share, x.shape[0]))
    y = x + by * (image.rgb_to_grayscale(x) - x)
    return like(fn.clip(y, float(value_range[0]), float(value_range[1])), images)


# --- neighbours -----------------------------------------------------------------------------------


def sharpen(images: Any, factor: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures mixed with smoothed ones: 0 is smooth, 1 no change, 2 sharp; clipped to the range.

    The smoothing is Pillow's: the mean of 3 x 3 pixels, the middle one five times; zeros beyond the
    border.
    """
    x = batch_of("sharpen", images)
    taps = np.full((3, 3, 1, 1), 1 / 13, np.float32)
    taps[1, 1] = 5 / 13
    smooth = depthwise_conv2d(x, np.tile(taps, (1, 1, x.shape[-1], 1)), padding="same")
    by = 1.0 - _column(each("sharpen", "factor", factor, x.shape[0]))
    y = x + by * (smooth - x)
    return like(fn.clip(y, float(value_range[0]), float(value_range[1])), images)


def gaussian_blur(
    images: Any, kernel_size: int | Sequence[int] = 3, sigma: Any = 1.0, reach: Any = None
) -> Tensor:
    """Pictures blurred: means of neighbours, weighted by a bell; zeros beyond the border.

    Args:
        kernel_size: odd: how many pixels wide and high the neighbourhood is.
        sigma: a number, or two: across and down; they may be tensors.
        reach: no weight for what is farther than so many pixels; default: all of the neighbourhood.
    """
    op, x = "gaussian_blur", batch_of("gaussian_blur", images)
    sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
    if len(sizes) != 2 or any(not isinstance(n, int) or n < 1 or not n % 2 for n in sizes):
        raise refused(op, "kernel_size", "an odd number from 1 on, or two", kernel_size)
    widths = fn.broadcast_to(fn.reshape(cast(sigma, "float32"), (-1,)), (2,))
    for i, size in enumerate(sizes):
        away = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
        bell = fn.exp(-0.5 * fn.square(away / widths[i]))
        if reach is not None:
            bell = fn.where(np.abs(away) <= cast(reach, "float32"), bell, 0.0)
        bell = bell / fn.sum(bell)
        shape = (1, size, 1, 1) if i == 0 else (size, 1, 1, 1)
        taps = fn.tile(fn.reshape(bell, shape), (1, 1, x.shape[-1], 1))
        x = depthwise_conv2d(x, taps, padding="same")
    return like(x, images)


# --- histograms -----------------------------------------------------------------------------------


def auto_contrast(images: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures whose channels reach from one end of the range to the other.

    A channel of one value stays as it is.
    """
    x = batch_of("auto_contrast", images)
    low = fn.min(x, axis=(1, 2), keepdims=True)
    span = fn.max(x, axis=(1, 2), keepdims=True) - low
    flat = fn.equal(span, 0.0)
    share = (x - low) / fn.where(flat, 1.0, span)
    first, last = map(float, value_range)
    y = fn.clip(share, 0.0, 1.0) * (last - first) + first
    return like(fn.where(flat, x, y), images)


def _counted(numbers: Tensor, rows: int, bins: int) -> Tensor:
    """How often each of 0 .. bins - 1 is in each row: int32 [rows, n] -> float32 [rows, bins]."""
    first = np.arange(rows, dtype=np.int32)[:, None] * bins
    places = fn.reshape(numbers + first, (-1,))
    ones = fn.ones((places.shape[0],), "float32")
    return fn.reshape(unsorted_segment_sum(ones, places, rows * bins), (rows, bins))


def equalize(images: Any, bins: int = 256, value_range: Range = (0, 255)) -> Tensor:
    """Pictures whose values are spread evenly: each becomes the share of those that are below it.

    A channel is that of all pictures together, as in Keras 3: give one picture at a time to have
    each by itself. Source: Gonzalez & Woods, Digital Image Processing, section 3.3.
    """
    x = batch_of("equalize", images)
    if not isinstance(bins, int) or isinstance(bins, bool) or not 2 <= bins <= 65536:
        raise refused("equalize", "bins", "a whole number from 2 to 65,536", bins)
    channels = x.shape[-1]
    values = _to_bytes(x, value_range)
    # The pictures stay the first dim, so that a batch may be of any size.
    first = np.arange(channels, dtype=np.int32) * bins  # where each channel's bins begin
    counted = cast(fn.clip(values * float(bins - 1) / 255.0, 0.0, bins - 1.0), "int32")
    places = fn.reshape(counted + first, (-1,))
    ones = fn.ones((places.shape[0],), "float32")
    counts = unsorted_segment_sum(ones, places, channels * bins)
    below = cumsum(fn.reshape(counts, (channels, bins)), 1)
    total = below[:, -1:]
    least = fn.min(fn.where(below > 0.0, below, total), 1, keepdims=True)
    span = total - least
    flat = fn.equal(span, 0.0)  # one bin has them all
    table = (below - least) * 255.0 / fn.where(flat, 1.0, span)
    table = fn.clip(fn.round(table), 0.0, 255.0)
    found = cast(fn.clip(values / 255.0 * float(bins - 1), 0.0, bins - 1.0), "int32")
    y = gather(fn.reshape(table, (-1,)), found + first, 0)
    y = fn.where(fn.reshape(flat, (channels,)), values, y)
    return like(_from_bytes(y, value_range), images)


def limited_equalize(
    images: Any,
    clip_limit: float = 4.0,
    tiles: Sequence[int] = (8, 8),
    value_range: Range = (0, 255),
) -> Tensor:
    """Pictures equalized part by part, with a limit to how much contrast grows: CLAHE.

    Args:
        clip_limit: no value counts more often than this times the mean; 0: there is no limit.
        tiles: how many parts there are, down and across.

    Source: Zuiderveld 1994, Graphics Gems IV.
    """
    x = batch_of("limited_equalize", images)
    count, height, width, channels = x.shape
    down, across = map(int, tiles)
    tall, wide = -(-height // down), -(-width // across)
    values = _to_bytes(x, value_range)
    below, right = tall * down - height, wide * across - width
    for axis, more in ((1, below), (2, right)):
        if more:  # in a mirror, as often as it takes
            places = np.pad(np.arange(x.shape[axis], dtype=np.int32), (0, more), "symmetric")
            values = gather(values, places, axis)
    pixels = cast(fn.clip(values, 0.0, 255.0), "int32")
    parts = fn.reshape(pixels, (count, down, tall, across, wide, channels))
    parts = fn.transpose(parts, (0, 1, 3, 5, 2, 4))
    rows = count * down * across * channels
    counts = _counted(fn.reshape(parts, (rows, tall * wide)), rows, 256)
    if clip_limit > 0:
        kept = fn.minimum(counts, float(np.float32(clip_limit * tall * wide / 256)))
        counts = kept + fn.sum(counts - kept, 1, keepdims=True) / 256.0
    shares = cumsum(counts, 1)
    least = fn.min(shares, 1, keepdims=True)
    span = float(tall * wide) - least
    table = (shares - least) * 255.0 / fn.where(fn.equal(span, 0.0), 1.0, span)
    table = fn.reshape(fn.clip(table, 0.0, 255.0), (-1,))
    # Each pixel is between the middles of four parts; beyond the outer ones there are two, or one.
    batch = np.arange(count).reshape(-1, 1, 1, 1)
    channel = np.arange(channels).reshape(1, 1, 1, -1)
    y: Any = None
    for row, row_share in _neighbours(down, tall, 1):
        for column, column_share in _neighbours(across, wide, 2):
            part = ((batch * down + row) * across + column) * channels + channel
            value = gather(table, pixels + (part * 256).astype(np.int32), 0)
            value = value * (row_share * column_share)
            y = value if y is None else y + value
    return like(_from_bytes(y[:, :height, :width], value_range), images)


def _neighbours(parts: int, size: int, axis: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two parts whose middles are around each pixel along an axis, and their shares."""
    at = (np.arange(parts * size, dtype=np.float32) - np.float32(size / 2)) / np.float32(size)
    first = np.floor(at)
    share = (at - first).astype(np.float32)
    shape = [-1 if d == axis else 1 for d in range(4)]
    return [
        (np.clip(first + i, 0, parts - 1).astype(np.int64).reshape(shape), part.reshape(shape))
        for i, part in ((0, 1 - share), (1, share))
    ]
