"""Functions of images against loops over their pixels, and Pillow's filters."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, floor, sin
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(17)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def check(f: Callable[..., Any], args: tuple[Any, ...], expected: Any, tol: float = 2e-5) -> None:
    """f gives what is expected, eagerly and as WebAssembly."""
    for found in (f(*args), fl.jit(f)(*args)):
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found.numpy(), expected, rtol=tol, atol=tol)


def differences(f: Callable[..., Any], args: tuple[Any, ...], h: float = 2e-3) -> None:
    """Gradients against differences in a random direction, and the same as WebAssembly."""
    weights = normal(*f(*args).shape)

    def total(*x: Any) -> fl.Tensor:
        return fl.sum(f(*x) * weights)

    every = tuple(range(len(args)))
    grads = fl.grad(total, every)(*args)
    for a, b in zip(grads, fl.jit(fl.grad(total, every))(*args), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-3)
    d = [normal(*a.shape) for a in args]
    ahead = total(*(a + np.float32(h) * v for a, v in zip(args, d, strict=True))).item()
    behind = total(*(a - np.float32(h) * v for a, v in zip(args, d, strict=True))).item()
    slope = sum(float(np.sum(g.numpy() * v)) for g, v in zip(grads, d, strict=True))
    assert abs(slope - (ahead - behind) / (2 * h)) < 0.03 * max(1.0, abs(slope))


def read(image: np.ndarray, y: float, x: float, fill: Any = 0.0) -> np.ndarray:
    inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
    return image[int(y), int(x)] if inside else np.full(image.shape[2], fill)


def mixed(image: np.ndarray, y: float, x: float, fill: Any = 0.0) -> np.ndarray:
    top, left = floor(y), floor(x)
    total = np.zeros(image.shape[2])
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - abs(y - top - dy)) * (1 - abs(x - left - dx))
            total = total + weight * read(image, top + dy, left + dx, fill)
    return total


def cubic(t: float, a: float = -0.75) -> float:
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


# --- turning and colours --------------------------------------------------------------------------


def test_flips_and_colours() -> None:
    x = normal(2, 3, 4, 3)
    check(fl.image.flip_left_right, (x,), x[:, :, ::-1])
    check(fl.image.flip_up_down, (x,), x[:, ::-1])
    check(fl.image.flip_up_down, (x[0],), x[0, ::-1])
    grey = x @ np.float32([[0.2989], [0.587], [0.114]])
    check(fl.image.rgb_to_grayscale, (x,), grey)
    check(fl.image.grayscale_to_rgb, (grey,), np.repeat(grey, 3, -1))
    whole = fl.image.rgb_to_grayscale(np.int32([[[10, 20, 30]]]))
    assert whole.dtype == "int32" and whole.tolist() == [[[18]]]


def test_thresholds() -> None:
    grey = RNG.integers(0, 256, (9, 7, 1)).astype(np.float32)
    check(lambda x: fl.image.threshold(x, value=0.25), (grey,), 255 * (grey > 63.75))
    check(lambda x: fl.image.threshold(x, inverted=True), (grey,), 255 * (grey <= 127.5))
    # Two heaps: the threshold of Otsu parts them, and minimises the variance within both.
    heaps = np.concatenate([RNG.normal(70, 12, 300), RNG.normal(180, 20, 200)])
    x = np.clip(np.rint(heaps), 0, 255).reshape(20, 25, 1).astype(np.float32)
    within = [
        sum(part.size * part.var() for part in (x[x <= t], x[x > t]) if part.size)
        for t in range(255)
    ]
    check(lambda x: fl.image.threshold(x, "otsu"), (x,), 255 * (x > int(np.argmin(within))))
    colour = np.repeat(x, 3, -1)
    assert fl.image.threshold(colour, "otsu").shape == (20, 25, 1)


# --- resizing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(5, 9), (13, 4), (3, 20)])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_antialias_is_that_of_pillow(size: tuple[int, int], method: str) -> None:
    x = normal(2, 9, 12, 2)
    kind = getattr(Image.Resampling, method.upper())
    planes = [
        [np.asarray(Image.fromarray(x[n, :, :, c]).resize(size[::-1], kind)) for c in (0, 1)]
        for n in (0, 1)
    ]
    expected = np.moveaxis(np.array(planes), 1, -1)
    f = lambda x: fl.image.interpolate(x, size, method, antialias=True)  # noqa: E731
    check(f, (x,), expected, 1e-4)
    differences(f, (x,))


def test_bicubic_by_hand() -> None:
    x = normal(1, 1, 6, 1)
    found = fl.image.interpolate(x, (1, 12), "bicubic").numpy()[0, 0, :, 0]
    line = x[0, 0, :, 0]
    a = -0.75
    # 12 places: i at (i + 1/2) / 2 - 1/2, a quarter to the left or right of a pixel.
    for i in range(12):
        at = (i + 0.5) / 2 - 0.5
        total = 0.0
        for p in range(floor(at) - 1, floor(at) + 3):
            t = abs(p - at)
            near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
            total += (near if t <= 1 else far) * line[min(max(p, 0), 5)]
        assert found[i] == pytest.approx(total, abs=1e-5)


def test_the_other_resizes_are_ops() -> None:
    x = normal(1, 3, 4, 2)
    for function in (fl.image.resize_bilinear, fl.image.resize_nearest_neighbor):
        corners = function(x, (5, 7), align_corners=True).numpy()
        np.testing.assert_allclose(corners[0, -1, -1], x[0, -1, -1], rtol=1e-6)
        assert function(x[0], (6, 8), half_pixel_centers=True).shape == (6, 8, 2)
    assert fl.image.resize_bilinear(x, (6, 8)).numpy()[0, 2, 2] == pytest.approx(x[0, 1, 1])
    whole = fl.image.resize_nearest_neighbor(np.int32([[[1], [2]]]), (1, 4))
    assert whole.dtype == "int32" and whole.tolist() == [[[1], [1], [2], [2]]]
    np.testing.assert_array_equal(
        fl.image.interpolate(x, (6, 8), "nearest").numpy(), x.repeat(2, 1).repeat(2, 2)
    )


# --- sampling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode: str, padding: str, align: bool) -> None:
    x, grid = normal(2, 4, 5, 3), RNG.uniform(-2.2, 2.2, (2, 3, 6, 2)).astype(np.float32)

    def place(g: float, size: int) -> float:
        return (g + 1) / 2 * (size - 1) if align else ((g + 1) * size - 1) / 2

    def fold(at: float, size: int) -> float:
        if padding == "reflection":
            low, high = (0, size - 1) if align else (-0.5, size - 0.5)
            while not low <= at <= high:
                at = 2 * low - at if at < low else 2 * high - at
        return at if padding == "zeros" else min(max(at, 0), size - 1)

    expected = np.empty((2, 3, 6, 3))
    for n, i, j in np.ndindex(2, 3, 6):
        across, down = place(grid[n, i, j, 0], 5), place(grid[n, i, j, 1], 4)
        if mode == "bicubic":
            total = np.zeros(3)
            for row, column in np.ndindex(4, 4):
                y, x_at = floor(down) - 1 + row, floor(across) - 1 + column
                pixel = read(x[n], fold(y, 4), fold(x_at, 5))
                total = total + pixel * cubic(down - y) * cubic(across - x_at)
            expected[n, i, j] = total
        elif mode == "nearest":
            expected[n, i, j] = read(x[n], round(fold(down, 4)), round(fold(across, 5)))
        else:
            expected[n, i, j] = mixed(x[n], fold(down, 4), fold(across, 5))

    def f(x: Any, grid: Any) -> fl.Tensor:
        return fl.image.grid_sample(x, grid, mode, padding, align)

    check(f, (x, grid), expected, 1e-4)
    if mode != "nearest":
        differences(f, (x, grid), 2e-4)


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_crop_and_resize(method: str) -> None:
    x = normal(2, 5, 6, 3)
    boxes = np.float32([[0, 0, 1, 1], [0.9, 0.2, 0.1, 1.4], [-0.3, 0.1, 0.5, 0.7]])
    which, size = np.int32([1, 0, 1]), (4, 3)
    expected = np.full((3, *size, 3), -2.0)
    for b, i, j in np.ndindex(3, *size):
        y1, x1, y2, x2 = boxes[b].astype(np.float64) * [4, 5, 4, 5]
        down, across = y1 + i * (y2 - y1) / 3, x1 + j * (x2 - x1) / 2
        if 0 <= down <= 4 and 0 <= across <= 5:
            image = x[which[b]]
            if method == "nearest":
                expected[b, i, j] = read(image, floor(down + 0.5), floor(across + 0.5))
            else:
                expected[b, i, j] = mixed(image, down, across)

    def f(x: Any, boxes: Any) -> fl.Tensor:
        return fl.image.crop_and_resize(x, boxes, which, size, method, -2.0)

    check(f, (x, boxes), expected, 1e-4)
    one = fl.image.crop_and_resize(x, boxes[:1], which[:1], (1, 1)).numpy()[0, 0, 0]
    np.testing.assert_allclose(one, mixed(x[1], 2, 2.5), rtol=1e-5)
    if method == "bilinear":
        inner = boxes * 0.5 + 0.21  # away from the image's border, where it jumps
        differences(lambda x, b: fl.image.crop_and_resize(x, b, which, size), (x, inner), 2e-4)


MODES = ["constant", "nearest", "reflect", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_transform(interpolation: str, mode: str) -> None:
    x = normal(2, 5, 6, 3)
    a = np.float32([[1.1, 0.3, -1.4, -0.2, 0.9, 0.6, 0.02, 0.01], [1, 0, 2, 0, 1, -3, 0, 0]])

    def inside(at: float, size: int) -> float:
        last = size - 1
        if mode == "reflect":
            while not -0.5 <= at <= size - 0.5:
                at = -1 - at if at < -0.5 else 2 * size - 1 - at
        elif mode == "wrap" and at < 0:
            at += size * (floor(-at / last) + 1)
        elif mode == "wrap" and at > last:
            at -= size * floor(at / last)
        return at if mode == "constant" else min(max(at, 0), last)

    expected = np.empty((2, 4, 7, 3))
    for n, i, j in np.ndindex(2, 4, 7):
        c = a[n].astype(np.float64)
        k = c[6] * j + c[7] * i + 1
        across = inside((c[0] * j + c[1] * i + c[2]) / k, 6)
        down = inside((c[3] * j + c[4] * i + c[5]) / k, 5)
        if interpolation == "nearest":
            expected[n, i, j] = read(x[n], floor(down + 0.5), floor(across + 0.5), 0.5)
        else:
            expected[n, i, j] = mixed(x[n], down, across, 0.5)

    def f(x: Any, a: Any) -> fl.Tensor:
        return fl.image.transform(x, a, interpolation, mode, 0.5, (4, 7))

    check(f, (x, a), expected, 2e-4)
    same = fl.image.transform(x, a[1], interpolation, mode, 0.5, (4, 7)).numpy()
    np.testing.assert_allclose(same[1], f(x, a).numpy()[1], rtol=1e-5)
    if interpolation == "bilinear" and mode == "constant":
        differences(lambda x: f(x, a), (x,))
    # A transform without a divisor fills.
    flat = fl.image.transform(x, [1, 0, 0, 0, 1, 0, -1, 0], fill_value=9.0).numpy()
    assert (flat[:, :, 1] == 9).all()


def test_rotation() -> None:
    x, angle = normal(2, 5, 6, 3), 0.7
    expected = np.empty_like(x)
    for n, i, j in np.ndindex(2, 5, 6):
        down, across = i - 5 * 0.4, j - 6 * 0.25
        source_x = floor(across * cos(angle) - down * sin(angle) + 6 * 0.25 + 0.5)
        source_y = floor(across * sin(angle) + down * cos(angle) + 5 * 0.4 + 0.5)
        expected[n, i, j] = read(x[n], source_y, source_x, 7.0)

    def f(x: Any) -> fl.Tensor:
        return fl.image.rotate_with_offset(x, angle, 7.0, (0.25, 0.4))

    check(f, (x,), expected)
    differences(f, (x,))
    coloured = fl.image.rotate_with_offset(x[0], 3.0, (1.0, 2.0, 3.0), (0.0, 0.0)).numpy()
    assert [1, 2, 3] in coloured.reshape(-1, 3).tolist()


# --- boxes ----------------------------------------------------------------------------------------


def test_suppression() -> None:
    boxes = np.float32([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 2, 1, 3], [5, 5, 6, 6]])
    scores = np.float32([0.6, 0.9, 0.3, 0.5])
    assert fl.image.non_max_suppression(boxes, scores, 10).tolist() == [1, 3, 2]
    assert fl.image.non_max_suppression(boxes, scores, 10, 0.5, 0.4).tolist() == [1, 3]
    assert fl.image.non_max_suppression(boxes, scores, 1).tolist() == [1]
    indices, kept = fl.image.non_max_suppression_with_score(
        boxes, scores, 10, 1.0, soft_nms_sigma=0.5
    )
    assert indices.tolist() == [1, 3, 2, 0]
    assert kept.numpy()[-1] == pytest.approx(0.6 * np.exp(-(0.9**2)), rel=1e-5)

    @fl.jit
    def padded(boxes: Any, scores: Any) -> Any:
        return fl.image.non_max_suppression_padded(boxes, scores, 6)

    indices, count = padded(boxes, scores)
    assert (indices.tolist(), count.item()) == ([1, 3, 2, 0, 0, 0], 3)
    with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
        fl.jit(lambda b, s: fl.image.non_max_suppression(b, s, 6))(boxes, scores)
    assert "non_max_suppression_padded" in str(caught.value)


def one(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (lambda: fl.image.flip_left_right(one(3, 3)), "E-OP-004", "[N, H, W, C]"),
        (lambda: fl.image.grayscale_to_rgb(one(3, 3)), "E-OP-004", "[..., 1]"),
        (lambda: fl.image.rgb_to_grayscale(one(3, 4)), "E-OP-004", "[..., 3]"),
        (lambda: fl.image.threshold(one(3, 3, 2)), "E-OP-004", "[H, W, 1]"),
        (lambda: fl.image.threshold(one(3, 3, 1), "mean"), "E-OP-005", "otsu"),
        (lambda: fl.image.threshold(one(3, 3, 1), value=2), "E-OP-005", "value"),
        (lambda: fl.image.resize_bilinear(one(3, 3, 1), 5), "E-OP-005", "size"),
        (
            lambda: fl.image.resize_bilinear(one(3, 3, 1), (5, 5), True, True),
            "E-OP-005",
            "align_corners",
        ),
        (lambda: fl.image.interpolate(one(3, 3, 1), (5, 5), "area"), "E-OP-005", "bicubic"),
        (lambda: fl.image.transform(one(3, 3, 1), one(2, 8)), "E-OP-004", "transforms"),
        (
            lambda: fl.image.transform(one(3, 3, 1), one(8), fill_mode="edge"),
            "E-OP-005",
            "fill_mode",
        ),
        (lambda: fl.image.crop_and_resize(one(3, 3, 1), one(1, 4), [0], (2, 2)), "E-OP-004", "C"),
        (
            lambda: fl.image.crop_and_resize(one(1, 3, 3, 1), one(2, 4), [0], (2, 2)),
            "E-OP-004",
            "box_indices",
        ),
        (lambda: fl.image.grid_sample(one(1, 3, 3, 1), one(2, 2, 2, 2)), "E-OP-004", "grid"),
        (
            lambda: fl.image.grid_sample(one(1, 3, 3, 1), one(1, 2, 2, 2), padding="wrap"),
            "E-OP-005",
            "reflection",
        ),
        (
            lambda: fl.image.rotate_with_offset(one(3, 3, 1), 1.0, (1, 2)),
            "E-OP-005",
            "fill_value",
        ),
        (lambda: fl.image.non_max_suppression(one(3, 4), one(2), 5), "E-OP-004", "scores"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], code: str, says: str) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code
    assert says in str(caught.value) and "test_image.py" in str(caught.value)
