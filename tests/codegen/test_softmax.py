"""softmax and log_softmax in WebAssembly against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.codegen.wasm.kernels.softmax import BLOCK
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
        [-np.inf] * 5,
        [-np.inf] * 4 + [3],
    ]
    # Short rows, long ones (of which only the first numbers are special), and columns.
    x = np.array(rows, np.float32)
    long = np.concatenate([x, *[x[:, :1]] * 40], 1)
    for axis, y in ((1, x), (0, x.T.copy()), (1, long), (0, long.T.copy())):
        (got,) = run_op(op, [y], axis=axis)
        np.testing.assert_allclose(got, expected(op, y, axis), rtol=2e-6, atol=2e-6)


def test_what_is_hidden_has_no_share() -> None:
    """exp(-inf) is 0, not the least number; and equal elements share to the bit."""
    for size in (8, 40):
        x = np.full((3, size), 5.25, np.float32)
        x[:, ::2] = -np.inf
        for axis, y in ((1, x), (0, x.T.copy())):
            (got,) = run_op("softmax", [y], axis=axis)
            assert np.array_equal(got, np.where(np.isinf(y), 0, np.float32(1) / (size // 2)))


def test_blocks_of_columns() -> None:
    """More neighbouring rows than a unit of work has, with and without a last partial vector."""
    for inner in (4 * BLOCK, 4 * BLOCK + 1, 8 * BLOCK + 6):
        x = (RNG.standard_normal((2, 6, inner)) * 10).astype(np.float32)
        for op in ("softmax", "log_softmax"):
            (got,) = run_op(op, [x], axis=1)
            np.testing.assert_allclose(got, expected(op, x, 1), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_exp_of_falling_numbers(target: Target) -> None:
    """As exact as its file says, over all of its range: 2 log(softmax) of a number and 0."""
    x = np.linspace(-87, 0, 4001, dtype=np.float32)
    pairs = np.stack([x, np.zeros_like(x)], 1)
    (got,) = run_op("softmax", [pairs], target, axis=1)
    ratio = got[:, 0].astype(np.float64) / got[:, 1]
    error = np.abs(ratio / np.exp(x.astype(np.float64)) - 1)
    assert error[x > -10].max() < 8e-7
    assert error.max() < 6e-6


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
