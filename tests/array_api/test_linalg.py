"""Products of matrices and vectors, and the extension `linalg`."""

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
from tests.array_api.support import DTYPES, NUMBERS, arrays, quick, reference, same

LA = xp.linalg
sides = st.integers(0, 4)
batches = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)
NEAR = {"rtol": 1e-3, "atol": 1e-3}


def drawn(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return data.draw(arrays(dtype, shape, special=False, low=-3, high=3))


def matching(data: st.DataObject, **options: Any) -> tuple[tuple[int, ...], ...]:
    """Shapes that go together."""
    made = hnp.mutually_broadcastable_shapes(max_dims=2, max_side=3, **options)
    return data.draw(made).input_shapes


@quick
@given(data=st.data())
def test_matmul(data: st.DataObject) -> None:
    shape = hnp.mutually_broadcastable_shapes(
        signature="(m?,k),(k,n?)->(m?,n?)", max_dims=2, max_side=3, min_side=0
    )
    first, second = data.draw(shape).input_shapes
    a_type, b_type = data.draw(st.sampled_from(NUMBERS)), data.draw(st.sampled_from(NUMBERS))
    kind = max(a_type, b_type, key=DTYPES.index)
    a, b = drawn(data, a_type, first), drawn(data, b_type, second)
    want = reference(lambda: np.matmul(a.astype(kind), b.astype(kind)))
    x, y = fl.tensor(a), fl.tensor(b)
    same("matmul", xp.matmul(x, y), want, kind, **NEAR)
    same("linalg.matmul", LA.matmul(x, y), want, kind, **NEAR)
    if kind in ("float32", "complex64"):
        same("__matmul__", x @ y, want, kind, **NEAR)


@quick
@given(data=st.data())
def test_tensordot(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(NUMBERS))
    a = drawn(
        data, dtype, data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    )
    count = data.draw(st.integers(0, a.ndim))
    b = drawn(data, dtype, (*a.shape[a.ndim - count :], *data.draw(batches)))
    x, y = fl.tensor(a), fl.tensor(b)
    want = reference(lambda: np.tensordot(a, b, count))
    same("tensordot", xp.tensordot(x, y, axes=count), want, dtype, **NEAR)
    pairs = (tuple(range(a.ndim - count, a.ndim)), tuple(range(count)))
    same("linalg.tensordot", LA.tensordot(x, y, axes=pairs), want, dtype, **NEAR)


@quick
@given(data=st.data())
def test_vecdot(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(NUMBERS))
    shape = hnp.mutually_broadcastable_shapes(
        signature="(k),(k)->()", max_dims=2, max_side=3, min_side=0
    )
    first, second = data.draw(shape).input_shapes
    a, b = drawn(data, dtype, first), drawn(data, dtype, second)
    want = reference(lambda: np.vecdot(a, b))
    x, y = fl.tensor(a), fl.tensor(b)
    same("vecdot", xp.vecdot(x, y), want, dtype, **NEAR)
    if a.ndim == b.ndim == 2:
        x, y = xp.moveaxis(x, -1, -2), xp.moveaxis(y, -1, -2)
        same("linalg.vecdot", LA.vecdot(x, y, axis=-2), want, dtype, **NEAR)


@quick
@given(data=st.data())
def test_outer_cross_diagonal_and_trace(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(NUMBERS))
    a, b = drawn(data, dtype, (data.draw(sides),)), drawn(data, dtype, (data.draw(sides),))
    want = reference(lambda: np.outer(a, b))
    same("linalg.outer", LA.outer(fl.tensor(a), fl.tensor(b)), want, dtype, **NEAR)

    one, two = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)
    ).input_shapes
    a, b = drawn(data, dtype, (*one, 3)), drawn(data, dtype, (*two, 3))
    want = reference(lambda: np.cross(a, b))
    same("linalg.cross", LA.cross(fl.tensor(a), fl.tensor(b)), want, dtype, **NEAR)
    if a.ndim == b.ndim == 2:
        x, y = fl.tensor(np.ascontiguousarray(a.T)), fl.tensor(np.ascontiguousarray(b.T))
        same("linalg.cross", LA.cross(x, y, axis=0), want.T, dtype, **NEAR)
        same("linalg.cross", LA.cross(x, y, axis=-2), want.T, dtype, **NEAR)

    m = drawn(data, dtype, (*data.draw(batches), data.draw(sides), data.draw(sides)))
    offset = data.draw(st.integers(-4, 4))
    x = fl.tensor(m)
    want = np.linalg.diagonal(m, offset=offset)
    same("linalg.diagonal", LA.diagonal(x, offset=offset), want, dtype)
    kind = "int32" if dtype in ("uint8", "int32") else dtype
    want = np.linalg.trace(m, offset=offset, dtype=kind)
    same("linalg.trace", LA.trace(x, offset=offset), want, kind, **NEAR)
    same("linalg.matrix_transpose", LA.matrix_transpose(x), m.swapaxes(-1, -2), dtype)


