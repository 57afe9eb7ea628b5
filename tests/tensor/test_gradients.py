"""Gradients of functions: any order, both directions, structures, and what stops them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

X = fl.tensor([0.5, -1.0, 2.0])


def close(x: Any, expected: Any, tol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(x), expected, rtol=tol, atol=tol)


def test_value_and_gradient() -> None:
    value, slope = fl.value_and_grad(lambda x: fl.sum(x * x))(X)
    close(value, 5.25)
    close(slope, [1, -2, 4])


def test_higher_orders() -> None:
    def f(x: fl.Tensor) -> fl.Tensor:
        return fl.sum(fl.exp(x) * x)  # its n-th derivative is (x + n) e^x

    for order in range(1, 5):
        g = f
        for _ in range(order):
            g = (lambda h: lambda x: fl.sum(fl.grad(h)(x)))(g)
        x = np.asarray(X)
        close(g(X), ((x + order) * np.exp(x)).sum(), 1e-4)


def test_powers_have_all_their_derivatives_at_the_short_cuts_of_their_body() -> None:
    def third(b: float) -> fl.Tensor:
        f: Any = lambda x: x**b  # noqa: E731
        for _ in range(3):
            f = fl.grad(f)
        return f

    for x in (1.0, 2.0, 0.5):
        for b in (0.0, 1.0, 2.0, 3.0, 0.5, -1.0, 4.0):
            close(third(b)(fl.tensor(x)), b * (b - 1) * (b - 2) * x ** (b - 3), 1e-4)
    close(fl.grad(lambda b: fl.tensor(2.0) ** b)(fl.tensor(3.0)), 8 * np.log(2))


def test_several_arguments_and_the_same_tensor_twice() -> None:
    def f(a: fl.Tensor, b: fl.Tensor) -> fl.Tensor:
        return fl.sum(a * a * b)

    first, second = fl.grads(f)(X, X)
    close(first, 2 * np.asarray(X) ** 2)
    close(second, np.asarray(X) ** 2)
    close(fl.grad(f, 1)(X, X + 1), np.asarray(X) ** 2)


def test_structures() -> None:
    parameters = {"w": fl.ones((3, 2)), "layers": [fl.zeros(2), (fl.scalar(2.0),)]}

    def loss(p: Any) -> fl.Tensor:
        return fl.sum((X @ p["w"] + p["layers"][0]) ** 2) * p["layers"][1][0]

    slopes = fl.grad(loss)(parameters)
    assert set(slopes) == {"w", "layers"} and isinstance(slopes["layers"][1], tuple)
    close(slopes["w"], np.outer(np.asarray(X), [6, 6]))
    close(slopes["layers"][0], [6, 6])
    close(slopes["layers"][1][0], 4.5)


def test_what_does_not_matter_has_a_gradient_of_zeros() -> None:
    close(fl.grad(lambda x, y: fl.sum(y), 0)(X, X), [0, 0, 0])
    close(fl.grad(lambda x: fl.sum(fl.floor(x)))(X), [0, 0, 0])


def test_vjp_and_jvp_agree_with_the_matrix() -> None:
    rng = np.random.default_rng(0)
    a = fl.tensor(rng.normal(0, 1, (4, 3)))
    t, u = fl.tensor(rng.normal(0, 1, 3)), fl.tensor(rng.normal(0, 1, 4))

    def f(x: fl.Tensor) -> fl.Tensor:
        return fl.tanh(a @ x)

    y = np.tanh(np.asarray(a) @ np.asarray(X))
    matrix = (1 - y**2)[:, None] * np.asarray(a)
    value, pull = fl.vjp(f, X)
    close(value, y)
    close(pull(u)[0], np.asarray(u) @ matrix)
    value, moved = fl.jvp(f, (X,), (t,))
    close(value, y)
    close(moved, matrix @ np.asarray(t))


def test_jvp_of_structures() -> None:
    def f(a: fl.Tensor, b: Any) -> dict[str, fl.Tensor]:
        return {"p": a * b[0], "q": fl.sum(b[0])}

    _, moved = fl.jvp(f, (X, [X]), (fl.ones(3), [fl.zeros(3)]))
    close(moved["p"], X)
    close(moved["q"], 0)
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.jvp(f, (X, [X]), (fl.ones(2), [fl.zeros(3)]))


def test_hessian_vector_products() -> None:
    matrix = np.random.default_rng(1).normal(0, 1, (3, 3)).astype(np.float32)
    a = fl.tensor(matrix)
    close(fl.hvp(lambda x: fl.sum(x * (a @ x)), X, fl.tensor([1.0, 2, 3])),
          (matrix + matrix.T) @ [1, 2, 3], 1e-4)  # fmt: skip


def test_gradients_stop() -> None:
    close(fl.grad(lambda x: fl.sum(fl.stop_gradient(x) * x))(X), X)
    close(fl.grad(lambda x: fl.sum(fl.stop_gradient(x * x)))(X), [0, 0, 0])


def test_a_gradient_of_its_own() -> None:
    @fl.custom_gradient
    def clipped(x: fl.Tensor) -> tuple[fl.Tensor, Any]:
        return x * 1.0, lambda g: fl.clip(g * x, -1, 1)

    close(fl.grad(lambda x: fl.sum(clipped(x)))(X), [0.5, -1, 1])
    # It has a gradient, too: that of what it is made of.
    second = fl.grad(lambda x: fl.sum(fl.grad(lambda x: fl.sum(clipped(x)))(x)))(X)
    close(second, [1, 1, 0])

    @fl.custom_gradient
    def product(a: fl.Tensor, b: fl.Tensor) -> tuple[fl.Tensor, Any]:
        return a * b, lambda g: (g * 10.0, g * 20.0)

    first, other = fl.grads(lambda a, b: fl.sum(product(a, b)))(X, X)
    close(first, [10, 10, 10])
    close(other, [20, 20, 20])


def test_kinks_are_those_of_tensorflow() -> None:
    zero = fl.tensor([0.0])
    for f, slope in ((fl.relu, 0), (fl.abs, 0), (lambda x: fl.maximum(x, 0.0), 1)):
        close(fl.grad(lambda x, f=f: fl.sum(f(x)))(zero), [slope])
    close(fl.grad(lambda x: fl.sum(fl.relu6(x)))(fl.tensor([0.0, 3.0, 6.0, 7.0])), [0, 1, 0, 0])
    close(fl.grad(fl.max)(fl.tensor([1.0, 1.0, 0.0])), [0.5, 0.5, 0])
    close(fl.grad(fl.prod)(fl.tensor([0.0, 3.0, 2.0])), [6, 0, 0])
    close(fl.grad(fl.prod)(fl.tensor([0.0, 0.0, 2.0])), [0, 0, 0])
    close(fl.grad(lambda x: x**2.0)(fl.tensor(0.0)), 0)


@pytest.mark.parametrize("name", ["relu", "relu6"])
def test_what_a_relu_is_made_of_is_not_kept(name: str) -> None:
    """Its gradient reads the result, so what comes before is computed with it and forgotten."""
    from fanlight.tensor.trace import trace

    def f(x: fl.Tensor) -> fl.Tensor:
        return fl.sum(getattr(fl, name)(x * 2.0) ** 2.0)

    graph = trace(lambda x: {"y": fl.grad(f)(x)}, {"x": fl.spec((3,))}, "f")
    (made,) = (n for n in graph.nodes if n.op == "mul" and n.inputs[0] in graph.inputs)
    assert [n.op for n in graph.users()[made.output]] == [name]


def test_a_branch_that_is_not_taken_spoils_nothing() -> None:
    def f(x: fl.Tensor) -> fl.Tensor:
        return fl.sum(fl.where(x > 0, fl.sqrt(fl.maximum(x, 1e-3)), 0.0))

    close(fl.grad(f)(fl.tensor([4.0, -1.0])), [0.25, 0])


def test_python_control_flow() -> None:
    def f(x: fl.Tensor) -> fl.Tensor:
        while x < 100:
            x = x * x
        return x

    close(fl.grad(f)(fl.tensor(3.0)), 8 * 3.0**7)


def test_what_is_refused() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-005") as caught:
        fl.grad(lambda x: x * 2)(X)
    assert "vjp" in str(caught.value)
    with pytest.raises(FanlightError, match="E-TENSOR-005"):
        fl.grad(fl.sum)(fl.tensor([1, 2]))
    with pytest.raises(FanlightError, match="E-TENSOR-005"):
        fl.grad(lambda x: fl.arg_max(x))(X)
    # Casts, comparisons and positions are steps: nothing flows back, unless one insists.
    close(fl.grad(lambda x: fl.sum(fl.cast(x > 0, "float32")))(X), [0, 0, 0])


def test_a_step_of_newtons_method() -> None:
    """The minimum of a convex function, with its whole Hessian by products with unit vectors."""

    def f(x: fl.Tensor) -> fl.Tensor:
        return fl.sum(fl.exp(x) - x)  # least at 0

    x = np.array([1.0, -0.5], np.float32)
    for _ in range(6):
        hessian = np.stack([np.asarray(fl.hvp(f, x, e)) for e in np.eye(2, dtype=np.float32)])
        x = x - np.linalg.solve(hessian, np.asarray(fl.grad(f)(x))).astype(np.float32)
    close(x, [0, 0])
