"""Convolutions and products of bytes: every way to compute them gives NumPy's bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight import dtypes
from fanlight.codegen.kernel import groups, lower, packing_by_name, row_quads
from fanlight.codegen.wasm.kernels.gemm_int8 import pairs_fit
from fanlight.errors import FanlightError
from fanlight.graph import Node
from fanlight.ops import row as rows
from fanlight.ops.types import TensorType
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target
from tests.codegen.kernel_runner import node, run

# target and twin: all the ways of computing that there are.
WAYS = ((WASM_RELAXED, None), (WASM_RELAXED, "pairs"), (WASM_PLAIN, None))
Ways = pytest.mark.parametrize(("target", "twin"), WAYS, ids=("dot", "pairs", "plain"))


class Net:
    """Arrays of one call, from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def x(self, *shape: int, high: int = 127) -> np.ndarray:
        """Activations; the greatest byte occurs often, where sums could overflow."""
        x = self.rng.integers(0, high + 1, shape)
        return np.where(self.rng.random(shape) < 0.3, high, x).astype(np.uint8)

    def hard(self, *shape: int) -> np.ndarray:
        """Weights at their limits: int16 sums of four products overflow."""
        return self.rng.choice(np.array([-127, 127, 126, 3], np.int8), shape)

    def soft(self, *shape: int) -> np.ndarray:
        """Weights of which four sum up to 258 at most, and do so."""
        return self.rng.choice(np.array([-64, 64, 63, 0], np.int8), shape)


def types_of(arrays: list[np.ndarray]) -> list[TensorType]:
    return [TensorType(a.shape, dtypes.from_numpy(a.dtype) or "") for a in arrays]


def call(
    op: str, x: np.ndarray, w: np.ndarray, *, residual: bool, seed: int, **attrs: Any
) -> tuple[Node, list[np.ndarray]]:
    """A node and its arrays, with scales that use the range of the result."""
    rng = np.random.default_rng(seed)
    n = w.shape[2] if op.startswith("depthwise") else w.shape[-1]
    terms = w.size / n
    bias = rng.integers(-4000, 4000, n).astype(np.int32)
    scale = (rng.uniform(0.2, 2, n) * 2e-2 / np.sqrt(terms) / 5).astype(np.float32)
    arrays = [x, w, bias, scale]
    made = node(op, types_of(arrays), **attrs)
    if residual:
        arrays.append(rng.integers(0, 128, made.output.shape).astype(np.uint8))
        more = {"residual_scale": 0.37, "residual_zero": 61, "zero": 40, **attrs}
        made = node(op, types_of(arrays), **more)
    return made, arrays


def agree(
    target: Target, twin: str | None, op: str, x: np.ndarray, w: np.ndarray, **options: Any
) -> None:
    """The kernel gives the row's bytes, whole and in parts."""
    made, arrays = call(op, x, w, **{"residual": False, "seed": 1, **options})
    kernel = lower(made, target, dict(zip(made.inputs[1:4], arrays[1:4])))
    if twin is not None:
        assert twin in kernel.twins, "the weights do not fit this twin"
        kernel = kernel.twins[twin]
    want = rows.evaluate(op, arrays, made.attrs)[0]
    packed = [kernel.packing[i].pack(a) if i in kernel.packing else a for i, a in enumerate(arrays)]
    got = run(kernel, target, packed, [made.output.type])[0]
    np.testing.assert_array_equal(got, want)


# --- products -------------------------------------------------------------------------------------

SIZES = ((1, 4, 8), (5, 7, 3), (49, 32, 16), (13, 33, 17), (200, 64, 40), (1, 130, 300), (3, 5, 1))


@Ways
@pytest.mark.parametrize("output", ("uint8", "float32"))
@pytest.mark.parametrize("residual", (False, True))
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_matmul(
    size: tuple[int, int, int], residual: bool, output: str, target: Target, twin: str | None
) -> None:
    m, k, n = size
    net = Net()
    w = (net.soft if twin else net.hard)(k, n)
    agree(target, twin, "matmul_int8", net.x(m, k), w, residual=residual, output=output)


def test_bytes_above_127_are_widened_on_every_target() -> None:
    net = Net()
    for target in (WASM_RELAXED, WASM_PLAIN):
        x, w = net.x(9, 19, high=255), net.hard(19, 9)
        agree(target, None, "matmul_int8", x, w, x_high=255, zero=3, high=200)
        made, arrays = call("matmul_int8", x, w, residual=False, seed=0, x_high=255)
        assert not lower(made, target, dict(zip(made.inputs[1:4], arrays[1:4]))).twins


