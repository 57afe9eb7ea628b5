"""Tensors of numbers, ranges and grids; dtypes and their promotion."""

from __future__ import annotations

from itertools import product
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
    INTEGERS,
    arrays,
    narrow,
    quick,
    same,
    shapes,
)


@quick
@given(shape=shapes, dtype=st.sampled_from((None, *DTYPES)), value=st.sampled_from([0, 1, 3]))
def test_tensors_of_one_value(shape: tuple[int, ...], dtype: str | None, value: int) -> None:
    name = dtype or "float32"
    same("zeros", xp.zeros(shape, dtype=dtype), np.zeros(shape), name)
    same("ones", xp.ones(shape, dtype=dtype), np.ones(shape), name)
    assert xp.empty(shape, dtype=dtype).shape == shape
    want = np.full(shape, value).astype(name)
    same("full", xp.full(shape, value, dtype=dtype), want, dtype or "int32")
    like = xp.ones(shape, dtype="uint8")
    same("zeros_like", xp.zeros_like(like, dtype=dtype), np.zeros(shape), dtype or "uint8")
    same("ones_like", xp.ones_like(like, dtype=dtype), np.ones(shape), dtype or "uint8")
    same("full_like", xp.full_like(like, value, dtype=dtype), want, dtype or "uint8")
    assert xp.empty_like(like, dtype=dtype).dtype == (dtype or "uint8")


def test_full_of_other_numbers() -> None:
    for value in (True, 2, 2.5, 1 - 2j):
        want = np.full((2,), value)
        same("full", xp.full((2,), value), want, narrow(want.dtype))
    same("full", xp.full(3, fl.tensor(2.5)), np.full(3, 2.5))
    traced = fl.jit(lambda v: xp.full((2, 2), v))(fl.tensor(2.5))
    same("full", traced, np.full((2, 2), 2.5))


@quick
@given(
    start=st.integers(-9, 9),
    stop=st.one_of(st.none(), st.integers(-9, 9)),
    step=st.sampled_from([1, 2, -1, 3]),
    dtype=st.sampled_from([None, "int32", "float32"]),
)
def test_arange(start: int, stop: int | None, step: int, dtype: str | None) -> None:
    want = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    same("arange", xp.arange(start, stop, step, dtype=dtype), want, dtype or "int32")
    floats = want / 2
    got = xp.arange(start / 2, None if stop is None else stop / 2, step / 2)
    same("arange", got, floats, "float32")


@quick
@given(
    ends=st.tuples(st.floats(-9, 9, width=32), st.floats(-9, 9, width=32)),
    num=st.integers(0, 9),
    endpoint=st.booleans(),
)
def test_linspace(ends: tuple[float, float], num: int, endpoint: bool) -> None:
    want = np.linspace(*ends, num, endpoint=endpoint)
    same("linspace", xp.linspace(*ends, num, endpoint=endpoint), want, "float32")


def test_linspace_of_complex_numbers() -> None:
    same("linspace", xp.linspace(0, 1 + 2j, 5), np.linspace(0, 1 + 2j, 5))
    same("linspace", xp.linspace(0, 4, 5, dtype=xp.int32), np.arange(5), "int32")


def test_linspace_between_what_is_one_number() -> None:
    for end in (4, 4.0, np.int64(4), np.float32(4), np.array(4), fl.tensor(4), fl.scalar(4.0)):
        same("linspace", xp.linspace(0, end, 5), np.linspace(0, 4, 5), "float32")
    complex_end = fl.tensor(np.complex64(1 + 2j))
    same("linspace", xp.linspace(0, complex_end, 5), np.linspace(0, 1 + 2j, 5))
    assert np.isnan(xp.linspace(float("nan"), 1, 2).numpy()[0])
    for wrong in ("1", None, [1, 2], fl.ones(1), 10**400):
        with pytest.raises(FanlightError):
            xp.linspace(0, wrong, 5)


@quick
@given(
    rows=st.integers(0, 4),
    columns=st.one_of(st.none(), st.integers(0, 4)),
    k=st.integers(-5, 5),
    dtype=st.sampled_from((None, *DTYPES)),
)
def test_eye(rows: int, columns: int | None, k: int, dtype: str | None) -> None:
    want = np.eye(rows, columns, k)
    same("eye", xp.eye(rows, columns, k=k, dtype=dtype), want, dtype or "float32")


@pytest.mark.parametrize("name", ["tril", "triu"])
@quick
@given(data=st.data(), k=st.integers(-4, 4))
def test_triangles(name: str, data: st.DataObject, k: int) -> None:
    shape = data.draw(shapes.filter(lambda s: len(s) >= 2))
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES)), shape))
    same(name, getattr(xp, name)(fl.tensor(x), k=k), getattr(np, name)(x, k), x.dtype.name)


