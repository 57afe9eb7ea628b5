"""The picture that `fanlight demo` looks at when it is given no photo: drawn here, by numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

SIDE = 320


def draw_sample() -> Image.Image:
    """An orange on a wooden table, RGB, the same on every machine."""
    from PIL import Image

    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64) / SIDE
    rng = np.random.default_rng(7)
    picture = _table(x, y, rng)
    picture = _shadow(picture, x, y)
    picture = _fruit(picture, x, y, rng)
    return Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def _table(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grain = np.zeros_like(x)
    for frequency in (9, 23, 61):
        wave = np.sin(2 * math.pi * (frequency * y + 0.6 * np.sin(5 * x) + rng.random()))
        grain += wave / frequency
    wood = np.stack([0.50 + grain, 0.33 + 0.8 * grain, 0.20 + 0.5 * grain], axis=-1)
    wall = np.stack([0.80 - 0.1 * y, 0.79 - 0.1 * y, 0.74 - 0.12 * y], axis=-1)
    edge = _smooth((y - 0.42) / 0.02)[..., None]
    return wall * (1 - edge) + wood * edge


def _shadow(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    distance = np.hypot((x - 0.56) / 0.36, (y - 0.80) / 0.10)
    return picture * (1 - 0.6 * _smooth(1.3 - distance))[..., None]


def _fruit(
    picture: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A sphere lit from the upper left, with the dimples of a peel, a highlight and a stem."""
    cx, cy, radius = 0.5, 0.52, 0.31
    u, v = (x - cx) / radius, (y - cy) / radius
    r2 = u * u + v * v
    w = np.sqrt(np.maximum(0, 1 - r2))
    bumps = _blurred(rng.standard_normal(x.shape), 2)
    slope_y, slope_x = np.gradient(bumps)
    nx, ny, nz = u + 1.1 * slope_x, v + 1.1 * slope_y, w
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    light = (-0.45 * nx - 0.6 * ny + 0.66 * nz) / length
    diffuse = 0.30 + 0.75 * np.maximum(0, light)
    skin = np.stack([1.02 * diffuse, 0.53 * diffuse, 0.07 * diffuse], axis=-1)
    shine = np.maximum(0, light) ** 24
    skin = skin + 0.35 * shine[..., None]
    stem = _smooth(1.2 - np.hypot((u + 0.06) / 0.09, (v + 0.86) / 0.05))[..., None]
    skin = skin * (1 - stem) + np.array([0.27, 0.33, 0.10]) * stem
    inside = _smooth((1 - np.sqrt(r2)) / 0.02)[..., None]
    return picture * (1 - inside) + skin * inside


def _blurred(values: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        for axis in (0, 1):
            values = (np.roll(values, 1, axis) + values + np.roll(values, -1, axis)) / 3
    return values


def _smooth(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = t.clip(0, 1)
    return t * t * (3 - 2 * t)