@pytest.mark.parametrize("size", (*SIZES, (2, 3000, 500), (4, 3, 9)))
def test_matmul_of_8_bits(size: tuple[int, int, int]) -> None:
    """Rows in tiles, few rows in pieces of columns, fewer than sixteen elements in all."""
    m, k, n = size
    net = Net()
    x, w = net.x(m, k, high=255), net.hard(k, n)
    agree(WASM_RELAXED, None, "matmul_int8", x, w, x_high=255, residual=True)


CONVOLUTIONS = (
    ((1, 9, 9, 3), (3, 3, 3, 8), 2, 1),
    ((2, 8, 10, 5), (3, 3, 5, 11), 1, 1),
    ((1, 11, 11, 4), (3, 3, 4, 20), 1, 2),
    ((1, 7, 7, 16), (5, 5, 16, 24), 1, 1),
    ((1, 7, 7, 6), (7, 7, 6, 9), 1, 1),  # as wide as the picture: one run
    ((1, 40, 3, 8), (3, 3, 8, 12), 1, 1),  # one column of results
    ((1, 14, 14, 8), (1, 1, 8, 16), 2, 1),
)


@Ways
@pytest.mark.parametrize("shape,weight,stride,dilation", CONVOLUTIONS)
def test_conv2d(
    shape: tuple, weight: tuple, stride: int, dilation: int, target: Target, twin: str | None
) -> None:
    net = Net()
    attrs = {"strides": (stride, stride), "dilations": (dilation, dilation)}
    w = (net.soft if twin else net.hard)(*weight)
    agree(target, twin, "conv2d_int8", net.x(*shape), w, residual=True, **attrs)
    if twin is None:
        x = net.x(*shape, high=255)
        agree(target, None, "conv2d_int8", x, w, x_high=255, **attrs)


def test_pairs_are_only_for_weights_that_cannot_overflow() -> None:
    w = np.zeros((16, 8), np.int8)
    w[[0, 1, 4, 5], 3] = (127, 127, 4, 0)  # one lane of the first two quads
    assert pairs_fit(w, 16)
    w[5, 3] = 1  # 259 * 127 > 32767
    assert not pairs_fit(w, 16)
    assert pairs_fit(w, 4)  # runs of one quad have no second one
    w[:, 3] = 0
    w[[2, 3, 6, 7], 3] = -127
    assert not pairs_fit(w, 16)
    made, arrays = call("matmul_int8", np.zeros((2, 16), np.uint8), w, residual=False, seed=0)
    assert not lower(made, WASM_RELAXED, dict(zip(made.inputs[1:4], arrays[1:4]))).twins


@Ways
@pytest.mark.parametrize("scale", (0.003, 5.0, 3e6))
def test_sums_far_out_of_range_saturate(scale: float, target: Target, twin: str | None) -> None:
    net = Net()
    x, w = net.x(4, 64), net.soft(64, 16)
    made, arrays = call("matmul_int8", x, w, residual=False, seed=0, zero=40)
    arrays[2][:] = np.linspace(-(2**31) + 4e6, 2**31 - 4e6, 16).astype(np.int32)
    arrays[3][:] = scale
    kernel = lower(made, target, dict(zip(made.inputs[1:4], arrays[1:4])))
    kernel = kernel.twins[twin] if twin else kernel
    want = rows.evaluate(made.op, arrays, made.attrs)[0]
    assert {0, 127} <= set(want.reshape(-1).tolist())
    packed = [kernel.packing[i].pack(a) if i in kernel.packing else a for i, a in enumerate(arrays)]
    np.testing.assert_array_equal(run(kernel, target, packed, [made.output.type])[0], want)


# --- depthwise ------------------------------------------------------------------------------------

DEPTHWISE = (
    ((1, 9, 9, 8), 3, 1, 1, 1),
    ((2, 8, 10, 20), 3, 2, 1, 1),
    ((1, 11, 7, 5), 3, 1, 2, 2),
    ((1, 7, 7, 64), 5, 1, 1, 2),
    ((1, 13, 13, 17), 7, 2, 1, 3),
    ((1, 4, 4, 9), 3, 1, 1, 0),
    ((1, 2, 3, 24), 5, 1, 1, 4),  # windows that never fit
    ((1, 7, 7, 500), 3, 1, 1, 1),  # chunks of channels
)


