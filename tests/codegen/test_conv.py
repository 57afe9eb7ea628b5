"""Convolutions with kernels of any size, against im2col in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.errors import FanlightError
from fanlight.targets import WASM_RELAXED, Target
from tests.codegen.fused_runner import EPILOGUES, check, lowered
from tests.codegen.kernel_runner import TARGETS


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def convolve(
    x: np.ndarray, w: np.ndarray, strides: tuple[int, int], dilations: tuple[int, int]
) -> np.ndarray:
    """A valid convolution: windows laid out as a matrix, then one product in float64."""
    kh, kw, _, columns = w.shape
    span = ((kh - 1) * dilations[0] + 1, (kw - 1) * dilations[1] + 1)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), span, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    rows = windows.transpose(0, 1, 2, 4, 5, 3)
    n, oh, ow = rows.shape[:3]
    flat = rows.reshape(n, oh, ow, -1) @ w.astype(np.float64).reshape(-1, columns)
    return flat.astype(np.float32)


# input shape, kernel height, width and columns, strides, dilations
SHAPES = {
    "first layer": ((1, 33, 33, 3), (3, 3, 32), (2, 2), (1, 1)),
    "7 x 7 map": ((1, 9, 9, 16), (3, 3, 24), (1, 1), (1, 1)),
    "tiny map": ((1, 4, 3, 8), (3, 3, 9), (1, 1), (1, 1)),
    "column of pixels": ((1, 12, 3, 5), (3, 3, 16), (1, 1), (1, 1)),
    "two columns": ((1, 12, 4, 5), (3, 3, 8), (1, 1), (1, 1)),
    "odd channels": ((1, 8, 13, 7), (3, 3, 13), (1, 1), (1, 1)),
    "stride 2": ((1, 15, 17, 8), (3, 3, 8), (2, 2), (1, 1)),
    "stride 3 x 1": ((1, 15, 11, 4), (3, 2, 12), (3, 1), (1, 1)),
    "1x1 stride 2": ((1, 9, 11, 12), (1, 1, 20), (2, 2), (1, 1)),
    "1x1 stride 2, 7 x 7": ((1, 13, 13, 12), (1, 1, 20), (2, 2), (1, 1)),
    "dilated": ((1, 12, 14, 6), (3, 3, 10), (1, 1), (2, 2)),
    "dilated rows": ((1, 12, 9, 6), (3, 3, 10), (1, 1), (3, 1)),
    "dilated and strided": ((1, 13, 13, 6), (3, 3, 10), (2, 2), (2, 2)),
    "5x5": ((1, 11, 11, 6), (5, 5, 17), (1, 1), (1, 1)),
    "1x7": ((1, 6, 16, 5), (1, 7, 11), (1, 1), (1, 1)),
    "7x1": ((1, 16, 6, 5), (7, 1, 11), (1, 1), (1, 1)),
    "whole picture": ((1, 6, 5, 8), (6, 5, 40), (1, 1), (1, 1)),
    "one column, strided": ((1, 40, 1, 3), (9, 1, 10), (4, 1), (1, 1)),
    "one column, several images": ((3, 20, 2, 3), (4, 2, 10), (2, 1), (1, 1)),
    "one column, dilated": ((2, 20, 3, 3), (3, 2, 10), (1, 1), (2, 2)),
    "many rows, two columns out": ((1, 5, 40, 6), (3, 3, 2), (1, 1), (1, 1)),
    "many rows, ten columns out": ((1, 5, 41, 6), (3, 3, 10), (1, 1), (1, 1)),
    "picture of one window, dilated": ((1, 5, 5, 7), (3, 3, 70), (1, 1), (2, 2)),
    "several images": ((3, 7, 9, 5), (3, 3, 9), (2, 2), (1, 1)),
    "several small images": ((2, 9, 9, 5), (3, 3, 9), (1, 1), (1, 1)),
    "one column out": ((1, 10, 10, 6), (3, 3, 1), (1, 1), (1, 1)),
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes(shape: tuple, target: Target) -> None:
    size, kernel, strides, dilations = shape
    x, w = data(*size), data(*kernel[:2], size[-1], kernel[2])
    wanted = convolve(x, w, strides, dilations)
    attrs = {"strides": strides, "dilations": dilations}
    check("conv2d", [x, w], wanted, target, epilogue="bias relu6", **attrs)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("side", [9, 12])
def test_epilogues(epilogue: str, side: int, target: Target) -> None:
    x, w = data(1, side, side, 4), data(3, 3, 4, 11)
    check("conv2d", [x, w], convolve(x, w, (1, 1), (1, 1)), target, epilogue=epilogue)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1)])
def test_kernel_that_is_computed(kernel: tuple[int, int], target: Target) -> None:
    x, w = data(1, 8, 9, 6), data(*kernel, 6, 13)
    wanted = convolve(x, w, (1, 1), (1, 1))
    check("conv2d", [x, w], wanted, target, epilogue="residual", constant=False)


def test_blocks_of_rows() -> None:
    """A left side larger than a block of the cache."""
    x, w = data(1, 60, 90, 40), data(3, 3, 40, 20)
    check("conv2d", [x, w], convolve(x, w, (1, 1), (1, 1)), WASM_RELAXED, epilogue="residual")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_shape(data: st.DataObject) -> None:
    number = st.integers
    draw = data.draw
    kh, kw = draw(number(1, 4)), draw(number(1, 4))
    strides = (draw(number(1, 3)), draw(number(1, 3)))
    dilations = (draw(number(1, 2)), draw(number(1, 2)))
    height = (kh - 1) * dilations[0] + draw(number(1, 9))
    width = (kw - 1) * dilations[1] + draw(number(1, 16))
    channels, columns = draw(number(1, 9)), draw(number(1, 18))
    rng = np.random.default_rng(draw(number(0, 99)))
    x = rng.uniform(-1, 1, (draw(number(1, 2)), height, width, channels)).astype(np.float32)
    w = rng.uniform(-1, 1, (kh, kw, channels, columns)).astype(np.float32)
    target = draw(st.sampled_from(TARGETS))
    epilogue = draw(st.sampled_from(sorted(EPILOGUES)))
    wanted = convolve(x, w, strides, dilations)
    attrs = {"strides": strides, "dilations": dilations}
    check("conv2d", [x, w], wanted, target, epilogue=epilogue, **attrs)


def test_padding_must_be_explicit() -> None:
    arrays = [data(1, 5, 5, 2), data(3, 3, 2, 4)]
    with pytest.raises(FanlightError, match="not explicit") as caught:
        lowered("conv2d", arrays, WASM_RELAXED, padding=((1, 1), (1, 1)))
    assert caught.value.code == "E-BUILD-001"
