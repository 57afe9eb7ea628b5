"""What is chosen by its numbers, and rows of unequal lengths; with a size, in traced functions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

MASK = np.array([[True, False, True], [False, False, True]])
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_where_indices() -> None:
    np.testing.assert_array_equal(fl.where_indices(MASK).numpy(), np.argwhere(MASK))
    for a, b in zip(fl.nonzero(X), np.nonzero(X), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    for size, rows in ((3, []), (5, [[-1, -1]] * 2), (2, None)):
        expected = np.argwhere(MASK)[:2] if rows is None else [*np.argwhere(MASK).tolist(), *rows]
        for run in (fl.where_indices, fl.jit(lambda m, s=size, **_: fl.where_indices(m, s))):
            np.testing.assert_array_equal(run(MASK, size=size).numpy(), expected)
    assert fl.where_indices(np.zeros((2, 0))).shape == (0, 2)
    assert fl.where_indices(True).shape == (1, 0)
    with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
        fl.jit(fl.where_indices)(MASK)
    assert "size=" in str(caught.value)


def test_boolean_mask() -> None:
    np.testing.assert_array_equal(fl.boolean_mask(X, MASK).numpy(), X[MASK])
    rows = np.array([True, False, True])
    np.testing.assert_array_equal(fl.boolean_mask(X, rows, 1).numpy(), X[:, rows])
    compiled = fl.jit(lambda x, m: fl.boolean_mask(x, m, 1, size=3))
    np.testing.assert_array_equal(compiled(X, rows).numpy(), [[0, 2, 0], [3, 5, 0]])
    slope = fl.jit(fl.grad(lambda x, m: fl.sum(fl.boolean_mask(x, m, size=4) ** 2)))(X, MASK)
    np.testing.assert_array_equal(slope.numpy(), 2 * X * MASK)
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.boolean_mask(X, [True])
    with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
        fl.jit(lambda x, m: x[m])(X, MASK)
    assert "boolean_mask" in str(caught.value)
    # A mask that is known may choose of what is traced.
    np.testing.assert_array_equal(fl.jit(lambda x: x[MASK])(X).numpy(), X[MASK])


def test_unique() -> None:
    values, indices = fl.unique([3, 1, 3, 2, 1])
    assert (values.tolist(), indices.tolist()) == ([3, 1, 2], [0, 1, 0, 2, 1])
    values, indices = fl.unique(np.float32([np.nan, -0.0, 0, np.nan]))
    assert len(values) == 2 and indices.tolist() == [0, 1, 1, 0]
    values, indices = fl.unique([[1, 2, 1], [1, 3, 1]], axis=1)
    assert (values.tolist(), indices.tolist()) == ([[1, 2], [1, 3]], [0, 1, 0])
    assert [t.shape for t in fl.unique(np.zeros((0,), np.float32))] == [(0,), (0,)]
    assert fl.unique([True, True])[0].tolist() == [True]
    slope = fl.grad(lambda x: fl.sum(fl.unique(x)[0] * np.float32([1, 2])))(np.float32([5, 5, 4]))
    assert slope.tolist() == [1, 0, 2]
    with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
        fl.jit(lambda x: fl.unique(x)[0])(X)
    assert "size=" in str(caught.value)


@pytest.mark.parametrize("size", [2, 5, 9])
def test_unique_of_a_size(size: int) -> None:
    rng = np.random.default_rng(size)
    for x in (
        rng.integers(0, 5, 8).astype(np.int32),
        np.float32([3, np.nan, 3, -0.0, np.nan, 0, 1]),
        rng.random(6) < 0.5,
        np.zeros(0, np.float32),
        np.int32([7]),
        rng.integers(0, 3, (2, 3)).astype(np.uint8),
    ):
        values, indices = fl.unique(x)
        padded = np.zeros(size, x.dtype)
        padded[: len(values)] = values.numpy()[:size]
        for run in (fl.unique, fl.jit(lambda x, s=size, **_: fl.unique(x, size=s))):
            if run is not fl.unique and not x.size:
                continue  # no model takes nothing
            found, inverse = run(x, size=size)
            np.testing.assert_array_equal(found.numpy(), padded)
            np.testing.assert_array_equal(inverse.numpy(), indices.numpy())
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.unique(X, axis=0, size=2)


def test_setdiff1d() -> None:
    for call in (fl.setdiff1d, fl.jit(lambda x, y, **_: fl.setdiff1d(x, y, size=3))):
        values, indices = call(np.int32([1, 2, 3, 2, 5]), np.int32([2, 5]), size=3)
        assert (values.tolist(), indices.tolist()) == ([1, 3, 0], [0, 2, -1])
    values, indices = fl.setdiff1d([1, 2, 3, 2, 5], [2, 5])
    assert (values.tolist(), indices.tolist()) == ([1, 3], [0, 2])
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.setdiff1d([[1]], [1])


def test_sparse_fill_empty_rows() -> None:
    given = [[0, 1], [2, 0], [2, 3]], [5.0, 6, 7], [5, 4], 9.0
    indices, values, empty, went = fl.sparse_fill_empty_rows(*given)
    assert indices.tolist() == [[0, 1], [1, 0], [2, 0], [2, 3], [3, 0], [4, 0]]
    assert values.tolist() == [5, 9, 6, 7, 9, 9]
    assert empty.tolist() == [False, True, False, True, True]
    assert went.tolist() == [0, 2, 3]
    with pytest.raises(FanlightError, match="E-TENSOR-007"):
        fl.sparse_fill_empty_rows([[7, 0]], [1.0], [5, 4])


def test_sparse_reshape() -> None:
    places = np.int32([[0, 0, 1], [1, 1, 2], [1, 2, 2]])
    flat = np.ravel_multi_index(tuple(places.T), (2, 3, 4))
    expected = np.stack(np.unravel_index(flat, (4, 6)), 1)
    found, shape = fl.sparse_reshape(places, [2, 3, 4], [4, -1])
    assert shape.tolist() == [4, 6]
    np.testing.assert_array_equal(found.numpy(), expected)
    compiled = fl.jit(lambda p: fl.sparse_reshape(p, [2, 3, 4], [4, -1])[0])
    np.testing.assert_array_equal(compiled(places).numpy(), expected)
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.sparse_reshape(places, [2, 3, 4], [5, -1])


def test_ragged_range() -> None:
    splits, values = fl.ragged_range([0, 5, 8], [3, 5, 2], [1, 1, -2])
    assert (splits.tolist(), values.tolist()) == ([0, 3, 3, 6], [0, 1, 2, 8, 6, 4])
    with pytest.raises(FanlightError, match="E-OP-005"):
        fl.ragged_range(0, 3, 0)


def rows_of(levels: list[Any], values: Any) -> Any:
    """Nested lists of a ragged tensor."""
    for splits in reversed(levels):
        values = [values[a:b] for a, b in pairwise(splits)]
    return values


def test_ragged_gather() -> None:
    levels, values = [[0, 1, 3, 3], [0, 2, 2, 5]], [1.0, 2, 3, 4, 5]
    rows = rows_of(levels, values)
    for indices in ([2, 1, 1], [[0], [1]], 1, []):
        found, flat = fl.ragged_gather(levels, values, indices)
        expected = np.empty(np.shape(indices), object)
        for at in np.ndindex(*np.shape(indices)):
            expected[at] = rows[np.asarray(indices, int)[at]]
        assert rows_of([s.tolist() for s in found], flat.tolist()) == expected.tolist()
    with pytest.raises(FanlightError, match="E-TENSOR-007"):
        fl.ragged_gather(levels, values, [3])
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.ragged_gather([[0, 9]], values, [0])


def test_ragged_to_dense() -> None:
    values = np.float32([1, 2, 3, 4])
    call = fl.ragged_tensor_to_tensor
    found = call([3, -1], values, 9.0, [[0, 2, 2, 4]], ["ROW_SPLITS"])
    assert found.tolist() == [[1, 2], [9, 9], [3, 4]]
    parts, kinds = [3, [0, 0, 2, 2]], ["FIRST_DIM_SIZE", "VALUE_ROWIDS"]
    assert call(-1, values, 9.0, parts, kinds).tolist() == found.tolist()
    assert call([2, 1], values, 9.0, parts, kinds).tolist() == [[1], [9]]
    slope = fl.jit(fl.grad(lambda v: fl.sum(call([2, 1], v, 9.0, parts, kinds) ** 2)))(values)
    assert slope.tolist() == [2, 0, 0, 0]
