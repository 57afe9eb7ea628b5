"""max_pool and avg_pool in WebAssembly against plain NumPy loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.ops import row as rows
from fanlight.targets import Target
from tests.codegen.kernel_runner import TARGETS, run_op

Pads = tuple[tuple[int, int], tuple[int, int]]


def pooled(
    x: np.ndarray, size: tuple[int, int], strides: tuple[int, int], padding: Pads, largest: bool
) -> np.ndarray:
    """The window, clipped to the image, at every place."""
    n, height, width, channels = x.shape
    (top, bottom), (left, right) = padding
    rows = (height + top + bottom - size[0]) // strides[0] + 1
    columns = (width + left + right - size[1]) // strides[1] + 1
    y = np.zeros((n, rows, columns, channels), np.float32)
    for i in range(rows):
        for j in range(columns):
            r, c = i * strides[0] - top, j * strides[1] - left
            part = x[:, max(r, 0) : r + size[0], max(c, 0) : c + size[1]]
            y[:, i, j] = part.max((1, 2)) if largest else part.astype(np.float64).mean((1, 2))
    return y


NONE: Pads = ((0, 0), (0, 0))
CASES = [
    ((1, 7, 7, 5), (7, 7), (1, 1), NONE),
    ((2, 9, 8, 17), (3, 3), (2, 2), ((0, 1), (1, 1))),
    ((1, 6, 6, 1), (2, 2), (2, 2), NONE),
    ((1, 5, 6, 3), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((1, 4, 4, 64), (5, 5), (1, 1), ((2, 2), (2, 2))),
    ((1, 12, 13, 20), (10, 9), (1, 2), ((3, 3), (4, 4))),
    ((1, 3, 3, 4), (2, 2), (2, 2), ((0, 1), (0, 1))),
    ((2, 1, 1, 8), (1, 1), (1, 1), NONE),
    ((1, 2, 2, 40), (3, 3), (3, 3), ((1, 0), (1, 0))),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("shape,size,strides,padding", CASES)
@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
def test_pooling(op: str, shape, size, strides, padding, target: Target) -> None:  # type: ignore[no-untyped-def]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    want = pooled(x, size, strides, padding, op == "max_pool")
    (got,) = run_op(op, [x], target, size=size, strides=strides, padding=padding)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


# Some windows lie wholly in the padding: on one side, on the other, in both dims, in all places.
MISSES = [
    ((1, 5, 9, 15), (1, 3), (3, 3), ((2, 1), (0, 0))),
    ((2, 8, 3, 17), (3, 3), (3, 2), ((3, 0), (4, 5))),
    ((1, 4, 4, 15), (1, 1), (3, 2), ((2, 1), (1, 1))),
    ((1, 2, 2, 4), (2, 2), (9, 9), ((2, 9), (5, 0))),
    ((1, 0, 2, 3), (2, 1), (1, 1), ((1, 1), (0, 0))),
]


@pytest.mark.parametrize("shape,size,strides,padding", MISSES)
@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
def test_windows_that_miss_the_image(op: str, shape, size, strides, padding) -> None:  # type: ignore[no-untyped-def]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    attrs = {"size": size, "strides": strides, "padding": padding}
    (want,) = rows.evaluate(op, [x], attrs)
    assert not np.isfinite(want).all()
    for target in TARGETS:
        (got,) = run_op(op, [x], target, **attrs)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_special_values_win_or_propagate() -> None:
    x = np.full((1, 4, 4, 6), -np.inf, np.float32)
    x[0, 0, 0, 1] = np.nan
    x[0, 3, 3, 2] = np.inf
    for op, largest in (("max_pool", True), ("avg_pool", False)):
        (got,) = run_op(op, [x], size=(2, 2), strides=(2, 2), padding=NONE)
        with np.errstate(invalid="ignore"):
            want = pooled(x, (2, 2), (2, 2), NONE, largest)
        np.testing.assert_array_equal(got, want)


@settings(max_examples=25)
@given(data=st.data())
def test_pooling_of_any_geometry(data: st.DataObject) -> None:
    size = data.draw(st.tuples(*[st.integers(1, 4)] * 2))
    pads = tuple(data.draw(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1))) for k in size)
    shape = (
        data.draw(st.integers(1, 2)),
        data.draw(st.integers(max(1, size[0] - sum(pads[0])), 9)),
        data.draw(st.integers(max(1, size[1] - sum(pads[1])), 9)),
        data.draw(st.integers(1, 21)),
    )
    strides = data.draw(st.tuples(*[st.integers(1, 3)] * 2))
    op = data.draw(st.sampled_from(["max_pool", "avg_pool"]))
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    want = pooled(x, size, strides, pads, op == "max_pool")
    (got,) = run_op(op, [x], size=size, strides=strides, padding=pads)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
