"""Numbers at the edges: of int32, of float32, of complex powers, and of nothing at all."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError

LEAST, MOST = -(2**31), 2**31 - 1
INTS = [LEAST, LEAST + 1, LEAST + 2, -987654321, -7, -3, -2, -1, 0, 1, 2, 3, 7, 2**24 + 1, MOST]
INF = float("inf")


def both(function: Callable[..., Any], *values: Any) -> np.ndarray:
    """What NumPy's meaning and WebAssembly give, which is the same."""
    tensors = [fl.tensor(v) for v in values]
    eager, compiled = function(*tensors).numpy(), fl.jit(function)(*tensors).numpy()
    assert eager.dtype == compiled.dtype
    np.testing.assert_array_equal(eager, compiled)
    return eager


def wrapped(n: int) -> int:
    return (n + 2**31) % 2**32 - 2**31


# --- int32 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (fl.floor_mod, lambda a, b: a % b if b else 0),
        (fl.floor_div, lambda a, b: a // b if b else 0),
        (fl.add, lambda a, b: a + b),
        (fl.sub, lambda a, b: a - b),
        (fl.mul, lambda a, b: a * b),
        (fl.maximum, max),
        (fl.minimum, min),
        (fl.squared_difference, lambda a, b: (a - b) ** 2),
        (fl.pow, lambda a, b: pow(a, b, 2**32) if b >= 0 else a**-b if a in (1, -1) else 0),
    ],
)
def test_int32_at_its_edges(function: Any, rule: Any) -> None:
    pairs = [(a, b) for a in INTS for b in INTS]
    found = both(function, *(np.array(v, np.int32) for v in zip(*pairs, strict=True)))
    wanted = [wrapped(rule(a, b)) for a, b in pairs]
    assert found.dtype == np.int32 and found.tolist() == wanted


def test_powers_of_whole_numbers_are_whole() -> None:
    x = fl.tensor([[1, 2], [3, -4]])
    for n in range(8):
        assert both(lambda x, n=n: x**n, x).tolist() == (x.numpy() ** n).tolist()
        assert (x**n).dtype == "int32"
    assert (2**x)[0].tolist() == [2, 4] and (x**0.5).dtype == (x**2.0).dtype == "float32"
    assert (x ** fl.scalar(2.0)).dtype == (2.0**x).dtype == "float32"
    assert (fl.tensor([200], "uint8") ** 2).tolist() == [40000]
    assert (fl.tensor([-3], "int8") ** fl.tensor([3], "int8")).tolist() == [-27]
    with pytest.raises(FanlightError, match="E-OP-005") as caught:
        x**-1
    assert "cast" in str(caught.value)


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2)),
     ((2, 1, 1, 2, 3, 4), (1, 2, 3, 1, 4, 2)), ((3, 0), (0, 2))],
)  # fmt: skip
def test_products_of_whole_matrices_are_whole_and_exact(a: Any, b: Any) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(-(2**30), 2**30, a).astype(np.int32)
    y = rng.integers(-(2**30), 2**30, b).astype(np.int32)
    with np.errstate(over="ignore"):
        wanted = np.matmul(x, y)
    found = fl.matmul(x, y)
    assert found.dtype == "int32" and found.shape == wanted.shape
    np.testing.assert_array_equal(found.numpy(), wanted)
    if x.size:
        np.testing.assert_array_equal(fl.jit(fl.matmul)(x, y).numpy(), wanted)
    assert fl.matmul(x.T, y.T, True, True).shape if x.ndim == y.ndim == 2 else True


def test_products_of_whole_matrices_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["fanlight.tensor.functions"], "_MOST_PRODUCTS", 20)
    x, y = np.arange(12, dtype=np.int32).reshape(3, 4), np.arange(8, dtype=np.uint8).reshape(4, 2)
    assert fl.matmul(x, y).tolist() == (x @ y).tolist()
    assert (fl.tensor(x.T.copy()).matmul(y, transpose_a=True)).tolist() == (x @ y).tolist()
    assert fl.matmul(x, fl.tensor(y, "float32")).dtype == "float32"
    with pytest.raises(FanlightError, match="E-OP-004"):
        fl.matmul(x, x)


