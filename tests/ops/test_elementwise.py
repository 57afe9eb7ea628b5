"""Elementwise rows against formulas in float64 and, for int32, in Python's own integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlight.ops import TABLE
from fanlight.ops.scalar import CHUNK
from tests.ops.support import SEEDS, SHAPES, assert_close, call, sample

INF, NAN = math.inf, math.nan
SPECIAL = np.float32([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 6.0, INF, -INF, NAN])
ROUND = np.float32(
    [
        *np.linspace(-12, 12, 20_001),
        *np.geomspace(1e-20, 1e4, 2_001),
        *-np.geomspace(1e-20, 1e4, 2_001),
    ]
)
POSITIVE = np.abs(ROUND)


def _each(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    return np.vectorize(function, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ERF = _each(math.erf)
# (op, attributes, the same in float64, where to try it)
UNARY: list[tuple[str, dict[str, Any], Callable[[np.ndarray], np.ndarray], np.ndarray]] = [
    ("abs", {}, np.abs, ROUND),
    ("neg", {}, np.negative, ROUND),
    ("sign", {}, np.sign, ROUND),
    ("square", {}, np.square, ROUND),
    ("sqrt", {}, np.sqrt, POSITIVE),
    ("rsqrt", {}, lambda x: 1 / np.sqrt(x), POSITIVE),
    ("reciprocal", {}, lambda x: 1 / x, ROUND),
    ("exp", {}, np.exp, np.float32(np.linspace(-100, 80, 5001))),
    ("expm1", {}, np.expm1, np.float32([*np.linspace(-40, 40, 9001), 1e-6, -1e-6, 0.5, -0.5])),
    ("log", {}, np.log, POSITIVE),
    ("log1p", {}, np.log1p, np.float32([*np.linspace(-0.999, 50, 9001), 1e-6, -1e-6, 1e30])),
    ("sin", {}, np.sin, ROUND),
    ("cos", {}, np.cos, ROUND),
    ("erf", {}, ERF, ROUND),
    ("floor", {}, np.floor, ROUND),
    ("ceil", {}, np.ceil, ROUND),
    ("round", {}, np.rint, np.float32([*np.arange(-5, 5.5, 0.5), 1e9])),
    ("is_nan", {}, np.isnan, ROUND),
    ("is_inf", {}, np.isinf, SPECIAL),
    ("is_finite", {}, np.isfinite, SPECIAL),
    ("step", {}, lambda x: np.where(np.isnan(x), x, x > 0), ROUND),
    ("step", {"alpha": -0.5}, lambda x: np.where(np.isnan(x), x, np.where(x > 0, 1, -0.5)), ROUND),
    ("tan", {}, np.tan, np.float32(np.linspace(-1.5, 1.5, 5001))),
    ("asin", {}, np.arcsin, np.float32(np.linspace(-1.1, 1.1, 9001))),
    ("acos", {}, np.arccos, np.float32(np.linspace(-1.1, 1.1, 9001))),
    ("atan", {}, np.arctan, ROUND),
    ("sinh", {}, np.sinh, np.float32([*np.linspace(-85, 85, 9001), 1e-6, -1e-6])),
    ("cosh", {}, np.cosh, np.float32(np.linspace(-85, 85, 9001))),
    ("asinh", {}, np.arcsinh, np.float32([*ROUND, 1e30, -1e30])),
    ("acosh", {}, np.arccosh, np.float32([*np.linspace(-12, 12, 9001), 1e15, 1e30])),
    ("atanh", {}, np.arctanh, np.float32(np.linspace(-1.1, 1.1, 9001))),
    ("log_sigmoid", {}, lambda x: -_softplus(-x), ROUND),
    ("clip", {"lo": -1.5, "hi": 2}, lambda x: np.clip(x, -1.5, 2), ROUND),
    ("clip", {"lo": -INF, "hi": 2.5}, lambda x: np.minimum(x, 2.5), ROUND),
    ("clip", {"lo": 0.0, "hi": INF}, lambda x: np.maximum(x, 0), ROUND),
    ("relu", {}, lambda x: np.maximum(x, 0), ROUND),
    ("relu6", {}, lambda x: np.clip(x, 0, 6), ROUND),
    ("leaky_relu", {"alpha": 0.3}, lambda x: np.where(x < 0, 0.3 * x, x), ROUND),
    ("elu", {}, lambda x: np.where(x < 0, np.expm1(x), x), ROUND),
    ("elu", {"alpha": 2.5}, lambda x: np.where(x < 0, 2.5 * np.expm1(x), x), ROUND),
    (
        "selu",
        {},
        lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x),
        ROUND,
    ),
    ("sigmoid", {}, _sigmoid, ROUND),
    ("hard_sigmoid", {}, lambda x: np.clip(x / 6 + 0.5, 0, 1), ROUND),
    ("hard_sigmoid", {"alpha": 0.2}, lambda x: np.clip(x / 5 + 0.5, 0, 1), ROUND),
    ("tanh", {}, np.tanh, ROUND),
    ("softplus", {}, _softplus, ROUND),
    ("softsign", {}, lambda x: x / (1 + np.abs(x)), ROUND),
    ("swish", {}, lambda x: x * _sigmoid(x), ROUND),
    ("hard_swish", {}, lambda x: x * np.clip(x + 3, 0, 6) / 6, ROUND),
    ("mish", {}, lambda x: x * np.tanh(_softplus(x)), ROUND),
    ("gelu", {}, lambda x: x / 2 * (1 + ERF(x / math.sqrt(2))), ROUND),
    ("gelu", {"approximate": True}, _gelu_tanh, ROUND),
    ("cast", {"dtype": "int32"}, np.trunc, ROUND),
    ("cast", {"dtype": "float32"}, lambda x: x, ROUND),
    ("cast", {"dtype": "bool"}, lambda x: x != 0, ROUND),
    ("cast", {"dtype": "uint8"}, lambda x: np.clip(np.trunc(x), 0, 255), ROUND),
]


def _floor_div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.floor(a / b)


BINARY: list[tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = [
    ("add", np.add),
    ("sub", np.subtract),
    ("mul", np.multiply),
    ("div", np.divide),
    ("maximum", np.maximum),
    ("minimum", np.minimum),
    ("squared_difference", lambda a, b: (a - b) ** 2),
    ("div_no_nan", lambda a, b: np.where(b == 0, 0, a / b)),
    ("atan2", np.arctan2),
    ("hypot", np.hypot),
    ("floor_div", _floor_div),
    ("floor_mod", np.mod),
    ("pow", np.power),
    ("prelu", lambda x, alpha: np.where(x < 0, alpha * x, x)),
    ("equal", np.equal),
    ("not_equal", np.not_equal),
    ("less", np.less),
    ("less_equal", np.less_equal),
    ("greater", np.greater),
    ("greater_equal", np.greater_equal),
]


def tolerance(op: str) -> float:
    """The row's for float32, and for those that are exact none."""
    return TABLE[op].tol.get("float32", 0.0)


