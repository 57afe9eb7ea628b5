"""Changes of pictures by given amounts: [N, H, W, C], with a number for all or one for each.

Pictures may also be single ones, [H, W, C]. Results are float32. All of them are functions of
tensors: they can be traced, differentiated and built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fanlight.tensor import Tensor, cast, image
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import misfit
from fanlight.tensor.indices import gather

Range = Sequence[float]


def batch_of(op: str, images: Any) -> Tensor:
    """Pictures as float32 [N, H, W, C]."""
    x = cast(images, "float32")
    if x.rank == 3:
        x = fn.expand_dims(x, 0)
    if x.rank != 4:
        raise misfit(op, "images", "[N, H, W, C] or [H, W, C]", x.type)
    return x


def like(y: Tensor, images: Any) -> Tensor:
    """A result without the batch that its input did not have."""
    rank = images.rank if isinstance(images, Tensor) else np.ndim(images)
    return fn.reshape(y, y.shape[1:]) if rank == 3 else y


def each(op: str, argument: str, value: Any, count: int, dtype: str = "float32") -> Tensor:
    """A number as one for each of `count` pictures."""
    given = cast(value, dtype)
    if given.shape not in ((), (1,), (count,)):
        raise misfit(op, argument, f"a number, or {count} of them", given.type)
    return fn.broadcast_to(fn.reshape(given, (-1,)), (count,))


def _column(x: Tensor) -> Tensor:
    """[N] as [N, 1, 1, 1]."""
    return fn.reshape(x, (-1, 1, 1, 1))


# --- places ---------------------------------------------------------------------------------------


def affine(
    images: Any,
    matrices: Sequence[Any],
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Pixel (x, y) of the result is that at (a0 x + a1 y + a2, b0 x + b1 y + b2).

    Args:
        matrices: a0, a1, a2, b0, b1, b2: each a number or [N].
        fill_mode: what is beyond the border: "reflect", "wrap", "nearest" or "constant"; see
            `fl.image.transform`.
        output_size: (height, width); default: those of the pictures.
    """
    x = batch_of("affine", images)
    count = x.shape[0]
    rows = [each("affine", "matrices", m, count) for m in (*matrices, 0.0, 0.0)]
    moved = image.transform(x, fn.stack(rows, 1), interpolation, fill_mode, fill_value, output_size)
    return like(moved, images)


