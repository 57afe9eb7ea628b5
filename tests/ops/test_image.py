"""Resizing against one pixel at a time in exact fractions, and against Pillow."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fanlight.ops import image
from tests.ops.support import SEEDS, assert_close, call, sample

SIZES = st.integers(1, 9)
HALF = Fraction(1, 2)


def place(i: int, n: int, m: int, coordinates: str) -> Fraction:
    """Where result pixel i of m lies in a source of n pixels, as tf.image defines it."""
    if coordinates == "half_pixel":
        return (i + HALF) * n / m - HALF
    if coordinates == "align_corners":
        return Fraction(i * (n - 1), m - 1) if m > 1 else Fraction(0)
    return Fraction(i * n, m)


def weights(n: int, m: int, method: str, coordinates: str) -> np.ndarray:
    """The [m, n] matrix of a resize along one dim."""
    matrix = np.zeros((m, n))
    for i in range(m):
        at = place(i, n, m, coordinates)
        if method == "bilinear":
            low = math.floor(at)
            t = at - low
            matrix[i, min(max(low, 0), n - 1)] += float(1 - t)
            matrix[i, min(max(math.ceil(at), 0), n - 1)] += float(t)
        elif method == "nearest":
            if coordinates == "asymmetric":
                source = math.floor(at)
            elif coordinates == "half_pixel":
                source = math.floor(at + HALF)
            else:
                source = math.floor(at + HALF)  # halves away from zero; places are not negative
            matrix[i, min(source, n - 1)] = 1
        else:
            reach = max(Fraction(n, m), Fraction(1))
            centre = (i + HALF) * n / m
            heights = [max(0, 1 - abs(j + HALF - centre) / reach) for j in range(n)]
            matrix[i] = [float(h / sum(heights)) for h in heights]
    return matrix


@pytest.mark.parametrize("coordinates", image.COORDINATES)
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@given(seed=SEEDS, height=SIZES, width=SIZES, h=SIZES, w=SIZES)
@settings(max_examples=40)
def test_feature_maps(
    method: str, coordinates: str, seed: int, height: int, width: int, h: int, w: int
) -> None:
    x = sample(seed, (2, height, width, 3))
    wanted = np.einsum(
        "ay,bx,nyxc->nabc",
        weights(height, h, method, coordinates),
        weights(width, w, method, coordinates),
        x.astype(np.float64),
    )
    got = call(f"resize_{method}", x, size=(h, w), coordinates=coordinates)
    assert_close(got, wanted, 1e-5 if method == "bilinear" else 0)


@pytest.mark.parametrize("coordinates", image.COORDINATES)
def test_positions_are_exact_for_every_size(coordinates: str) -> None:
    """Rounding a position would pick another pixel somewhere in this table."""
    for n in range(1, 40):
        for m in range(1, 40):
            taken = image.nearest_taps(n, m, coordinates)
            assert taken.tolist() == weights(n, m, "nearest", coordinates).argmax(axis=1).tolist()
    low, high, t = image.bilinear_taps(4096, 224, coordinates)
    exact = [place(i, 4096, 224, coordinates) for i in range(224)]
    assert np.abs(low + t.astype(np.float64) - [float(v) for v in exact]).max() < 1e-4
    assert ((0 <= low) & (low <= high) & (high <= 4095)).all()


@pytest.mark.parametrize("crop", image.CROPS)
@pytest.mark.parametrize("method", image.METHODS)
@given(seed=SEEDS, height=SIZES, width=SIZES, h=SIZES, w=SIZES)
@settings(max_examples=40)
def test_images(method: str, crop: str, seed: int, height: int, width: int, h: int, w: int) -> None:
    pixels = sample(seed, (height, width, 4), "uint8")
    top, left, rows, columns = 0, 0, height, width
    if crop == "center":
        top, left, rows, columns = image.crop_rectangle(height, width, (h, w))
    part = pixels[top : top + rows, left : left + columns, :3].astype(np.float64)
    wanted = np.einsum(
        "ay,bx,yxc->abc",
        weights(rows, h, method, "half_pixel"),
        weights(columns, w, method, "half_pixel"),
        part,
    )
    got = call("resize_image", pixels, size=(h, w), crop=crop, method=method)
    assert_close(got, wanted[None], 2e-6)
    assert got.min() >= 0
    assert got.max() <= 255.001


@given(*[st.integers(1, 5000)] * 2, *[st.integers(1, 600)] * 2)
def test_the_crop_is_the_largest_centred_rectangle(height: int, width: int, h: int, w: int) -> None:
    top, left, rows, columns = image.crop_rectangle(height, width, (h, w))
    assert rows == height or columns == width
    # The free side is the exact one, rounded to whole pixels, but never 0.
    exact_rows = min(Fraction(height), Fraction(width * h, w))
    exact_columns = min(Fraction(width), Fraction(height * w, h))
    assert abs(rows - exact_rows) <= (HALF if exact_rows >= HALF else 1)
    assert abs(columns - exact_columns) <= (HALF if exact_columns >= HALF else 1)
    assert 1 <= rows <= height
    assert 1 <= columns <= width
    # Centred, to the pixel.
    assert 0 <= (height - rows) - 2 * top <= 1
    assert 0 <= (width - columns) - 2 * left <= 1


@pytest.mark.parametrize("size", [(64, 64), (7, 50), (130, 96), (200, 200)])
def test_antialias_is_what_pillow_does(size: tuple[int, int]) -> None:
    """Pillow rounds to whole numbers after each pass, so they may differ by one."""
    rng = np.random.default_rng(5)
    small = rng.integers(0, 256, (13, 11, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((129, 97), Image.Resampling.BICUBIC).convert("RGBA")
    wanted = picture.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    got = call("resize_image", np.asarray(picture), size=size, method="antialias")
    difference = got[0] - np.asarray(wanted, np.float32)
    assert np.abs(difference).max() < 1.01
    assert np.abs(difference.mean()) < 0.05


def test_antialias_keeps_a_plain_colour_and_ignores_alpha() -> None:
    pixels = np.full((1031, 517, 4), (200, 30, 7, 0), np.uint8)
    for method in image.METHODS:
        got = call("resize_image", pixels, size=(24, 32), crop="center", method=method)
        assert_close(got, np.broadcast_to([200.0, 30.0, 7.0], (1, 24, 32, 3)), 1e-6)
