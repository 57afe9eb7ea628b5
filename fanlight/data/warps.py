"""Pictures bent: in perspective, and pixel by pixel; see transforms.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from fanlight.data.transforms import batch_of, like
from fanlight.tensor import Tensor, cast, image
from fanlight.tensor import functions as fn
from fanlight.tensor.arguments import choice, misfit


def perspective(
    images: Any,
    corners: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pictures whose corners come to lie at these places; beyond them is fill_value.

    Args:
        corners: float32 [N, 4, 2], or [4, 2] for all: (x, y) in pixels, of the top left, top right,
            bottom left and bottom right corner.

    Source: Heckbert 1989, Fundamentals of Texture Mapping and Image Warping, section 2.2.3.
    """
    op, x = "perspective", batch_of("perspective", images)
    count, height, width, _ = x.shape
    given = cast(corners, "float32")
    given = fn.expand_dims(given, 0) if given.rank == 2 else given
    if given.rank != 3 or given.shape[1:] != (4, 2) or given.shape[0] not in (1, count):
        raise misfit(op, "corners", f"[{count}, 4, 2] or [4, 2]", given.type)
    (x0, y0), (x1, y1), (x3, y3), (x2, y2) = ((given[:, i, 0], given[:, i, 1]) for i in range(4))
    # From the unit square to the four corners: (a u + b v + c, d u + e v + f) / (g u + h v + 1).
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    area = fn.where(fn.equal(area, 0.0), 1e-12, area)
    g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
    a, b, c = x1 - x0 + g * x1, x3 - x0 + h * x3, x0
    d, e, f = y1 - y0 + g * y1, y3 - y0 + h * y3, y0
    # And back, times what makes the last number 1.
    last = a * e - b * d
    last = fn.where(fn.equal(last, 0.0), 1e-12, last)
    wide, tall = float(width - 1), float(height - 1)
    rows = [
        *(wide * (e - f * h) / last, wide * (c * h - b) / last, wide * (b * f - c * e) / last),
        *(tall * (f * g - d) / last, tall * (a - c * g) / last, tall * (c * d - a * f) / last),
        *((d * h - e * g) / last, (b * g - a * h) / last),
    ]
    bent = image.transform(x, fn.stack(rows, 1), interpolation, "constant", fill_value)
    return like(bent, images)


def displace(
    images: Any,
    down: Any,
    right: Any,
    fill_mode: str = "reflect",
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
) -> Tensor:
    """Pixel (row, column) of the result is that at (row + down, column + right).

    Args:
        down, right: [N, H, W], or [H, W] for all.
        fill_mode: what is beyond the border: "reflect", "mirror" (the border itself not twice),
            "wrap", "nearest", or "constant", which is fill_value.
    """
    op, x = "displace", batch_of("displace", images)
    choice(op, "interpolation", interpolation, ("nearest", "bilinear"))
    choice(op, "fill_mode", fill_mode, ("constant", "mirror", "nearest", "reflect", "wrap"))
    count, height, width, _ = x.shape
    moves = []
    for argument, value in (("down", down), ("right", right)):
        given = cast(value, "float32")
        if given.shape not in ((height, width), (count, height, width)):
            raise misfit(op, argument, f"[{count}, {height}, {width}]", given.type)
        moves.append(fn.broadcast_to(given, (count, height, width)))
    rows = moves[0] + np.arange(height, dtype=np.float32)[:, None]
    columns = moves[1] + np.arange(width, dtype=np.float32)
    if fill_mode == "wrap":  # beyond the last pixel comes the first
        x = fn.concat([x, x[:, :1]], 1)
        x = fn.concat([x, x[:, :, :1]], 2)
    fill = float(fill_value) if fill_mode == "constant" else 0.0
    places = [
        2.0 * _inside(place, size, fill_mode) / float(max(whole - 1, 1)) - 1.0
        for place, size, whole in ((columns, width, x.shape[2]), (rows, height, x.shape[1]))
    ]
    padding = "zeros" if fill_mode == "constant" else "border"
    moved = image.grid_sample(
        x - fill if fill else x, fn.stack(places, -1), interpolation, padding, align_corners=True
    )
    return like(moved + fill if fill else moved, images)


def _inside(place: Tensor, size: int, mode: str) -> Tensor:
    """Places along an axis of `size` pixels, brought inside as a fill mode says."""
    if mode == "wrap":
        return fn.floor_mod(place, float(size))
    if mode == "reflect":
        off = fn.floor_mod(place, 2.0 * size)
        return fn.where(off > size - 0.5, 2.0 * size - 1.0 - off, off)
    if mode == "mirror" and size > 1:
        off = fn.floor_mod(place, 2.0 * (size - 1))
        return fn.where(off > size - 1.0, 2.0 * (size - 1) - off, off)
    return place
