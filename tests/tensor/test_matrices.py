"""einsum, norms, diagonals and products of matrices against NumPy."""

from __future__ import annotations

import inspect
from math import inf
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(5)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba,cb", (2, 3), (4, 2)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii->i", (3, 3, 3)),
    ("ijij->ij", (2, 3, 2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->", (4,), (4,)),
    (",->", (), ()),
    (",i", (), (3,)),
    ("ij->", (2, 3)),
    ("ji", (2, 3)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("...ij,...jk", (2, 1, 2, 3), (5, 3, 4)),
    ("...i->i...", (2, 3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("bij,bij->b", (5, 2, 3), (5, 2, 3)),
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("a,ab,abc->ab", (2,), (2, 3), (2, 3, 4)),
    ("ij,j,k->ik", (2, 3), (3,), (2,)),
    ("ijk,jil->kl", (2, 3, 4), (3, 2, 5)),
    ("ij,ij->ij", (1, 3), (2, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("ii,i->i", (3, 3), (3,)),
    ("ij,jk->ik", (2, 0), (0, 4)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=str)
def test_einsum(case: Any) -> None:
    equation, *shapes = case
    arrays = [numbers(*s) for s in shapes]
    expected = np.einsum(equation, *arrays)
    np.testing.assert_allclose(fl.einsum(equation, *arrays).numpy(), expected, rtol=1e-4, atol=1e-5)
    if all(a.size for a in arrays):
        compiled = fl.jit(lambda *x: fl.einsum(equation, *x))(*arrays)
        np.testing.assert_allclose(compiled.numpy(), expected, rtol=1e-4, atol=1e-5)
    whole = [(a * 10).astype(np.int32) for a in arrays]
    found = fl.einsum(equation, *whole)
    assert found.dtype == "int32"
    np.testing.assert_array_equal(found.numpy(), np.einsum(equation, *whole))


def test_the_gradient_of_einsum() -> None:
    a, b = numbers(2, 3), numbers(3, 4)
    u = numbers(2, 4)
    da, db = fl.grad(lambda a, b: fl.sum(u * fl.einsum("ij,jk->ik", a, b)), (0, 1))(a, b)
    np.testing.assert_allclose(da.numpy(), u @ b.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(db.numpy(), a.T @ u, rtol=1e-5, atol=1e-5)
    trace = fl.grad(lambda x: fl.einsum("ii", x))(numbers(3, 3))
    np.testing.assert_array_equal(trace.numpy(), np.eye(3))


@pytest.mark.parametrize(
    ("equation", "shapes", "code"),
    [
        ("ij,jk->ik", [(2, 3)], "E-OP-005"),
        ("ij->ik", [(2, 3)], "E-OP-005"),
        ("ij->ii", [(2, 3)], "E-OP-005"),
        ("i?", [(2, 3)], "E-OP-005"),
        ("ijk", [(2, 3)], "E-OP-005"),
        ("i...j...", [(2, 3)], "E-OP-005"),
        (3, [(2, 3)], "E-OP-005"),
        ("ij", [], "E-OP-005"),
        ("ij,jk", [(2, 3), (4, 5)], "E-OP-004"),
    ],
)
def test_equations_that_cannot_be(equation: Any, shapes: Any, code: str) -> None:
    with pytest.raises(FanlightError, match=code) as caught:
        fl.einsum(equation, *map(np.zeros, shapes))
    assert "einsum" in str(caught.value) and "test_matrices" in str(caught.value)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("ord", "axis"),
    [
        *((o, a) for o in (1, 2, 3, inf, -inf) for a in (0, -1, 1)),
        *((o, a) for o in (1, inf, -inf, "fro") for a in ((0, 1), (2, 0))),
    ],
)
def test_norm(ord: Any, axis: Any, keepdims: bool) -> None:
    x = numbers(2, 3, 4)
    found = fl.norm(x, ord, axis, keepdims).numpy()
    expected = np.linalg.norm(x, ord, axis, keepdims)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_norms_of_everything() -> None:
    x = numbers(2, 3, 4)
    np.testing.assert_allclose(fl.norm(x).item(), np.sqrt((x * x).sum()), rtol=1e-6)
    assert fl.norm(x[0], 1).item() == pytest.approx(np.linalg.norm(x[0], 1))
    assert fl.euclidean_norm([3, 4]).item() == 5
    assert fl.grad(fl.norm)(fl.tensor([3.0, 4.0])).tolist() == pytest.approx([0.6, 0.8])
    assert fl.grad(fl.norm)(fl.zeros((2,))).tolist() == [0, 0]
    for ord, axis in ((0, None), ("nuc", None), (2, (0, 1)), (1, None)):
        with pytest.raises(FanlightError, match="E-OP-005"):
            fl.norm(x, ord, axis)


def test_diagonals() -> None:
    x = numbers(2, 3, 4)
    for k in range(-4, 5):
        found = fl.diagonal(x, k).numpy()
        np.testing.assert_array_equal(found, np.diagonal(x, k, 1, 2))
    np.testing.assert_allclose(fl.linalg.trace(x).numpy(), np.trace(x, 0, 1, 2), rtol=1e-5)
    np.testing.assert_array_equal(fl.diag([1, 2, 3]).numpy(), np.diag([1, 2, 3]))
    y = numbers(2, 3)
    np.testing.assert_array_equal(fl.diag(y).numpy(), np.diag(y.ravel()).reshape(2, 3, 2, 3))
    assert fl.diag(np.zeros(0)).shape == (0, 0)
    np.testing.assert_array_equal(fl.jit(fl.diag)(y).numpy(), fl.diag(y).numpy())
    np.testing.assert_array_equal(fl.jit(fl.diagonal)(x).numpy(), fl.diagonal(x).numpy())
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.diagonal([1, 2])


def test_band_part() -> None:
    x = numbers(2, 4, 5)
    np.testing.assert_array_equal(fl.linalg.tril(x).numpy(), np.tril(x))
    np.testing.assert_array_equal(fl.linalg.triu(x).numpy(), np.triu(x))
    band = fl.linalg.band_part(x, 1, 2).numpy()
    np.testing.assert_array_equal(band, np.triu(np.tril(x, 2), -1))
    np.testing.assert_array_equal(fl.linalg.band_part(x, -1, -1).numpy(), x)
    x[0, 0, 4] = np.nan  # what is cut off does not matter
    assert np.isfinite(fl.linalg.tril(x).numpy()).all()


def test_products() -> None:
    a, b = numbers(2, 3, 4), numbers(4, 3, 5)
    for axes in (1, 0, ([2], [0]), ([1, 2], [1, 0])):
        if axes == 1:
            found, expected = fl.tensordot(a, b, 1), np.tensordot(a, b, 1)
        else:
            found, expected = fl.tensordot(a, b, axes), np.tensordot(a, b, axes)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(fl.outer([1, 2], [3, 4, 5]).numpy(), np.outer([1, 2], [3, 4, 5]))
    assert inspect.unwrap(fl.outer_product) is inspect.unwrap(fl.outer)
    np.testing.assert_array_equal(fl.kron(a[0], b[0]).numpy(), np.kron(a[0], b[0]))
    for axes in (3, ([0], [0]), ([0, 1], [0])):
        with pytest.raises(FanlightError, match=r"E-OP-00[45]"):
            fl.tensordot(a, b, axes)