@quick
@given(
    sizes=st.lists(st.integers(0, 3), min_size=0, max_size=4),
    indexing=st.sampled_from(["xy", "ij"]),
    dtype=st.sampled_from(DTYPES),
)
def test_meshgrid(sizes: list[int], indexing: str, dtype: str) -> None:
    axes = [np.arange(n).astype(dtype) for n in sizes]
    got = xp.meshgrid(*map(fl.tensor, axes), indexing=indexing)
    want = np.meshgrid(*axes, indexing=indexing)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        same("meshgrid", g, w, dtype)


@quick
@given(data=st.data())
def test_asarray(data: st.DataObject) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES))))
    same("asarray", xp.asarray(x), x, x.dtype.name)
    if x.size:
        same("asarray", xp.asarray(x.tolist()), x, x.dtype.name if x.dtype != "u1" else "int32")
    to = data.draw(st.sampled_from([d for d in DTYPES if x.dtype != "c8" or d == "complex64"]))
    if not (x.dtype.kind == "f" and to in INTEGERS):
        want = x.astype(to) if to != "uint8" else np.clip(x, 0, 255).astype(to)
        same("asarray", xp.asarray(x, dtype=to), want, to)


def test_asarray_copies() -> None:
    x = np.arange(4, dtype=np.float32)
    shared, own = xp.asarray(x), xp.asarray(x, copy=True)
    x[0] = 9
    assert own.tolist() == [0, 1, 2, 3] and shared.tolist() == [9, 1, 2, 3]
    assert xp.asarray(shared, copy=False) is shared
    assert xp.asarray(shared, copy=True) is not shared
    assert xp.asarray(x, copy=False).tolist() == x.tolist()
    for value in ([1, 2], x.astype(np.float64)):
        with pytest.raises(FanlightError, match="E-OP-005"):
            xp.asarray(value, copy=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack(dtype: str) -> None:
    x = np.ones((2, 3), dtype)
    same("from_dlpack", xp.from_dlpack(x), x, dtype)
    same("from_dlpack", xp.from_dlpack(fl.tensor(x)), x, dtype)
    np.testing.assert_array_equal(np.from_dlpack(fl.tensor(x)), x)
    own = xp.from_dlpack(x, copy=True)
    x[0, 0] = 0
    assert own.numpy()[0, 0] == 1
    with pytest.raises(FanlightError, match="E-TENSOR-001"):
        xp.from_dlpack([1.0])


def test_devices() -> None:
    x = xp.ones(2, device="cpu")
    assert x.device == "cpu" and x.to_device("cpu") is x and x.to_device(x.device) is x
    for call in (lambda: xp.ones(2, device="gpu"), lambda: x.to_device("gpu")):
        with pytest.raises(FanlightError, match="E-OP-005"):
            call()


def test_what_cannot_be_made() -> None:
    for call in (
        lambda: xp.zeros(2, dtype="float64x"),
        lambda: xp.zeros(2, dtype="int8"),
        lambda: xp.asarray([1, 2**40]),
        lambda: xp.asarray(["a"]),
        lambda: xp.asarray(object()),
    ):
        with pytest.raises(FanlightError, match="E-TENSOR-001"):
            call()
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        xp.zeros((2, -1))
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        xp.arange(1, 5, 0)
    with pytest.raises(FanlightError, match="E-OP-004"):
        xp.tril(xp.ones(3))


# --- dtypes ---------------------------------------------------------------------------------------

# The standard's table, for the dtypes that there are.
PROMOTED = {
    **{(d, d): d for d in DTYPES},
    ("uint8", "int32"): "int32",
    ("float32", "complex64"): "complex64",
}


@pytest.mark.parametrize(("pair", "want"), list(PROMOTED.items()))
def test_promotion(pair: tuple[str, str], want: str) -> None:
    for a, b in (pair, pair[::-1]):
        assert xp.result_type(a, b) == want
        assert xp.result_type(xp.ones(2, dtype=a), b) == want
        assert xp.result_type(np.ones(2, a), xp.ones((), dtype=b)) == want
        if want != "bool":
            assert xp.add(xp.ones(2, dtype=a), xp.ones((), dtype=b)).dtype == want
        assert xp.where(True, xp.ones(2, dtype=a), xp.ones(2, dtype=b)).dtype == want
        assert xp.concat([xp.ones(2, dtype=a), xp.ones(1, dtype=b)]).dtype == want


@pytest.mark.parametrize(("a", "b"), list(product(DTYPES, DTYPES)))
def test_mixed_kinds_widen(a: str, b: str) -> None:
    """What the standard leaves open: the wider kind wins."""
    want = max(a, b, key=DTYPES.index)
    assert xp.result_type(a, b) == want
    if "bool" not in (a, b):
        assert xp.multiply(xp.ones(2, dtype=a), xp.ones(2, dtype=b)).dtype == want
    order = {("uint8", "int32"), ("float32", "complex64")}
    assert xp.can_cast(a, b) == (a == b or (a, b) in order)
    assert xp.can_cast(xp.ones((), dtype=a), b) == xp.can_cast(a, b)


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (("uint8", 3), "uint8"),
        (("int32", True), "int32"),
        (("float32", 3), "float32"),
        (("float32", 3.5), "float32"),
        (("complex64", 3.5), "complex64"),
        (("float32", 1j), "complex64"),
        (("int32", 2.5), "float32"),
        (("uint8", -1), "int32"),
        (("uint8", 256), "int32"),
        (("bool", 1), "int32"),
        (("float32", "uint8", 3, 1j), "complex64"),
    ],
)
def test_python_numbers_among_dtypes(values: tuple[Any, ...], want: str) -> None:
    assert xp.result_type(*values) == want
    assert xp.result_type(*values[::-1]) == want


