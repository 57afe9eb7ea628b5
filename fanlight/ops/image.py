"""Resizing: of float32 feature maps, and of the RGBA bytes that stand at the input of a model.

Where a result pixel lies in the source is computed in whole numbers (`samples`, below), so that
every host picks the same source pixels; only the weights between two of them are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fanlight.dtypes import real_of
from fanlight.errors import FanlightError
from fanlight.ops import check, window_backward, windows
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.check import FLOATS
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

Attrs = Mapping[str, Any]

COORDINATES = ("half_pixel", "align_corners", "asymmetric")
METHODS = ("bilinear", "nearest", "antialias")
CROPS = ("none", "center")

_SIZE = Attr(REQUIRED, "height and width of the result")
_COORDINATES = Attr(
    "half_pixel",
    "where result pixel i lies in a source of n pixels, m being the pixels of the result. "
    "half_pixel: (i + 1/2) n / m - 1/2; align_corners: i (n - 1) / (m - 1), and 0 if m is 1; "
    "asymmetric: i n / m",
)


def samples(n: int, m: int, coordinates: str) -> tuple[np.ndarray, int]:
    """Where the m pixels of the result lie in the n of the source.

    Returns numerators and their one denominator: pixel i lies at numerators[i] / denominator.
    """
    i = np.arange(m, dtype=np.int64)
    if coordinates == "half_pixel":
        return (2 * i + 1) * n - m, 2 * m
    if coordinates == "align_corners":
        return i * (n - 1), max(m - 1, 1)
    return i * n, m


def bilinear_taps(n: int, m: int, coordinates: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lower source pixel, upper one, weight of the upper one as float32) per result pixel."""
    at, unit = samples(n, m, coordinates)
    at = np.clip(at, 0, (n - 1) * unit)
    lower = at // unit
    weight = (at - lower * unit) / unit
    return lower, np.minimum(lower + 1, n - 1), weight.astype(np.float32)


