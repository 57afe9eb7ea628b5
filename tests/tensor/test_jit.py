"""fl.jit: compiled functions give what the functions give, for any structure and shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError


def test_it_is_traced_once_per_shape_and_dtype() -> None:
    calls = 0

    @fl.jit
    def f(x: fl.Tensor, y: fl.Tensor) -> fl.Tensor:
        nonlocal calls
        calls += 1
        return fl.tanh(x) * y + 1

    for shape in ((3,), (2, 2), (3,), (2, 2)):
        x = np.random.default_rng(len(shape)).normal(0, 1, shape).astype(np.float32)
        np.testing.assert_allclose(f(x, 2.0).numpy(), np.tanh(x) * 2 + 1, rtol=1e-5, atol=1e-6)
    assert calls == 2
    f(np.float32([1, 2, 3]), 2)  # an int32 is something else
    assert calls == 3 and f.__name__ == "f"


def test_structures_go_in_and_out() -> None:
    @fl.jit
    def f(p: dict[str, Any], *, scale: Any) -> dict[str, Any]:
        return {"both": (p["a"] * scale, [p["b"][0]]), "a": p["a"]}

    a, b = np.float32([1, 2]), np.int32([3])
    found = f({"a": a, "b": [b]}, scale=3.0)
    assert found["both"][0].tolist() == [3, 6] and found["both"][1][0].tolist() == [3]
    assert found["a"].tolist() == [1, 2] and isinstance(found["both"], tuple)


def test_gradients_compile_and_pass() -> None:
    def loss(w: fl.Tensor, x: fl.Tensor) -> fl.Tensor:
        return fl.mean((x @ w - 1) ** 2)

    rng = np.random.default_rng(0)
    w, x = (rng.normal(0, 1, s).astype(np.float32) for s in ((4,), (8, 4)))
    expected = fl.grad(loss)(w, x).numpy()
    np.testing.assert_allclose(fl.jit(fl.grad(loss))(w, x).numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fl.grad(fl.jit(loss))(w, x).numpy(), expected, rtol=1e-6)
    # One compiled function in another is part of it.
    inner = fl.jit(lambda x: x * 2)
    assert fl.jit(lambda x: inner(x) + 1)(np.float32([1])).tolist() == [3]


def test_results_are_arrays_of_their_own() -> None:
    f = fl.jit(lambda x: x + 1)
    first = f(np.float32([1]))
    second = f(np.float32([5]))
    assert (first.tolist(), second.tolist()) == ([2], [6])


def test_a_descent_reaches_the_least_squares() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (50, 3)).astype(np.float32)
    t = x @ np.float32([1, -2, 0.5])

    @fl.jit
    def step(w: fl.Tensor) -> fl.Tensor:
        return w - 0.1 * fl.grad(lambda w: fl.mean((x @ w - t) ** 2))(w)

    w: Any = np.zeros(3, np.float32)
    for _ in range(200):
        w = step(w)
    np.testing.assert_allclose(w.numpy(), [1, -2, 0.5], atol=1e-3)


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: x if x[0] > 0 else -x)(np.float32([1]))
    with pytest.raises(FanlightError, match="E-TENSOR-022"):
        fl.jit(lambda x: x)("text")
