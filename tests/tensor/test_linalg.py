"""fl.linalg: what the functions promise, their errors, and that they compile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(8)
linalg = fl.linalg


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-3, atol=1e-4)


def test_factors_make_the_matrix_again() -> None:
    a = numbers(3, 5, 4)
    q, r = linalg.qr(a)
    close(q @ r, a)
    close(np.tril(r.numpy(), -1), np.zeros(r.shape))
    u, s, vh = linalg.svd(a)
    close((u * fl.expand_dims(s, -2)) @ vh, a)
    close(linalg.svd(a, compute_uv=False), s)
    square = a[:, :4] + np.swapaxes(a[:, :4], 1, 2)
    w, v = linalg.eigh(square)
    close(v @ fl.transpose(v * fl.expand_dims(w, -2), (0, 2, 1)), square)
    close(linalg.eigvalsh(square), np.linalg.eigvalsh(square))
    with pytest.raises(FanlightError, match="E-OP-005"):
        linalg.svd(a, full_matrices=True)


def test_solutions() -> None:
    a, b = numbers(2, 4, 4), numbers(4, 3)
    close(linalg.solve(a, b), np.linalg.solve(a, np.stack([b, b])))
    close(linalg.solve(a[0], b[:, 0]), np.linalg.solve(a[0], b[:, 0]))
    close(linalg.inverse(a) @ a, np.stack([np.eye(4)] * 2))
    close(linalg.det(a), np.linalg.det(a))
    sign, size = linalg.slogdet(a)
    close(sign * fl.exp(size), np.linalg.det(a))
    close(linalg.triangular_solve(a, b, lower=False), np.linalg.solve(np.triu(a), np.stack([b, b])))
    tall, wide, y = numbers(6, 3), numbers(3, 6), numbers(6)
    close(linalg.pinv(tall), np.linalg.pinv(tall))
    close(linalg.pinv(wide), np.linalg.pinv(wide))
    close(linalg.lstsq(tall, y), np.linalg.lstsq(tall, y, None)[0])
    assert np.isnan(linalg.inverse(np.zeros((2, 2))).numpy()).all()


def test_gram_schmidt() -> None:
    x = numbers(3, 4)
    found = linalg.gram_schmidt(x).numpy()
    close(found @ found.T, np.eye(3))
    kept: list[np.ndarray] = []
    for row in x:
        for other in kept:
            row = row - row @ other * other
        kept.append(row / np.linalg.norm(row))
    close(found, np.stack(kept))
    with pytest.raises(FanlightError, match="E-OP-004"):
        linalg.gram_schmidt(numbers(4, 3))


def test_a_gradient_through_many_of_them_compiles() -> None:
    a = numbers(4, 4) * 0.3 + 2 * np.eye(4, dtype=np.float32)

    def f(a: fl.Tensor) -> fl.Tensor:
        spd = a @ fl.transpose(a)
        w, v = linalg.eigh(spd)
        q, r = linalg.qr(a)
        return (
            fl.sum(linalg.cholesky(spd)) + fl.sum(fl.log(w)) + fl.sum(v[0] * v[1])
            + fl.sum(linalg.inverse(a)) + linalg.det(a) + linalg.slogdet(a)[1] + fl.sum(q * r)
            + fl.sum(linalg.svd(a, compute_uv=False)) + fl.sum(linalg.pinv(a))
        )  # fmt: skip

    close(fl.jit(f)(a), f(fl.tensor(a)))
    close(fl.jit(fl.grad(f))(a), fl.grad(f)(fl.tensor(a)))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: linalg.cholesky(np.zeros((2, 3))), "E-OP-004"),
        (lambda: linalg.det(np.zeros(3)), "E-OP-004"),
        (lambda: linalg.qr(3.0), "E-OP-004"),
        (lambda: linalg.inverse(3.0), "E-OP-004"),
        (lambda: linalg.solve(np.zeros((2, 2)), np.zeros((3, 1))), "E-OP-004"),
        (lambda: linalg.solve(np.zeros((3, 2, 2)), np.zeros((2, 2, 1))), "E-OP-004"),
        (lambda: linalg.qr(np.zeros((2, 2)), full_matrices=2), "E-OP-005"),
        (lambda: fl.grad(lambda a: fl.sum(linalg.qr(a, True)[0]))(np.ones((3, 2))), "E-OP-008"),
    ],
)
def test_bad_input(call: Any, code: str) -> None:
    with pytest.raises(FanlightError, match=code):
        call()


def test_no_elements() -> None:
    assert linalg.det(np.zeros((0, 0))).item() == 1
    assert linalg.eigh(np.zeros((3, 0, 0)))[1].shape == (3, 0, 0)
    assert linalg.cholesky(np.zeros((0, 2, 2))).shape == (0, 2, 2)