# --- float32 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_of_any_size(name: str) -> None:
    rng = np.random.default_rng(2)
    x = np.exp(rng.uniform(0, 88, 4001)).astype(np.float32)
    exact = getattr(np, name)(x.astype(np.float64))
    for f in (getattr(fl, name), fl.jit(getattr(fl, name))):
        error = np.abs(f(x).numpy() - exact) / np.maximum(1, np.abs(exact))
        assert error.max() < 1e-6
    slope = fl.jit(fl.grad(lambda x: fl.sum(fl.sin(x))))(fl.tensor(x)).numpy()
    assert np.abs(slope - np.cos(x.astype(np.float64))).max() < 1e-6


def test_uniform_numbers_from_end_to_end_of_float32() -> None:
    most = float(np.finfo(np.float32).max)
    key = fl.random.key(3)
    for low, high in ((-most, most), (fl.scalar(-most), fl.scalar(most)), (-3e38, 2e38)):
        drawn = fl.random.uniform((1000,), low, high, key=key).numpy()
        assert np.isfinite(drawn).all() and (drawn >= float(low)).all()
        middle = (float(low) / 2 + float(high) / 2) / most
        assert abs(drawn.astype(np.float64).mean() / most - middle) < 0.1
        # The bits are the same, the sum may be fused.
        again = fl.jit(lambda k, a=low, b=high: fl.random.uniform((1000,), a, b, key=k))(key)
        np.testing.assert_allclose(again.numpy(), drawn, rtol=0, atol=most * 1e-6)
    with pytest.raises(FanlightError, match="float32"):
        fl.random.uniform((2,), 0, 1e300, key=key)


@pytest.mark.parametrize("count", [None, 4])
def test_extremes_of_segments_may_be_infinite(count: int | None) -> None:
    ids = fl.tensor([0, 2, 2])

    def check(function: Any, x: Any, wanted: list[float]) -> None:
        wanted = wanted if count else wanted[:3]
        jitted = fl.jit(lambda x: function(x, ids, count or 3))(fl.tensor(x))
        found = function(x, ids, count) if count else function(x, ids, 3)
        assert found.tolist() == jitted.tolist() == np.array(wanted, found.numpy().dtype).tolist()

    least = float(np.finfo(np.float32).min)
    check(fl.segment_max, [-INF, -INF, 1.0], [-INF, 0, 1, 0])
    check(fl.segment_min, [INF, INF, 1.0], [INF, 0, 1, 0])
    check(fl.unsorted_segment_max, [-INF, -INF, 1.0], [-INF, least, 1, least])
    check(fl.unsorted_segment_min, [INF, INF, 1.0], [INF, -least, 1, -least])
    check(fl.unsorted_segment_max, [LEAST, 1, 2], [LEAST, LEAST, 2, LEAST])
    check(fl.segment_min, [MOST, 1, 2], [MOST, 0, 1, 0])


def test_a_segment_of_infinity_has_a_gradient() -> None:
    x = fl.tensor([-INF, 2.0, 1.0])
    slope = fl.grad(lambda x: fl.unsorted_segment_max(x, [0, 2, 2], 4)[2])(x)
    assert slope.tolist() == [0, 1, 0]


@pytest.mark.parametrize("padding", ["same", "valid", 1])
@pytest.mark.parametrize("fill", [None, -INF])
def test_the_place_of_a_maximum_is_in_the_image(padding: Any, fill: float | None) -> None:
    x = -np.arange(2 * 5 * 4 * 3, dtype=np.float32).reshape(2, 5, 4, 3)
    x = x if fill is None else np.full_like(x, fill)
    for batch in (False, True):
        values, places = fl.max_pool_with_argmax(x, 3, 2, padding, batch)
        flat = x.reshape(-1) if batch else x[0].reshape(-1)
        assert places.numpy().min() >= 0 and places.numpy().max() < flat.size
        if batch:
            assert (flat[places.numpy()] == values.numpy()).all()
        again = fl.jit(lambda x: fl.max_pool_with_argmax(x, 3, 2, padding, batch)[1])(fl.tensor(x))  # noqa: B023
        assert again.tolist() == places.tolist()


