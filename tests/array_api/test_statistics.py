"""Sums, means, extremes, positions, counts, truth and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanlight as fl
import fanlight.array_api as xp
from fanlight import FanlightError
from tests.array_api.support import (
    DTYPES,
    FLOATS,
    NUMBERS,
    REALS,
    arrays,
    axes_of,
    filled,
    quick,
    reference,
    rows,
    same,
    shapes,
)


@pytest.mark.parametrize("name", ["sum", "prod"])
@quick
@given(data=st.data(), keepdims=st.booleans())
def test_sums_and_products(name: str, data: st.DataObject, keepdims: bool) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    x = data.draw(arrays(dtype, special=dtype != "float32", low=-3, high=3))
    x = np.clip(x, -4, 4) if dtype == "int32" else x % 5 if dtype == "uint8" else x
    axis = data.draw(axes_of(x.ndim))
    kind = "int32" if dtype in ("bool", "uint8", "int32") else dtype
    want = getattr(np, name)(x, axis=axis, keepdims=keepdims, dtype=kind)
    got = getattr(xp, name)(fl.tensor(x), axis=axis, keepdims=keepdims)
    same(name, got, want, kind, rtol=1e-4, atol=1e-4)
    if dtype != "complex64":
        got = getattr(xp, name)(fl.tensor(x), axis=axis, keepdims=keepdims, dtype="float32")
        want = getattr(np, name)(x, axis=axis, keepdims=keepdims, dtype=np.float32)
        same(name, got, want, "float32", rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["max", "min"])
@quick
@given(data=st.data(), keepdims=st.booleans())
def test_extremes(name: str, data: st.DataObject, keepdims: bool) -> None:
    dtype = data.draw(st.sampled_from(REALS))
    x = data.draw(arrays(dtype, filled))
    axis = data.draw(axes_of(x.ndim))
    want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    same(name, getattr(xp, name)(fl.tensor(x), axis=axis, keepdims=keepdims), want, dtype)


@quick
@given(data=st.data(), keepdims=st.booleans())
def test_mean_and_spread(data: st.DataObject, keepdims: bool) -> None:
    dtype = data.draw(st.sampled_from(FLOATS))
    x = data.draw(arrays(dtype, shapes, special=False))
    axis = data.draw(axes_of(x.ndim))
    count = int(np.prod([x.shape[d] for d in np.atleast_1d(axis)])) if axis is not None else x.size
    if axis == ():
        count = 1
    real = "float32" if dtype == "complex64" else dtype
    y, given_ = fl.tensor(x), {"axis": axis, "keepdims": keepdims}
    wide = x.astype(np.complex128 if dtype == "complex64" else np.float64)
    if count:
        same("mean", xp.mean(y, **given_), np.mean(wide, **given_), dtype, atol=1e-4)
    for correction in (0.0, 1, 0.5):
        if count - correction <= 0:
            shape = np.sum(wide, **given_).shape
            same("var", xp.var(y, correction=correction, **given_), np.full(shape, np.nan), None)
            same("std", xp.std(y, correction=correction, **given_), np.full(shape, np.nan), None)
            continue
        want = np.var(wide, ddof=correction, **given_)
        got = xp.var(y, correction=correction, **given_)
        same("var", got, want, real, rtol=1e-3, atol=1e-3)
        got = xp.std(y, correction=correction, **given_)
        same("std", got, np.sqrt(want), real, rtol=1e-3, atol=1e-3)


def test_of_no_elements() -> None:
    none = xp.zeros((2, 0))
    same("mean", xp.mean(none, axis=1), np.float32([np.nan] * 2))
    same("sum", xp.sum(none, axis=1), np.float32([0, 0]))
    same("prod", xp.prod(none, axis=1), np.float32([1, 1]))
    same("all", xp.all(none), np.True_)
    same("any", xp.any(none), np.False_)
    for call in (xp.max, xp.min, xp.argmax, xp.argmin):
        with pytest.raises(FanlightError, match="E-OP-004"):
            call(none)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@quick
@given(data=st.data(), initial=st.booleans())
def test_running_sums(name: str, data: st.DataObject, initial: bool) -> None:
    dtype = data.draw(st.sampled_from(NUMBERS))
    x = data.draw(arrays(dtype, rows, special=False, low=-2, high=2))
    x = x % 5 if dtype == "uint8" else x
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    kind = "int32" if dtype == "uint8" else dtype
    function = getattr(xp, name)
    given_ = {"axis": axis, "include_initial": initial}
    want = getattr(np, name)(x, dtype=kind, **given_)
    same(name, function(fl.tensor(x), **given_), want, kind, rtol=1e-4, atol=1e-4)
    if x.ndim == 1:
        want = getattr(np, name)(x, dtype=kind)
        same(name, function(fl.tensor(x)), want, kind, rtol=1e-4, atol=1e-4)
    else:
        with pytest.raises(FanlightError, match="E-OP-005"):
            function(fl.tensor(x))
    if dtype != "complex64":
        want = getattr(np, name)(x, dtype=np.float32, **given_)
        got = function(fl.tensor(x), dtype=xp.float32, **given_)
        same(name, got, want, "float32", rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@quick
@given(data=st.data(), keepdims=st.booleans())
def test_positions(name: str, data: st.DataObject, keepdims: bool) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(REALS)), filled))
    axis = data.draw(
        st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1)) if x.ndim else st.none()
    )
    want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    same(name, getattr(xp, name)(fl.tensor(x), axis=axis, keepdims=keepdims), want, "int32")


@pytest.mark.parametrize("name", ["all", "any", "count_nonzero"])
@quick
@given(data=st.data(), keepdims=st.booleans())
def test_truth(name: str, data: st.DataObject, keepdims: bool) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES))))
    axis = data.draw(axes_of(x.ndim))
    want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    kind = "int32" if name == "count_nonzero" else "bool"
    same(name, getattr(xp, name)(fl.tensor(x), axis=axis, keepdims=keepdims), want, kind)


@quick
@given(data=st.data(), n=st.integers(0, 3))
def test_diff(data: st.DataObject, n: int) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    x = data.draw(arrays(dtype, filled.filter(lambda s: len(s) > 0), special=False))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    want = reference(lambda: np.diff(x, n, axis))
    same("diff", xp.diff(fl.tensor(x), n=n, axis=axis), want, dtype, atol=1e-4)
    edge = x.take([0], axis)
    given_: dict[str, Any] = {"prepend": edge, "append": edge}
    want = reference(lambda: np.diff(x, n, axis, **given_))
    tensors = {key: fl.tensor(value) for key, value in given_.items()}
    same("diff", xp.diff(fl.tensor(x), n=n, axis=axis, **tensors), want, dtype, atol=1e-4)


def test_coded_errors() -> None:
    x = xp.ones((2, 3))
    for name in ("sum", "prod", "max", "min", "mean", "std", "var", "all", "any", "count_nonzero"):
        for axis in (2, -3, (0, 0), (0, 5), "x"):
            with pytest.raises(FanlightError, match="E-OP-005"):
                getattr(xp, name)(x, axis=axis)
    for name in ("argmax", "argmin", "cumulative_sum", "cumulative_prod", "diff"):
        with pytest.raises(FanlightError, match="E-OP-005"):
            getattr(xp, name)(x, axis=2)
    with pytest.raises(FanlightError, match="E-OP-005"):
        xp.diff(x, n=-1)
    with pytest.raises(FanlightError, match="E-OP-003"):
        xp.max(xp.asarray([1j]))
