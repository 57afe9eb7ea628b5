"""Gathering, scattering, scans, orders, counts and segments against plain loops, eager and jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(8)
X = RNG.integers(-4, 5, (4, 3, 2)).astype(np.float32)
ROWS = RNG.normal(0, 1, (3, 5)).astype(np.float32)
IDS = np.int32([2, 0, 2, 4])


def arrays(result: Any) -> list[np.ndarray]:
    many = result if isinstance(result, tuple | list) else (result,)
    return [r.numpy() for r in many]


def check(fn: Callable[..., Any], given: list[Any], *expected: Any) -> None:
    """Eager and compiled, with all arguments traced, give what is expected."""
    for run in (fn, fl.jit(fn)):
        found = arrays(run(*map(fl.tensor, given)))
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
            assert a.shape == np.shape(b)


# --- taking ---------------------------------------------------------------------------------------


def test_gather_with_batches() -> None:
    check(lambda x, i: fl.gather(x, i, 1), [X, [[2, 0], [1, 1]]], X[:, [[2, 0], [1, 1]]])
    i = RNG.integers(0, 3, (4, 2, 5))
    check(
        lambda x, i: fl.gather(x, i, 1, batch_dims=1),
        [X, i],
        np.stack([X[b][i[b]] for b in range(4)]),
    )
    i = RNG.integers(0, 2, (4, 5))
    expected = np.stack([X[b][:, i[b]] for b in range(4)])
    check(lambda x, i: fl.gather(x, i, 2, batch_dims=1), [X, i], expected)
    i = RNG.integers(0, 2, (4, 3, 6))
    expected = np.take_along_axis(X, i, 2)
    check(lambda x, i: fl.gather(x, i, -1, batch_dims=2), [X, i], expected)


def test_gather_nd_and_along_an_axis() -> None:
    i = np.int32([[0, 2], [3, 1], [3, 1]])
    check(fl.gather_nd, [X, i], X[i[:, 0], i[:, 1]])
    for axis in range(3):
        shape = [4, 3, 2]
        shape[axis] = 5
        i = RNG.integers(0, X.shape[axis], shape)
        expected = np.take_along_axis(X, i, axis)
        check(lambda x, i, axis=axis: fl.take_along_axis(x, i, axis), [X, i], expected)
    i = np.int32([[[1]], [[0]], [[2]], [[1]]])
    expected = np.take_along_axis(X, np.broadcast_to(i, (4, 1, 2)), 1)
    check(lambda x, i: fl.take_along_axis(x, i, 1), [X, i], expected)


def test_what_is_taken_outside_of_a_traced_function_is_inside() -> None:
    for call in (
        lambda i: fl.gather(X, i),
        lambda i: fl.gather_nd(X, fl.expand_dims(fl.tensor(i), -1)),
        lambda i: fl.scatter_nd(fl.expand_dims(fl.tensor(i), -1), np.ones(2, np.float32), (4,)),
        lambda i: fl.tensor_scatter_update(np.zeros(4), fl.expand_dims(fl.tensor(i), -1), [1.0, 2]),
        lambda i: fl.unsorted_segment_sum(np.ones(2), i, 4),
        lambda i: fl.confusion_matrix(i, [0, 0], 4),
    ):
        with pytest.raises(FanlightError, match="E-TENSOR-007") as caught:
            call(np.int32([1, 4]))
        assert "4" in str(caught.value.received)
        assert "test_indices.py" in str(caught.value.where)
    clipped = fl.jit(lambda i: fl.gather(X, i))(np.int32([-1, 4]))
    np.testing.assert_array_equal(clipped.numpy(), X[[0, 3]])
    dropped = fl.jit(lambda i: fl.scatter_add(np.zeros(4), i, [1.0, 2]))(np.int32([1, 4]))
    assert dropped.tolist() == [0, 1, 0, 0]


# --- putting --------------------------------------------------------------------------------------


def test_scatter() -> None:
    i, u = np.int32([[1], [3], [1]]), X[:3]
    expected = np.zeros((5, 3, 2))
    np.add.at(expected, i[:, 0], u)
    check(lambda i, u: fl.scatter_nd(i, u, (5, 3, 2)), [i, u], expected)
    for name, change in (
        ("add", np.add.at), ("sub", np.subtract.at), ("max", np.maximum.at), ("min", np.minimum.at),
    ):  # fmt: skip
        expected = X.copy()
        change(expected, i[:, 0], u)
        check(getattr(fl, f"tensor_scatter_{name}"), [X, i, u], expected)
    expected = X.copy()
    expected[3], expected[1] = u[1], u[2]
    check(fl.tensor_scatter_update, [X, i, u], expected)
    expected = X.copy()
    np.add.at(expected, i[:, 0], u)
    check(fl.scatter_add, [X, i[:, 0], u], expected)
    assert fl.tensor_scatter_update([True, False], [[1]], [True]).tolist() == [True, True]


def test_sparse_to_dense() -> None:
    check(lambda v: fl.sparse_to_dense([0, 2], v, (4,), 9), [[5.0, 6]], [5, 9, 6, 9])
    assert fl.sparse_to_dense(2, 7, (4,)).tolist() == [0, 0, 7, 0]
    assert fl.sparse_to_dense([[0, 1], [1, 0]], 7, (2, 2), -1).tolist() == [[-1, 7], [7, -1]]
    assert fl.sparse_to_dense([], [], (2,), 5.0).tolist() == [5, 5]


@pytest.mark.parametrize("shift,axis", [(2, 0), (-1, 1), (7, None), ((1, -2), (0, 1)), (0, 0)])
def test_roll(shift: Any, axis: Any) -> None:
    check(lambda x: fl.roll(x, shift, axis), [X], np.roll(X, shift, axis))


# --- scans and orders -----------------------------------------------------------------------------


def test_scans() -> None:
    for axis in range(3):
        flipped = np.flip(np.cumsum(np.flip(X, axis), axis), axis)
        check(lambda x, axis=axis: fl.cumsum(x, axis, reverse=True), [X], flipped)
        check(lambda x, axis=axis: fl.cumprod(x, axis), [X], np.cumprod(X, axis))
        check(lambda x, axis=axis: fl.cummax(x, axis), [X], np.maximum.accumulate(X, axis))
        check(lambda x, axis=axis: fl.cummin(x, axis), [X], np.minimum.accumulate(X, axis))
    check(lambda x: fl.cumsum(x, exclusive=True), [[1.0, 2, 4]], [0, 1, 3])
    assert fl.cumsum([True, False, True]).tolist() == [1, 1, 2]


def test_logcumsumexp() -> None:
    x = np.float32([[1000, 999, -np.inf, 1001, 3], [-np.inf, -np.inf, 0, np.inf, 1]])
    with np.errstate(all="ignore"):
        expected = np.logaddexp.accumulate(x.astype(np.float64), axis=1)
    for run in (fl.logcumsumexp, fl.jit(lambda x, axis: fl.logcumsumexp(x, 1))):
        np.testing.assert_allclose(run(fl.tensor(x), 1).numpy(), expected, rtol=1e-6)
    back = np.logaddexp.accumulate(ROWS[::-1].astype(np.float64), axis=0)[::-1]
    check(lambda x: fl.logcumsumexp(x, reverse=True), [ROWS], back)
    x = np.float32([0.5, -np.inf, 1, 2])
    slope = fl.grad(lambda x: fl.sum(fl.logcumsumexp(x)))(x).numpy()
    y = np.logaddexp.accumulate(x.astype(np.float64))
    expected = [sum(np.exp(x[i] - y[k]) for k in range(i, 4)) for i in range(4)]
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort(axis: int, descending: bool) -> None:
    key = -X if descending else X
    order = np.argsort(key, axis, kind="stable")
    check(lambda x: fl.argsort(x, axis, descending), [X], order)
    check(lambda x: fl.sort(x, axis, descending), [X], np.take_along_axis(X, order, axis))
    assert fl.sort([True, False], descending=True).tolist() == [True, False]


def test_the_gradient_of_a_sort_goes_back() -> None:
    x, w = np.float32([3, 1, 2]), np.float32([10, 20, 30])
    slope = fl.jit(fl.grad(lambda x: fl.sum(fl.sort(x) * w)))(x)
    assert slope.tolist() == [30, 10, 20]


def test_searches() -> None:
    sequence = np.float32([[1, 3, 3, 5, 9], [0, 0, 1, 1, 2]])
    values = np.float32([[3, 0, 10], [1, -1, 0.5]])
    for side, name in (("left", "lower_bound"), ("right", "upper_bound")):
        pairs = zip(sequence, values, strict=True)
        expected = np.stack([np.searchsorted(s, v, side) for s, v in pairs])  # type: ignore
        check(lambda s, v, side=side: fl.search_sorted(s, v, side), [sequence, values], expected)
        check(getattr(fl, name), [sequence, values], expected)
    assert fl.search_sorted([1, 3, 5], [[2, 9]]).tolist() == [[1, 3]]
    assert fl.search_sorted([1, 3, 5], 2.5).item() == 1


def test_in_top_k() -> None:
    check(lambda p, t: fl.in_top_k(p, t, 2), [[[1.0, 5, 3], [2, 2, 2]], [2, 2]], [True, False])


def test_counts() -> None:
    x, w = np.int32([1, 3, 1, 0]), np.float32([0.5, 1, 2, 4])
    assert fl.bincount(x).tolist() == [1, 2, 0, 1]
    check(lambda x, w: fl.bincount(x, w, size=3), [x, w], [4, 2.5, 0])
    check(lambda x: fl.bincount(x, size=5, binary_output=True), [x], [1, 1, 0, 1, 0])
    two = np.int32([[1, 1, 5], [0, 2, 2]])
    check(lambda x: fl.dense_bincount(x, size=3), [two], [[0, 2, 0], [1, 0, 2]])
    assert fl.dense_bincount(x, w).tolist() == [4, 2.5, 0, 1]
    with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
        fl.jit(lambda x: fl.bincount(x))(x)
    assert "size=" in str(caught.value)
    with pytest.raises(FanlightError, match="E-TENSOR-007"):
        fl.bincount([-1])
    slope = fl.grad(lambda w: fl.sum(fl.bincount(x, w) * np.float32([1, 2, 3, 4])))(w)
    assert slope.tolist() == [2, 4, 2, 1]


def test_confusion_matrix() -> None:
    labels, found = np.int32([0, 1, 2, 1]), np.int32([0, 2, 2, 1])
    expected = [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    check(lambda a, b: fl.confusion_matrix(a, b, 3), [labels, found], expected)
    assert fl.confusion_matrix(labels, found).tolist() == expected
    weighted = fl.confusion_matrix(labels, found, weights=np.float32([1, 2, 3, 4]))
    assert weighted.tolist() == [[1, 0, 0], [0, 4, 2], [0, 0, 3]]


# --- segments -------------------------------------------------------------------------------------


def grouped(x: np.ndarray, ids: np.ndarray, count: int, fn: Any, empty: float) -> np.ndarray:
    found = np.full((count, *x.shape[1:]), empty, np.float64)
    for i in set(ids.tolist()):
        found[i] = fn(x[ids == i], axis=0)
    return found


@pytest.mark.parametrize(
    ("name", "fn", "empty", "unsorted"),
    [
        ("sum", np.sum, 0, 0), ("mean", np.mean, 0, 0), ("prod", np.prod, 1, 1),
        ("max", np.max, 0, np.finfo(np.float32).min), ("min", np.min, 0, np.finfo(np.float32).max),
    ],
)  # fmt: skip
def test_segments(name: str, fn: Any, empty: float, unsorted: float) -> None:
    expected = grouped(X, IDS, 5, fn, empty)
    segment, other = getattr(fl, f"segment_{name}"), getattr(fl, f"unsorted_segment_{name}")
    check(lambda x, i: segment(x, i, 5), [X, IDS], expected)
    np.testing.assert_allclose(segment(X, IDS).numpy(), expected, rtol=1e-6)
    expected = grouped(X, IDS, 6, fn, unsorted)
    check(lambda x, i: other(x, i, 6), [X, IDS], expected)
    with pytest.raises(FanlightError, match="E-TENSOR-003") as caught:
        fl.jit(lambda x, i: segment(x, i))(X, IDS)
    assert "num_segments=" in str(caught.value)


def test_segments_of_several_dims_and_negative_ids() -> None:
    ids = np.int32([[0, 1, -1], [1, 1, 0], [2, 0, 0], [-5, 2, 2]])
    expected = np.zeros((3, 2))
    for at in np.ndindex(4, 3):
        if ids[at] >= 0:
            expected[ids[at]] += X[at]
    check(lambda x, i: fl.unsorted_segment_sum(x, i, 3), [X, ids], expected)
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.unsorted_segment_sum(X, [0, 1], 3)


def test_sparse_segments() -> None:
    picked, ids = np.int32([3, 0, 3]), np.int32([0, 2, 2])
    expected = np.stack([X[3], X[0] * 0, X[0] + X[3]])
    check(lambda x, p, i: fl.sparse_segment_sum(x, p, i, 3), [X, picked, ids], expected)
    expected[2] /= 2
    np.testing.assert_allclose(fl.sparse_segment_mean(X, picked, ids).numpy(), expected)


# --- pooling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["valid", "same", 1, ((0, 1), (1, 0))])
@pytest.mark.parametrize("batch", [False, True])
def test_max_pool_with_argmax(padding: Any, batch: bool) -> None:
    x = RNG.permutation(2 * 5 * 6 * 3).reshape(2, 5, 6, 3).astype(np.float32)
    attrs = {"size": (2, 3), "strides": (2, 1), "padding": padding}
    fn = lambda x: fl.max_pool_with_argmax(x, **attrs, include_batch_in_index=batch)  # noqa: E731
    values, index = arrays(fn(x))
    flat = x.reshape(-1) if batch else x.reshape(2, -1)
    taken = flat[index] if batch else np.stack([flat[b][index[b]] for b in range(2)])
    np.testing.assert_array_equal(values, taken)
    check(fn, [x], values, index)


# --- what is refused ------------------------------------------------------------------------------

REFUSED: list[tuple[str, str, Callable[[], Any]]] = [
    ("E-OP-003", "gather indices", lambda: fl.gather(X, [0.5])),
    ("E-OP-003", "scatter_nd indices", lambda: fl.scatter_nd([[0.5]], [1.0], (2,))),
    ("E-OP-003", "scatter_nd updates", lambda: fl.scatter_nd([[0]], [True], (2,))),
    ("E-OP-003", "in_top_k targets", lambda: fl.in_top_k(ROWS, [0.0, 1, 2], 1)),
    ("E-OP-004", "scatter_nd updates", lambda: fl.scatter_nd([[0]], [1.0, 2], (2,))),
    ("E-OP-004", "gather_nd indices", lambda: fl.gather_nd([1.0], [[0, 0]])),
    ("E-OP-004", "gather indices", lambda: fl.gather(X, [0, 1], 1, batch_dims=1)),
    ("E-OP-004", "take_along_axis", lambda: fl.take_along_axis(X, [0])),
    ("E-OP-004", "in_top_k targets", lambda: fl.in_top_k(ROWS, [0], 1)),
    ("E-OP-005", "top_k k", lambda: fl.in_top_k(ROWS, [0, 0, 0], 9)),
    ("E-OP-004", "search_sorted", lambda: fl.search_sorted(ROWS, [1.0])),
    ("E-OP-005", "search_sorted side", lambda: fl.search_sorted([1], [1], "middle")),
    ("E-OP-004", "dense_bincount x", lambda: fl.dense_bincount(np.zeros((1, 1, 1), int))),
    ("E-OP-004", "bincount weights", lambda: fl.bincount([1, 2], [1.0])),
    ("E-OP-004", "confusion_matrix", lambda: fl.confusion_matrix([1, 2], [1])),
    ("E-OP-005", "axis", lambda: fl.sort(X, 3)),
    ("E-OP-005", "axis", lambda: fl.argsort(1.0)),
    ("E-OP-005", "axis", lambda: fl.cumsum(X, 5)),
    ("E-OP-005", "axis", lambda: fl.roll(X, 1, 7)),
    ("E-OP-005", "roll shift", lambda: fl.roll(X, (1, 2), 0)),
    ("E-OP-004", "segment_ids", lambda: fl.segment_sum(X, [[0]])),
    ("E-OP-004", "sparse_segment_sum", lambda: fl.sparse_segment_sum(X, [0, 1], [0])),
    ("E-TENSOR-007", "sparse_segment", lambda: fl.sparse_segment_sum(X, [9], [0])),
    ("E-OP-005", "size", lambda: fl.max_pool_with_argmax(np.zeros((1, 2, 2, 1)), 0)),
    ("E-OP-005", "padding", lambda: fl.max_pool_with_argmax(np.zeros((1, 2, 2, 1)), 1, 1, "full")),
    ("E-OP-004", "max_pool", lambda: fl.max_pool_with_argmax(np.zeros((1, 2, 2, 1)), 3)),
    ("E-TENSOR-007", "indices", lambda: fl.sparse_to_dense([5], [1], (3,))),
    ("E-TENSOR-006", "", lambda: fl.scatter_nd([[0]], [1.0], (-2,))),
    ("E-OP-005", "bincount size", lambda: fl.bincount([1], size=-1)),
    ("E-OP-005", "unsorted_segment_sum num", lambda: fl.unsorted_segment_sum(X, IDS, -1)),
    ("E-OP-005", "num_classes", lambda: fl.confusion_matrix([], [], 1.5)),  # type: ignore[arg-type]
    ("E-OP-005", "boolean_mask size", lambda: fl.boolean_mask([1], [True], size=-1)),
    ("E-OP-005", "unique size", lambda: fl.unique([1], size=-1)),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_mistakes_are_coded_errors(number: int) -> None:
    code, words, call = REFUSED[number]
    with pytest.raises(FanlightError) as caught:
        call()
    error = caught.value
    assert error.code == code, error
    assert words in str(error)
    assert "test_indices.py" in str(error)
