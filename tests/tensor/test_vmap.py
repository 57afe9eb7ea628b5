"""fl.vmap gives what a loop over the examples gives, and so do gradients through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.tensor import apply
from tests.tensor.test_rules import CASES, Case, arrays_of, first

SIZE = 3


def examples(case: Case, rng: np.random.Generator) -> list[np.ndarray]:
    """SIZE examples of each input; what is no float (an index, a condition) is permuted."""
    columns = []
    for array in arrays_of(case, rng):
        if array.dtype.kind == "f":
            others = [array, array[::-1].reshape(array.shape) if array.ndim else array, array * 0.9]
        else:
            others = [array, np.roll(array, 1).reshape(array.shape), array]
        columns.append(np.stack(others).astype(array.dtype))
    return [c.astype(np.float32) if c.dtype == np.float64 else c for c in columns]


def looped(case: Case, columns: list[np.ndarray], many: list[bool]) -> np.ndarray:
    rows = []
    for i in range(SIZE):
        inputs = [c[i] if m else c[0] for c, m in zip(columns, many, strict=True)]
        rows.append(first(apply(case.op, *inputs, **case.attrs)).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_op_gives_what_a_loop_gives(case: Case) -> None:
    columns = examples(case, np.random.default_rng(0))
    count = len(columns)
    choices = {(True,) * count, (True, *(False,) * (count - 1)), (*(False,) * (count - 1), True)}
    for many in sorted(choices):
        axes = [0 if m else None for m in many]
        given = [c if m else c[0] for c, m in zip(columns, many, strict=True)]
        batched = fl.vmap(lambda *x: first(apply(case.op, *x, **case.attrs)), axes)(*given)
        expected = looped(case, columns, list(many))
        np.testing.assert_allclose(batched.numpy(), expected, rtol=1e-5, atol=1e-5)


def quadratic(x: Any, w: Any) -> Any:
    return fl.sum(fl.square(fl.tanh(fl.matmul(w, fl.reshape(x, (3, 1))))))


X = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
W = np.random.default_rng(2).normal(size=(2, 3)).astype(np.float32)


def test_a_gradient_for_each_example() -> None:
    found = fl.vmap(fl.grad(quadratic, 1), (0, None))(X, W)
    expected = [fl.grad(quadratic, 1)(x, W).numpy() for x in X]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_a_batch_after_what_all_examples_share() -> None:
    w = fl.tensor(W)
    # As an argument, and from outside.
    expected = sum(fl.grad(quadratic, 1)(x, w).numpy() for x in X)
    for fn in (
        lambda w: fl.sum(fl.vmap(quadratic, (0, None))(X, w)),
        lambda w: fl.sum(fl.vmap(lambda v: quadratic(v, w * 1.0))(X)),
    ):
        np.testing.assert_allclose(fl.grad(fn)(w).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_second_order_and_two_dims_of_examples() -> None:
    hessian = fl.vmap(lambda d: fl.hvp(lambda x: quadratic(x, W), X[0], d))(np.eye(3, dtype="f"))
    rows = [fl.hvp(lambda x: quadratic(x, W), X[0], d).numpy() for d in np.eye(3, dtype="f")]
    np.testing.assert_allclose(hessian.numpy(), rows, rtol=1e-4, atol=1e-5)
    outer = fl.vmap(fl.vmap(lambda a, b: a * b, (None, 0)), (0, None))(X[0], X[1])
    np.testing.assert_allclose(outer.numpy(), np.outer(X[0], X[1]), rtol=1e-6)


def test_other_dims_and_structures() -> None:
    def fn(pair: Any, scale: Any) -> Any:
        return {"sum": pair["a"] + pair["b"] * scale, "same": fl.ones(2)}

    a, b = np.arange(6, dtype="f").reshape(2, 3), np.ones((2, 3), "f")
    found = fl.vmap(fn, in_axes=(1, None), out_axes=-1)({"a": a, "b": b}, 2.0)
    np.testing.assert_array_equal(found["sum"].numpy(), a + 2)
    assert found["same"].shape == (2, 3)


def test_what_stops_or_replaces_a_gradient_does_so_inside() -> None:
    stopped = fl.grad(lambda x: fl.sum(fl.vmap(lambda v: fl.stop_gradient(v) * v)(x)))
    np.testing.assert_allclose(stopped(X[0]).numpy(), X[0])

    @fl.custom_gradient
    def clipped(v: Any) -> Any:
        return v * 1.0, lambda g: g * v * 10.0

    outside = fl.grad(lambda x: fl.sum(fl.vmap(clipped)(x)))(X[0])
    np.testing.assert_allclose(outside.numpy(), 10 * X[0], rtol=1e-6)
    inside = fl.vmap(fl.grad(lambda v: clipped(v)))(X[0])
    np.testing.assert_allclose(inside.numpy(), 10 * X[0], rtol=1e-6)


def test_compiled_and_built_functions() -> None:
    batched = fl.vmap(quadratic, (0, None))
    eager = batched(X, W).numpy()
    np.testing.assert_allclose(fl.jit(batched)(X, W).numpy(), eager, rtol=1e-5)
    gradients = fl.vmap(fl.grad(quadratic), (0, None))
    expected = gradients(X, W).numpy()
    np.testing.assert_allclose(fl.jit(gradients)(X, W).numpy(), expected, rtol=1e-5, atol=1e-6)
    # A compiled function inside is taken apart.
    np.testing.assert_allclose(fl.vmap(fl.jit(quadratic), (0, None))(X, W).numpy(), eager)


@pytest.mark.parametrize(
    ("in_axes", "args", "said"),
    [
        ((0, 0), (X,), "in_axes"),
        (None, (X,), "in_axes"),
        (2, (X,), "in_axes 2"),
        ((0, 0), (X, X[:2]), "[4, 2]"),
        (0, (np.ones((0, 3), "f"),), "[0]"),
        (("a",), (X,), "in_axes"),
    ],
)
def test_batches_that_are_none(in_axes: Any, args: Any, said: str) -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-013") as caught:
        fl.vmap(lambda *x: x[0], in_axes)(*args)
    assert said in str(caught.value) and "test_vmap.py" in str(caught.value)


def test_numbers_are_not_to_be_had_inside_nor_its_tensors_outside() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.vmap(lambda x: x * float(x))(X[0])
    kept: list[Any] = []
    fl.vmap(lambda x: kept.append(x) or x)(X[0])
    with pytest.raises(FanlightError, match="E-TENSOR-004"):
        kept[0] + 1.0
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.vmap(lambda x: x + fl.ones(2))(X)
    with pytest.raises(FanlightError, match="E-TENSOR-013"):
        fl.vmap(lambda x: x, out_axes=2)(X)