# --- complex --------------------------------------------------------------------------------------


def test_powers_of_complex_zero() -> None:
    z = fl.tensor([0j, 1 + 1j, 2j])
    assert (z**0).tolist() == [1, 1, 1]
    for n in (1, 2, 3, 4, 7):
        np.testing.assert_allclose((z**n).numpy(), z.numpy() ** n, rtol=1e-6)
        assert (z**n).tolist()[0] == 0
    assert (z**4).tolist() == [0, -4, 16]  # by products
    np.testing.assert_allclose((z ** (0.5 + 0.5j)).numpy()[1:], z.numpy()[1:] ** (0.5 + 0.5j), 1e-5)
    assert (z ** (0.5 + 0.5j)).tolist()[0] == 0 and (z**0.25).tolist()[0] == 0
    assert (z ** fl.tensor([0j, 0j, 0j])).tolist() == [1, 1, 1]
    assert np.isnan((z**-1).numpy()[0]) and np.isnan((z**1j).numpy()[0])
    assert (fl.tensor([1 + 1j]) ** -2).tolist() == [-0.5j]
    assert (0.0**z).tolist()[:2] == [1, 0]
    slope = fl.grad(lambda z: fl.sum(fl.abs(z ** (1.5 + 0j)) ** 2))(fl.tensor([2 + 0j]))
    np.testing.assert_allclose(slope.numpy(), [12], rtol=1e-5)  # |z|^3, derived: 3 |z|^2


def test_buffers_of_complex_numbers() -> None:
    b = fl.buffer((2, 2), "complex64")
    assert b.dtype == "complex64" and b.get(0, 0) == 0
    b.set(1 + 2j, 1, 0)
    assert b.get(1, 0) == 1 + 2j and b.to_tensor().tolist() == [[0, 0], [1 + 2j, 0]]
    assert fl.buffer((2,), "complex64", [1j, 2]).to_tensor().tolist() == [1j, 2]
    assert fl.buffer((1,), "int8").dtype == "int8" and fl.buffer((1,), "string").dtype == "string"


def test_variables_hold_no_complex_numbers_and_say_so() -> None:
    with pytest.raises(FanlightError, match="E-OP-003") as caught:
        fl.variable([1j, 2])
    assert "fl.complex(x, y)" in str(caught.value)


# --- variables and memory -------------------------------------------------------------------------


def test_a_tensor_of_a_variable_does_not_follow_it() -> None:
    v = fl.variable([1.0, 2.0])
    x = fl.tensor(v)
    assert type(x) is fl.Tensor and fl.tensor(v, "float32") is not v
    v.assign([5.0, 6.0])
    assert x.tolist() == [1, 2] and fl.tensor(v).tolist() == [5, 6]
    assert fl.tensor(x) is x
    loss, slopes = fl.variable_grads(lambda: fl.sum(fl.tensor(v) ** 2))
    assert loss.item() == 61 and slopes[v.name].tolist() == [10, 12]
    reading = [fl.jit(lambda x: x + fl.tensor(v)), fl.jit(lambda x: x + v * 2.0)]
    assert [f(x).tolist() for f in reading] == [[6, 8], [11, 14]]
    v.assign([6.0, 6.0])
    assert [f(x).tolist() for f in reading] == [[7, 8], [13, 14]]
    v.assign([5.0, 6.0])
    numbers = v.numpy()
    assert fl.jit(lambda x: x + numbers)(x).tolist() == [6, 8]


