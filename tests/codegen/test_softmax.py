"""softmax and log_softmax in WebAssembly against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.targets import Target
from tests.codegen.kernel_runner import TARGETS, run_op

RNG = np.random.default_rng(0)


def expected(op: str, x: np.ndarray, axis: int) -> np.ndarray:
    x = x.astype(np.float64)
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis, keepdims=True)
        total = np.exp(shifted).sum(axis, keepdims=True)
        return shifted - np.log(total) if op == "log_softmax" else np.exp(shifted) / total


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_over_every_axis(op: str, target: Target) -> None:
    for shape in ((1,), (2,), (5,), (8,), (1001,), (3, 7), (2, 5, 9), (2, 1, 4), (3, 4, 16)):
        x = (RNG.standard_normal(shape) * 10).astype(np.float32)
        for axis in range(len(shape)):
            (got,) = run_op(op, [x], target, axis=axis)
            np.testing.assert_allclose(got, expected(op, x, axis), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_large_and_special_values(op: str) -> None:
    rows = [
        [1e30, 1e30, -1e30, 0, 5],
        [-1e38, -3e38, 0, 88, 89],
        [-np.inf, 0, 1, -np.inf, 2],
        [np.nan, 1, 2, 3, 4],
        [1, 2, 3, 4, np.nan],
        [np.inf, 0, 0, 0, 0],
    ]
    x = np.array(rows, np.float32)
    for axis, y in ((1, x), (0, x.T.copy())):
        (got,) = run_op(op, [y], axis=axis)
        np.testing.assert_allclose(got, expected(op, y, axis), rtol=2e-6, atol=2e-6)


def test_many_classes() -> None:
    x = RNG.standard_normal((2, 50_000)).astype(np.float32)
    (got,) = run_op("softmax", [x])
    np.testing.assert_allclose(got, expected("softmax", x, 1), rtol=1e-5)
    np.testing.assert_allclose(got.astype(np.float64).sum(1), 1, atol=1e-5)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 11), min_size=1, max_size=3), st.integers(0, 2))
def test_any_shape(shape: list[int], axis: int) -> None:
    axis %= len(shape)
    x = RNG.standard_normal(shape).astype(np.float32)
    (got,) = run_op("softmax", [x], axis=axis)
    np.testing.assert_allclose(got, expected("softmax", x, axis), rtol=2e-6, atol=2e-6)
