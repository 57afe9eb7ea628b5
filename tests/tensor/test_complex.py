"""Complex tensors against NumPy: arithmetic, movement, gradients, compiled and built functions."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

RNG = np.random.default_rng(4)


def numbers(*shape: int) -> np.ndarray:
    return (RNG.normal(0, 1, shape) + 1j * RNG.normal(0, 1, shape)).astype(np.complex64)


def close(found: Any, expected: Any) -> None:
    found = found.numpy() if isinstance(found, fl.Tensor) else found
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_it_is() -> None:
    z = fl.complex([1, 2], [3, -4])
    assert (z.shape, z.dtype, z.size, z.rank) == ((2,), "complex64", 2, 1)
    assert z.tolist() == [1 + 3j, 2 - 4j] and z[1].item() == 2 - 4j
    assert repr(z) == "tensor([1.+3.j, 2.-4.j], complex64[2])"
    assert fl.real(z).tolist() == [1, 2] and fl.imag(z).tolist() == [3, -4]
    assert str(z.type) == "c64[2]"
    assert fl.imag(3.0).item() == 0 and fl.conj(fl.tensor(2)).dtype == "int32"
    array = numbers(2, 3)
    assert np.array_equal(fl.tensor(array).numpy(), array)
    assert fl.tensor(array.astype(np.complex128)).numpy().dtype == np.complex64
    assert fl.tensor(1 + 2j).item() == 1 + 2j and fl.tensor([1, 2j]).tolist() == [1, 2j]
    assert fl.tensor([1, 2], "complex64").tolist() == [1, 2]
    assert fl.zeros(2, "complex64").tolist() == [0, 0] and fl.full(1, 1j).tolist() == [1j]
    assert fl.cast(z, "float32").tolist() == [1, 2] and fl.cast(z, "int32").tolist() == [1, 2]
    assert fl.cast([0, 1j], "bool").tolist() == [False, True]
    assert fl.stack([fl.tensor(1j), fl.tensor(2.0)]).tolist() == [1j, 2]
    assert fl.complex([1, 2], 1).tolist() == [1 + 1j, 2 + 1j]


UNARY = {
    "abs": np.abs, "angle": np.angle, "conj": np.conj, "exp": np.exp, "imag": np.imag,
    "log": np.log, "neg": np.negative, "real": np.real, "reciprocal": np.reciprocal,
    "sqrt": np.sqrt, "square": np.square, "sum": np.sum, "mean": np.mean,
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions(name: str) -> None:
    z = numbers(3, 4)
    z[0] = [1, -1, 1j, -2j]
    function = getattr(fl, name)
    close(function(z), UNARY[name](z))
    close(fl.jit(function)(z), UNARY[name](z))


def test_arithmetic() -> None:
    a, b = numbers(3, 4), numbers(4)
    x = RNG.normal(0, 1, (3, 1)).astype(np.float32)
    for other in (b, x, 2.0, 3, 1 - 2j):
        z = fl.tensor(a)
        for found, expected in (
            (z + other, a + other), (other - z, other - a), (z * other, a * other),
            (z / other, a / other), (other / z, other / a), (z == other, a == other),
            (z != other, a != other),
        ):  # fmt: skip
            close(found, expected)
    close(fl.tensor(a) ** 2, a**2)
    close(fl.pow(a, 1.5), a**1.5)
    close(fl.tensor(x) * b, x * b)
    big = np.complex64(1e30 + 1e30j)
    close(fl.tensor(big) / big, 1)
    assert fl.abs(big).item() == pytest.approx(1.4142135e30)
    assert (fl.tensor([1j, 1]) == [1j, 2]).tolist() == [True, False]


def test_matrices_and_movement() -> None:
    a, b = numbers(2, 3, 4), numbers(4, 5)
    z = fl.tensor(a)
    close(z @ b, a @ b)
    close(fl.einsum("bij,jk->bki", a, b), np.einsum("bij,jk->bki", a, b))
    close(fl.einsum("bij,bij->b", a, a), np.einsum("bij,bij->b", a, a))
    close(fl.norm(a[0]), np.linalg.norm(a[0]))
    close(fl.transpose(z), a.transpose())
    close(fl.reshape(z, (6, 4)), a.reshape(6, 4))
    close(z[1, ::2][:, [0, 3]], a[1][::2][:, [0, 3]])
    close(z[:, None, ..., -1], a[:, None, ..., -1])
    close(fl.concat([z, z.numpy(), fl.ones((2, 3, 1))], 2), np.concatenate(
        [a, a, np.ones((2, 3, 1))], 2))  # fmt: skip
    close(fl.pad(b, [(1, 0), (0, 2)], 1 + 2j),
          np.pad(b, [(1, 0), (0, 2)], constant_values=1 + 2j))  # fmt: skip
    close(fl.where([True, False, True, False], z, 0), np.where([1, 0, 1, 0], a, 0))
    close(fl.sum(z, (0, 2)), a.sum((0, 2)))
    close(fl.tile(b, (2, 1)), np.tile(b, (2, 1)))
    close(fl.reverse(b), b[::-1, ::-1])


def test_what_has_no_meaning() -> None:
    for call in (fl.relu, fl.softplus, fl.elu, lambda z: z < z, lambda z: fl.complex(z, z)):
        with pytest.raises(FanlightError, match="E-OP-003") as caught:
            call(fl.tensor([1j, 2]))
        assert "c64[2]" in str(caught.value) and "test_complex" in str(caught.value)


def test_the_gradient_is_the_steepest_direction() -> None:
    z, w = numbers(5), numbers(5)

    def loss(z: Any) -> fl.Tensor:
        return fl.sum(fl.abs(fl.exp(z * w) / (z + 3) + fl.sqrt(z)) ** 2)

    slope = fl.grad(loss)(fl.tensor(z))
    assert slope.dtype == "complex64"
    np.testing.assert_allclose(fl.grad(lambda z: fl.sum(fl.abs(z) ** 2))(z).numpy(), 2 * z, 1e-5)

    def reference(z: np.ndarray) -> float:
        wide = w.astype(np.complex128)
        return float((np.abs(np.exp(z * wide) / (z + 3) + np.sqrt(z)) ** 2).sum())

    wide, h = z.astype(np.complex128), 1e-6
    for i in range(5):
        e = np.eye(5)[i] * h
        x = (reference(wide + e) - reference(wide - e)) / (2 * h)
        y = (reference(wide + 1j * e) - reference(wide - 1j * e)) / (2 * h)
        assert slope[i].item() == pytest.approx(x + 1j * y, rel=1e-3, abs=1e-3)
    # Compiled, and of the second order.
    close(fl.jit(fl.grad(loss))(z), slope.numpy())
    bend = fl.hvp(loss, fl.tensor(z), fl.tensor(w)).numpy()
    h = 1e-3
    ahead, behind = (fl.grad(loss)(fl.tensor(z + s * h * w)).numpy() for s in (1, -1))
    np.testing.assert_allclose(bend, (ahead - behind) / (2 * h), rtol=0.02, atol=0.05)
    assert fl.grad(lambda z: fl.sum(fl.abs(z)))(fl.zeros(2, "complex64")).tolist() == [0, 0]


def test_other_ways_of_gradients() -> None:
    z, w = numbers(3), numbers(3)
    value, moved = fl.jvp(lambda z: z * z, fl.tensor(z), fl.tensor(w))
    close(value, z * z)
    close(moved, 2 * z * w)
    # J^H g of z^2 is 2 conj(z) g.
    close(fl.vjp(lambda z: z * z, z)[1](fl.tensor(w))[0], 2 * z.conj() * w)
    stopped = fl.grad(lambda z: fl.sum(fl.real(fl.stop_gradient(z) * z)))(z)
    close(stopped, z.conj())
    with pytest.raises(FanlightError, match="E-TENSOR-005"):
        fl.custom_gradient(lambda z: (z, lambda g: g))(fl.tensor(z))
    with pytest.raises(FanlightError, match="E-TENSOR-005"):
        fl.grad(fl.sum)(fl.tensor(z))
    with pytest.raises(FanlightError, match="E-OP-003"):
        fl.linalg.det(np.zeros((2, 2), np.complex64))


def test_built_functions_take_and_give_two_parts(tmp_path: Path) -> None:
    a = numbers(3)
    bundle = fl.build(
        lambda z, x: {"y": z * x, "size": fl.abs(z)},
        tmp_path / "out",
        inputs={"z": fl.spec((3,), "complex64"), "x": fl.spec((3,))},
    )
    given = {"z_real": a.real.copy(), "z_imag": a.imag.copy(), "x": np.float32([1, 2, 3])}
    found = bundle.run(given)
    close(found["y_real"] + 1j * found["y_imag"], a * [1, 2, 3])
    close(found["size"], np.abs(a))
    with pytest.raises(FanlightError, match="E-TENSOR-006"):
        fl.build(lambda z, z_real: z, tmp_path / "b",
                 inputs={"z": fl.spec(2, "complex64"), "z_real": fl.spec(2)})  # fmt: skip


def test_memory() -> None:
    gc.collect()  # what tests before left in cycles would go in between
    before = fl.memory()["tensors"]
    z = fl.tidy(lambda: fl.tensor([1j]) * 2)
    assert z.tolist() == [2j]
    assert fl.memory()["tensors"] == before + 2
    z.dispose()
    assert z.disposed and "disposed" in repr(z)
    with pytest.raises(FanlightError, match="E-TENSOR-002"):
        z.numpy()
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda z: z.numpy())(np.complex64([1]))


# --- functions made of those of real numbers ------------------------------------------------------

FUNCTIONS = """
acos acosh asin asinh atan atanh cos cosh expm1 log1p round sign sin sinh tan tanh
""".split()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [1e-3, 0.5, 3.0, 12.0])
def test_functions_of_complex_numbers(name: str, scale: float) -> None:
    z = ((RNG.standard_normal(400) + 1j * RNG.standard_normal(400)) * scale).astype(np.complex64)
    want = getattr(np, name)(z.astype(complex))
    got = getattr(fl, name)(fl.tensor(z))
    assert got.dtype == "complex64"
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-6 * scale)
    compiled = fl.jit(getattr(fl, name))(fl.tensor(z))
    np.testing.assert_allclose(compiled.numpy(), want, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("round",)])
def test_gradients_of_functions_of_complex_numbers(name: str) -> None:
    z = (RNG.uniform(0.2, 0.9, 6) + 1j * RNG.uniform(0.2, 0.9, 6)).astype(np.complex64)
    w = (RNG.standard_normal(6) + 1j * RNG.standard_normal(6)).astype(np.complex64)

    def loss(z: Any) -> fl.Tensor:
        return fl.sum(fl.real(getattr(fl, name)(z) * w))

    slope = fl.grad(loss)(fl.tensor(z)).numpy()
    h = 2.0**-8
    for step in (1, 1j, 1 - 1j):
        up, down = (loss(fl.tensor((z + s * h * step).astype(np.complex64))) for s in (1, -1))
        along = np.sum((np.conj(slope) * step).real)
        assert along == pytest.approx((up.item() - down.item()) / (2 * h), rel=2e-2, abs=2e-2)


def test_on_branch_cuts_results_are_those_from_above() -> None:
    z = np.array([2 + 0j, -2 + 0j, 0.5 + 0j, 1j, 0 - 1j, 3j, 0 - 3j], np.complex64)
    for name in ("acos", "asin", "acosh", "asinh", "log1p"):
        np.testing.assert_allclose(
            getattr(fl, name)(z).numpy(), getattr(np, name)(z), rtol=1e-5, atol=1e-6
        )
    for name, values in (("atanh", [2, -2, 0.5]), ("atan", [3j, 0.5])):
        values = np.array(values, np.complex64)
        np.testing.assert_allclose(
            getattr(fl, name)(values).numpy(), getattr(np, name)(values), rtol=1e-5, atol=1e-6
        )


def test_products_sums_and_what_is_not_finite() -> None:
    z = fl.tensor(numbers(2, 3, 4))
    wide = z.numpy().astype(complex)
    for axis in (None, 0, (0, 2), -1):
        want = np.prod(wide, axis=axis, keepdims=True)
        np.testing.assert_allclose(fl.prod(z, axis, True).numpy(), want, rtol=1e-4)
    np.testing.assert_allclose(fl.cumsum(z, 1).numpy(), np.cumsum(wide, 1), rtol=1e-4, atol=1e-5)
    assert fl.prod(fl.tensor(np.zeros(0, np.complex64))).item() == 1
    assert z[[0, 1], [2, 0]].numpy().tolist() == z.numpy()[[0, 1], [2, 0]].tolist()
    w = fl.tensor([1 + 1j, complex("nan"), complex(1, np.inf), complex(np.inf, np.nan)])
    assert fl.is_nan(w).tolist() == [False, True, False, True]
    assert fl.is_inf(w).tolist() == [False, False, True, True]
    assert fl.is_finite(w).tolist() == [True, False, False, False]