OTHERS = ("quantized", "bitwise")


def test_every_elementwise_row_is_compared() -> None:
    covered = {c[0] for c in UNARY} | {c[0] for c in BINARY}
    covered |= {"logical_not", "logical_and", "logical_or", "select", "fused", "batch_norm"}
    # Those of other families are compared in test_quantized.py and test_random_bits.py.
    rest = {n for n, row in TABLE.items() if row.scalar and row.family not in OTHERS}
    assert covered == rest


@pytest.mark.parametrize(("op", "attrs", "formula", "x"), UNARY, ids=lambda v: str(v)[:20])
def test_unary(op: str, attrs: dict[str, Any], formula: Any, x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        wanted = formula(x.astype(np.float64))
    assert_close(call(op, x, **attrs), wanted, tolerance(op), op)


@pytest.mark.parametrize(
    ("op", "attrs", "formula"), [c[:3] for c in UNARY], ids=lambda v: str(v)[:20]
)
def test_special_values(op: str, attrs: dict[str, Any], formula: Any) -> None:
    """NaN, infinities and zeros as the formula has them; saturating casts by their own rule."""
    x = SPECIAL
    if op in ("swish", "hard_swish", "mish", "gelu", "softsign"):
        x = x[~np.isinf(x)]  # the rows say that they give NaN there, or say nothing
    if op == "cast":
        x = x[np.isfinite(x)]
    with np.errstate(all="ignore"):
        wanted = formula(x.astype(np.float64))
    assert_close(call(op, x, **attrs), wanted, max(tolerance(op), 1e-6), op)


def test_unbounded_activations_give_nan_where_their_rows_say_so() -> None:
    for op in ("swish", "hard_swish", "mish", "gelu", "softsign"):
        assert "NaN" in TABLE[op].nan
        assert np.isnan(call(op, np.float32(-INF))), op
        assert not np.isnan(call(op, np.float32([-200.0, 200.0]))).any(), op


@pytest.mark.parametrize(
    "op", ["tanh", "erf", "expm1", "log1p", "sinh", "asinh", "atanh", "atan", "asin"]
)
def test_small_arguments_keep_their_digits(op: str) -> None:
    """The absolute tolerance would let a result of 1e-8 be anything: look at the relative error."""
    x = np.float32([*np.geomspace(1e-30, 0.7, 4001), *-np.geomspace(1e-30, 0.7, 4001)])
    formula = {case[0]: case[2] for case in UNARY}[op]
    exact = formula(x.astype(np.float64))
    assert np.abs(call(op, x) / exact - 1).max() < 5e-7


def test_sigmoid_keeps_the_digits_of_small_results() -> None:
    x = np.float32(np.linspace(-80, 0, 1001))
    assert np.abs(call("sigmoid", x) / _sigmoid(x.astype(np.float64)) - 1).max() < 1e-6


def test_tanh_and_erf_stay_within_one() -> None:
    x = np.float32(np.linspace(-30, 30, 100_001))
    for op in ("tanh", "erf"):
        assert np.abs(call(op, x)).max() == 1.0


@pytest.mark.parametrize(("op", "formula"), BINARY, ids=lambda v: str(v)[:20])
def test_binary(op: str, formula: Any) -> None:
    a = np.abs(sample(1, (40, 1))) if op == "pow" else sample(1, (40, 1))
    b = sample(2, (1, 50))
    a[0], b[:, 0] = 1.5, -1.5
    with np.errstate(all="ignore"):
        wanted = formula(a.astype(np.float64), b.astype(np.float64))
    got = call(op, a, b)
    if op == "floor_mod":
        # The quotient is rounded: near a multiple of b the remainder may jump by b.
        wanted = np.where(
            np.abs(got - wanted) > np.abs(b) / 2, wanted + np.sign(got) * np.abs(b), wanted
        )
        wanted = np.where(np.abs(got - wanted) > np.abs(b) / 2, wanted - 2 * np.abs(b), wanted)
        assert_close(got, wanted, 1e-5, op)
        return
    assert_close(got, wanted, tolerance(op), op)


def test_pow_as_numpy() -> None:
    a = np.float32([-2, -2, -2, -2, -8, 0, 0, 0, 1, -1, INF, -INF, -INF, NAN, 1, 4, 4, 3, 2, 5])
    b = np.float32([2, 3, 0, -1, 1 / 3, 2, 0, -1, INF, INF, -1, 3, 2, 0, NAN, 0.5, -0.5, 1, 10, -2])
    with np.errstate(all="ignore"):
        wanted = np.power(a.astype(np.float64), b.astype(np.float64))
    assert_close(call("pow", a, b), wanted, 1e-6)
    x = sample(3, (100,))
    assert np.array_equal(call("pow", x, np.float32(2)), x * x)
    assert np.array_equal(call("pow", x, np.float32(1)), x)


def test_long_bodies_are_computed_in_pieces_and_come_out_the_same() -> None:
    x = sample(7, (3, 5 * CHUNK - 1))
    for op in ("tanh", "gelu", "elu"):
        parts = [call(op, part) for part in np.array_split(x, 7, axis=1)]
        assert np.array_equal(call(op, x), np.concatenate(parts, axis=1), equal_nan=True)
    y = np.float32([[0.5]])
    assert np.array_equal(call("atan2", x, y), call("atan2", x, np.full_like(x, 0.5)))
    assert np.array_equal(call("atan2", x.T, y), call("atan2", x, y).T)


def test_atan2_of_the_axes_and_of_infinities() -> None:
    y, x = np.float32([1, -1]), np.float32([-0.0, -0.0])
    assert_close(call("atan2", y, x), np.arctan2(y, x), 2e-6)
    y = np.float32([0, 0, 1, -1, 0, INF, INF, -INF, -INF, 1, -1, INF, NAN, 1e-30, 1e30])
    x = np.float32([1, -1, 0, 0, 0, INF, -INF, INF, -INF, -INF, INF, 3, 1, -1e30, 1e-30])
    assert_close(call("atan2", y, x), np.arctan2(y.astype(np.float64), x), 2e-6)


def test_float_remainder_and_quotient() -> None:
    a = np.float32([7, -7, 7, -7, 5, -5, 0, 1, INF, 5.5, -0.25, 1])
    b = np.float32([3, 3, -3, -3, INF, INF, 5, 0, 3, 0.5, 0.5, 0.1])
    with np.errstate(all="ignore"):
        assert_close(call("floor_mod", a, b)[:-1], np.mod(a, b)[:-1], 1e-6)
        assert_close(call("floor_div", a, b)[:4], np.floor_divide(a, b)[:4], 0)
    assert np.array_equal(call("floor_div", np.float32([1, -1]), np.float32([0, 0])), [INF, -INF])


@given(st.lists(st.tuples(*[st.integers(-(2**31) + 1, 2**31 - 1)] * 2), min_size=1, max_size=20))
def test_integer_division_rounds_down(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(v, np.int32) for v in zip(*pairs))
    assert call("floor_div", a, b).tolist() == [x // y if y else 0 for x, y in pairs]
    assert call("floor_mod", a, b).tolist() == [x % y if y else 0 for x, y in pairs]
    truncated = [abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1) if y else 0 for x, y in pairs]
    assert call("div", a, b).tolist() == truncated


INTEGERS = [
    *("abs", "neg", "sign", "square", "floor", "ceil", "round", "relu", "relu6"),
    *("add", "sub", "mul", "maximum", "minimum", "squared_difference"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
]


@pytest.mark.parametrize("op", INTEGERS)
def test_integers(op: str) -> None:
    formula = {**{c[0]: c[2] for c in UNARY}, **dict(BINARY)}[op]
    arrays = [sample(seed, (30,), "int32") for seed in range(TABLE[op].arity[0])]
    got = call(op, *arrays)
    assert got.dtype in (np.int32, np.bool_)
    assert np.array_equal(got, formula(*(a.astype(np.float64) for a in arrays)))


def test_bytes_are_read_as_integers() -> None:
    x = sample(1, (9,), "uint8")
    got = call("mul", x, x)
    assert got.dtype == np.int32
    assert np.array_equal(got, x.astype(np.int32) ** 2)


def test_integers_wrap_around() -> None:
    big = np.int32([2**31 - 1])
    assert call("add", big, np.int32([1])).tolist() == [-(2**31)]


def test_casts_saturate() -> None:
    x = np.float32([3e9, -3e9, INF, -INF, NAN, 2.9, -2.9])
    assert call("cast", x, dtype="int32").tolist() == [
        *(2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 0, 2, -2)
    ]
    assert call("cast", x, dtype="uint8").tolist() == [255, 0, 255, 0, 0, 2, 0]
    assert call("cast", np.int32([-5, 300]), dtype="uint8").tolist() == [0, 255]
    assert call("cast", np.array([True, False]), dtype="float32").tolist() == [1.0, 0.0]


def test_logic() -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert np.array_equal(call("logical_and", a, b), a & b)
    assert np.array_equal(call("logical_or", a, b), a | b)
    assert np.array_equal(call("logical_not", a), ~a)
    assert np.array_equal(call("equal", a, b), a == b)


@given(shape=SHAPES, seed=SEEDS, data=st.data())
@settings(max_examples=60)
def test_any_shapes_broadcast(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    op, formula = data.draw(st.sampled_from(BINARY[:6]))
    cut = data.draw(st.integers(0, len(shape)))
    other = tuple(1 if data.draw(st.booleans()) else n for n in shape[cut:])
    a, b = sample(seed, shape), sample(seed + 1, other)
    if data.draw(st.booleans()):
        a, b = b, a
    with np.errstate(all="ignore"):
        assert_close(call(op, a, b), formula(a.astype(np.float64), b), 1e-6, (op, shape, other))


@given(shape=SHAPES, seed=SEEDS, case=st.sampled_from(UNARY))
@settings(max_examples=60)
def test_any_shape_keeps_its_shape(shape: tuple[int, ...], seed: int, case: Any) -> None:
    op, attrs, formula, _ = case
    x = np.abs(sample(seed, shape)) + np.float32(0.01)
    with np.errstate(all="ignore"):
        wanted = formula(x.astype(np.float64))
    assert_close(call(op, x, **attrs), wanted, max(2e-6, tolerance(op)), op)


@given(shape=SHAPES, seed=SEEDS)
@settings(max_examples=20)
def test_select(shape: tuple[int, ...], seed: int) -> None:
    c = sample(seed, shape, "bool")
    a, b = sample(seed + 1, shape[-1:]), sample(seed + 2, shape)
    assert np.array_equal(call("select", c, a, b), np.where(c, a, b))


def test_fused_is_its_body() -> None:
    a, b, c = sample(1, (4, 1, 3)), sample(2, (5, 3)), sample(3, ())
    got = call("fused", a, b, c, body="max(sub(mul(a0, a2), a1), 0.5)")
    assert_close(got, np.maximum(a * c - b, 0.5), 1e-6)
    # An input that the body does not read still takes part in the shape.
    assert call("fused", a, b, body="neg(a0)").shape == (4, 5, 3)
    assert call("fused", a, b, body="lt(a0, a1)").dtype == np.bool_


def test_batch_norm() -> None:
    x = sample(1, (2, 3, 3, 5))
    mean, offset, scale = (sample(s, (5,)) for s in (2, 3, 4))
    variance = np.abs(sample(5, (5,)))
    wanted = (x.astype(np.float64) - mean) / np.sqrt(variance + 0.01) * scale + offset
    got = call("batch_norm", x, mean, variance, offset, scale, epsilon=0.01)
    assert_close(got, wanted, 1e-5)
