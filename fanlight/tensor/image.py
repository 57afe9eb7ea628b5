"""Functions of images: [N, H, W, C], or one image [H, W, C].

Whatever samples an image between its pixels is made of gathered pixels and their weights, and so
has gradients in the image and in the places. Everything here raises E-OP-004 for shapes that do not
fit and E-OP-005 for arguments that are not what they may be, and names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, sin
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops.detection import LOWEST
from fanlight.tensor import functions as fn
from fanlight.tensor import known
from fanlight.tensor.arguments import as_wholes, choice, flag, misfit, real_number, refused
from fanlight.tensor.core import Tensor, apply, caller, cast, tensor

__all__ = [
    "crop_and_resize",
    "flip_left_right",
    "flip_up_down",
    "grayscale_to_rgb",
    "grid_sample",
    "interpolate",
    "non_max_suppression",
    "non_max_suppression_padded",
    "non_max_suppression_with_score",
    "resize_bilinear",
    "resize_nearest_neighbor",
    "rgb_to_grayscale",
    "rotate_with_offset",
    "threshold",
    "transform",
]

MOST_RADIANS = 1e6  # beyond, an angle in float32 says nothing about a direction


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


_LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as TensorFlow rounds it


def _images(op: str, x: Any, *, floats: bool = True) -> Tensor:
    """x as a batch of images."""
    x = cast(x, "float32") if floats else tensor(x)
    if x.rank == 3:
        x = fn.expand_dims(x, 0)
    if x.rank != 4:
        raise misfit(op, "image", "[N, H, W, C] or [H, W, C]", x.type)
    return x


def _like(y: Tensor, x: Any) -> Tensor:
    """The result without the batch that its input did not have."""
    return fn.reshape(y, y.shape[1:]) if tensor(x).rank == 3 else y


def _size(op: str, argument: str, value: Any) -> tuple[int, int]:
    given = as_wholes(value) or ()
    if len(given) != 2 or min(given) < 1:
        raise refused(op, argument, "(height, width), whole numbers from 1 on", value)
    return given[0], given[1]


# --- turning and colours --------------------------------------------------------------------------


def flip_left_right(image: Any) -> Tensor:
    """The image in a mirror: its columns backwards."""
    x = _images("flip_left_right", image, floats=False)
    return _like(fn.reverse(x, 2), image)


def flip_up_down(image: Any) -> Tensor:
    """The image upside down: its rows backwards."""
    x = _images("flip_up_down", image, floats=False)
    return _like(fn.reverse(x, 1), image)


def grayscale_to_rgb(image: Any) -> Tensor:
    """[..., 1] -> [..., 3]: three times the same channel."""
    x = tensor(image)
    if x.rank < 2 or x.shape[-1] != 1:
        raise misfit("grayscale_to_rgb", "image", "[..., 1]", x.type)
    return fn.tile(x, (*[1] * (x.rank - 1), 3))


def rgb_to_grayscale(image: Any) -> Tensor:
    """[..., 3] -> [..., 1]: 0.2989 red + 0.587 green + 0.114 blue, in the dtype of the image."""
    x = tensor(image)
    if x.rank < 2 or x.shape[-1] != 3:
        raise misfit("rgb_to_grayscale", "image", "[..., 3]", x.type)
    mixed = fn.sum(cast(x, "float32") * np.array(_LUMA, np.float32), axis=-1, keepdims=True)
    return cast(mixed, x.dtype)


def threshold(
    image: Any, method: str = "binary", inverted: bool = False, value: float = 0.5
) -> Tensor:
    """[H, W, 3] or [H, W, 1] with values from 0 to 255 -> int32 [H, W, 1]: 255 where it is brighter
    than a threshold, else 0.

    Args:
        method: "binary": the threshold is 255 * value. "otsu": the one that parts the image into
            two classes which differ most (Otsu 1979), on values rounded to whole numbers.
        inverted: 255 where it is not brighter.

    Colours are turned into grey as rgb_to_grayscale does.
    """
    op, x = "threshold", cast(image, "float32")
    if x.rank != 3 or x.shape[2] not in (1, 3):
        raise misfit(op, "image", "[H, W, 3] or [H, W, 1]", x.type)
    choice(op, "method", method, ("binary", "otsu"))
    value = real_number(op, "value", value, 0, 1) if method == "binary" else 0.0
    grey = rgb_to_grayscale(x) if x.shape[2] == 3 else x
    limit = _otsu(grey) if method == "otsu" else tensor(value * 255.0)
    inverted = flag(op, "inverted", inverted)
    bright = fn.less_equal(grey, limit) if inverted else fn.greater(grey, limit)
    return cast(bright, "int32") * 255


def _otsu(grey: Tensor) -> Tensor:
    """The level t whose classes, up to t and above, have the greatest variance between them."""
    # A histogram as a product of two one-hot matrices: of sixteens and of ones.
    levels = fn.clip(fn.round(fn.reshape(grey, (-1, 1))), 0.0, 255.0)
    high = fn.floor(levels / 16.0)
    sixteen = np.arange(16, dtype=np.float32)
    tens, ones = fn.equal(high, sixteen), fn.equal(levels - high * 16.0, sixteen)
    counts = fn.matmul(cast(tens, "float32"), cast(ones, "float32"), transpose_a=True)
    counts = fn.reshape(counts, (256,))
    upto = np.triu(np.ones((256, 256), np.float32))
    below, total = fn.matmul(counts, upto), float(grey.size)
    weighted = counts * np.arange(256, dtype=np.float32)
    sums, whole = fn.matmul(weighted, upto), fn.sum(weighted)
    share = below / total
    means = fn.div_no_nan(sums, below), fn.div_no_nan(whole - sums, total - below)
    between = share * (1.0 - share) * fn.squared_difference(*means)
    return cast(fn.arg_max(between[:255]), "float32")


# --- resizing -------------------------------------------------------------------------------------


def _coordinates(op: str, align_corners: bool, half_pixel_centers: bool) -> str:
    align_corners = flag(op, "align_corners", align_corners)
    if flag(op, "half_pixel_centers", half_pixel_centers) and align_corners:
        raise refused(op, "align_corners", "not both align_corners and half_pixel_centers", True)
    if align_corners:
        return "align_corners"
    return "half_pixel" if half_pixel_centers else "asymmetric"


def resize_bilinear(
    images: Any,
    size: Sequence[int],
    align_corners: bool = False,
    half_pixel_centers: bool = False,
) -> Tensor:
    """[N, H, W, C] -> [N, h, w, C] by TensorFlow.js's rules: pixel i of m lies at i n / m of n.

    With align_corners at i (n - 1) / (m - 1), with half_pixel_centers at (i + 1/2) n / m - 1/2.
    """
    op = "resize_bilinear"
    how = _coordinates(op, align_corners, half_pixel_centers)
    y = apply(op, _images(op, images), size=_size(op, "size", size), coordinates=how)
    return _like(y, images)


def resize_nearest_neighbor(
    images: Any,
    size: Sequence[int],
    align_corners: bool = False,
    half_pixel_centers: bool = False,
) -> Tensor:
    """[N, H, W, C] -> [N, h, w, C]: one pixel each, places as resize_bilinear; any dtype."""
    op = "resize_nearest_neighbor"
    how = _coordinates(op, align_corners, half_pixel_centers)
    x = _images(op, images, floats=False)
    given = x if x.dtype == "uint8" else cast(x, "float32")
    y = apply("resize_nearest", given, size=_size(op, "size", size), coordinates=how)
    return _like(cast(y, x.dtype), images)


def interpolate(
    images: Any, size: Sequence[int], method: str = "bilinear", antialias: bool = False
) -> Tensor:
    """[N, H, W, C] -> [N, h, w, C], pixels being squares: i of m lies at (i + 1/2) n / m - 1/2.

    Args:
        method: "nearest", "bilinear" or "bicubic".
        antialias: where the image gets smaller, the filter gets wider, and no pixel is passed over.

    Bicubic is the filter of Keys 1981 with a = -0.75, and a = -0.5 with antialias. As
    torch.nn.functional.interpolate with align_corners=False ("nearest": nearest-exact).
    """
    op, antialias = "interpolate", flag("interpolate", "antialias", antialias)
    choice(op, "method", method, ("nearest", "bilinear", "bicubic"))
    x, (rows, columns) = _images(op, images), _size(op, "size", size)
    if 0 in x.shape[1:3]:
        raise misfit(op, "images", "at least one pixel", x.type)
    if method == "nearest" or (method == "bilinear" and not antialias):
        name = "resize_nearest" if method == "nearest" else "resize_bilinear"
        return _like(apply(name, x, size=(rows, columns), coordinates="half_pixel"), images)
    n, height, width, channels = x.shape
    down = _filter(height, rows, method, antialias)
    across = _filter(width, columns, method, antialias)
    y = fn.matmul(down, fn.reshape(x, (n, height, width * channels)))
    y = fn.matmul(across, fn.reshape(y, (n, rows, width, channels)))
    return _like(y, images)


def _filter(n: int, m: int, method: str, antialias: bool) -> np.ndarray:
    """The weights [m, n] of a filter over n pixels at each of m places."""
    scale = max(n / m, 1.0) if antialias else 1.0
    reach = (2 if method == "bicubic" else 1) * scale
    matrix = np.zeros((m, n), np.float64)
    for i in range(m):
        centre = (i + 0.5) * n / m - 0.5
        pixels = np.arange(int(np.floor(centre - reach)), int(np.ceil(centre + reach)) + 1)
        distance = np.abs(pixels - centre) / scale
        if method == "bicubic":
            weights = _cubic(distance, -0.5 if antialias else -0.75)
        else:
            weights = np.maximum(1 - distance, 0)
        if antialias:  # pixels outside do not count; else those of the border stand for them
            weights = np.where((pixels >= 0) & (pixels < n), weights, 0)
            weights = weights / weights.sum()
        np.add.at(matrix[i], np.clip(pixels, 0, n - 1), weights)
    return matrix.astype(np.float32)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


# --- sampling -------------------------------------------------------------------------------------


def _sampled(x: Tensor, batch: Any, y: Any, x_at: Any, *, nearest: Any, outside: Any) -> Tensor:
    """Pixels of x [N, H, W, C] at places between them: y and x_at [B, ...] -> [B, ..., C].

    Args:
        batch: which image, int32 [B].
        nearest: what rounds a place to a pixel; None: four pixels are mixed.
        outside: what stands for pixels that x does not have; None: the nearest that it has.
    """
    n, height, width, channels = x.shape
    pixels = fn.reshape(x, (n * height * width, channels))
    rank = len(tensor(y).shape)
    first = cast(batch, "int32") * (height * width)
    first = fn.reshape(first, (*first.shape, *[1] * (rank - 1)))

    def pixel(row: Tensor, column: Tensor) -> Tensor:
        whole_row = cast(fn.clip(row, 0.0, height - 1.0), "int32")
        whole_column = cast(fn.clip(column, 0.0, width - 1.0), "int32")
        found = apply("gather", pixels, first + whole_row * width + whole_column, axis=0)
        if outside is None:
            return found
        inside = fn.logical_and(
            fn.logical_and(row >= 0.0, row <= height - 1.0),
            fn.logical_and(column >= 0.0, column <= width - 1.0),
        )
        return fn.where(fn.expand_dims(inside, -1), found, outside)

    if nearest is not None:
        return pixel(nearest(y), nearest(x_at))
    top, left = fn.floor(y), fn.floor(x_at)
    down, right = fn.expand_dims(y - top, -1), fn.expand_dims(x_at - left, -1)
    upper = (1.0 - right) * pixel(top, left) + right * pixel(top, left + 1.0)
    lower = (1.0 - right) * pixel(top + 1.0, left) + right * pixel(top + 1.0, left + 1.0)
    return (1.0 - down) * upper + down * lower


def _half_up(x: Any) -> Tensor:
    """The nearest whole number, halves up (JavaScript's Math.round)."""
    return fn.floor(x + 0.5)


def _reflected(x: Tensor, low: float, high: float) -> Tensor:
    """x as a ball sees it that bounces between two walls."""
    span = high - low
    if span <= 0:
        return fn.zeros_like(x)
    off = fn.floor_mod(x - low, 2 * span)
    return fn.where(off > span, 2 * span - off, off) + low


def transform(
    image: Any,
    transforms: Any,
    interpolation: str = "nearest",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Projective transforms of images: result pixel (x, y) is taken from the image at
    ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), with k = c0 x + c1 y + 1.

    Args:
        transforms: [N, 8], [1, 8] (the same for all) or [8]: a0, a1, a2, b0, b1, b2, c0, c1.
        interpolation: "nearest" or "bilinear".
        fill_mode: what is beyond the border. "constant": fill_value; "nearest": the border's pixel;
            "reflect": d c b a | a b c d | d c b a; "wrap": a b c d | a b c d | a b c d.
        output_size: (height, width); default: the image's.

    Source: TensorFlow's ImageProjectiveTransformV3, whose wrap is exact at whole pixels next to the
    image only.
    """
    op = "transform"
    x, given = _images(op, image), cast(transforms, "float32")
    given = fn.expand_dims(given, 0) if given.rank == 1 else given
    n, height, width, _ = x.shape
    if given.rank != 2 or given.shape[1] != 8 or given.shape[0] not in (1, n):
        raise misfit(op, "transforms", f"[{n}, 8] or [1, 8]", given.type)
    choice(op, "interpolation", interpolation, ("nearest", "bilinear"))
    choice(op, "fill_mode", fill_mode, ("constant", "reflect", "wrap", "nearest"))
    rows, columns = (
        (height, width) if output_size is None else _size(op, "output_size", output_size)
    )
    across = np.arange(columns, dtype=np.float32)[None, None, :]
    down = np.arange(rows, dtype=np.float32)[None, :, None]
    a = [fn.reshape(given[:, i], (-1, 1, 1)) for i in range(8)]
    k = a[6] * across + a[7] * down + 1.0
    flat = fn.equal(k, 0.0)
    k = fn.where(flat, 1.0, k)
    x_at = (a[0] * across + a[1] * down + a[2]) / k
    y_at = (a[3] * across + a[4] * down + a[5]) / k
    x_at, y_at = _inside(x_at, width, fill_mode), _inside(y_at, height, fill_mode)
    if given.shape[0] != n:
        x_at = fn.broadcast_to(x_at, (n, rows, columns))
        y_at = fn.broadcast_to(y_at, (n, rows, columns))
        flat = fn.broadcast_to(flat, (n, rows, columns))
    nearest = _half_up if interpolation == "nearest" else None
    batch, fill = np.arange(n, dtype=np.int32), real_number(op, "fill_value", fill_value)
    # All other modes have brought the places inside.
    beyond = fill if fill_mode == "constant" else None
    y = _sampled(x, batch, y_at, x_at, nearest=nearest, outside=beyond)
    return _like(fn.where(fn.expand_dims(flat, -1), fill, y), image)


def _inside(place: Tensor, size: int, mode: str) -> Tensor:
    """A place brought into an image of `size` pixels."""
    last = size - 1.0
    if mode == "constant":
        return place
    if mode == "reflect" and size > 1:
        # Bounces off the outer edges of the pixels.
        off = fn.floor_mod(place, 2.0 * size)
        place = fn.where(off >= float(size), 2.0 * size - 1.0 - off, off)
    elif mode == "wrap" and size > 1:
        before = place + size * (fn.floor(place * (-1 / last)) + 1.0)
        after = place - size * fn.floor(place * (1 / last))
        place = fn.where(place < 0.0, before, fn.where(place > last, after, place))
    return fn.clip(place, 0.0, last)


def crop_and_resize(
    image: Any,
    boxes: Any,
    box_indices: Any,
    crop_size: Sequence[int],
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
) -> Tensor:
    """Parts of images, each brought to one size: image [N, H, W, C] -> [B, h, w, C].

    Args:
        boxes: [B, 4]: y1, x1, y2, x2, where 0 is the first row or column and 1 the last; turned
            around they flip.
        box_indices: int32 [B]: which image each box is of, from 0 to N - 1.
        crop_size: (h, w): places at equal distances from y1 to y2, both included (the middle of
            the two if there is one only).
        method: "bilinear" or "nearest".
        extrapolation_value: of places outside the image.

    Source: tf.image.crop_and_resize.
    """
    op = "crop_and_resize"
    x, boxes = cast(image, "float32"), cast(boxes, "float32")
    which = known.whole(op, "box_indices", box_indices)
    if x.rank != 4:
        raise misfit(op, "image", "[N, H, W, C]", x.type)
    if boxes.rank != 2 or boxes.shape[1] != 4:
        raise misfit(op, "boxes", "[B, 4]", boxes.type)
    if which.shape != boxes.shape[:1]:
        raise misfit(op, "box_indices", f"[{boxes.shape[0]}] for boxes {boxes.type}", which.type)
    known.inside(op, "box_indices", which, 0, x.shape[0] - 1)
    choice(op, "method", method, ("bilinear", "nearest"))
    rows, columns = _size(op, "crop_size", crop_size)
    beyond = real_number(op, "extrapolation_value", extrapolation_value)
    count = boxes.shape[0]
    y_at = _along(boxes[:, 0:1], boxes[:, 2:3], x.shape[1], rows)
    x_at = _along(boxes[:, 1:2], boxes[:, 3:4], x.shape[2], columns)
    shape = (count, rows, columns)
    y_at = fn.broadcast_to(fn.reshape(y_at, (count, rows, 1)), shape)
    x_at = fn.broadcast_to(fn.reshape(x_at, (count, 1, columns)), shape)
    inside = fn.logical_and(
        fn.logical_and(y_at >= 0.0, y_at <= x.shape[1] - 1.0),
        fn.logical_and(x_at >= 0.0, x_at <= x.shape[2] - 1.0),
    )
    nearest = _half_up if method == "nearest" else None
    y = _sampled(x, which, y_at, x_at, nearest=nearest, outside=0.0)
    return fn.where(fn.expand_dims(inside, -1), y, beyond)


def _along(first: Tensor, last: Tensor, size: int, count: int) -> Tensor:
    """[B, count] places from first to last, both [B, 1] in shares of the way to the last pixel."""
    if count == 1:
        return (first + last) * (0.5 * (size - 1))
    steps = np.arange(count, dtype=np.float32)[None]
    return first * (size - 1.0) + steps * ((last - first) * ((size - 1.0) / (count - 1)))


def grid_sample(
    image: Any,
    grid: Any,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """Pixels of images at places that are given: image [N, H, W, C], grid [N, h, w, 2] ->
    [N, h, w, C].

    Args:
        grid: (x, y) from -1 (left, top) to 1 (right, bottom).
        mode: "bilinear", "nearest" (halves to the even pixel) or "bicubic": 16 pixels by the filter
            of Keys 1981 with a = -0.75.
        padding: "zeros"; "border": the border's pixel; "reflection": the image in a mirror.
        align_corners: whether -1 and 1 are the centres of the outer pixels, and not their edges.

    Source: torch.nn.functional.grid_sample; Jaderberg et al. 2015, section 3.3.
    """
    op = "grid_sample"
    x, grid = cast(image, "float32"), cast(grid, "float32")
    if x.rank != 4:
        raise misfit(op, "image", "[N, H, W, C]", x.type)
    if grid.rank != 4 or grid.shape[3] != 2 or grid.shape[0] != x.shape[0]:
        raise misfit(op, "grid", f"[{x.shape[0]}, h, w, 2] for image {x.type}", grid.type)
    choice(op, "mode", mode, ("bilinear", "nearest", "bicubic"))
    choice(op, "padding", padding, ("zeros", "border", "reflection"))
    places, folds = [], []
    for d, size in ((0, x.shape[2]), (1, x.shape[1])):
        place = grid[..., d]
        if flag(op, "align_corners", align_corners):
            place, walls = (place + 1.0) * ((size - 1) / 2), (0.0, size - 1.0)
        else:
            place, walls = ((place + 1.0) * float(size) - 1.0) * 0.5, (-0.5, size - 0.5)
        places.append(place)
        folds.append(_fold(padding, size, walls))
    batch = np.arange(x.shape[0], dtype=np.int32)
    if mode == "bicubic":
        return _bicubic(x, batch, places[1], places[0], folds[1], folds[0])
    across, down = (fold(place) for fold, place in zip(folds, places, strict=True))
    nearest = fn.round if mode == "nearest" else None
    return _sampled(x, batch, down, across, nearest=nearest, outside=0.0)


def _fold(padding: str, size: int, walls: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    """What brings places outside an image of this size to those of pixels that stand for them."""

    def fold(place: Tensor) -> Tensor:
        if padding == "reflection":
            place = _reflected(place, *walls)
        return place if padding == "zeros" else fn.clip(place, 0.0, size - 1.0)

    return fold


def _bicubic(x: Tensor, batch: Any, y: Tensor, x_at: Tensor, *folds: Any) -> Tensor:
    """Pixels of x [N, H, W, C] at places between them, of which each of 16 pixels is folded."""
    top, left = fn.floor(y), fn.floor(x_at)
    down, right = _cubic_weights(y - top), _cubic_weights(x_at - left)
    total: Any = None
    for i, j in np.ndindex(4, 4):
        row, column = folds[0](top + float(i - 1)), folds[1](left + float(j - 1))
        # Whole numbers, but for what reflection rounds.
        pixel = _sampled(x, batch, row, column, nearest=fn.round, outside=0.0)
        part = fn.expand_dims(down[i] * right[j], -1) * pixel
        total = part if total is None else total + part
    result: Tensor = total
    return result


def _cubic_weights(t: Tensor, a: float = -0.75) -> list[Tensor]:
    """How much the pixels at -1, 0, 1, 2 count for a place at t in [0, 1)."""

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1.0

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]


def rotate_with_offset(
    image: Any,
    radians: float,
    fill_value: float | Sequence[float] = 0.0,
    center: float | Sequence[float] = 0.5,
) -> Tensor:
    """The image turned by an angle: result pixel c + (x, y) is the one nearest to
    c + (x cos - y sin, x sin + y cos), y pointing down; a positive angle turns it left.

    Args:
        fill_value: of pixels outside, one number or one per channel.
        center: (x, y) of the point that stays, in shares of width and height.
    """
    op, x = "rotate_with_offset", _images("rotate_with_offset", image)
    n, height, width, channels = x.shape
    middle = tuple(center) if isinstance(center, list | tuple) else (center, center)
    fill = tensor(fill_value, "float32")
    if len(middle) != 2:
        raise refused(op, "center", "a number, or (x, y)", center)
    middle = tuple(real_number(op, "center", c) for c in middle)
    radians = real_number(op, "radians", radians, -MOST_RADIANS, MOST_RADIANS)
    if fill.shape not in ((), (channels,)):
        raise refused(op, "fill_value", f"a number, or {channels} of them", fill_value)
    across, down = width * middle[0], height * middle[1]
    row, column = np.arange(height)[:, None] - down, np.arange(width)[None, :] - across
    source_x = np.floor(column * cos(radians) - row * sin(radians) + across + 0.5)
    source_y = np.floor(column * sin(radians) + row * cos(radians) + down + 0.5)
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    index = np.where(inside, source_y * width + source_x, 0).astype(np.int32)
    taken = apply("gather", fn.reshape(x, (n, height * width, channels)), index.reshape(-1), axis=1)
    y = fn.where(inside[..., None], fn.reshape(taken, x.shape), fill)
    return _like(y, image)


# --- boxes ----------------------------------------------------------------------------------------


def _chosen(
    op: str, boxes: Any, scores: Any, size: int, iou: float, least: float, sigma: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    boxes, scores = cast(boxes, "float32"), cast(scores, "float32")
    indices, kept, count = apply(
        "non_max_suppression",
        boxes,
        scores,
        max_output_size=size,
        iou_threshold=iou,
        score_threshold=max(real_number(op, "score_threshold", least), LOWEST),
        soft_nms_sigma=sigma,
    )
    return indices, kept, count


def _number(op: str, count: Tensor) -> int:
    """How many boxes there are; a function that is traced cannot know."""
    if count.traced:
        raise FanlightError(
            "E-TENSOR-003",
            "how many boxes are kept depends on numbers, and the function is only being traced.",
            where=f"{op}, {caller()}",
            expected="a result of a size that is known",
            received="a result of as many boxes as are kept",
            next="use fl.image.non_max_suppression_padded.",
        )
    return int(count.item())


def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: int,
    iou_threshold: float = 0.5,
    score_threshold: float = -np.inf,
) -> Tensor:
    """Indices (int32) of the boxes that are kept, best first; see the op `non_max_suppression`.

    Args:
        boxes: [n, 4], two opposite corners y, x, y, x. scores: [n].
        max_output_size: most boxes that are kept.
        iou_threshold: overlap with a better box from which a box goes.
        score_threshold: boxes with this score or a lower one go.

    Not in traced functions, since the size of the result depends on the numbers: E-TENSOR-003.
    """
    op = "non_max_suppression"
    indices, _, count = _chosen(op, boxes, scores, max_output_size, iou_threshold, score_threshold)
    return indices[: _number(op, count)]


def non_max_suppression_with_score(
    boxes: Any,
    scores: Any,
    max_output_size: int,
    iou_threshold: float = 0.5,
    score_threshold: float = -np.inf,
    soft_nms_sigma: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """(indices, scores) of the boxes that are kept; see non_max_suppression.

    Args:
        soft_nms_sigma: if > 0, the score of a box shrinks with its overlap (Bodla et al. 2017).
    """
    op = "non_max_suppression_with_score"
    indices, kept, count = _chosen(
        op, boxes, scores, max_output_size, iou_threshold, score_threshold, soft_nms_sigma
    )
    number = _number(op, count)
    return indices[:number], kept[:number]


def non_max_suppression_padded(
    boxes: Any,
    scores: Any,
    max_output_size: int,
    iou_threshold: float = 0.5,
    score_threshold: float = -np.inf,
) -> tuple[Tensor, Tensor]:
    """(indices [max_output_size], how many of them count); zeros fill up. See non_max_suppression.

    Its size is known, so it can be traced and built.
    """
    op = "non_max_suppression_padded"
    indices, _, count = _chosen(op, boxes, scores, max_output_size, iou_threshold, score_threshold)
    return indices, count
