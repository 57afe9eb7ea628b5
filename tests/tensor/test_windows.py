"""Convolutions and pooling of one to three dims against plain sums over taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(8)
CONV = {1: fl.conv1d, 2: fl.conv2d, 3: fl.conv3d}
TRANSPOSED = {1: fl.conv1d_transpose, 2: fl.conv2d_transpose, 3: fl.conv3d_transpose}
MAX = {1: fl.max_pool1d, 2: fl.max_pool, 3: fl.max_pool3d}
AVG = {1: fl.avg_pool1d, 2: fl.avg_pool, 3: fl.avg_pool3d}
SIZE, WINDOW, STRIDES, GAPS = (6, 7, 5), (2, 3, 2), (2, 1, 3), (1, 2, 2)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def padded(
    x: np.ndarray, padding: Any, window: Any, strides: Any, gaps: Any, value: float
) -> np.ndarray:
    """By the definition of tf.nn.convolution."""
    pairs = []
    for d, (k, s, g) in enumerate(zip(window, strides, gaps, strict=True)):
        n, reach = x.shape[1 + d], (k - 1) * g + 1
        if padding == "same":
            out = -(-n // s)
            total = max((out - 1) * s + reach - n, 0)
            pairs.append((total // 2, total - total // 2))
        else:
            pairs.append((0, 0) if padding == "valid" else padding[d])
    return np.pad(x, [(0, 0), *pairs, (0, 0)], constant_values=value)


def taps(
    x: np.ndarray, window: Any, strides: Any, gaps: Any
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    out = [
        (n - (k - 1) * g - 1) // s + 1
        for n, k, s, g in zip(x.shape[1:-1], window, strides, gaps, strict=True)
    ]
    for tap in product(*map(range, window)):
        index = [
            slice(t * g, t * g + (o - 1) * s + 1, s)
            for t, g, o, s in zip(tap, gaps, out, strides, strict=True)
        ]
        yield tap, x[(slice(None), *index)]


def convolved(x: np.ndarray, w: np.ndarray, strides: Any, padding: Any, gaps: Any) -> np.ndarray:
    window = w.shape[:-2]
    x = padded(x.astype(np.float64), padding, window, strides, gaps, 0)
    return sum(seen @ w[tap].astype(np.float64) for tap, seen in taps(x, window, strides, gaps))


def same(f: Callable[..., Any], args: tuple[Any, ...], expected: Any, tol: float = 1e-5) -> None:
    """f gives what is expected, and so does it as WebAssembly."""
    for found in (f(*args), fl.jit(f)(*args)):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=tol, atol=tol * 10)


PADDINGS = ["valid", "same", ((1, 0), (0, 2), (2, 1))]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("gapped", [False, True])
def test_convolutions(count: int, padding: Any, gapped: bool) -> None:
    strides, gaps = STRIDES[:count], GAPS[:count] if gapped else (1,) * count
    padding = padding if isinstance(padding, str) else padding[:count]
    x, w = normal(2, *SIZE[:count], 3), normal(*WINDOW[:count], 3, 4)

    def f(x: Any, w: Any) -> fl.Tensor:
        return CONV[count](x, w, strides, padding, gaps)

    same(f, (x, w), convolved(x, w, strides, padding, gaps))
    assert CONV[count](x[0], w, strides, padding, gaps).shape == f(x, w).shape[1:]
    # The gradient compiles, too.
    slope = fl.grad(lambda w: fl.sum(fl.sin(f(x, w))))
    same(slope, (w,), slope(w).numpy(), 1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
def test_transposed_convolutions_are_gradients(count: int, padding: Any) -> None:
    strides = STRIDES[:count]
    padding = padding if isinstance(padding, str) else padding[:count]
    big, w = normal(2, *SIZE[:count], 4), normal(*WINDOW[:count], 4, 3)
    y, pull = fl.vjp(lambda x: CONV[count](x, w, strides, padding), big)
    u = normal(*y.shape)

    def f(u: Any, w: Any) -> fl.Tensor:
        return TRANSPOSED[count](u, w, SIZE[:count], strides, padding)

    same(f, (u, w), pull(u)[0].numpy())
    slope = fl.grad(lambda w: fl.sum(fl.sin(f(u, w))))
    same(slope, (w,), slope(w).numpy(), 1e-4)
    assert TRANSPOSED[count](u, w, (2, *SIZE[:count], 4), strides, padding).shape == big.shape
    default = TRANSPOSED[count](u, w, strides=strides, padding=padding)
    assert CONV[count](default, w, strides, padding).shape == y.shape


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
def test_pools(count: int, padding: Any) -> None:
    window, strides, ones = (2, 3, 3)[:count], STRIDES[:count], (1,) * count
    padding = padding if isinstance(padding, str) else padding[:count]
    x = normal(2, *SIZE[:count], 3)
    framed = padded(x, padding, window, strides, ones, np.nan)
    seen = np.stack([part for _, part in taps(framed, window, strides, ones)])
    same(lambda x: MAX[count](x, window, strides, padding), (x,), np.nanmax(seen, axis=0))
    same(lambda x: AVG[count](x, window, strides, padding), (x,), np.nanmean(seen, axis=0))
    zeros = np.nan_to_num(seen).mean(axis=0)
    same(lambda x: AVG[count](x, window, strides, padding, True), (x,), zeros)
    assert MAX[count](x[0], 2).shape == (*(n // 2 for n in SIZE[:count]), 3)
    for pool in (MAX[count], AVG[count]):
        slope = fl.grad(lambda x: fl.sum(fl.square(pool(x, window, strides, padding))))  # noqa: B023
        same(slope, (x,), slope(x).numpy())


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("strides", [1, (2, 1)])
@pytest.mark.parametrize("dilations", [1, (1, 2)])
def test_pools_with_gaps(kind: str, strides: Any, dilations: Any) -> None:
    x = normal(2, 6, 7, 3)
    steps = (strides, strides) if strides == 1 else strides
    gaps = (dilations, dilations) if dilations == 1 else dilations
    framed = padded(x, "same", (2, 3), steps, gaps, np.nan)
    seen = np.stack([part for _, part in taps(framed, (2, 3), steps, gaps)])
    expected = (np.nanmax if kind == "max" else np.nanmean)(seen, axis=0)
    same(lambda x: fl.pool(x, (2, 3), kind, "same", dilations, strides), (x,), expected)


def test_depthwise_and_separable() -> None:
    x, deep, point = normal(2, 6, 7, 3), normal(2, 3, 3, 2), normal(1, 1, 6, 4)
    framed = padded(x, "same", (2, 3), (2, 2), (1, 1), 0)
    parts = taps(framed, (2, 3), (2, 2), (1, 1))
    y = sum(seen[..., None] * deep[tap] for tap, seen in parts)
    y = y.reshape(*y.shape[:3], 6)
    same(lambda x, w: fl.depthwise_conv2d(x, w, 2, "same"), (x, deep), y)
    same(lambda *a: fl.separable_conv2d(*a, 2, "same"), (x, deep, point), y @ point[0, 0])


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, (2, 3)])
@pytest.mark.parametrize("dilations", [1, (2, 1)])
def test_dilation(padding: str, strides: Any, dilations: Any) -> None:
    x, w = normal(2, 6, 7, 3), normal(2, 3, 3)
    steps = (strides, strides) if strides == 1 else strides
    gaps = (dilations, dilations) if dilations == 1 else dilations
    framed = padded(x, padding, (2, 3), steps, gaps, -np.inf)
    seen = [part + w[tap] for tap, part in taps(framed, (2, 3), steps, gaps)]

    def f(x: Any, w: Any) -> fl.Tensor:
        return fl.dilation2d(x, w, strides, padding, dilations)

    same(f, (x, w), np.max(seen, axis=0))
    # Half a step to both sides: of a maximum of what is far apart the slope is exact.
    both = fl.grad(lambda x, w: fl.sum(fl.square(f(x, w))), (0, 1))
    d, e, h = normal(*x.shape), normal(*w.shape), 1e-3
    ahead, behind = f(x + h * d, w + h * e), f(x - h * d, w - h * e)
    slope = np.sum((ahead.numpy() ** 2 - behind.numpy() ** 2).astype(np.float64)) / (2 * h)
    gx, gw = both(x, w)
    found = float(np.sum(gx.numpy() * d) + np.sum(gw.numpy() * e))
    assert abs(found - slope) < 0.02 * max(1, abs(slope))


@pytest.mark.parametrize("with_batch", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_where_the_maxima_lie(with_batch: bool, padding: str) -> None:
    x = normal(2, 5, 6, 3)

    def f(x: Any) -> Any:
        return fl.max_pool_with_argmax(x, (2, 3), (2, 2), padding, with_batch)

    for values, indices in (f(x), fl.jit(f)(x)):
        np.testing.assert_array_equal(values.numpy(), fl.max_pool(x, (2, 3), 2, padding).numpy())
        flat = x.reshape(-1) if with_batch else x.reshape(2, -1)
        found = [
            (flat if with_batch else flat[n])[indices.numpy()[n]] for n in (0, 1)
        ]  # fmt: skip
        np.testing.assert_array_equal(np.stack(found), values.numpy())


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (lambda: fl.conv2d(np.ones((5, 5)), np.ones((3, 3, 1, 1))), "E-OP-004", "[N, H, W, C]"),
        (lambda: fl.conv2d(np.ones((5, 5, 2)), np.ones((3, 3, 1, 1))), "E-OP-004", "C = 2"),
        (lambda: fl.conv1d(np.ones((5, 2)), np.ones((3, 3, 1, 1))), "E-OP-004", "[k, C, D]"),
        (lambda: fl.conv3d(np.ones((1, 2, 2, 2, 1)), np.ones((3, 1, 1, 1, 1))), "E-OP-004", "3"),
        (lambda: fl.conv2d(np.ones((5, 5, 1)), np.ones((3, 3, 1, 1)), 0), "E-OP-005", "strides"),
        (
            lambda: fl.conv2d(np.ones((5, 5, 1)), np.ones((3, 3, 1, 1)), 1, "full"),
            "E-OP-005",
            "padding",
        ),
        (
            lambda: fl.conv2d_transpose(np.ones((2, 2, 1)), np.ones((3, 3, 1, 1)), (9, 9)),
            "E-OP-005",
            "output_size",
        ),
        (lambda: fl.max_pool(np.ones((5, 5, 1)), (2, 2, 2)), "E-OP-005", "size"),
        (lambda: fl.pool(np.ones((5, 5, 1)), 2, "sum"), "E-OP-005", "kind"),
        (lambda: fl.dilation2d(np.ones((5, 5, 1)), np.ones((2, 2, 3))), "E-OP-004", "[kh, kw, 1]"),
        (
            lambda: fl.separable_conv2d(
                np.ones((5, 5, 1)), np.ones((2, 2, 1, 1)), np.ones((2, 2, 1, 1))
            ),
            "E-OP-004",
            "pointwise",
        ),
    ],
)
def test_bad_arguments(call: Callable[[], Any], code: str, says: str) -> None:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code
    assert says in str(caught.value) and "test_windows.py" in str(caught.value)
