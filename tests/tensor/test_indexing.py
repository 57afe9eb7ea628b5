"""Random indices of every mixture, and their gradients, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl


def part(rng: np.random.Generator, shape: tuple[int, ...], broadcast: list[int]) -> tuple[Any, int]:
    """An index of the first dims of a shape, and how many it takes."""
    n = shape[0]
    kind = rng.integers(0, 8)
    if kind == 0:
        return int(rng.integers(-n, n)), 1
    if kind == 1:
        return None, 0
    if kind == 2:
        dims = int(rng.integers(1, min(2, len(shape)) + 1))
        mask = np.zeros(shape[:dims], bool)
        # As many as arrays beside it have, so that they broadcast.
        mask.flat[rng.permutation(mask.size)[: min(broadcast[-1], mask.size)]] = True
        return (mask, dims) if mask.sum() == broadcast[-1] else (slice(None), 1)
    if kind <= 5:
        sizes = [m if rng.random() < 0.7 else 1 for m in broadcast]
        sizes = sizes[int(rng.integers(0, len(sizes))) :]
        return rng.integers(-n, n, sizes), 1
    bounds: list[Any] = [None if rng.random() < 0.4 else int(rng.integers(-n, n + 1)) for _ in "ab"]
    return slice(*bounds, [None, 1, 2, -1, -2][rng.integers(0, 5)]), 1


def random_index(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, ...]:
    broadcast = [int(n) for n in rng.integers(1, 4, int(rng.integers(1, 3)))]
    parts: list[Any] = []
    left = shape
    while left and rng.random() < 0.85:
        made, taken = part(rng, left, broadcast)
        parts.append(made)
        left = left[taken:]
    if rng.random() < 0.3:
        # What follows an ellipsis counts from the end: it takes the dims in their order only here.
        if not left:
            parts.insert(int(rng.integers(0, len(parts) + 1)), Ellipsis)
        else:
            parts.append(Ellipsis)
    return tuple(parts)


@pytest.mark.parametrize("seed", range(300))
def test_any_index(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 5))))
    x = rng.normal(0, 1, shape).astype(np.float32)
    index = random_index(rng, shape)
    expected = x[index]
    found = fl.tensor(x)[index].numpy()
    assert found.shape == expected.shape, index
    np.testing.assert_array_equal(found, expected, err_msg=repr(index))
    w = rng.normal(0, 1, expected.shape).astype(np.float32)
    slope = fl.grad(lambda x: fl.sum(x[index] * w))(x).numpy()
    wanted = np.zeros(shape, np.float32)
    np.add.at(wanted, index, w)
    np.testing.assert_allclose(slope, wanted, rtol=1e-5, atol=1e-6, err_msg=repr(index))


@pytest.mark.parametrize("seed", range(12))
def test_any_index_compiled(seed: int) -> None:
    """Arrays of numbers may be traced, too; negative ones count from the end there."""
    rng = np.random.default_rng(seed + 1000)
    x = rng.normal(0, 1, (4, 3, 2)).astype(np.float32)
    i, j = rng.integers(-3, 3, (2, 1)).astype(np.int32), rng.integers(-2, 2, 5).astype(np.int32)
    got = fl.jit(lambda x, i, j: (x[:, i, j], x[i, :, j], x[1, i], x[i]))(x, i, j)
    for a, b in zip(got, (x[:, i, j], x[i, :, j], x[1, i], x[i]), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