def test_only_python_numbers_have_no_dtype() -> None:
    for values in ((), (1, 2.0)):
        with pytest.raises(FanlightError, match="E-TENSOR-001"):
            xp.result_type(*values)


KINDS = {
    "bool": {"bool"},
    "signed integer": {"int32"},
    "unsigned integer": {"uint8"},
    "integral": {"uint8", "int32"},
    "real floating": {"float32"},
    "complex floating": {"complex64"},
    "numeric": {"uint8", "int32", "float32", "complex64"},
}


@pytest.mark.parametrize(("kind", "names"), list(KINDS.items()))
def test_isdtype(kind: str, names: set[str]) -> None:
    assert {d for d in DTYPES if xp.isdtype(d, kind)} == names
    assert {d for d in DTYPES if xp.isdtype(d, (kind, "bool"))} == names | {"bool"}
    for name in names:
        assert xp.isdtype(name, name) and not xp.isdtype(name, ())
    with pytest.raises(FanlightError, match="E-OP-005"):
        xp.isdtype(xp.int32, "roman")
    with pytest.raises(FanlightError, match="E-TENSOR-001"):
        xp.isdtype("int8", "integral")


@quick
@given(data=st.data())
def test_astype(data: st.DataObject) -> None:
    start, to = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(DTYPES))
    x = data.draw(arrays(start, special=False))
    y = fl.tensor(x)
    if start == "complex64" and to not in ("complex64", "bool"):
        with pytest.raises(FanlightError, match="E-OP-003"):
            xp.astype(y, to)
        return
    if to == "uint8" and start == "float32":
        x = np.abs(x)
        y = fl.tensor(x)
    same("astype", xp.astype(y, to), x.astype(to), to)
    assert (xp.astype(y, start, copy=False) is y) and (xp.astype(y, start) is not y)


def test_limits_of_dtypes() -> None:
    for dtype in ("float32", "complex64"):
        info, want = xp.finfo(dtype), np.finfo(dtype)
        assert (info.bits, info.eps, info.max, info.min) == (32, want.eps, want.max, want.min)
        assert info.smallest_normal == want.smallest_normal and info.dtype == "float32"
        assert xp.finfo(xp.ones((), dtype=dtype)) == info
        assert all(type(v) is float for v in (info.eps, info.max, info.smallest_normal))
    for dtype in INTEGERS:
        whole, limits = xp.iinfo(dtype), np.iinfo(dtype)
        assert (whole.bits, whole.max, whole.min) == (limits.bits, limits.max, limits.min)
        assert whole.dtype == dtype and xp.iinfo(xp.ones((), dtype=dtype)) == whole
    for call in (lambda: xp.finfo("int32"), lambda: xp.iinfo("float32")):
        with pytest.raises(FanlightError, match="E-OP-003"):
            call()


# --- what Python asks of a tensor -----------------------------------------------------------------


@pytest.mark.parametrize("value", [True, 3, 2.5, 1 + 2j])
def test_tensors_as_python_numbers(value: Any) -> None:
    x = xp.asarray(value)
    assert complex(x) == complex(value) and bool(x) is True
    if not isinstance(value, complex):
        assert float(x) == float(value) and int(x) == int(value)
    if type(value) is int:
        assert [0, 1, 2, 3, 4][x] == 3
    else:
        with pytest.raises(TypeError):
            [0, 1, 2][x]
    assert type(complex(x)) is complex


def test_attributes() -> None:
    x = xp.ones((2, 3, 4))
    assert (x.ndim, x.shape, x.size, x.dtype) == (3, (2, 3, 4), 24, xp.float32)
    assert x.mT.shape == (2, 4, 3) and x[0].T.shape == (4, 3)
    with pytest.raises(FanlightError, match="E-OP-004"):
        xp.ones(3).mT  # noqa: B018  # which is the error
