"""Images of another size, by the filters that Keras has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fanlight.tensor import Tensor, image
from fanlight.tensor import functions as fn

METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def resized(x: Tensor, size: tuple[int, int], method: str, antialias: bool = False) -> Tensor:
    """[N, H, W, C] -> [N, *size, C]; pixel i of m lies at (i + 1/2) n / m - 1/2.

    Args:
        method: "nearest", "bilinear", "bicubic" (Keys 1981, a = -0.5), "lanczos3", "lanczos5".
        antialias: whether the filter gets wider where images get smaller.
    """
    if x.shape[1:3] == size:
        return x
    if method == "nearest":
        down, across = (
            np.floor((np.arange(m) + 0.5) * n / m).astype(np.int32)
            for n, m in zip(x.shape[1:3], size, strict=True)
        )
        from fanlight.tensor.indices import gather

        return gather(gather(x, down, 1), across, 2)
    if method == "bilinear" and not antialias:
        return image.resize_bilinear(x, size, half_pixel_centers=True)
    n, rows, columns, channels = x.shape
    down = _weights(rows, size[0], method, antialias)
    across = _weights(columns, size[1], method, antialias)
    y = fn.matmul(down, fn.reshape(x, (n, rows, columns * channels)))
    return fn.matmul(across, fn.reshape(y, (n, size[0], columns, channels)))


def _weights(n: int, m: int, method: str, antialias: bool) -> np.ndarray:
    """The weights [m, n] of n pixels at each of m places; pixels outside do not count."""
    wide = max(n / m, 1.0) if antialias else 1.0
    places = (np.arange(m) + 0.5) * n / m - 0.5
    far = np.abs(places[:, None] - np.arange(n)) / wide
    weights = _FILTERS[method](far)
    total = weights.sum(1, keepdims=True)
    return (weights / np.where(total == 0, 1, total)).astype(np.float32)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - x, 0.0)


def _cubic(x: np.ndarray) -> np.ndarray:
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x >= 2, 0.0, np.where(x >= 1, far, near))


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    """sinc(x) sinc(x / radius) within the radius."""
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


_FILTERS = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}

__all__ = ["METHODS", "resized"]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
