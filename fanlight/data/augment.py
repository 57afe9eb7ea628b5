"""Augmentation: pictures changed at random, each by its own amounts: `fl.data.augment`.

Functions called random_... take a key (`fl.random.key(n)`, or what `dataset.map(fn, seed=n)` gives)
and pictures [N, H, W, C] or [H, W, C], with values from 0 to 255 where colours are meant; the
others change pictures by given amounts. The same functions are what the layers of augmentation
compute, and they can be built for the browser.

    train = train.map(lambda x, y, key: (fl.data.augment.random_flip(x, key=key), y), seed=1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanlight.data.tones import (
    auto_contrast,
    degenerate_colors,
    equalize,
    gaussian_blur,
    invert,
    limited_equalize,
    posterize,
    sharpen,
    solarize,
)
from fanlight.data.transforms import (
    Range,
    affine,
    batch_of,
    brightness,
    contrast,
    crop,
    erase,
    flip,
    grayscale,
    hue,
    inside,
    like,
    mix,
    paste,
    rotate,
    saturation,
    shear,
    translate,
    zoom,
)
from fanlight.data.warps import displace, perspective
from fanlight.tensor import Tensor, cast, random
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import choice, misfit, refused

__all__ = [
    "affine",
    "auto_contrast",
    "brightness",
    "contrast",
    "crop",
    "cut_mix",
    "displace",
    "equalize",
    "erase",
    "degenerate_colors",
    "flip",
    "gaussian_blur",
    "grayscale",
    "hue",
    "inside",
    "invert",
    "limited_equalize",
    "mix",
    "mix_up",
    "paste",
    "perspective",
    "posterize",
    "random_brightness",
    "random_contrast",
    "random_crop",
    "random_elastic_transform",
    "random_erasing",
    "random_color_degeneration",
    "random_flip",
    "random_gaussian_blur",
    "random_grayscale",
    "random_hue",
    "random_invert",
    "random_perspective",
    "random_posterization",
    "random_resized_crop",
    "random_rotation",
    "random_saturation",
    "random_sharpness",
    "random_shear",
    "random_solarization",
    "random_translation",
    "random_zoom",
    "rotate",
    "saturation",
    "sharpen",
    "shear",
    "solarize",
    "translate",
    "zoom",
]

Factor = float | Sequence[float]


def __dir__() -> list[str]:
    """What completion offers: what is public."""
    return sorted(__all__)


def _bounds(op: str, argument: str, factor: Any) -> tuple[float, float]:
    """(low, high) of a factor: a pair, or a number f for (-f, f)."""
    pair = tuple(factor) if isinstance(factor, list | tuple) else (-abs(factor), abs(factor))
    if len(pair) != 2 or not all(isinstance(v, int | float) for v in pair):
        raise refused(op, argument, "a number, or (low, high)", factor)
    return min(pair), max(pair)


def _drawn(op: str, argument: str, factor: Any, count: int, key: Any) -> Tensor:
    low, high = _bounds(op, argument, factor)
    return random.uniform((count,), low, high, key=key)


def _signs(count: int, key: Any) -> Tensor:
    """1 or -1."""
    return fn.where(random.bernoulli((count,), 0.5, key=key), 1.0, -1.0)


# --- places ---------------------------------------------------------------------------------------


def random_flip(images: Any, mode: str = "horizontal", *, key: Any) -> Tensor:
    """Half of the pictures in a mirror, half of them upside down, or both.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical".
    """
    choice("random_flip", "mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))
    x = batch_of("random_flip", images)
    keys = random.split(key)
    chosen = [random.bernoulli((x.shape[0],), 0.5, key=keys[i]) for i in range(2)]
    y = flip(x, chosen[0] if "horizontal" in mode else False, False)
    return like(flip(y, False, chosen[1]) if "vertical" in mode else y, images)


def random_rotation(
    images: Any,
    factor: Factor = 0.1,
    *,
    key: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures turned by a share of a whole turn: of (low, high), or of (-factor, factor)."""
    x = batch_of("random_rotation", images)
    turns = _drawn("random_rotation", "factor", factor, x.shape[0], key)
    return like(rotate(x, turns * (2 * np.pi), fill_mode, interpolation, fill_value), images)


