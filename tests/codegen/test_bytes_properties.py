"""Properties of the byte rows: any shapes and attributes, on every target, equal NumPy's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight import ops
from fanlight.ops.row import complete_attrs
from tests.codegen.kernel_runner import TARGETS, run_op

EXAMPLES = settings(max_examples=25, deadline=None)
Draw = st.DataObject


def check(op: str, arrays: list[np.ndarray], constant: Sequence[int] = (), **attrs: Any) -> None:
    row = ops.lookup(op)
    with np.errstate(all="ignore"):
        (want,) = row.eval(arrays, complete_attrs(row, attrs))
    for target in TARGETS:
        (got,) = run_op(op, arrays, target, constant=constant, **attrs)
        assert got.dtype == want.dtype
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
        np.testing.assert_array_equal(got, want, err_msg=f"{op}({shapes}) {attrs} {target.name}")


def draw_bytes(data: Draw, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    high = data.draw(st.sampled_from([1, 127, 255]))
    return rng.integers(0, high + 1, shape).astype(np.uint8)


def draw_shape(data: Draw, rank: int | None = None) -> tuple[int, ...]:
    """A few dims; the last one is often longer than a vector."""
    rank = data.draw(st.integers(1, 4)) if rank is None else rank
    outer = [data.draw(st.integers(1, 6)) for _ in range(rank - 1)]
    return (*outer, data.draw(st.integers(1, 70)))


def draw_part(data: Draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to another one."""
    kept = tuple(n if data.draw(st.booleans()) else 1 for n in shape)
    return kept[data.draw(st.integers(0, len(shape) - 1)) :]


def draw_result(data: Draw) -> dict[str, int]:
    high = data.draw(st.sampled_from([1, 100, 127, 255]))
    return {"zero": data.draw(st.integers(0, high)), "high": high}


byte = st.integers(0, 255)
scale = st.floats(-300, 300, width=32)
positive = st.floats(2.0**-20, 300, width=32)


@EXAMPLES
@given(data=st.data())
def test_quantize_and_back(data: Draw) -> None:
    shape = draw_shape(data)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    wide = data.draw(st.floats(2.0**-10, 2.0**80, width=32))
    x = (rng.standard_normal(shape) * wide).astype(np.float32)
    check("quantize", [x], scale=data.draw(positive), **draw_result(data))
    check("dequantize", [draw_bytes(data, shape)], scale=data.draw(scale), zero=data.draw(byte))


@EXAMPLES
@given(data=st.data())
def test_sums_products_and_slopes(data: Draw) -> None:
    shape = draw_shape(data)
    x, y = draw_bytes(data, shape), draw_bytes(data, draw_part(data, shape))
    zeros = {"zero_a": data.draw(byte), "zero_b": data.draw(byte)}
    scales = {"scale_a": data.draw(scale), "scale_b": data.draw(scale)}
    check("add_int8", [x, y], **scales, **zeros, **draw_result(data))
    check("mul_int8", [y, x], scale=data.draw(scale), **zeros, **draw_result(data))
    slope = (y.astype(np.float32) - 100) / 64
    attrs = {"zero_x": data.draw(byte), "scale": data.draw(scale)}
    check("prelu_int8", [x, slope], **attrs, **draw_result(data))


@EXAMPLES
@given(data=st.data())
def test_lookups(data: Draw) -> None:
    table = draw_bytes(data, (256,))
    if data.draw(st.booleans()):
        table[128:] = table[127]
    constant = data.draw(st.sampled_from([(), (1,)]))
    check("lookup", [draw_bytes(data, draw_shape(data)), table], constant=constant)


@EXAMPLES
@given(data=st.data())
def test_pools(data: Draw) -> None:
    shape = draw_shape(data, 4)
    size = [data.draw(st.integers(1, 5)) for _ in range(2)]
    padding = []
    for extent, window in zip(shape[1:3], size, strict=True):
        before = data.draw(st.integers(0, window - 1))
        least = max(0, window - extent - before)
        if least >= window:  # the window does not fit the image
            before, least = window - 1, max(0, 1 - extent)
        padding.append((before, data.draw(st.integers(least, window - 1))))
    strides = [data.draw(st.integers(1, 3)) for _ in range(2)]
    x = draw_bytes(data, shape)
    window = {"size": size, "strides": strides, "padding": padding}
    check("max_pool", [x], **window)
    mean = {"zero_x": data.draw(byte), "scale": data.draw(positive), **draw_result(data)}
    check("avg_pool_int8", [x], **window, **mean)


@EXAMPLES
@given(data=st.data())
def test_means(data: Draw) -> None:
    shape = draw_shape(data)
    axes = tuple(d for d in range(len(shape)) if data.draw(st.booleans()))
    mean = {"zero_x": data.draw(byte), "scale": data.draw(positive), **draw_result(data)}
    check("mean_int8", [draw_bytes(data, shape)], axes=axes, keepdims=True, **mean)


@EXAMPLES
@given(data=st.data())
def test_resizes(data: Draw) -> None:
    x = draw_bytes(data, draw_shape(data, 4))
    size = [data.draw(st.integers(1, 14)) for _ in range(2)]
    coordinates = data.draw(st.sampled_from(["half_pixel", "align_corners", "asymmetric"]))
    check("resize_nearest", [x], size=size, coordinates=coordinates)
    check("resize_bilinear_int8", [x], size=size, coordinates=coordinates)


@EXAMPLES
@given(data=st.data())
def test_moves(data: Draw) -> None:
    shape = draw_shape(data)
    x = draw_bytes(data, shape)
    check("transpose", [x], perm=tuple(data.draw(st.permutations(range(len(shape))))))
    pads = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in shape]
    check("pad", [x], paddings=pads, value=data.draw(byte))
    begin = [data.draw(st.integers(0, n - 1)) for n in shape]
    size = [data.draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True)]
    check("slice", [x], begin=begin, size=size)
    axis = data.draw(st.integers(0, len(shape) - 1))
    other = draw_bytes(data, (*shape[:axis], data.draw(st.integers(1, 20)), *shape[axis + 1 :]))
    check("concat", [x, other], axis=axis)
