"""fl.jacobian and fl.hessian, against finite differences and in any order of nesting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError

RNG = np.random.default_rng(11)
X = fl.tensor(RNG.uniform(0.3, 1.2, 3).astype(np.float32))
M = fl.tensor(RNG.uniform(0.3, 1.2, (2, 3)).astype(np.float32))


def differences(fn: Callable[[Any], Any], x: fl.Tensor, h: float = 2.0**-7) -> np.ndarray:
    """Central differences, one element of x after the other: [...result, ...x]."""
    base = x.numpy()
    columns = []
    for place in np.ndindex(*base.shape):
        step = np.zeros_like(base)
        step[place] = h
        up, down = (fn(fl.tensor(base + sign * step)).numpy() for sign in (1, -1))
        columns.append((up.astype(np.float64) - down) / (2 * h))
    return np.stack(columns, -1).reshape(*columns[0].shape, *base.shape)


WIDE: dict[str, Callable[[Any], fl.Tensor]] = {
    "elementwise": lambda x: fl.sin(x) * x,
    "mixed": lambda x: fl.sin(x) * fl.sum(x**3),
    "one number": lambda x: fl.sum(fl.exp(x)),
    "more than goes in": lambda x: fl.stack([x, fl.exp(x), x**3, fl.sqrt(x), fl.tanh(x)]),
    "fewer": lambda x: fl.reshape(x, -1)[:2] * fl.prod(x),
    "matrices": lambda x: fl.outer(fl.reshape(x, -1), fl.reshape(x, -1)),
    "sorted": lambda x: fl.sort(x),
    "scattered": lambda x: fl.scatter_nd([[1], [0]], fl.reshape(x, -1)[:2], (4,)),
}


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("x", [X, M], ids=["vector", "matrix"])
def test_jacobian(name: str, x: fl.Tensor) -> None:
    fn = WIDE[name]
    want = differences(fn, x)
    got = fl.jacobian(fn)(x)
    assert got.shape == (*fn(x).shape, *x.shape)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(
        fl.jit(fl.jacobian(fn))(x).numpy(), got.numpy(), rtol=1e-4, atol=1e-5
    )


def bent(x: Any) -> fl.Tensor:
    return fl.sum(fl.sin(x) * fl.sum(x**3)) + fl.prod(x)


@pytest.mark.parametrize("x", [X, M], ids=["vector", "matrix"])
def test_hessian(x: fl.Tensor) -> None:
    want = differences(fl.grad(bent), x)
    got = fl.hessian(bent)(x).numpy()
    assert got.shape == (*x.shape, *x.shape)
    np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)
    flat = got.reshape(x.size, x.size)
    np.testing.assert_allclose(flat, flat.T, rtol=1e-4, atol=1e-5)
    v = fl.tensor(RNG.standard_normal(x.shape).astype(np.float32))
    product = (flat @ v.numpy().reshape(-1)).reshape(x.shape)
    np.testing.assert_allclose(fl.hvp(bent, x, v).numpy(), product, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fl.jit(fl.hessian(bent))(x).numpy(), got, rtol=1e-4, atol=1e-4)


def test_any_order_of_nesting() -> None:
    hessian = fl.hessian(bent)(X).numpy()
    for same in (
        fl.jacobian(fl.jacobian(bent)),
        fl.jacobian(fl.grad(bent)),
        fl.jit(fl.jacobian(fl.jit(fl.grad(bent)))),
        lambda x: fl.vmap(fl.hessian(bent))(fl.stack([x, x]))[1],
        lambda x: fl.jacobian(fl.vmap(fl.grad(bent)))(fl.stack([x]))[0, :, 0],
        fl.checkpoint(fl.hessian(bent)),
        lambda x: fl.jacobian(fl.checkpoint(fl.grad(bent)))(x),
    ):
        np.testing.assert_allclose(same(X).numpy(), hessian, rtol=1e-4, atol=1e-4)
    third = fl.jacobian(fl.hessian(bent))(X)
    want = differences(fl.hessian(bent), X)
    np.testing.assert_allclose(third.numpy(), want, rtol=2e-2, atol=2e-2)
    size = lambda x: fl.sum(fl.square(fl.jacobian(WIDE["mixed"])(x)))  # noqa: E731
    np.testing.assert_allclose(fl.grad(size)(X).numpy(), differences(size, X), rtol=1e-2, atol=1e-2)
    along = fl.jvp(fl.jacobian(bent), X, fl.ones(3))[1].numpy()
    np.testing.assert_allclose(along, hessian.sum(0), rtol=1e-4, atol=1e-4)


def test_structures_and_several_arguments() -> None:
    def fn(p: Any, y: Any) -> Any:
        return {"a": p["u"] * y, "b": (fl.sum(p["u"]) * p["w"],)}

    p, y = {"u": X, "w": fl.scalar(2.0)}, X + 1
    found = fl.jacobian(fn)(p, y)
    np.testing.assert_allclose(found["a"]["u"].numpy(), np.diag(y.numpy()), rtol=1e-6)
    assert found["a"]["w"].tolist() == [0, 0, 0]
    assert found["b"][0]["u"].tolist() == [2, 2, 2]
    assert found["b"][0]["w"].item() == pytest.approx(X.numpy().sum())
    both = fl.jacobian(fn, (0, 1))(p, y)
    assert isinstance(both["a"], tuple)
    np.testing.assert_allclose(both["a"][1].numpy(), np.diag(X.numpy()), rtol=1e-6)
    assert both["b"][0][1].tolist() == [0, 0, 0]

    second = fl.hessian(lambda a, b: fl.sum(a * b * b), (0, 1))(X, y)
    assert second[0][0].tolist() == np.zeros((3, 3)).tolist()
    np.testing.assert_allclose(second[0][1].numpy(), np.diag(2 * y.numpy()), rtol=1e-6)
    np.testing.assert_allclose(second[1][0].numpy(), np.diag(2 * y.numpy()), rtol=1e-6)
    np.testing.assert_allclose(second[1][1].numpy(), np.diag(2 * X.numpy()), rtol=1e-6)


def test_of_no_elements_and_of_what_does_not_move() -> None:
    assert fl.jacobian(lambda x: x * 2)(fl.zeros(0)).shape == (0, 0)
    assert fl.jacobian(lambda x: fl.sum(x))(fl.zeros((2, 0))).shape == (2, 0)
    assert fl.jacobian(lambda x: fl.ones(2))(X).tolist() == np.zeros((2, 3)).tolist()
    assert fl.jacobian(lambda x, n: x * n)(X, n=fl.scalar(2.0)).shape == (3, 3)


def test_one_pass_for_all_rows() -> None:
    """The function runs once, and its ops on all directions at once: not in a loop."""
    calls = []

    def fn(x: Any) -> fl.Tensor:
        calls.append(1)
        return fl.sin(x) * fl.sum(x)

    fl.jacobian(fn)(fl.ones(50))
    assert len(calls) == 1
    calls.clear()
    fl.jacobian(lambda x: fl.outer(fn(x), fl.range(20.0)))(fl.ones(3))
    assert len(calls) <= 3


def test_what_has_no_jacobian() -> None:
    for code, call in (
        ("E-TENSOR-006", lambda: fl.jacobian(bent, 1)(X)),
        ("E-TENSOR-006", lambda: fl.hessian(bent)(x=X)),
        ("E-TENSOR-005", lambda: fl.jacobian(bent)(fl.tensor([1, 2]))),
        ("E-TENSOR-005", lambda: fl.jacobian(lambda x: fl.arg_max(x))(X)),
        ("E-TENSOR-005", lambda: fl.hessian(lambda x: x)(X)),
    ):
        with pytest.raises(FanlightError) as caught:
            call()
        assert caught.value.code == code, caught.value
        assert "test_jacobian.py" in str(caught.value)
