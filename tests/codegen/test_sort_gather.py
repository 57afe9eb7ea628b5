"""arg_max, arg_min, top_k and gather in WebAssembly against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from fanlight.targets import WASM_PLAIN, WASM_RELAXED
from tests.codegen.kernel_runner import run_op

RNG = np.random.default_rng(0)


def numbers(shape: tuple[int, ...], dtype: str, low: int = -4, high: int = 4) -> np.ndarray:
    """Few different values, so that there are ties."""
    return RNG.integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(
    "shape",
    [(7,), (1,), (3, 10), (4, 5, 6), (2, 3, 9), (2, 1, 4), (1, 100, 3), (2, 53), (6, 2054)],
    ids=str,
)
@pytest.mark.parametrize("op", ["arg_max", "arg_min"])
def test_arg_over_every_axis(op: str, shape: tuple[int, ...], dtype: str) -> None:
    x = numbers(shape, dtype)
    if dtype == "float32":
        x.flat[x.size // 2] = np.nan
        x.flat[x.size // 3] = np.inf
        x.flat[x.size // 4] = -np.inf
    for axis in range(len(shape)):
        (got,) = run_op(op, [x], WASM_PLAIN if axis else WASM_RELAXED, axis=axis)
        np.testing.assert_array_equal(got, getattr(np, op.replace("_", ""))(x, axis))


@pytest.mark.parametrize("op", ["arg_max", "arg_min"])
def test_arg_finds_the_first_wherever_it_is(op: str) -> None:
    for size in (1, 2, 3, 4, 5, 31, 32, 35):
        x = np.zeros((size, size), np.float32)
        x[range(size), range(size)] = 1 if op == "arg_max" else -1
        x[:, -1] = np.where(np.arange(size) % 3, x[:, -1], np.nan)
        want = getattr(np, op.replace("_", ""))
        for y, axis in ((x, 1), (x.T.copy(), 0)):
            (got,) = run_op(op, [y], axis=axis)
            np.testing.assert_array_equal(got, want(y, axis))
    same = np.float32([[-0.0, 0.0, -0.0], [0.0, -0.0, 0.0]])
    for axis in (0, 1):
        assert not run_op(op, [same], axis=axis)[0].any()


TOP_CASES = [
    ((1,), 1),
    ((7,), 3),
    ((7,), 7),
    ((3, 50), 5),
    ((3, 50), 17),
    ((2, 50), 50),
    ((1000,), 100),
    ((2, 5000), 16),
    ((2, 5000), 17),
]


def top(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-x.astype(np.float64), axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, order, -1), order


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("shape,k", TOP_CASES)
def test_top_k_with_ties(shape: tuple[int, ...], k: int, dtype: str) -> None:
    x = numbers(shape, dtype, -30, 30)
    values, indices = top(x, k)
    got = run_op("top_k", [x], k=k)
    np.testing.assert_array_equal(got[0], values)
    np.testing.assert_array_equal(got[1], indices)


@pytest.mark.parametrize("k", [5, 40])
def test_top_k_of_special_values(k: int) -> None:
    x = numbers((40,), "float32")
    x[[0, 20]], x[39] = np.nan, -np.nan
    x[[1, 10]], x[[2, 11]] = np.inf, -np.inf
    x[[3, 5]], x[[4, 6]] = -0.0, 0.0
    values, indices = top(x, k)  # argsort puts NaN last too
    got = run_op("top_k", [x], k=k)
    np.testing.assert_array_equal(got[0], values)
    np.testing.assert_array_equal(got[1], indices)


@pytest.mark.parametrize("k", [16, 2000])
def test_top_k_of_the_worst_order(k: int) -> None:
    x = np.arange(20000, dtype=np.float32) - 7000
    got = run_op("top_k", [x], k=k)
    np.testing.assert_array_equal(got[1], np.arange(19999, 19999 - k, -1))


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("order", ["random", "rising", "falling", "equal", "few"])
@pytest.mark.parametrize(("size", "k"), [(5000, 100), (4999, 17), (801, 100), (120, 100)])
def test_top_k_of_many(size: int, k: int, order: str, dtype: str) -> None:
    """Lists that are kept sorted, and inputs whose order makes that too slow."""
    rng = np.random.default_rng(size + k)
    x = {
        "random": rng.permutation(size),
        "rising": np.arange(size),
        "falling": np.arange(size)[::-1],
        "equal": np.zeros(size),
        "few": rng.integers(0, 7, size),
    }[order].astype(dtype)
    if dtype == "float32" and order == "random":
        x[rng.integers(0, size, size // 10)] = np.nan
    x = np.stack([x, x[::-1]])
    values, indices = run_op("top_k", [x], k=k)
    for row in range(2):
        keys = np.where(np.isnan(x[row]), -np.inf, x[row]) if dtype == "float32" else x[row]
        wanted = np.argsort(-keys.astype(np.float64), kind="stable")[:k]
        np.testing.assert_array_equal(indices[row], wanted)
        np.testing.assert_array_equal(values[row], x[row][wanted])


def test_top_k_of_extreme_integers() -> None:
    x = np.array([0, -1, 2**31 - 1, -(2**31), 1] * 5, np.int32)
    for k in (7, 25):
        values, indices = top(x, k)
        got = run_op("top_k", [x], k=k)
        np.testing.assert_array_equal(got[0], values)
        np.testing.assert_array_equal(got[1], indices)


GATHER_CASES = [
    ((5, 3), 0, (4,)),
    ((5, 3), 1, (2, 2)),
    ((2, 5, 7), 1, (3,)),
    ((4, 100), 0, (6,)),
    ((3, 200), 0, (1,)),
    ((9,), 0, (5,)),
    ((1, 4), 0, (2,)),
    ((3, 50), 1, (70,)),
    ((2, 4, 11), 2, (6,)),
]


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape,axis,wanted", GATHER_CASES)
def test_gather(shape: tuple[int, ...], axis: int, wanted: tuple[int, ...], dtype: str) -> None:
    x = numbers(shape, "int32", 0, 100).astype(dtype)
    indices = RNG.integers(0, shape[axis], wanted).astype(np.int32)
    (got,) = run_op("gather", [x, indices], axis=axis)
    np.testing.assert_array_equal(got, np.take(x, indices, axis))


def test_gather_clamps_indices_outside() -> None:
    x = numbers((6, 5), "float32")
    indices = np.array([-(2**31), -1, 0, 5, 6, 2**31 - 1], np.int32)
    (got,) = run_op("gather", [x, indices], axis=0)
    np.testing.assert_array_equal(got, x[[0, 0, 0, 5, 5, 5]])
