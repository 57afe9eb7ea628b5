"""Depthwise convolutions, padding included, against windows in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.codegen.wasm.kernels.depthwise import Window, groups
from fanlight.targets import Target
from tests.codegen.fused_runner import EPILOGUES, check
from tests.codegen.kernel_runner import TARGETS

Pads = tuple[tuple[int, int], tuple[int, int]]


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def depthwise(
    x: np.ndarray,
    w: np.ndarray,
    strides: tuple[int, int],
    padding: Pads,
    dilations: tuple[int, int],
) -> np.ndarray:
    """Every channel alone: pad with zeros, take windows, sum in float64."""
    kh, kw, channels, multiplier = w.shape
    padded = np.pad(x.astype(np.float64), ((0, 0), *padding, (0, 0)))
    span = ((kh - 1) * dilations[0] + 1, (kw - 1) * dilations[1] + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    result = np.einsum("nyxcij,ijcm->nyxcm", windows, w.astype(np.float64))
    return result.reshape(*result.shape[:3], channels * multiplier).astype(np.float32)


SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
# input shape, kernel (height, width), multiplier, strides, padding, dilations
SHAPES = {
    "14 x 14": ((1, 14, 14, 32), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "7 x 7": ((1, 7, 7, 8), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "stride 2, even": ((1, 14, 14, 8), (3, 3), 1, (2, 2), ((0, 1), (0, 1)), (1, 1)),
    "stride 2, odd": ((1, 15, 13, 8), (3, 3), 1, (2, 2), SAME, (1, 1)),
    "odd channels": ((1, 9, 11, 13), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "three channels": ((1, 9, 11, 3), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "one channel": ((1, 9, 9, 1), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "no padding": ((1, 9, 12, 8), (3, 3), 1, (1, 1), NONE, (1, 1)),
    "5x5": ((1, 12, 12, 8), (5, 5), 1, (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "5x5 stride 2": ((1, 12, 12, 8), (5, 5), 1, (2, 2), ((1, 2), (1, 2)), (1, 1)),
    "7x7": ((1, 10, 10, 4), (7, 7), 1, (1, 1), ((3, 3), (3, 3)), (1, 1)),
    "dilated": ((1, 12, 12, 8), (3, 3), 1, (1, 1), ((2, 2), (2, 2)), (2, 2)),
    "dilated and strided": ((1, 13, 12, 8), (3, 3), 1, (2, 2), ((2, 2), (2, 2)), (2, 2)),
    "dilated beyond the picture": ((1, 4, 4, 4), (3, 3), 1, (1, 1), ((6, 6), (6, 6)), (6, 6)),
    "window starts before address 0": ((1, 8, 8, 64), (3, 3), 1, (1, 1), ((6, 6), (6, 6)), (6, 6)),
    "two thousand bytes per pixel": ((1, 7, 7, 512), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "four thousand bytes per pixel": ((1, 7, 7, 1024), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "four thousand bytes, stride 2": ((1, 6, 6, 1024), (3, 3), 1, (2, 2), ((0, 1), (0, 1)), (1, 1)),
    "multiplier 2, many channels": ((1, 9, 10, 11), (3, 3), 2, (1, 1), SAME, (1, 1)),
    "multiplier 3, stride 2": ((1, 9, 10, 6), (3, 3), 3, (2, 2), SAME, (1, 1)),
    "many vectors and lanes": ((1, 7, 9, 39), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "strides differ": ((1, 12, 13, 4), (3, 3), 1, (2, 1), SAME, (1, 1)),
    "kernel larger than the picture": ((1, 2, 3, 8), (5, 5), 1, (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "padding wider than the kernel": ((1, 4, 4, 4), (2, 2), 1, (1, 1), ((3, 3), (3, 3)), (1, 1)),
    "1x1": ((1, 5, 6, 7), (1, 1), 1, (1, 1), NONE, (1, 1)),
    "1x9": ((1, 3, 20, 4), (1, 9), 1, (1, 1), ((0, 0), (4, 4)), (1, 1)),
    "9x1": ((1, 20, 3, 4), (9, 1), 1, (1, 1), ((4, 4), (0, 0)), (1, 1)),
    "whole picture": ((1, 7, 7, 12), (7, 7), 1, (1, 1), NONE, (1, 1)),
    "multiplier 2": ((1, 8, 8, 3), (3, 3), 2, (1, 1), SAME, (1, 1)),
    "multiplier 4": ((1, 8, 8, 5), (3, 3), 4, (2, 2), ((0, 1), (0, 1)), (1, 1)),
    "multiplier 6": ((1, 8, 7, 2), (3, 3), 6, (1, 1), SAME, (1, 1)),
    "multiplier of one channel": ((1, 16, 16, 1), (5, 5), 8, (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "several images": ((3, 8, 8, 8), (3, 3), 1, (1, 1), SAME, (1, 1)),
    "several images, stride 2": ((2, 9, 8, 5), (3, 3), 2, (2, 2), ((0, 1), (0, 1)), (1, 1)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes(shape: tuple, target: Target) -> None:
    size, kernel, multiplier, strides, padding, dilations = shape
    x, w = data(*size), data(*kernel, size[-1], multiplier)
    wanted = depthwise(x, w, strides, padding, dilations)
    attrs = {"strides": strides, "padding": padding, "dilations": dilations}
    check("depthwise_conv2d", [x, w], wanted, target, epilogue="bias relu6", **attrs)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize(("channels", "multiplier"), [(8, 1), (6, 1), (3, 2)])
def test_epilogues(epilogue: str, channels: int, multiplier: int, target: Target) -> None:
    x, w = data(1, 9, 9, channels), data(3, 3, channels, multiplier)
    wanted = depthwise(x, w, (1, 1), SAME, (1, 1))
    check("depthwise_conv2d", [x, w], wanted, target, epilogue=epilogue, padding=SAME)


@pytest.mark.parametrize("most", [1, 2, 4, 8])
@pytest.mark.parametrize("width", [1, 3, 4, 5, 7, 9, 13, 14, 28, 57, 112])
def test_groups_cover_a_row(width: int, most: int) -> None:
    window = Window(1, 9, width, 4, 1, (3, 3), (1, 1), (1, 1), 1, 1, 9, width, True)
    at = 0
    for group in groups(window, most):
        assert group.start == at
        assert 1 <= group.pixels <= most
        alike = {window.columns(at + i) for i in range(group.pixels * group.times)}
        assert group.times == 1 or alike == {(0, 3)}
        at += group.pixels * group.times
    assert at == width


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_kernel_that_is_computed(target: Target) -> None:
    x, w = data(1, 9, 9, 14), data(3, 3, 14, 1)
    wanted = depthwise(x, w, (1, 1), SAME, (1, 1))
    attrs = {"epilogue": "residual", "padding": SAME}
    check("depthwise_conv2d", [x, w], wanted, target, constant=False, **attrs)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_shape(data: st.DataObject) -> None:
    draw, number = data.draw, st.integers
    kernel = (draw(number(1, 5)), draw(number(1, 5)))
    strides = (draw(number(1, 3)), draw(number(1, 3)))
    dilations = (draw(number(1, 2)), draw(number(1, 2)))
    padding = tuple((draw(number(0, 3)), draw(number(0, 3))) for _ in range(2))
    size = []
    for k, d, (before, after) in zip(kernel, dilations, padding, strict=True):
        least = max(1, (k - 1) * d + 1 - before - after)
        size.append(draw(number(least, least + 12)))
    channels, multiplier = draw(number(1, 9)), draw(number(1, 3))
    rng = np.random.default_rng(draw(number(0, 99)))
    x = rng.uniform(-1, 1, (draw(number(1, 2)), *size, channels)).astype(np.float32)
    w = rng.uniform(-1, 1, (*kernel, channels, multiplier)).astype(np.float32)
    wanted = depthwise(x, w, strides, padding, dilations)
    target = draw(st.sampled_from(TARGETS))
    epilogue = draw(st.sampled_from(sorted(EPILOGUES)))
    attrs = {"strides": strides, "padding": padding, "dilations": dilations}
    check("depthwise_conv2d", [x, w], wanted, target, epilogue=epilogue, **attrs)