def nearest_taps(n: int, m: int, coordinates: str) -> np.ndarray:
    """The source pixel of each result pixel.

    half_pixel: floor((i + 1/2) n / m); align_corners: i (n - 1) / (m - 1) rounded to the nearest,
    halves up; asymmetric: floor(i n / m).
    """
    at, unit = samples(n, m, coordinates)
    if coordinates != "asymmetric":
        at, unit = 2 * at + unit, 2 * unit  # to the nearest
    return np.minimum(at // unit, n - 1)


def antialias_taps(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """(source pixels [m, k], weights [m, k] float32, rows summing to 1): a triangle filter.

    The triangle is centred at (i + 1/2) n / m and reaches s = max(n / m, 1) pixels to both sides;
    a source pixel weighs as the triangle's height at its centre. Weights outside the image are 0.
    """
    reach = max(n / m, 1.0)
    centre = (np.arange(m) + 0.5) * n / m
    first = np.floor(centre - reach - 0.5).astype(np.int64) + 1
    pixels = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
    heights = 1 - np.abs(pixels + 0.5 - centre[:, None]) / reach
    weights = np.where((pixels >= 0) & (pixels < n), np.maximum(heights, 0), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(pixels, 0, n - 1), weights.astype(np.float32)


def crop_rectangle(height: int, width: int, size: Sequence[int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest centred rectangle with the aspect of `size`.

    One side is the image's; the other is rounded to the nearest pixel, and at least 1.
    """
    h, w = size
    if width * h > height * w:
        kept = max(1, (2 * height * w + h) // (2 * h))
        return 0, (width - kept) // 2, height, kept
    kept = max(1, (2 * width * h + w) // (2 * w))
    return (height - kept) // 2, 0, kept, width


# --- along one dim --------------------------------------------------------------------------------


def _column(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    return values.reshape([-1 if d == axis else 1 for d in range(rank)])


def _bilinear(x: np.ndarray, axis: int, size: int, coordinates: str) -> np.ndarray:
    lower, upper, weight = bilinear_taps(x.shape[axis], size, coordinates)
    real = real_of(x)
    low = np.take(x, lower, axis=axis).astype(real, copy=False)
    high = np.take(x, upper, axis=axis).astype(real, copy=False)
    return low + (high - low) * _column(weight, axis, x.ndim)


def _nearest(x: np.ndarray, axis: int, size: int, coordinates: str) -> np.ndarray:
    return np.take(x, nearest_taps(x.shape[axis], size, coordinates), axis=axis)


def _antialias(x: np.ndarray, axis: int, size: int, coordinates: str) -> np.ndarray:
    pixels, weights = antialias_taps(x.shape[axis], size)
    lines = np.moveaxis(x, axis, 0)
    rest = lines.shape[1:]
    lines = lines.reshape(x.shape[axis], -1)
    out = np.empty((size, lines.shape[1]), np.float32)
    for i in range(size):
        # The pixels under a triangle are neighbours: one weighted sum of lines, as a product.
        under = np.flatnonzero(weights[i])
        first, last = pixels[i, under[0]], pixels[i, under[-1]]
        out[i] = weights[i, under] @ lines[first : last + 1].astype(np.float32)
    return np.moveaxis(out.reshape(size, *rest), 0, axis)


_ALONG = {"bilinear": _bilinear, "nearest": _nearest, "antialias": _antialias}


def resize(
    x: np.ndarray, first_axis: int, size: Sequence[int], method: str, coordinates: str
) -> np.ndarray:
    """The image resized along two neighbouring dims, the first of which is `first_axis`."""
    with np.errstate(all="ignore"):
        for axis, m in ((first_axis, size[0]), (first_axis + 1, size[1])):
            x = _ALONG[method](x, axis, m, coordinates)
    return x


# --- rows -----------------------------------------------------------------------------------------


def _bilinear_matrix(n: int, m: int, coordinates: str) -> np.ndarray:
    lower, upper, weight = bilinear_taps(n, m, coordinates)
    matrix = np.zeros((m, n), np.float32)
    np.add.at(matrix, (np.arange(m), lower), 1 - weight)
    np.add.at(matrix, (np.arange(m), upper), weight)
    return matrix


def _nearest_matrix(n: int, m: int, coordinates: str) -> np.ndarray:
    return np.eye(n, dtype=np.float32)[nearest_taps(n, m, coordinates)]


_MATRICES = {"bilinear": _bilinear_matrix, "nearest": _nearest_matrix}


def _feature_map(name: str, method: str, doc: str, tol: float, dtypes: Sequence[str]) -> Row:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
        x = types[0]
        check.tensor(name, "x", x, dtypes, 4, windows.IMAGE)
        size = check.integers(name, attrs, "size", 2, 1)
        check.choice(name, attrs, "coordinates", COORDINATES)
        if 0 in x.shape[1:3]:
            raise check.shape_error(name, "x", "at least one pixel", x)
        return [TensorType((x.shape[0], *size, x.shape[3]), x.dtype)]

    return register(
        Row(
            name=name,
            family="image",
            arity=(1, 1),
            attrs={"size": _SIZE, "coordinates": _COORDINATES},
            infer=infer,
            eval=lambda arrays, attrs: [
                resize(arrays[0], 1, attrs["size"], method, attrs["coordinates"])
            ],
            doc=f"{doc} Takes {' or '.join(dtypes)}.",
            wasm="kernel",
            tol=dict.fromkeys(dtypes, tol),
            nan="reaches the pixels that are mixed from it" if tol else "is copied",
            vjp=window_backward.resizing(_MATRICES[method]),
        )
    )


_feature_map(
    "resize_bilinear",
    "bilinear",
    "[N, H, W, C] -> [N, h, w, C]: along both dims, low + (high - low) * t between the two "
    "nearest pixels; places beyond the border are moved onto it. "
    "Source: tf.image.resize (half_pixel), tf.compat.v1.image.resize_bilinear (the others).",
    1e-5,
    FLOATS,
)
_feature_map(
    "resize_nearest",
    "nearest",
    "[N, H, W, C] -> [N, h, w, C]: one pixel each. half_pixel takes floor((i + 1/2) n / m), "
    "asymmetric floor(i n / m), align_corners the nearest to i (n - 1) / (m - 1), halves up. "
    "Source: tf.compat.v1.image.resize_nearest_neighbor.",
    0.0,
    (*FLOATS, "uint8"),
)


def _infer_image(types: Sequence[TensorType], attrs: Attrs) -> list[TensorType]:
    op = "resize_image"
    image = types[0]
    check.dtype(op, "image", image, ("uint8",))
    check.rank(op, "image", image, 3, "[H, W, 4]")
    if image.shape[2] != 4 or 0 in image.bound[:2]:
        raise check.shape_error(op, "image", "[H, W, 4] with at least one pixel", image)
    size = check.integers(op, attrs, "size", 2, 1)
    check.choice(op, attrs, "crop", CROPS)
    method = check.choice(op, attrs, "method", METHODS)
    coordinates = check.choice(op, attrs, "coordinates", COORDINATES)
    if method == "antialias" and coordinates != "half_pixel":
        raise FanlightError(
            "E-OP-005",
            "resize_image has antialias with half_pixel coordinates only.",
            where="resize_image coordinates",
            expected="half_pixel",
            received=coordinates,
        )
    return [TensorType((1, *size, 3))]


def _eval_image(arrays: Sequence[np.ndarray], attrs: Attrs) -> list[np.ndarray]:
    image, size = arrays[0][:, :, :3], attrs["size"]
    if attrs["crop"] == "center":
        top, left, height, width = crop_rectangle(image.shape[0], image.shape[1], size)
        image = image[top : top + height, left : left + width]
    pixels = resize(image, 0, size, attrs["method"], attrs["coordinates"])
    return [np.ascontiguousarray(pixels[None], np.float32)]


register(
    Row(
        name="resize_image",
        family="image",
        arity=(1, 1),
        attrs={
            "size": _SIZE,
            "crop": Attr(
                "none",
                "none: the whole image; center: the largest centred rectangle that has the aspect "
                "of size (its free side rounded to whole pixels, its corner rounded down)",
            ),
            "method": Attr(
                "bilinear",
                "bilinear, nearest: as resize_bilinear and resize_nearest; antialias: the mean of "
                "the source pixels under a triangle of half-width max(n / m, 1) along each dim",
            ),
            "coordinates": _COORDINATES,
        },
        infer=_infer_image,
        eval=_eval_image,
        doc="A decoded picture as a model's input: RGBA bytes uint8 [H, W, 4], H and W symbolic if "
        "need be, -> float32 [1, h, w, 3] with values from 0 to 255 that are not rounded. Alpha is "
        "ignored: decoders put transparent pictures on white. First the crop, then the resize. "
        "Source: tf.image.resize; antialias is Pillow's BILINEAR without rounding between passes.",
        wasm="kernel",
        tol={"float32": 1e-5},
        nan="cannot occur",
        vjp=NotDifferentiable("its input is a picture of bytes"),
    )
)