def random_translation(
    images: Any,
    height_factor: Factor = 0.1,
    width_factor: Factor = 0.1,
    *,
    key: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures moved down and right by shares of their height and width."""
    op, x = "random_translation", batch_of("random_translation", images)
    keys = random.split(key)
    down = _drawn(op, "height_factor", height_factor, x.shape[0], keys[0]) * float(x.shape[1])
    right = _drawn(op, "width_factor", width_factor, x.shape[0], keys[1]) * float(x.shape[2])
    return like(translate(x, down, right, fill_mode, interpolation, fill_value), images)


def random_zoom(
    images: Any,
    height_factor: Factor = 0.1,
    width_factor: Factor | None = None,
    *,
    key: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures of which 1 + factor times the height and width are seen: below 0 they come nearer.

    Args:
        width_factor: None: that of the height, so that proportions stay.
    """
    op, x = "random_zoom", batch_of("random_zoom", images)
    keys = random.split(key)
    tall = _drawn(op, "height_factor", height_factor, x.shape[0], keys[0]) + 1.0
    wide = tall
    if width_factor is not None:
        wide = _drawn(op, "width_factor", width_factor, x.shape[0], keys[1]) + 1.0
    return like(zoom(x, tall, wide, fill_mode, interpolation, fill_value), images)


def random_shear(
    images: Any,
    x_factor: Factor = 0.0,
    y_factor: Factor = 0.0,
    *,
    key: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures made slanting: see `shear`; half of them to the other side."""
    op, x = "random_shear", batch_of("random_shear", images)
    keys, count = random.split(key, 3), x.shape[0]
    sign = _signs(count, keys[2])
    across = _drawn(op, "x_factor", x_factor, count, keys[0]) * sign
    down = _drawn(op, "y_factor", y_factor, count, keys[1]) * sign
    return like(shear(x, across, down, fill_mode, interpolation, fill_value), images)


def random_crop(images: Any, height: int, width: int, *, key: Any) -> Tensor:
    """Parts of pictures, height x width, of places that differ from picture to picture."""
    x = batch_of("random_crop", images)
    if not (0 < height <= x.shape[1] and 0 < width <= x.shape[2]):
        raise misfit("random_crop", "images", f"at least {height} x {width} pixels", x.type)
    keys, count = random.split(key), x.shape[0]
    top = random.uniform_int((count,), 0, x.shape[1] - height + 1, key=keys[0])
    left = random.uniform_int((count,), 0, x.shape[2] - width + 1, key=keys[1])
    return like(crop(x, top, left, height, width), images)


def random_resized_crop(
    images: Any,
    height: int,
    width: int,
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    *,
    key: Any,
    interpolation: str = "bilinear",
) -> Tensor:
    """Parts of pictures that differ in size, proportions and place, all made height x width.

    Args:
        scale: (low, high): shares of the picture's area; drawn for each picture.
        ratio: (low, high): width by height of the part, drawn evenly on a logarithmic scale. A part
            that would be wider or taller than the picture ends at its borders.

    Source: Szegedy et al. 2015.
    """
    op, x = "random_resized_crop", batch_of("random_resized_crop", images)
    if not (height > 0 and width > 0):
        raise refused(op, "height and width", "whole numbers from 1 on", (height, width))
    if not 0 < scale[0] <= scale[1] <= 1:
        raise refused(op, "scale", "(low, high) with 0 < low <= high <= 1", scale)
    if not 0 < ratio[0] <= ratio[1]:
        raise refused(op, "ratio", "(low, high) with 0 < low <= high", ratio)
    keys, (count, rows, columns, _) = random.split(key, 4), x.shape
    area = random.uniform((count,), float(scale[0]), float(scale[1]), key=keys[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    wider = fn.exp(random.uniform((count,), low, high, key=keys[1]) * 0.5)
    side = fn.sqrt(area)
    # The drawn proportions are of pixels, the shares of sides.
    wider = wider * math.sqrt(rows / columns)
    wide, tall = fn.minimum(side * wider, 1.0), fn.minimum(side / wider, 1.0)
    left = random.uniform((count,), key=keys[2]) * (1.0 - wide) * float(columns)
    top = random.uniform((count,), key=keys[3]) * (1.0 - tall) * float(rows)
    across, down = wide * (columns / width), tall * (rows / height)
    # Middles of pixels are at halves.
    right, below = left + 0.5 * across - 0.5, top + 0.5 * down - 0.5
    parts = affine(
        x,
        (across, 0.0, right, 0.0, down, below),
        "nearest",
        interpolation,
        output_size=(height, width),
    )
    return like(parts, images)


def random_perspective(
    images: Any,
    factor: Factor = (0.0, 1.0),
    scale: float = 1.0,
    *,
    key: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures seen from the side: their corners move.

    Args:
        factor: the chance for it, or (low, high), of which it is drawn for each picture.
        scale: how far corners move: at most by half of this share of their coordinates, as Keras
            has it; so the top left one stays.
    """
    op, x = "random_perspective", batch_of("random_perspective", images)
    keys, (count, height, width, _) = random.split(key), x.shape
    last = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float32)
    half = 0.5 * float(scale)
    corners = last + last * random.uniform((count, 4, 2), -half, half, key=keys[0])
    y = perspective(x, corners, interpolation, fill_value)
    return like(_by_chance(op, factor, x, y, keys[1]), images)


def random_elastic_transform(
    images: Any,
    factor: Factor = (0.0, 1.0),
    scale: Factor = (0.0, 1.0),
    *,
    key: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    value_range: Range = (0, 255),
) -> Tensor:
    """Pictures bent like rubber: each pixel moves, and its neighbours nearly as much.

    Args:
        factor: the chance for it, or (low, high), of which it is drawn for each picture.
        scale: how strongly: of (low, high), one number for all pictures.

    Source: Simard, Steinkraus & Platt 2003.
    """
    op, x = "random_elastic_transform", batch_of("random_elastic_transform", images)
    keys, (count, height, width, _) = random.split(key, 4), x.shape
    low, high = _bounds(op, "scale", scale)
    drawn = random.uniform((), low, high, key=keys[0])
    sigma = drawn * (0.05 * min(height, width))
    # Neighbours count within three sigmas.
    size = int(6 * 0.05 * min(height, width) * high) | 1
    reach = fn.floor(fn.floor(6.0 * sigma) / 2.0)
    spread = fn.maximum(sigma, 1e-3)
    moves = []
    for i in (1, 2):
        noise = random.standard_normal((count, height, width, 1), key=keys[i]) * sigma
        smooth = gaussian_blur(noise, size, spread, reach)
        moves.append(fn.squeeze(smooth, -1) * (drawn * (0.1 * max(height, width))))
    y = displace(x, moves[0], moves[1], fill_mode, interpolation, fill_value)
    y = _by_chance(op, factor, x, y, keys[3])
    return like(fn.clip(y, float(value_range[0]), float(value_range[1])), images)


def _by_chance(op: str, factor: Any, x: Tensor, y: Tensor, key: Tensor) -> Tensor:
    """y for some of the pictures, x for the others.

    Args:
        factor: the chance, or (low, high), of which it is drawn for each picture.
    """
    keys, count = random.split(key), x.shape[0]
    chances = tuple(factor) if isinstance(factor, list | tuple) else (factor, factor)
    chance = _drawn(op, "factor", chances, count, keys[0])
    chosen = random.bernoulli((count,), chance, key=keys[1])
    return fn.where(fn.reshape(chosen, (-1, 1, 1, 1)), y, x)


# --- colours --------------------------------------------------------------------------------------


def random_brightness(
    images: Any, factor: Factor = 0.2, *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures made brighter or darker by a share of the range."""
    x = batch_of("random_brightness", images)
    drawn = _drawn("random_brightness", "factor", factor, x.shape[0], key)
    return like(brightness(x, drawn, value_range), images)


def random_contrast(
    images: Any, factor: Factor = 0.2, *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures with contrasts 1 - low to 1 + high times as strong; a number is both."""
    x = batch_of("random_contrast", images)
    low, high = factor if isinstance(factor, list | tuple) else (factor, factor)
    drawn = random.uniform((x.shape[0],), 1.0 - low, 1.0 + high, key=key)
    return like(contrast(x, drawn, value_range), images)


def random_saturation(
    images: Any, factor: Factor = (0.3, 0.7), *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures with their saturation times f / (1 - f), f of (low, high): 0 is grey, 0.5 no change,
    1 full."""
    x = batch_of("random_saturation", images)
    drawn = _drawn("random_saturation", "factor", factor, x.shape[0], key)
    return like(saturation(x, drawn / (1.0 - drawn + 1e-7), value_range), images)


def random_hue(
    images: Any, factor: Factor = (0.0, 0.1), *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures with hues turned by half of a factor of (low, high), in either direction."""
    x = batch_of("random_hue", images)
    keys, count = random.split(key), x.shape[0]
    turn = _drawn("random_hue", "factor", factor, count, keys[0]) * _signs(count, keys[1])
    return like(hue(x, turn * 0.5, value_range), images)


def random_grayscale(images: Any, factor: float = 0.5, *, key: Any) -> Tensor:
    """A share of the pictures in grey."""
    x = batch_of("random_grayscale", images)
    return like(grayscale(x, random.bernoulli((x.shape[0],), float(factor), key=key)), images)


def random_color_degeneration(
    images: Any, factor: Factor = (0.0, 1.0), *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures mixed with themselves in grey, by a share of (low, high)."""
    x = batch_of("random_color_degeneration", images)
    drawn = _drawn("random_color_degeneration", "factor", factor, x.shape[0], key)
    return like(degenerate_colors(x, drawn, value_range), images)


def random_invert(
    images: Any, factor: Factor = (0.0, 1.0), *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Some of the pictures as negatives.

    Args:
        factor: the chance, or (low, high), of which it is drawn for each picture.
    """
    x = batch_of("random_invert", images)
    y = invert(x, True, value_range)
    return like(_by_chance("random_invert", factor, x, y, key), images)


def random_posterization(
    images: Any, bits: Sequence[int] = (1, 8), *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures with the first bits of each value only: from low to below high, as Keras has it."""
    op, x = "random_posterization", batch_of("random_posterization", images)
    low, high = map(int, bits)
    if not 1 <= low <= high <= 8:
        raise refused(op, "bits", "(low, high), from 1 to 8", bits)
    drawn: Any = float(low)
    if low < high:
        drawn = random.uniform_int((x.shape[0],), low, high, key=key)
    return like(posterize(x, drawn, value_range), images)


def random_solarization(
    images: Any,
    addition: Factor = (0.0, 0.0),
    threshold: Factor = (0.0, 0.0),
    *,
    key: Any,
    value_range: Range = (0, 255),
) -> Tensor:
    """Pictures inverted from a value on: see `solarize`.

    Args:
        addition, threshold: (low, high), shares of the range.
    """
    op, x = "random_solarization", batch_of("random_solarization", images)
    keys, count = random.split(key), x.shape[0]
    more = _drawn(op, "addition", addition, count, keys[0]) * 255.0
    limit = _drawn(op, "threshold", threshold, count, keys[1]) * 255.0
    return like(solarize(x, limit, more, value_range), images)


def random_sharpness(
    images: Any, factor: Factor = (0.0, 1.0), *, key: Any, value_range: Range = (0, 255)
) -> Tensor:
    """Pictures smoother or sharper: 0 is smooth, 0.5 no change, 1 sharp; of (low, high)."""
    x = batch_of("random_sharpness", images)
    drawn = _drawn("random_sharpness", "factor", factor, x.shape[0], key)
    return like(sharpen(x, drawn * 2.0, value_range), images)


def random_gaussian_blur(
    images: Any,
    factor: Factor = (0.0, 1.0),
    kernel_size: int | Sequence[int] = 3,
    sigma: Factor = (0.0, 1.0),
    *,
    key: Any,
    value_range: Range = (0, 255),
) -> Tensor:
    """Some of the pictures blurred.

    Args:
        factor: the chance, or (low, high), of which it is drawn for each picture.
        kernel_size: odd: how many pixels wide and high the neighbourhood is, or both.
        sigma: (low, high), of which it is drawn across and down, for all pictures.
    """
    op, x = "random_gaussian_blur", batch_of("random_gaussian_blur", images)
    keys = random.split(key)
    drawn = _drawn(op, "sigma", sigma, 2, keys[0]) + 1e-6
    y = gaussian_blur(x, kernel_size, drawn)
    y = _by_chance(op, factor, x, y, keys[1])
    return like(fn.clip(y, float(value_range[0]), float(value_range[1])), images)


# --- parts ----------------------------------------------------------------------------------------


def _boxes(shape: Sequence[int], tall: Any, wide: Any, keys: Tensor) -> Tensor:
    """[N, 4]: boxes of these shares of height and width, somewhere inside."""
    count = shape[0]
    parts = []
    for share, size, key in ((tall, shape[1], keys[0]), (wide, shape[2], keys[1])):
        length = share * float(size)
        begin = random.uniform((count,), key=key) * (float(size) - length)
        parts.append((begin, begin + length))
    (y0, y1), (x0, x1) = parts
    return fn.stack([y0, x0, y1, x1], 1)


def random_erasing(
    images: Any,
    factor: Factor = (0.0, 1.0),
    scale: Sequence[float] = (0.02, 0.33),
    fill_value: float | Sequence[float] | None = None,
    *,
    key: Any,
    value_range: Range = (0, 255),
) -> Tensor:
    """A box of pictures filled: random erasing, Zhong et al. 2020; cutout.

    Args:
        factor: the chance for it, or (low, high), of which it is drawn for each picture.
        scale: (low, high): shares, drawn for height and for width, whose roots are those of the
            box.
        fill_value: a number, one per channel, or None: noise.
    """
    op, x = "random_erasing", batch_of("random_erasing", images)
    low, high = map(float, value_range)
    count, keys = x.shape[0], random.split(key, 7)
    tall, wide = (fn.sqrt(_drawn(op, "scale", tuple(scale), count, keys[i])) for i in range(2))
    boxes = _boxes(x.shape, tall, wide, keys[2:4])
    chances = factor if isinstance(factor, list | tuple) else (factor, factor)
    chance = _drawn(op, "factor", tuple(chances), count, keys[4])
    erased = random.bernoulli((count,), chance, key=keys[5])
    if fill_value is None:
        fill = random.standard_normal(x.shape, key=keys[6]) * high
    else:
        fill = cast(fill_value, "float32")
        if fill.shape not in ((), (x.shape[3],)):
            raise refused(op, "fill_value", f"a number, or {x.shape[3]} of them", fill_value)
    y = erase(x, boxes, fn.clip(fill, low, high))
    return like(fn.where(fn.reshape(erased, (-1, 1, 1, 1)), y, x), images)


def _beta(alpha: Any, count: int, key: Any) -> Tensor:
    """[count] of the beta distribution with both parameters alpha."""
    keys = random.split(key, 3)
    a, b = (random.gamma((count,), alpha, key=keys[i]) for i in range(2))
    # Of a small alpha both may be too small for float32: it is near 0 or 1 then.
    either = fn.where(random.bernoulli((count,), 0.5, key=keys[2]), 1.0, 0.0)
    whole = a + b
    some = whole > 0.0
    return fn.where(some, a / fn.where(some, whole, 1.0), either)


def mix_up(images: Any, labels: Any = None, alpha: float = 0.2, *, key: Any) -> Any:
    """Pictures mixed with others of the batch, and one-hot labels as much: Zhang et al. 2018.

    Returns:
        pictures, or (pictures, labels) if there are labels [N, classes].
    """
    x = _several("mix_up", images, labels)
    keys, count = random.split(key), x.shape[0]
    order = random.permutation(count, key=keys[0])
    weight = _beta(float(alpha), count, keys[1])
    mixed = mix(x, order, weight)
    return mixed if labels is None else (mixed, mix(labels, order, weight))


def cut_mix(images: Any, labels: Any = None, factor: Factor = (0.0, 1.0), *, key: Any) -> Any:
    """Pictures with a box of others of the batch, and one-hot labels by its share: Yun et al. 2019.

    Args:
        factor: (low, high), of which alpha of the beta distribution of shares is drawn, or alpha.

    Returns:
        pictures, or (pictures, labels) if there are labels [N, classes].
    """
    x = _several("cut_mix", images, labels)
    keys, count = random.split(key, 5), x.shape[0]
    low, high = factor if isinstance(factor, list | tuple) else (factor, factor)
    alpha = random.uniform((1,), float(low), float(high), key=keys[0]) + 1e-6
    side = fn.sqrt(1.0 - _beta(alpha, count, keys[1]))
    boxes = _boxes(x.shape, side, side, keys[2:4])
    order = random.permutation(count, key=keys[4])
    mixed = paste(x, order, boxes)
    if labels is None:
        return mixed
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return mixed, mix(labels, order, 1.0 - area * (1.0 / (x.shape[1] * x.shape[2])))


def _several(op: str, images: Any, labels: Any) -> Tensor:
    """A batch of pictures, whose labels are one-hot."""
    x = cast(images, "float32")
    if x.rank != 4:
        raise misfit(op, "images", "[N, H, W, C]", x.type)
    if labels is not None:
        y = cast(labels, "float32")
        if y.rank != 2 or y.shape[0] != x.shape[0]:
            raise misfit(op, "labels", f"one-hot, [{x.shape[0]}, classes]", y.type)
    return x
