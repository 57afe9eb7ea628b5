"""Resizing in WebAssembly: feature maps and RGBA pictures of any size."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fanlight.ops.types import Dim, TensorType
from fanlight.targets import Target
from tests.codegen.kernel_runner import TARGETS, run_op

RNG = np.random.default_rng(0)
COORDINATES = ["half_pixel", "align_corners", "asymmetric"]
PICTURE = TensorType((Dim("height", 96), Dim("width", 120), 4), "uint8")


def place(i: int, n: int, m: int, coordinates: str) -> float:
    """Where result pixel i of m lies in a source of n pixels."""
    if coordinates == "half_pixel":
        return (i + 0.5) * n / m - 0.5
    if coordinates == "align_corners":
        return i * (n - 1) / (m - 1) if m > 1 else 0.0
    return i * n / m


def bilinear_matrix(n: int, m: int, coordinates: str) -> np.ndarray:
    """[m, n]: the weights of every source pixel in every result pixel."""
    weights = np.zeros((m, n))
    for i in range(m):
        at = min(max(place(i, n, m, coordinates), 0), n - 1)
        low = min(floor(at), n - 1)
        weights[i, low] += 1 - (at - low)
        weights[i, min(low + 1, n - 1)] += at - low
    return weights


def nearest_matrix(n: int, m: int, coordinates: str) -> np.ndarray:
    weights = np.zeros((m, n))
    for i in range(m):
        at = place(i, n, m, coordinates)
        at = floor(at + 0.5 + 1e-9) if coordinates != "asymmetric" else floor(at + 1e-9)
        weights[i, min(at, n - 1)] = 1
    return weights


def antialias_matrix(n: int, m: int, coordinates: str) -> np.ndarray:
    reach = max(n / m, 1)
    at = (np.arange(m) + 0.5)[:, None] * n / m
    weights = np.maximum(0, 1 - np.abs(np.arange(n)[None] + 0.5 - at) / reach)
    return weights / weights.sum(1, keepdims=True)


MATRIX = {"bilinear": bilinear_matrix, "nearest": nearest_matrix, "antialias": antialias_matrix}


def resized(x: np.ndarray, size: tuple[int, int], method: str, coordinates: str) -> np.ndarray:
    """[..., H, W, C] in float64, as two matrix products."""
    rows = MATRIX[method](x.shape[-3], size[0], coordinates)
    columns = MATRIX[method](x.shape[-2], size[1], coordinates)
    return np.einsum("ih,jw,...hwc->...ijc", rows, columns, x.astype(np.float64))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_feature_maps(method: str, coordinates: str, target: Target) -> None:
    for (h, w, c), size in [
        ((1, 1, 3), (4, 5)),
        ((7, 5, 1), (14, 10)),
        ((8, 6, 2), (3, 9)),
        ((5, 9, 4), (5, 9)),
        ((3, 4, 21), (1, 1)),
        ((6, 6, 40), (13, 11)),
    ]:
        x = RNG.standard_normal((2, h, w, c)).astype(np.float32)
        (got,) = run_op(f"resize_{method}", [x], target, size=size, coordinates=coordinates)
        want = resized(x, size, method, coordinates)
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=str((h, w, c, size)))


def picture(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 4)).astype(np.uint8)


def crop(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest centred rectangle of the aspect of `size`."""
    height, width = x.shape[:2]
    if width * size[0] > height * size[1]:
        kept = max(1, floor(height * size[1] / size[0] + 0.5))
        left = (width - kept) // 2
        return x[:, left : left + kept]
    kept = max(1, floor(width * size[0] / size[1] + 0.5))
    top = (height - kept) // 2
    return x[top : top + kept]


def check_picture(
    x: np.ndarray,
    size: tuple[int, int],
    method: str,
    cut: str,
    coordinates: str,
    target: Target = TARGETS[0],
    types: tuple[TensorType, ...] | None = (PICTURE,),
) -> None:
    (got,) = run_op(
        "resize_image",
        [x],
        target,
        types,
        size=size,
        crop=cut,
        method=method,
        coordinates=coordinates,
    )
    part = crop(x, size) if cut == "center" else x
    want = resized(part[..., :3], size, method, coordinates)
    np.testing.assert_allclose(got[0], want, atol=1e-3, err_msg=str((x.shape, size)))


SIZES = [(1, 1), (2, 3), (7, 120), (96, 5), (33, 47), (96, 120), (20, 24)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("cut", ["none", "center"])
@pytest.mark.parametrize("method", ["bilinear", "nearest", "antialias"])
def test_pictures_of_any_size(method: str, cut: str, target: Target) -> None:
    for height, width in SIZES:
        for size in ((16, 16), (5, 9), (1, 1), (40, 31)):
            check_picture(picture(height, width), size, method, cut, "half_pixel", target)


@pytest.mark.parametrize("coordinates", ["align_corners", "asymmetric"])
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_pictures_in_other_coordinates(method: str, coordinates: str) -> None:
    for height, width in SIZES:
        check_picture(picture(height, width), (11, 14), method, "center", coordinates)


@pytest.mark.parametrize("method", ["bilinear", "antialias"])
def test_sizes_that_are_fixed_or_one_symbol(method: str) -> None:
    fixed = TensorType((30, 40, 4), "uint8")
    side = Dim("side", 64)
    square = TensorType((side, side, 4), "uint8")
    half = TensorType((30, Dim("width", 64), 4), "uint8")
    check_picture(picture(30, 40), (8, 8), method, "none", "half_pixel", types=(fixed,))
    check_picture(picture(30, 50), (8, 8), method, "center", "half_pixel", types=(half,))
    check_picture(picture(37, 37), (8, 8), method, "none", "half_pixel", types=(square,))


def test_antialias_agrees_with_pillow() -> None:
    x = picture(90, 117)
    (got,) = run_op("resize_image", [x], types=(PICTURE,), size=(24, 32), method="antialias")
    image = Image.fromarray(np.ascontiguousarray(x[..., :3]))
    want = np.asarray(image.resize((32, 24), Image.Resampling.BILINEAR), np.float32)
    # Pillow rounds to whole numbers after each of its two passes.
    assert np.abs(got[0] - want).max() < 1.2


@settings(max_examples=25)
@given(
    st.integers(1, 96),
    st.integers(1, 120),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from(["bilinear", "nearest", "antialias"]),
    st.sampled_from(["none", "center"]),
)
def test_any_geometry(
    height: int, width: int, size: tuple[int, int], method: str, cut: str
) -> None:
    check_picture(picture(height, width), size, method, cut, "half_pixel")