@quick
@given(data=st.data(), keepdims=st.booleans())
def test_norms(data: st.DataObject, keepdims: bool) -> None:
    dtype = data.draw(st.sampled_from(("float32", "complex64")))
    x = drawn(data, dtype, data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3)))
    axis = data.draw(st.sampled_from([None, 0, -1, tuple(range(x.ndim))]))
    for ord in (2, 1, 0, np.inf, -np.inf, 3, 0.5, -1.0):
        want = reference(
            lambda ord=ord: np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
        )
        got = LA.vector_norm(fl.tensor(x), axis=axis, keepdims=keepdims, ord=ord)
        same("linalg.vector_norm", got, want, "float32", **NEAR)
    m = drawn(
        data,
        "float32",
        (*data.draw(batches), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))),
    )
    for ord in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        want = np.linalg.matrix_norm(m.astype(np.float64), keepdims=keepdims, ord=ord)
        got = LA.matrix_norm(fl.tensor(m), keepdims=keepdims, ord=ord)
        same("linalg.matrix_norm", got, want, "float32", **NEAR)


def squares(data: st.DataObject, least: int = 0) -> np.ndarray:
    """Batches of matrices that are not near to having no inverse."""
    n = data.draw(st.integers(least, 4))
    x = drawn(data, "float32", (*data.draw(batches), n, n)) / 4
    return x + np.eye(n, dtype=np.float32) * 4


@quick
@given(data=st.data())
def test_solutions(data: st.DataObject) -> None:
    m = squares(data)
    x, wide = fl.tensor(m), m.astype(np.float64)
    same("linalg.inv", LA.inv(x), np.linalg.inv(wide), **NEAR)
    same("linalg.det", LA.det(x), np.linalg.det(wide), **NEAR)
    sign, size = LA.slogdet(x)
    want = np.linalg.slogdet(wide)
    same("linalg.slogdet", sign, want.sign)
    same("linalg.slogdet", size, want.logabsdet, **NEAR)
    n = m.shape[-1]
    right = drawn(data, "float32", (*m.shape[:-1], 2))
    got = LA.solve(x, fl.tensor(right))
    same("linalg.solve", got, np.linalg.solve(wide, right), **NEAR)
    one = drawn(data, "float32", (n,))
    same("linalg.solve", LA.solve(x, fl.tensor(one)), np.linalg.solve(wide, one), **NEAR)
    power = data.draw(st.integers(-2, 3))
    want = np.linalg.matrix_power(wide, power)
    same("linalg.matrix_power", LA.matrix_power(x, power), want, rtol=1e-3, atol=1e-2)


@quick
@given(data=st.data())
def test_factors(data: st.DataObject) -> None:
    m = squares(data)
    positive = np.matmul(m, m.swapaxes(-1, -2))
    x = fl.tensor(positive)
    lower = np.linalg.cholesky(positive.astype(np.float64))
    same("linalg.cholesky", LA.cholesky(x), lower, **NEAR)
    same("linalg.cholesky", LA.cholesky(x, upper=True), lower.swapaxes(-1, -2), **NEAR)
    values, vectors = LA.eigh(x)
    want = np.linalg.eigvalsh(positive.astype(np.float64))
    same("linalg.eigh", values, want, **NEAR)
    same("linalg.eigvalsh", LA.eigvalsh(x), want, **NEAR)
    again = np.matmul(vectors.numpy() * values.numpy()[..., None, :], vectors.mT.numpy())
    same("linalg.eigh", fl.tensor(again), positive, rtol=1e-3, atol=1e-2)


