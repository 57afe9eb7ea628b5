"""Variance, standard deviation, logarithms to bases 2 and 10, repeat, swapaxes, moveaxis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fanlight as fl
from fanlight import FanlightError

RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_spread_is_numpys(axis: object, keepdims: bool, correction: float) -> None:
    if axis == () and correction:
        return
    options = {"axis": axis, "keepdims": keepdims}
    for name in ("var", "std"):
        want = getattr(np, name)(X.astype(np.float64), ddof=correction, **options)
        got = getattr(fl, name)(X, correction=correction, **options)
        assert got.shape == want.shape and got.dtype == "float32"
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)


def test_spread_of_other_numbers() -> None:
    assert fl.var([1, 2, 4]).item() == pytest.approx(14 / 9)
    assert fl.std(fl.tensor([True, False])).item() == 0.5
    z = np.array([1 + 2j, 3 - 1j, -2j], np.complex64)
    assert fl.var(z).item() == pytest.approx(np.var(z), rel=1e-6)
    assert fl.var(z).dtype == "float32"
    # One-pass formulas lose all digits here.
    far = fl.tensor([1e4, 1e4 + 1, 1e4 + 2])
    assert fl.var(far, correction=1).item() == 1.0


def test_spread_as_methods_and_for_numpy() -> None:
    x = fl.tensor(X)
    np.testing.assert_allclose(x.std(0, correction=1).numpy(), np.std(X, 0, ddof=1), rtol=1e-5)
    assert x.var(keepdims=True).shape == (1, 1, 1)
    with pytest.raises(FanlightError, match="E-TENSOR-009") as caught:
        x.std(ddof=1)
    assert "correction" in str(caught.value)


def test_spread_compiles_and_has_gradients() -> None:
    def loss(x: fl.Tensor) -> fl.Tensor:
        return fl.sum(fl.std(x, 1, correction=1)) + fl.var(x)

    x = fl.tensor(X)
    np.testing.assert_allclose(fl.jit(loss)(x).numpy(), loss(x).numpy(), rtol=1e-5)
    step = RNG.standard_normal(X.shape).astype(np.float32)
    along = fl.sum(fl.grad(loss)(x) * step).item()
    h = 2.0**-7
    numeric = (loss(x + h * step).item() - loss(x - h * step).item()) / (2 * h)
    assert along == pytest.approx(numeric, rel=2e-2)
    assert fl.grad(lambda x: fl.std(x))(fl.tensor([2.0, 2.0])).tolist() == [0, 0]


def test_too_few_elements() -> None:
    for call, code in (
        (lambda: fl.var([1.0], correction=1), "E-OP-005"),
        (lambda: fl.std([1.0, 2.0], correction=3), "E-OP-005"),
        (lambda: fl.var(fl.zeros(0)), "E-OP-004"),
        (lambda: fl.var([1.0], axis=1), "E-OP-005"),
    ):
        with pytest.raises(FanlightError, match=code) as caught:
            call()
        assert "test_statistics.py" in str(caught.value)


# --- logarithms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "base"), [("log2", 2), ("log10", 10)])
def test_logarithms(name: str, base: int) -> None:
    function = getattr(fl, name)
    powers = np.arange(-126, 128) if base == 2 else np.arange(-37, 39)
    numbers = (float(base) ** powers.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(function(numbers).numpy(), powers)
    np.testing.assert_array_equal(fl.jit(function)(fl.tensor(numbers)).numpy(), powers)
    many = (10.0 ** RNG.uniform(-30, 30, 20_000)).astype(np.float32)
    want = getattr(np, name)(many.astype(np.float64))
    np.testing.assert_allclose(function(many).numpy(), want, rtol=4e-7, atol=1e-7)
    near = np.nextafter(np.float32(1), [np.float32(0), np.float32(2)], dtype=np.float32)
    want = getattr(np, name)(near.astype(np.float64))
    np.testing.assert_allclose(function(near).numpy(), want, rtol=1e-6)
    edges = function([0.0, -1.0, np.inf, np.nan]).numpy()
    np.testing.assert_array_equal(edges, [-np.inf, np.nan, np.inf, np.nan])
    slope = fl.grad(lambda x: fl.sum(function(x)))(fl.tensor([float(base), 3.0])).numpy()
    np.testing.assert_allclose(slope, 1 / (np.log(base) * np.array([base, 3.0])), rtol=1e-6)
    assert function(8).dtype == "float32"
    assert fl.tensor([8.0]).log2().tolist() == [3]


def test_logarithms_of_complex_numbers() -> None:
    z = np.array([1 + 2j, -3j, 0.5], np.complex64)
    np.testing.assert_allclose(fl.log2(z).numpy(), np.log2(z), rtol=1e-6)


# --- moving dims, and repeating -------------------------------------------------------------------


def test_dims_change_places() -> None:
    for a in range(-3, 3):
        for b in range(-3, 3):
            np.testing.assert_array_equal(fl.swapaxes(X, a, b).numpy(), X.swapaxes(a, b))
            np.testing.assert_array_equal(fl.moveaxis(X, a, b).numpy(), np.moveaxis(X, a, b))
    for source, target in (((0, 1), (1, 2)), ((2, 0), (0, 1)), ((0, 1, 2), (2, 1, 0)), ((), ())):
        want = np.moveaxis(X, source, target)
        np.testing.assert_array_equal(fl.moveaxis(X, source, target).numpy(), want)
    x = fl.tensor(X)
    assert x.swapaxes(0, 1).shape == (4, 3, 5) and x.moveaxis(0, -1).shape == (4, 5, 3)
    for call in (
        lambda: fl.swapaxes(X, 0, 3),
        lambda: fl.moveaxis(X, 3, 0),
        lambda: fl.moveaxis(X, (0, 1), 2),
        lambda: fl.moveaxis(X, (0, 0), (1, 2)),
    ):
        with pytest.raises(FanlightError, match="E-OP-005"):
            call()


REPEATS: list[tuple[object, int | None]] = [
    (2, None), (0, None), (3, 1), ([1, 0, 2], 0), ([2], -1), (np.array([1, 2, 0, 1]), 1),
]  # fmt: skip


@pytest.mark.parametrize(("repeats", "axis"), REPEATS)
def test_repeat(repeats: object, axis: int | None) -> None:
    for x in (X, X > 0, (X * 9).astype(np.int32), X + 1j * X):
        x = x.astype(np.complex64) if x.dtype.kind == "c" else x
        got = fl.repeat(x, repeats, axis)  # type: ignore[arg-type]
        want = np.repeat(x, repeats, axis)  # type: ignore[call-overload]
        np.testing.assert_array_equal(got.numpy(), want)


def test_repeat_compiles_and_has_gradients() -> None:
    def twice(x: fl.Tensor) -> fl.Tensor:
        return fl.repeat(x, 2, 1) * fl.range(8.0)

    x = fl.tensor([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_array_equal(fl.jit(twice)(x).numpy(), twice(x).numpy())
    assert fl.grad(lambda x: fl.sum(twice(x)))(x).tolist() == [[1, 5, 9, 13]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: fl.repeat(X, -1),
        lambda: fl.repeat(X, [1, 2], 0),
        lambda: fl.repeat(X, 1.5),
        lambda: fl.repeat(X, True),
        lambda: fl.repeat(X, [1.0, 2.0, 3.0], 0),
        lambda: fl.repeat(X, 2, 3),
    ],
)
def test_repeat_refuses(call: Callable[[], fl.Tensor]) -> None:
    with pytest.raises(FanlightError, match="E-OP-005"):
        call()


def test_repeats_that_are_computed_while_traced() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x, n: fl.repeat(x, n))(fl.tensor([1.0, 2.0]), fl.tensor([1, 2]))
