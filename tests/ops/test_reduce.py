"""Reductions, positions, sorting, softmax and matmul against plain formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlight.errors import FanlightError
from tests.ops.support import FULL_SHAPES, SEEDS, SHAPES, assert_close, call, call_all, sample


def _axes(data: st.DataObject, rank: int) -> tuple[int, ...]:
    """Some dims, some of them counted from the end."""
    chosen = data.draw(st.sets(st.integers(0, rank - 1)) if rank else st.just(set()))
    return tuple(a - rank if data.draw(st.booleans()) else a for a in sorted(chosen))


def _fold(x: np.ndarray, axes: tuple[int, ...], keep: bool, fold: Any) -> np.ndarray:
    """One Python call of `fold` per result, over a list of elements."""
    dims = {a % x.ndim for a in axes} if x.ndim else set()
    kept = [n for d, n in enumerate(x.shape) if d not in dims]
    groups: dict[tuple[int, ...], list[Any]] = {i: [] for i in np.ndindex(*kept)}
    for index in np.ndindex(*x.shape):
        groups[tuple(i for d, i in enumerate(index) if d not in dims)].append(x[index].item())
    flat = np.array([fold(v) for v in groups.values()])
    return flat.reshape([1 if d in dims else n for d, n in enumerate(x.shape)] if keep else kept)


FOLDS = {
    "sum": math.fsum,
    "mean": lambda v: math.fsum(v) / len(v),
    "prod": math.prod,
    "max": max,
    "min": min,
    "any": any,
    "all": all,
}


@pytest.mark.parametrize("op", FOLDS)
@given(shape=SHAPES, seed=SEEDS, keep=st.booleans(), data=st.data())
def test_reductions(
    op: str, shape: tuple[int, ...], seed: int, keep: bool, data: st.DataObject
) -> None:
    dtype = "bool" if op in ("any", "all") else "float32"
    x = sample(seed, shape, dtype)
    axes = _axes(data, len(shape))
    if op in ("mean", "max", "min") and any(shape[a] == 0 for a in axes):
        with pytest.raises(FanlightError, match="E-OP-004"):
            call(op, x, axes=axes)
        return
    got = call(op, x, axes=axes, keepdims=keep)
    assert_close(got, _fold(x, axes, keep, FOLDS[op]), 1e-5 if op != "max" else 0, (op, axes))


@pytest.mark.parametrize("op", ["sum", "prod", "max", "min"])
def test_integer_reductions(op: str) -> None:
    x = sample(3, (4, 3, 5), "int32")
    x[x == 0] = 7
    got = call(op, x, axes=(1,))
    assert got.dtype == np.int32
    wanted = _fold(x, (1,), False, sum if op == "sum" else FOLDS[op])
    assert np.array_equal(got, wanted)
    assert call("sum", np.int32([2**31 - 1, 1]), axes=(0,)) == -(2**31)


def test_sums_do_not_lose_small_terms() -> None:
    x = np.full((1, 300, 300, 1), 0.1, np.float32)
    x[0, 0, 0, 0] = 1e6
    wanted = math.fsum(x.ravel().tolist())
    assert_close(call("sum", x, axes=(1, 2, 3)), [wanted], 1e-7)


def test_nan_goes_through_reductions() -> None:
    x = np.float32([[1, np.nan, 2], [3, 4, 5]])
    for op in ("sum", "mean", "prod", "max", "min"):
        assert np.isnan(call(op, x, axes=(1,))).tolist() == [True, False]


@given(shape=FULL_SHAPES.filter(bool), seed=SEEDS, data=st.data())
def test_positions_take_the_first(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = sample(seed, shape, data.draw(st.sampled_from(["float32", "int32"])))
    x = np.round(x / 2).astype(x.dtype)  # ties
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lines = np.moveaxis(x, axis, -1).reshape(-1, shape[axis]).tolist()
    kept = tuple(n for d, n in enumerate(shape) if d != axis % len(shape))
    for op, best in (("arg_max", max), ("arg_min", min)):
        wanted = np.array([line.index(best(line)) for line in lines]).reshape(kept)
        assert np.array_equal(call(op, x, axis=axis), wanted)


def test_the_first_nan_wins_positions() -> None:
    x = np.float32([3, np.nan, 9, np.nan])
    assert call("arg_max", x, axis=0) == call("arg_min", x, axis=0) == 1


@given(shape=FULL_SHAPES.filter(bool), seed=SEEDS, data=st.data())
def test_top_k(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = sample(seed, shape, data.draw(st.sampled_from(["float32", "int32"])))
    x = np.round(x / 2).astype(x.dtype)
    k = data.draw(st.integers(0, shape[-1]))
    values, indices = call_all("top_k", x, k=k)
    for line, v, i in zip(
        x.reshape(-1, shape[-1]).tolist(),
        values.reshape(-1, k) if k else [],
        indices.reshape(-1, k) if k else [],
    ):
        wanted = sorted(range(len(line)), key=lambda n: (-line[n], n))[:k]
        assert i.tolist() == wanted
        assert v.tolist() == [line[n] for n in wanted]


def test_top_k_with_the_least_integer_and_nan() -> None:
    assert call_all("top_k", np.int32([-(2**31), 5, 2**31 - 1]), k=3)[1].tolist() == [2, 1, 0]
    assert call_all("top_k", np.float32([1, np.nan, 3]), k=3)[1].tolist() == [2, 0, 1]


@given(shape=FULL_SHAPES.filter(bool), seed=SEEDS, data=st.data())
def test_softmax(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x = sample(seed, shape) * np.float32(data.draw(st.sampled_from([1, 100])))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    powers = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    wanted = powers / powers.sum(axis=axis, keepdims=True)
    assert_close(call("softmax", x, axis=axis), wanted, 1e-6)
    logs = np.where(wanted > 1e-300, np.log(np.maximum(wanted, 1e-300)), 0)
    got = call("log_softmax", x, axis=axis)
    assert_close(np.where(wanted > 1e-300, got, 0), logs, 1e-5)


@given(seed=SEEDS, data=st.data())
def test_matmul(seed: int, data: st.DataObject) -> None:
    m, k, n = (data.draw(st.sampled_from([0, 1, 2, 5])) for _ in range(3))
    batch = data.draw(SHAPES.filter(lambda s: len(s) < 3))
    other = tuple(1 if data.draw(st.booleans()) else d for d in batch)
    a, b = sample(seed, (*batch, m, k)), sample(seed + 1, (*other, k, n))
    wanted = np.einsum("...mk,...kn->...mn", a.astype(np.float64), b.astype(np.float64))
    ta, tb = data.draw(st.booleans()), data.draw(st.booleans())
    a = np.ascontiguousarray(np.swapaxes(a, -1, -2)) if ta else a
    b = np.ascontiguousarray(np.swapaxes(b, -1, -2)) if tb else b
    assert_close(call("matmul", a, b, transpose_a=ta, transpose_b=tb), wanted, 1e-5)


def test_matmul_epilogue() -> None:
    a, b, bias, other = sample(1, (3, 4)), sample(2, (4, 5)), sample(3, (5,)), sample(4, (3, 5))
    got = call("matmul", a, b, bias, other, epilogue="max(add(add(a0, a1), a2), 0)")
    assert_close(got, np.maximum(a @ b + bias + other, 0), 1e-5)