@pytest.mark.parametrize("target", (WASM_RELAXED, WASM_PLAIN), ids=("dot", "plain"))
@pytest.mark.parametrize("shape,kernel,stride,dilation,pad", DEPTHWISE)
@pytest.mark.parametrize("weights", ("hard", "soft"))
def test_depthwise(
    shape: tuple,
    kernel: int,
    stride: int,
    dilation: int,
    pad: int,
    weights: str,
    target: Target,
) -> None:
    net = Net()
    attrs = {
        "strides": (stride, stride),
        "dilations": (dilation, dilation),
        "padding": ((pad, pad), (max(pad - 1, 0), pad)),
    }
    w = getattr(net, weights)(kernel, kernel, shape[-1], 1)
    op = "depthwise_conv2d_int8"
    agree(target, None, op, net.x(*shape), w, **attrs)
    agree(target, None, op, net.x(*shape), w, residual=True, output="float32", **attrs)
    agree(target, None, op, net.x(*shape, high=255), w, x_high=255, residual=True, **attrs)


# --- what may not be ------------------------------------------------------------------------------


def test_weights_must_be_constant_and_padding_explicit() -> None:
    net = Net()
    x, w = net.x(1, 5, 5, 4), net.hard(3, 3, 4, 4)
    made, _ = call("conv2d_int8", x, w, residual=False, seed=0)
    with pytest.raises(FanlightError, match="not constant"):
        lower(made, WASM_RELAXED, {})
    padded, _ = call("conv2d_int8", x, w, residual=False, seed=0, padding=((1, 1), (1, 1)))
    with pytest.raises(FanlightError, match="not explicit"):
        lower(padded, WASM_RELAXED, {})
    attrs = {"padding": ((1, 1), (1, 1)), "pad": 5}
    depthwise, _ = call(
        "depthwise_conv2d_int8", x, net.hard(3, 3, 4, 1), residual=False, seed=0, **attrs
    )
    with pytest.raises(FanlightError, match="not 0 and not explicit"):
        lower(depthwise, WASM_RELAXED, dict.fromkeys(depthwise.inputs[1:4], w))


@pytest.mark.parametrize(
    "packing,shape",
    (
        (groups(8, 5, 4), (3, 5, 11)),
        (groups(8, 9, 4), (3, 3, 3, 8)),
        (groups(8, 9, 2), (3, 3, 3, 8)),
        (groups(8, 4, 4), (4, 1)),
        (row_quads(8), (3, 3, 17, 1)),
        (row_quads(8), (5, 2, 8, 1)),
    ),
)
def test_packings_turn_back(packing: Any, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)
    packed = packing.pack(array)
    assert packed.nbytes == packing.nbytes(TensorType(shape, "int8"))
    found = packing_by_name(packing.name)
    np.testing.assert_array_equal(found.unpack(packed.reshape(-1), shape), array)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_convolution_on_any_way(data: st.DataObject) -> None:
    draw: Callable[..., Any] = data.draw
    small = st.integers(1, 4)
    kh, kw, stride, dilation = draw(small), draw(small), draw(st.integers(1, 2)), draw(small)
    height = (kh - 1) * dilation + draw(st.integers(1, 9))
    width = (kw - 1) * dilation + draw(st.integers(1, 13))
    channels = draw(st.integers(1, 21))
    target, twin = draw(st.sampled_from(WAYS))
    net = Net(draw(st.integers(0, 1000)))
    attrs = {"strides": (stride, stride), "dilations": (dilation, dilation)}
    weights = net.soft if twin else net.hard
    options = {
        "residual": draw(st.booleans()),
        "output": draw(st.sampled_from(("uint8", "float32"))),
        "high": draw(st.sampled_from((127, 90, 255))),
        **attrs,
    }
    top = 127 if twin else draw(st.sampled_from((127, 255)))
    options["x_high"] = top
    x = net.x(draw(st.integers(1, 2)), height, width, channels, high=top)
    if draw(st.booleans()):
        w = weights(kh, kw, channels, draw(st.integers(1, 19)))
        agree(target, twin, "conv2d_int8", x, w, **options)
    else:
        w = weights(kh, kw, channels, 1)
        agree(target, None, "depthwise_conv2d_int8", x, w, **options)
