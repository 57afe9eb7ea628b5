"""Convolution and pooling against seven nested loops, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.ops import conv
from tests.ops.support import SEEDS, assert_close, call, sample

Pair = tuple[int, int]
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADDING = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)


def window_places(
    size: Pair, window: Pair, strides: Pair, padding: tuple[Pair, Pair], dilations: Pair = (1, 1)
) -> list[list[list[tuple[int, int, int]]]]:
    """Per axis and output index: (tap, place in the image) of every tap inside the image."""
    axes = []
    for n, k, s, (before, after), d in zip(size, window, strides, padding, dilations):
        count = (n + before + after - ((k - 1) * d + 1)) // s + 1
        axes.append(
            [
                [(t, p) for t in range(k) for p in [i * s + t * d - before] if 0 <= p < n]
                for i in range(count)
            ]
        )
    return axes


def slow_conv(
    x: np.ndarray,
    w: np.ndarray,
    strides: Pair,
    padding: tuple[Pair, Pair],
    dilations: Pair,
    depthwise: bool,
) -> np.ndarray:
    n, height, width, channels = x.shape
    rows, columns = window_places((height, width), w.shape[:2], strides, padding, dilations)
    depth = channels * w.shape[3] if depthwise else w.shape[3]
    out = np.zeros((n, len(rows), len(columns), depth))
    for b in range(n):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                for p, y in row:
                    for q, z in column:
                        for c in range(channels):
                            for m in range(w.shape[3]):
                                d = c * w.shape[3] + m if depthwise else m
                                out[b, i, j, d] += float(x[b, y, z, c]) * float(w[p, q, c, m])
    return out


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
@given(
    seed=SEEDS,
    batch=st.integers(0, 2),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    window=STEPS,
    strides=STEPS,
    dilations=st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3)]),
    padding=PADDING,
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
@settings(max_examples=60)
def test_convolutions(
    op: str,
    seed: int,
    batch: int,
    size: Pair,
    window: Pair,
    strides: Pair,
    dilations: Pair,
    padding: tuple[Pair, Pair],
    channels: Pair,
) -> None:
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilations)]
    size = tuple(max(n, r) for n, r in zip(size, reach))
    x, w = sample(seed, (batch, *size, channels[0])), sample(seed + 1, (*window, *channels))
    options = {"strides": strides, "padding": padding, "dilations": dilations}
    wanted = slow_conv(x, w, **options, depthwise=op != "conv2d")
    assert_close(call(op, x, w, **options), wanted, 1e-5, options)


def test_large_images_are_worked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, d = sample(1, (2, 17, 9, 3)), sample(2, (3, 3, 3, 4)), sample(3, (3, 3, 3, 2))
    options = {"strides": (2, 1), "padding": ((1, 1), (1, 1))}
    whole = [call("conv2d", x, w, **options), call("depthwise_conv2d", x, d, **options)]
    monkeypatch.setattr(conv, "_PIECE_BYTES", 1)
    pieces = [call("conv2d", x, w, **options), call("depthwise_conv2d", x, d, **options)]
    for a, b in zip(whole, pieces):
        assert_close(a, b, 1e-6)


def test_convolution_epilogue() -> None:
    x, w, bias = sample(1, (1, 4, 4, 3)), sample(2, (3, 3, 3, 5)), sample(3, (5,))
    plain = call("conv2d", x, w)
    residual = sample(4, plain.shape)
    got = call("conv2d", x, w, bias, residual, epilogue="add(max(add(a0, a1), 0), a2)")
    assert_close(got, np.maximum(plain + bias, 0) + residual, 1e-5)


@given(
    seed=SEEDS,
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    window=STEPS,
    strides=STEPS,
    padding=PADDING,
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
@settings(max_examples=60)
def test_conv2d_transpose_is_the_adjoint_of_conv2d(
    seed: int, size: Pair, window: Pair, strides: Pair, padding: tuple[Pair, Pair], channels: Pair
) -> None:
    """<conv2d(u), v> = <u, conv2d_transpose(v)> for all u and v is the definition."""
    options = {"strides": strides, "padding": padding}
    u, w = sample(seed, (2, *size, channels[0])), sample(seed + 1, (*window, *channels))
    forward = call("conv2d", u, w, **options)
    v = sample(seed + 2, forward.shape)
    back = call("conv2d_transpose", v, w, output_size=size, **options)
    assert back.shape == u.shape
    left = np.vdot(forward.astype(np.float64), v)
    right = np.vdot(u.astype(np.float64), back)
    assert left == pytest.approx(right, rel=1e-4, abs=1e-3 * forward.size)
    # And element by element, against unit vectors in place of u.
    place = tuple(np.random.default_rng(seed).integers(0, u.shape))
    unit = np.zeros_like(u)
    unit[place] = 1
    assert back[place] == pytest.approx(np.vdot(call("conv2d", unit, w, **options), v), abs=1e-3)


def slow_pool(
    x: np.ndarray, size: Pair, strides: Pair, padding: tuple[Pair, Pair], largest: bool
) -> np.ndarray:
    rows, columns = window_places(x.shape[1:3], size, strides, padding)
    out = np.full((x.shape[0], len(rows), len(columns), x.shape[3]), -np.inf if largest else np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            seen = [x[:, p, q].astype(np.float64) for _, p in row for _, q in column]
            if seen:
                out[:, i, j] = np.max(seen, axis=0) if largest else np.mean(seen, axis=0)
    return out


@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(0, 2), st.integers(3, 6), st.integers(3, 6), st.integers(0, 3)),
    size=STEPS,
    strides=STEPS,
    padding=PADDING,
)
@settings(max_examples=60)
def test_pooling(
    op: str,
    seed: int,
    shape: tuple[int, int, int, int],
    size: Pair,
    strides: Pair,
    padding: tuple[Pair, Pair],
) -> None:
    """Padding does not count; windows that miss the image (padding >= window) have no pixels."""
    x = sample(seed, shape)
    got = call(op, x, size=size, strides=strides, padding=padding)
    assert_close(got, slow_pool(x, size, strides, padding, op == "max_pool"), 1e-6)


def test_pooling_of_nan_and_infinity() -> None:
    x = np.float32([[[[1.0], [np.nan]], [[-np.inf], [2.0]]]])
    assert np.isnan(call("max_pool", x, size=(2, 2))).all()
    assert np.isnan(call("avg_pool", x, size=(2, 2))).all()
    assert call("max_pool", x, size=(2, 1))[0, 0, 0, 0] == 1.0