def test_a_loop_in_tidy_does_not_grow() -> None:
    from fanlight.tensor.calls import state

    sizes = []

    def loop() -> fl.Tensor:
        x = fl.scalar(0.0)
        for _ in range(200):
            x = x + 1.0
            fl.tidy(lambda x=x: x * 2.0)
            sizes.append(len(state.scopes[-1]))
        return x

    gc.collect()  # what tests before left in cycles would go in between
    before = fl.memory()["tensors"]
    result = fl.tidy(loop)
    assert result.item() == 200 and max(sizes) < 10 and not state.scopes
    assert fl.memory()["tensors"] == before + 1


def test_tidy_in_tidy_still_frees_what_is_held() -> None:
    held: list[Any] = []

    def inner() -> fl.Tensor:
        held.append(fl.ones(3))
        return fl.ones(4)

    def outer() -> None:
        held.append(fl.tidy(inner))

    fl.tidy(outer)
    assert [x.disposed for x in held] == [True, True]


def test_vmap_says_how_many_dims_examples_have() -> None:
    with pytest.raises(FanlightError, match="E-TENSOR-014") as caught:
        fl.vmap(lambda a: a * fl.ones((1, 1, 1, 1, 1, 2)))(fl.ones(3))
    assert "five dims" in str(caught.value)


# --- what a compiled function makes of variables --------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, v: fl.cond(v > 1.0, lambda: x, lambda: -x),
        lambda x, v: fl.while_loop(lambda s: s < v, lambda s: s + 1.0, fl.scalar(0.0)) + x,
        lambda x, v: fl.while_loop(lambda s: s < 5.0, lambda s: s + v, fl.scalar(0.0)) + x,
        lambda x, v: fl.while_loop(lambda s: s < 50.0, lambda s: s + 1.0, v) + x,
        lambda x, v: fl.vmap(lambda a: a * v)(fl.stack([x, x])),
        lambda x, v: fl.scan(lambda c, a: (c + a * v, c), v, fl.stack([x, x]))[0],
    ],
)
def test_a_compiled_function_reads_variables_at_every_call(fn: Any) -> None:
    v = fl.variable(2.0)
    compiled = fl.jit(lambda x: fn(x, v))
    for value in (2.0, 0.5, 7.0):
        v.assign(value)
        want = fn(fl.scalar(3.0), fl.scalar(value))
        np.testing.assert_allclose(compiled(3.0).numpy(), want.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, v: x * float(v),
        lambda x, v: x if v else -x,
        lambda x, v: x * v.numpy(),
        lambda x, v: x + np.asarray(v),
        lambda x, v: x * fl.linspace(0.0, v, 3),
    ],
)
def test_a_variable_has_no_numbers_while_a_function_is_compiled(fn: Any) -> None:
    v = fl.variable(2.0)
    with pytest.raises(FanlightError, match="E-TENSOR-003"):
        fl.jit(lambda x: fn(x, v))(1.0)
    assert v.item() == 2


def test_structures_whose_keys_print_alike_are_told_apart() -> None:
    class Key:
        def __init__(self, n: float) -> None:
            self.n = n

        def __repr__(self) -> str:
            return "K"

        def __hash__(self) -> int:
            return hash(self.n)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and other.n == self.n

    compiled = fl.jit(lambda d: next(iter(d.values())) * next(iter(d)).n)
    assert compiled({Key(1.0): fl.scalar(2.0)}).item() == 2
    assert compiled({Key(5.0): fl.scalar(2.0)}).item() == 10


def test_parts_of_tensors_go_into_numpy() -> None:
    t = fl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.asarray(t[:, 0]).tolist() == [1, 3]
    assert np.array(t[::-1]).tolist() == [[3, 4], [1, 2]]
    assert np.asarray(fl.tensor([["a", "b"], ["c", "d"]])[:, 1]).tolist() == ["b", "d"]
    whole = np.zeros(2, np.float32)
    whole[:] = t[:, 1]
    assert whole.tolist() == [2, 4]
