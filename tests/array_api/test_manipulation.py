"""Shapes, joining, taking, searching, order, and elements that differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fanlight as fl
import fanlight.array_api as xp
from fanlight import FanlightError
from tests.array_api.support import (
    DTYPES,
    REALS,
    arrays,
    filled,
    quick,
    rows,
    same,
    together,
)

AnyArray = st.sampled_from(DTYPES).flatmap(arrays)


@quick
@given(given_=together(DTYPES, 3))
def test_broadcast_arrays(given_: list[np.ndarray]) -> None:
    got = xp.broadcast_arrays(*map(fl.tensor, given_))
    for g, w in zip(got, np.broadcast_arrays(*given_), strict=True):
        same("broadcast_arrays", g, w, w.dtype.name)
        same("broadcast_to", xp.broadcast_to(g, w.shape), w, w.dtype.name)


@quick
@given(data=st.data())
def test_concat_and_stack(data: st.DataObject) -> None:
    shape = data.draw(rows)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    dtype = data.draw(st.sampled_from(DTYPES))
    parts = []
    for _ in range(data.draw(st.integers(1, 3))):
        own = list(shape)
        own[axis] = data.draw(st.integers(0, 3))
        parts.append(data.draw(arrays(dtype, tuple(own))))
    tensors = [fl.tensor(p) for p in parts]
    same("concat", xp.concat(tensors, axis=axis), np.concat(parts, axis=axis), dtype)
    same("concat", xp.concat(tuple(tensors), axis=None), np.concat(parts, axis=None), dtype)
    alike = [data.draw(arrays(dtype, shape)) for _ in parts]
    at = data.draw(st.integers(-len(shape) - 1, len(shape)))
    got = xp.stack([fl.tensor(x) for x in alike], axis=at)
    same("stack", got, np.stack(alike, axis=at), dtype)
    for g, w in zip(xp.unstack(got, axis=at), np.unstack(got.numpy(), axis=at), strict=True):
        same("unstack", g, w, dtype)


@quick
@given(x=AnyArray, data=st.data())
def test_dims_come_and_go(x: np.ndarray, data: st.DataObject) -> None:
    y, kind = fl.tensor(x), x.dtype.name
    at = data.draw(st.integers(-x.ndim - 1, x.ndim))
    wide = xp.expand_dims(y, axis=at)
    same("expand_dims", wide, np.expand_dims(x, at), kind)
    same("squeeze", xp.squeeze(wide, at), x, kind)
    same("reshape", xp.reshape(y, (x.size,)), x.reshape(x.size), kind)
    if x.size:
        same("reshape", xp.reshape(y, (-1, 1)), x.reshape(-1, 1), kind)
    same("reshape", xp.reshape(xp.reshape(y, (x.size,)), x.shape, copy=True), x, kind)
    order = data.draw(st.permutations(range(x.ndim)))
    same("permute_dims", xp.permute_dims(y, tuple(order)), np.permute_dims(x, order), kind)
    if x.ndim:
        dims = st.integers(-x.ndim, x.ndim - 1)
        a, b = data.draw(dims), data.draw(dims)
        same("moveaxis", xp.moveaxis(y, a, b), np.moveaxis(x, a, b), kind)
        some = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True))
        to = data.draw(st.permutations(range(x.ndim)))[: len(some)]
        same("moveaxis", xp.moveaxis(y, tuple(some), tuple(to)), np.moveaxis(x, some, to), kind)
    if x.ndim >= 2:
        same("matrix_transpose", xp.matrix_transpose(y), x.swapaxes(-1, -2), kind)
        same("mT", y.mT, x.swapaxes(-1, -2), kind)


@quick
@given(x=AnyArray, data=st.data())
def test_flip_and_roll(x: np.ndarray, data: st.DataObject) -> None:
    y, kind = fl.tensor(x), x.dtype.name
    same("flip", xp.flip(y), np.flip(x), kind)
    shift = data.draw(st.integers(-5, 5))
    same("roll", xp.roll(y, shift), np.roll(x, shift), kind)
    if not x.ndim:
        return
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    axes = tuple(data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1)))
    same("flip", xp.flip(y, axis=axis), np.flip(x, axis), kind)
    same("flip", xp.flip(y, axis=axes), np.flip(x, axes), kind)
    same("roll", xp.roll(y, shift, axis=axis), np.roll(x, shift, axis), kind)
    shifts = tuple(data.draw(st.lists(st.integers(-4, 4), min_size=len(axes), max_size=len(axes))))
    same("roll", xp.roll(y, shifts, axis=axes), np.roll(x, shifts, axes), kind)


@quick
@given(x=AnyArray, data=st.data())
def test_repeat_and_tile(x: np.ndarray, data: st.DataObject) -> None:
    y, kind = fl.tensor(x), x.dtype.name
    count = data.draw(st.integers(0, 3))
    same("repeat", xp.repeat(y, count), np.repeat(x, count), kind)
    if x.ndim:
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
        same("repeat", xp.repeat(y, count, axis=axis), np.repeat(x, count, axis), kind)
        each = data.draw(hnp.arrays(np.int32, x.shape[axis], elements=st.integers(0, 3)))
        want = np.repeat(x, each, axis)
        same("repeat", xp.repeat(y, fl.tensor(each), axis=axis), want, kind)
    counts = tuple(data.draw(st.lists(st.integers(0, 2), max_size=4)))
    same("tile", xp.tile(y, counts), np.tile(x, counts), kind)
    same("tile", xp.tile(y, count), np.tile(x, count), kind)


@quick
@given(data=st.data())
def test_taking(data: st.DataObject) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES)), filled.filter(lambda s: len(s) > 0)))
    y, kind = fl.tensor(x), x.dtype.name
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    inside = st.integers(-size, size - 1)
    places = data.draw(
        hnp.arrays(np.int32, hnp.array_shapes(max_dims=1, max_side=4), elements=inside)
    )
    same("take", xp.take(y, fl.tensor(places), axis=axis), np.take(x, places, axis), kind)
    if x.ndim == 1:
        same("take", xp.take(y, fl.tensor(places)), np.take(x, places), kind)
    shape = list(x.shape)
    shape[axis] = data.draw(st.integers(0, 3))
    along = data.draw(hnp.arrays(np.int32, tuple(shape), elements=inside))
    want = np.take_along_axis(x, along, axis)
    same("take_along_axis", xp.take_along_axis(y, fl.tensor(along), axis=axis), want, kind)
    other = 0 if axis % x.ndim else x.ndim - 1
    if other != axis % x.ndim:
        one = along.take([0], other)
        want = np.take_along_axis(x, one, axis)
        same("take_along_axis", xp.take_along_axis(y, fl.tensor(one), axis=axis), want, kind)


@quick
@given(x=AnyArray, data=st.data())
def test_indexing(x: np.ndarray, data: st.DataObject) -> None:
    index = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True, max_dims=5))
    same("__getitem__", fl.tensor(x)[index], x[index], x.dtype.name)
    if x.ndim:
        mask = data.draw(hnp.arrays(np.bool_, x.shape))
        same("__getitem__", fl.tensor(x)[fl.tensor(mask)], x[mask], x.dtype.name)


@quick
@given(x=AnyArray)
def test_a_truth_value_as_the_index(x: np.ndarray) -> None:
    for mask in (True, False):
        for index in (mask, np.bool_(mask), np.asarray(mask), fl.tensor(mask), (mask,)):
            want = x[bool(mask)]
            same("__getitem__", fl.tensor(x)[index], want, x.dtype.name)


@quick
@given(parts=together(REALS), data=st.data())
def test_where(parts: list[np.ndarray], data: st.DataObject) -> None:
    a, b = parts
    shape = np.broadcast_shapes(a.shape, b.shape)
    condition = data.draw(hnp.arrays(np.bool_, shape))
    kind = max(a.dtype.name, b.dtype.name, key=DTYPES.index)
    want = np.where(condition, a.astype(kind), b.astype(kind))
    same("where", xp.where(fl.tensor(condition), fl.tensor(a), fl.tensor(b)), want, kind)
    want = np.where(condition, a, a.dtype.type(1))
    same("where", xp.where(fl.tensor(condition), fl.tensor(a), 1), want, a.dtype.name)
    same(
        "where",
        xp.where(fl.tensor(condition), 1, fl.tensor(a)),
        np.where(condition, a.dtype.type(1), a),
        a.dtype.name,
    )


@quick
@given(x=AnyArray)
def test_nonzero(x: np.ndarray) -> None:
    if not x.ndim:
        with pytest.raises(FanlightError, match="E-OP-004"):
            xp.nonzero(fl.tensor(x))
        return
    for g, w in zip(xp.nonzero(fl.tensor(x)), np.nonzero(x), strict=True):
        same("nonzero", g, w, "int32")


@quick
@given(data=st.data(), side=st.sampled_from(["left", "right"]))
def test_searchsorted(data: st.DataObject, side: Any) -> None:
    dtype = data.draw(st.sampled_from(REALS))
    x = data.draw(arrays(dtype, hnp.array_shapes(max_dims=1, max_side=6), special=False))
    values = data.draw(arrays(dtype, special=False))
    order = np.argsort(x, kind="stable").astype(np.int32)
    want = np.searchsorted(x[order], values, side)
    y, v = fl.tensor(x), fl.tensor(values)
    same("searchsorted", xp.searchsorted(fl.tensor(x[order]), v, side=side), want, "int32")
    got = xp.searchsorted(y, v, side=side, sorter=fl.tensor(order))
    same("searchsorted", got, want, "int32")


@quick
@given(data=st.data(), descending=st.booleans())
def test_sort(data: st.DataObject, descending: bool) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(REALS)), rows))
    x = np.where(np.isnan(x), x.dtype.type(0), x)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    y, kind = fl.tensor(x), x.dtype.name
    key = -x.astype(np.float64) if descending else x
    order = np.argsort(key, axis=axis, kind="stable")
    got = xp.argsort(y, axis=axis, descending=descending)
    same("argsort", got, order, "int32")
    want = np.take_along_axis(x, order, axis)
    same("sort", xp.sort(y, axis=axis, descending=descending, stable=False), want, kind)


def test_nan_is_last_in_order() -> None:
    x = np.float32([2, np.nan, -np.inf, np.inf])
    same("sort", xp.sort(fl.tensor(x)), np.sort(x))


@quick
@given(x=AnyArray)
def test_unique(x: np.ndarray) -> None:
    y, kind = fl.tensor(x), x.dtype.name
    want = np.unique_all(x)
    got = xp.unique_all(y)
    same("unique_all", got.values, want.values, kind)
    same("unique_all", got.counts, want.counts, "int32")
    same("unique_all", got.inverse_indices, want.inverse_indices, "int32")
    same("unique_all", got.indices, want.indices, "int32")
    same("unique_values", xp.unique_values(y), want.values, kind)
    same("unique_counts", xp.unique_counts(y)[1], want.counts, "int32")
    same("unique_inverse", xp.unique_inverse(y).inverse_indices, want.inverse_indices, "int32")
    assert type(got)._fields == ("values", "indices", "inverse_indices", "counts")


def test_every_nan_is_different() -> None:
    found = xp.unique_counts(fl.tensor([np.nan, 1.0, np.nan, 1.0]))
    same("unique_counts", found.counts, np.int32([2, 1, 1]))


def test_coded_errors() -> None:
    x, m = xp.ones(3), xp.ones((2, 3))
    for code, call in (
        ("E-OP-005", lambda: xp.flip(x, axis=1)),
        ("E-OP-005", lambda: xp.expand_dims(x, axis=3)),
        ("E-OP-005", lambda: xp.squeeze(x, 0)),
        ("E-OP-005", lambda: xp.squeeze(x, 2)),
        ("E-OP-005", lambda: xp.permute_dims(m, (0, 0))),
        ("E-OP-005", lambda: xp.concat([x, x], axis=1)),
        ("E-OP-005", lambda: xp.concat(x)),
        ("E-OP-005", lambda: xp.concat([])),
        ("E-OP-005", lambda: xp.stack([x, x], axis=3)),
        ("E-OP-004", lambda: xp.stack([x, m])),
        ("E-OP-005", lambda: xp.moveaxis(m, (0, 1), (0,))),
        ("E-OP-005", lambda: xp.repeat(x, -1)),
        ("E-OP-005", lambda: xp.repeat(x, fl.tensor([1, 2]))),
        ("E-OP-005", lambda: xp.roll(m, 1, axis=2)),
        ("E-OP-005", lambda: xp.take(m, fl.tensor([0]))),
        ("E-OP-005", lambda: xp.take(m, fl.tensor([0]), axis=2)),
        ("E-TENSOR-007", lambda: xp.take(x, fl.tensor([3]))),
        ("E-OP-003", lambda: xp.take(x, fl.tensor([0.5]))),
        ("E-OP-004", lambda: xp.take_along_axis(m, fl.tensor([0]))),
        ("E-OP-004", lambda: xp.broadcast_arrays(x, xp.ones(2))),
        ("E-OP-005", lambda: xp.broadcast_to(x, (2,))),
        ("E-OP-005", lambda: xp.sort(x, axis=1)),
        ("E-OP-005", lambda: xp.argsort(x, axis=-2)),
        ("E-OP-004", lambda: xp.searchsorted(m, x)),
        ("E-OP-005", lambda: xp.searchsorted(x, x, side="middle")),
        ("E-OP-004", lambda: xp.matrix_transpose(x)),
        ("E-OP-005", lambda: xp.meshgrid(x, indexing="zz")),
        ("E-OP-005", lambda: xp.reshape(x, (2,))),
    ):
        with pytest.raises(FanlightError) as caught:
            call()
        assert caught.value.code == code, (code, caught.value)
        assert "test_manipulation.py" in str(caught.value.where), str(caught.value)