@quick
@given(data=st.data())
def test_factors_of_any_matrix(data: st.DataObject) -> None:
    m = drawn(data, "float32", (*data.draw(batches), data.draw(sides), data.draw(sides)))
    x, wide = fl.tensor(m), m.astype(np.float64)
    rows, columns = m.shape[-2:]
    least = min(rows, columns)
    values = np.linalg.svdvals(wide)
    same("linalg.svdvals", LA.svdvals(x), values, **NEAR)
    for full in (True, False):
        u, s, vh = LA.svd(x, full_matrices=full)
        same("linalg.svd", s, values, **NEAR)
        assert u.shape == (*m.shape[:-2], rows, rows if full else least)
        assert vh.shape == (*m.shape[:-2], columns if full else least, columns)
        made = np.matmul(
            u.numpy()[..., :least] * s.numpy()[..., None, :], vh.numpy()[..., :least, :]
        )
        same("linalg.svd", fl.tensor(made), m, rtol=1e-3, atol=1e-2)
        if full and u.size:
            same("linalg.svd", u.mT @ u, np.broadcast_to(np.eye(rows), u.shape), **NEAR)
    for mode in ("reduced", "complete"):
        q, r = LA.qr(x, mode=mode)
        want_q, want_r = np.linalg.qr(wide, mode)
        assert q.shape == want_q.shape and r.shape == want_r.shape
        same("linalg.qr", fl.tensor(np.matmul(q.numpy(), r.numpy())), m, rtol=1e-3, atol=1e-2)
    if least:
        rank = LA.matrix_rank(x, rtol=1e-3)
        same("linalg.matrix_rank", rank, np.linalg.matrix_rank(wide, rtol=1e-3), "int32")


def test_rank_and_pseudo_inverse() -> None:
    m = np.float32([[[1, 2], [2, 4], [3, 6]], [[1, 0], [0, 2], [0, 0]]])
    x = fl.tensor(m)
    same("linalg.matrix_rank", LA.matrix_rank(x), np.int32([1, 2]))
    same("linalg.pinv", LA.pinv(x), np.linalg.pinv(m), **NEAR)
    limits = fl.tensor([0.1, 0.6])
    same("linalg.matrix_rank", LA.matrix_rank(x, rtol=limits), np.int32([1, 1]))
    want = np.linalg.pinv(m, rtol=np.float32([0.1, 0.6]))
    same("linalg.pinv", LA.pinv(x, rtol=limits), want, **NEAR)
    assert LA.pinv(xp.zeros((2, 0, 3))).shape == (2, 3, 0)
    same("linalg.matrix_rank", LA.matrix_rank(xp.zeros((2, 0, 3))), np.int32([0, 0]))


def test_named_results() -> None:
    x = xp.eye(2)
    for call, fields in (
        (LA.eigh, ("eigenvalues", "eigenvectors")),
        (LA.qr, ("Q", "R")),
        (LA.slogdet, ("sign", "logabsdet")),
        (LA.svd, ("U", "S", "Vh")),
    ):
        found: Any = call(x)
        assert type(found)._fields == fields and isinstance(found, tuple)


def test_coded_errors() -> None:
    v, m, wide = xp.ones(3), xp.eye(3), xp.ones((2, 3))
    for code, call in (
        ("E-OP-004", lambda: xp.matmul(v, xp.ones(2))),
        ("E-OP-004", lambda: xp.matmul(xp.ones(()), v)),
        ("E-OP-004", lambda: xp.matmul(xp.asarray([1, 2]), xp.asarray([1, 2, 3]))),
        ("E-OP-004", lambda: xp.vecdot(v, xp.ones(2))),
        ("E-OP-005", lambda: xp.vecdot(v, v, axis=-2)),
        ("E-OP-005", lambda: xp.tensordot(v, v, axes=2)),
        ("E-OP-004", lambda: LA.outer(m, v)),
        ("E-OP-004", lambda: LA.cross(xp.ones(2), xp.ones(2))),
        ("E-OP-004", lambda: LA.det(v)),
        ("E-OP-004", lambda: LA.det(wide)),
        ("E-OP-004", lambda: LA.inv(wide)),
        ("E-OP-004", lambda: LA.matrix_power(wide, 2)),
        ("E-OP-005", lambda: LA.matrix_power(m, 0.5)),
        ("E-OP-005", lambda: LA.qr(m, mode="r")),
        ("E-OP-005", lambda: LA.matrix_norm(m, ord=3)),
        ("E-OP-005", lambda: LA.vector_norm(v, ord="fro")),
        ("E-OP-004", lambda: LA.matrix_norm(v)),
        ("E-OP-004", lambda: LA.trace(v)),
        ("E-OP-003", lambda: LA.det(xp.asarray([[1j]]))),
    ):
        with pytest.raises(FanlightError) as caught:
            call()
        assert caught.value.code == code, (code, caught.value)