def rotate(
    images: Any,
    radians: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures turned about their middle; a positive angle turns left (counterclockwise)."""
    x = batch_of("rotate", images)
    angle = each("rotate", "radians", radians, x.shape[0])
    middle_x, middle_y = (x.shape[2] - 1) / 2, (x.shape[1] - 1) / 2
    c, s = fn.cos(angle), fn.sin(angle)
    # What lies at the middle stays.
    right = middle_x - middle_x * c + middle_y * s
    down = middle_y - middle_x * s - middle_y * c
    turned = affine(x, (c, -s, right, s, c, down), fill_mode, interpolation, fill_value)
    return like(turned, images)


def translate(
    images: Any,
    down: Any,
    right: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures moved by so many pixels."""
    x = batch_of("translate", images)
    dy = each("translate", "down", down, x.shape[0])
    dx = each("translate", "right", right, x.shape[0])
    moved = affine(x, (1.0, 0.0, -dx, 0.0, 1.0, -dy), fill_mode, interpolation, fill_value)
    return like(moved, images)


def zoom(
    images: Any,
    height: Any,
    width: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures of which so many times the height and width are seen: 0.5 is twice as large."""
    x = batch_of("zoom", images)
    sy = each("zoom", "height", height, x.shape[0])
    sx = each("zoom", "width", width, x.shape[0])
    right = (1.0 - sx) * ((x.shape[2] - 1) / 2)
    down = (1.0 - sy) * ((x.shape[1] - 1) / 2)
    made = affine(x, (sx, 0.0, right, 0.0, sy, down), fill_mode, interpolation, fill_value)
    return like(made, images)


def shear(
    images: Any,
    horizontal: Any,
    vertical: Any = 0.0,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures made slanting: pixel (x, y) is that at (x + horizontal y, y + vertical x)."""
    x = batch_of("shear", images)
    across = each("shear", "horizontal", horizontal, x.shape[0])
    down = each("shear", "vertical", vertical, x.shape[0])
    made = affine(x, (1.0, across, 0.0, down, 1.0, 0.0), fill_mode, interpolation, fill_value)
    return like(made, images)


def flip(images: Any, horizontal: Any = True, vertical: Any = False) -> Tensor:
    """Pictures in a mirror, and upside down, where that is true."""
    x = batch_of("flip", images)
    for axis, argument, chosen in ((2, "horizontal", horizontal), (1, "vertical", vertical)):
        which = each("flip", argument, chosen, x.shape[0], "bool")
        x = fn.where(_column(which), fn.reverse(x, axis), x)
    return like(x, images)


def crop(images: Any, top: Any, left: Any, height: int, width: int) -> Tensor:
    """Parts of pictures, [N, height, width, C]: from these rows and columns on."""
    x = batch_of("crop", images)
    if not (0 < height <= x.shape[1] and 0 < width <= x.shape[2]):
        raise misfit("crop", "images", f"at least {height} x {width} pixels", x.type)
    for axis, argument, first, size in ((1, "top", top, height), (2, "left", left, width)):
        begin = each("crop", argument, first, x.shape[0], "int32")
        begin = fn.clip(begin, 0, x.shape[axis] - size)
        places = fn.reshape(begin, (-1, 1)) + np.arange(size, dtype=np.int32)[None]
        x = gather(x, places, axis=axis, batch_dims=1)
    return like(x, images)


# --- colours --------------------------------------------------------------------------------------


def brightness(images: Any, amount: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures with this share of the range added to each value, clipped to the range."""
    x = batch_of("brightness", images)
    low, high = map(float, value_range)
    added = each("brightness", "amount", amount, x.shape[0]) * (high - low)
    return like(fn.clip(x + _column(added), low, high), images)


def contrast(images: Any, factor: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures whose channels differ `factor` times as much from their means, clipped."""
    x = batch_of("contrast", images)
    mean = fn.mean(x, axis=(1, 2), keepdims=True)
    scaled = (x - mean) * _column(each("contrast", "factor", factor, x.shape[0])) + mean
    return like(fn.clip(scaled, float(value_range[0]), float(value_range[1])), images)


def rgb_to_hsv(images: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in [0, 1), saturation in [0, 1] and value (the greatest channel) of [..., 3]."""
    x = cast(images, "float32")
    r, g, b = (x[..., i] for i in range(3))
    value = fn.maximum(fn.maximum(r, g), b)
    span = value - fn.minimum(fn.minimum(r, g), b)
    some = span > 0.0
    over = fn.where(some, span, 1.0)
    red = fn.floor_mod((g - b) / over, 6.0)
    hue = fn.where(
        value <= r, red, fn.where(value <= g, (b - r) / over + 2.0, (r - g) / over + 4.0)
    )
    bright = fn.where(value > 0.0, value, 1.0)
    return fn.where(some, hue * (1 / 6), 0.0), fn.where(value > 0.0, span / bright, 0.0), value


def hsv_to_rgb(hue: Any, saturation: Any, value: Any) -> Tensor:
    """[..., 3] of hue (whole turns do not count), saturation and value."""

    def channel(n: float) -> Tensor:
        k = fn.floor_mod(hue * 6.0 + n, 6.0)
        return value - value * saturation * fn.clip(fn.minimum(k, 4.0 - k), 0.0, 1.0)

    return fn.stack([channel(5.0), channel(3.0), channel(1.0)], -1)


def _coloured(
    op: str, images: Any, value_range: Range, change: Callable[[Any, Any], tuple[Any, Any]]
) -> Tensor:
    """Pictures whose hue and saturation, [N, H, W], are changed."""
    x = batch_of(op, images)
    if x.shape[-1] != 3:
        raise misfit(op, "images", "3 channels: red, green, blue", x.type)
    low, high = map(float, value_range)
    hue, saturation, value = rgb_to_hsv((x - low) * (1.0 / (high - low)))
    hue, saturation = change(hue, saturation)
    y = hsv_to_rgb(hue, saturation, value) * (high - low) + low
    return like(fn.clip(y, low, high), images)


def saturation(images: Any, factor: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures with their saturation times a factor, at most 1; 0 is grey."""
    count = batch_of("saturation", images).shape[0]
    by = fn.reshape(each("saturation", "factor", factor, count), (-1, 1, 1))
    return _coloured("saturation", images, value_range, lambda h, s: (h, fn.clip(s * by, 0.0, 1.0)))


def hue(images: Any, turn: Any, value_range: Range = (0, 255)) -> Tensor:
    """Pictures with their hues turned: 1/3 makes red green, green blue and blue red."""
    count = batch_of("hue", images).shape[0]
    by = fn.reshape(each("hue", "turn", turn, count), (-1, 1, 1))
    return _coloured("hue", images, value_range, lambda h, s: (h + by, s))


def grayscale(images: Any, which: Any = True) -> Tensor:
    """Pictures in grey where `which` is true, with as many channels as before."""
    x = batch_of("grayscale", images)
    if x.shape[-1] != 3:
        raise misfit("grayscale", "images", "3 channels: red, green, blue", x.type)
    grey = fn.broadcast_to(image.rgb_to_grayscale(x), x.shape)
    return like(
        fn.where(_column(each("grayscale", "which", which, x.shape[0], "bool")), grey, x), images
    )


# --- parts ----------------------------------------------------------------------------------------


def inside(shape: Sequence[int], boxes: Any) -> Tensor:
    """bool [N, H, W, 1]: whether a pixel (row, column) of a box has y0 <= row < y1, x0 <= column <
    x1.

    Args:
        shape: of the pictures. boxes: [N, 4], y0, x0, y1, x1 in pixels.
    """
    given = cast(boxes, "float32")
    if given.shape != (shape[0], 4):
        raise misfit("inside", "boxes", f"[{shape[0]}, 4]", given.type)
    y0, x0, y1, x1 = (_column(given[:, i]) for i in range(4))
    row = np.arange(shape[1], dtype=np.float32)[None, :, None, None]
    column = np.arange(shape[2], dtype=np.float32)[None, None, :, None]
    rows = fn.logical_and(fn.greater_equal(row, y0), fn.less(row, y1))
    columns = fn.logical_and(fn.greater_equal(column, x0), fn.less(column, x1))
    return fn.logical_and(rows, columns)


def erase(images: Any, boxes: Any, fill: Any = 0.0) -> Tensor:
    """Pictures with boxes filled: cutout (DeVries & Taylor 2017).

    Args:
        boxes: [N, 4], y0, x0, y1, x1 in pixels. fill: a number, one per channel, or pixels.
    """
    x = batch_of("erase", images)
    return like(fn.where(inside(x.shape, boxes), cast(fill, "float32"), x), images)


def mix(x: Any, order: Any, weight: Any) -> Tensor:
    """weight x + (1 - weight) x[order]: of pictures or of labels, [N, ...].

    Source: mixup, Zhang et al. 2018.
    """
    x = cast(x, "float32")
    by = fn.reshape(each("mix", "weight", weight, x.shape[0]), (-1, *[1] * (x.rank - 1)))
    return by * x + (1.0 - by) * gather(x, order, 0)


def paste(images: Any, order: Any, boxes: Any) -> Tensor:
    """Pictures with boxes of other ones, images[order], in the same places.

    Source: CutMix, Yun et al. 2019.
    """
    x = batch_of("paste", images)
    return fn.where(inside(x.shape, boxes), gather(x, order, 0), x)
