"""Functions element by element: like NumPy's, in the dtypes that the standard says."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanlight as fl
import fanlight.array_api as xp
from fanlight import FanlightError
from tests.array_api.standard import BINARY, UNARY
from tests.array_api.support import (
    COUNTS,
    FLOATS,
    INTEGERS,
    NUMBERS,
    REALS,
    SPECIAL,
    arrays,
    elements,
    promoted,
    quick,
    reference,
    same,
    together,
)

# What functions of one input take; those that are not here take float32 and complex64.
KEPT = {
    **dict.fromkeys(("abs", "negative", "positive", "square", "sign", "round"), NUMBERS),
    **dict.fromkeys(("ceil", "floor", "trunc"), REALS),
    "bitwise_invert": ("bool", *INTEGERS),
    "conj": NUMBERS,
    "real": NUMBERS,
}
TRUTH = {
    **dict.fromkeys(("isfinite", "isinf", "isnan"), NUMBERS),
    "logical_not": ("bool",),
    "signbit": ("float32",),
}
EXACT = ("abs", "ceil", "floor", "trunc", "round", "negative", "positive", "sqrt")
ROUGH = {"tan": 1e-4, "reciprocal": 1e-5}


@pytest.mark.parametrize("name", UNARY)
@quick
@given(data=st.data())
def test_one_input(name: str, data: st.DataObject) -> None:
    allowed = KEPT.get(name) or TRUTH.get(name) or FLOATS
    dtype = data.draw(st.sampled_from(allowed))
    x = data.draw(arrays(dtype))
    if name == "signbit":
        x = np.where(np.isnan(x), np.float32(1), x)
    want = reference(lambda: getattr(np, name)(x))
    got = getattr(xp, name)(fl.tensor(x))
    kind = dtype
    if name in TRUTH:
        kind = "bool"
    elif name in ("abs", "real", "imag") and dtype == "complex64":
        kind = "float32"
    zeros = name in EXACT and dtype == "float32" and name != "abs"
    same(name, got, want, kind, rtol=ROUGH.get(name, 1e-5), zeros=zeros)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in KEPT and n not in TRUTH])
@quick
@given(data=st.data())
def test_whole_numbers_become_floats(name: str, data: st.DataObject) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(INTEGERS)), low=-9, high=9, special=False))
    x = np.minimum(x, 30)
    want = reference(lambda: getattr(np, name)(x.astype(np.float64)))
    same(name, getattr(xp, name)(fl.tensor(x)), want, "float32", rtol=1e-4)


COMPARISONS = ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")
KINDS: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("add", "subtract", "multiply"), (INTEGERS, FLOATS)),
    **dict.fromkeys(("equal", "not_equal"), (("bool",), INTEGERS, FLOATS)),
    **dict.fromkeys(("greater", "greater_equal", "less", "less_equal"), (INTEGERS, ("float32",))),
    **dict.fromkeys(("maximum", "minimum"), (INTEGERS, ("float32",))),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (("bool",), INTEGERS)),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift"), (INTEGERS,)),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), (("bool",),)),
    **dict.fromkeys(("atan2", "copysign", "hypot", "logaddexp", "nextafter"), (("float32",),)),
    "divide": (FLOATS,),
    "floor_divide": (INTEGERS, ("float32",)),
    "remainder": (INTEGERS, ("float32",)),
    "pow": (INTEGERS, ("float32",)),
}


@pytest.mark.parametrize("name", BINARY)
@quick
@given(data=st.data())
def test_two_inputs(name: str, data: st.DataObject) -> None:
    kinds = data.draw(st.sampled_from(KINDS[name]))
    a, b = data.draw(together(kinds))
    kind = promoted(a.dtype.name, b.dtype.name)
    options: dict[str, Any] = {}
    if "shift" in name:
        b = b % a.dtype.type(8) if kind == "uint8" else np.abs(b % 32).astype(b.dtype)
    if name == "pow":
        b = np.abs(b % 7).astype(b.dtype) if kind in INTEGERS else np.clip(b, -6, 6)
        options["rtol"] = 1e-4
    if name == "copysign":
        b = np.where(np.isnan(b), np.float32(1), b)
    if name == "nextafter":
        options["rtol"] = options["atol"] = 0
    if name == "divide" and kind == "complex64":
        # NumPy has infinities there, and we NaN, or the other way round.
        b = np.where(b == 0, b.dtype.type(1), b)
    if name in ("floor_divide", "remainder") and kind == "float32":
        a, b = _quotients(name, a, b)
    zeros = name in ("copysign", "atan2", "pow", "remainder") and kind == "float32"
    left, right = a.astype(kind), b.astype(kind)
    want = reference(lambda: getattr(np, name)(left, right))
    got = getattr(xp, name)(fl.tensor(a), fl.tensor(b))
    result = "bool" if name in COMPARISONS or kind == "bool" else kind
    same(name, got, want, result, zeros=zeros, **options)


def _quotients(name: str, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NumPy says NaN where the standard says that infinity by a number is infinity; and a float
    quotient is rounded here before it is rounded down: halves and whole numbers stay exact.
    """
    if name == "floor_divide":
        a = np.where(np.isinf(a), np.float32(7), a)
    return np.round(a * 2) / np.float32(2), np.round(b * 2) / np.float32(2)


@pytest.mark.parametrize("name", [n for n in BINARY if KINDS[n] != (("bool",),)])
@quick
@given(data=st.data())
def test_python_numbers_take_the_dtype_beside_them(name: str, data: st.DataObject) -> None:
    kinds = [k for k in KINDS[name] if k != ("bool",)]
    dtype = data.draw(st.sampled_from([d for kind in kinds for d in kind]))
    x = data.draw(arrays(dtype, special=False, low=1, high=6))
    number: Any = 3 if dtype in INTEGERS else data.draw(st.sampled_from([2, 2.5, 3]))
    function = getattr(np, name)
    scalar = np.dtype(dtype).type(number)
    result = "bool" if name in COMPARISONS else dtype
    for left, right, want in (
        (fl.tensor(x), number, reference(lambda: function(x, scalar))),
        (number, fl.tensor(x), reference(lambda: function(scalar, x))),
    ):
        same(name, getattr(xp, name)(left, right), want, result, rtol=1e-4)


@quick
@given(data=st.data())
def test_clip(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(REALS))
    x = data.draw(arrays(dtype))
    number = elements(dtype, special=False).map(lambda v: v if dtype != "float32" else float(v))
    low = data.draw(st.one_of(st.none(), number))
    high = data.draw(st.one_of(st.none(), number))
    want = x
    if low is not None:
        want = np.maximum(want, x.dtype.type(low))
    if high is not None:
        want = np.minimum(want, x.dtype.type(high))
    same("clip", xp.clip(fl.tensor(x), low, high), want, dtype)
    same("clip", xp.clip(fl.tensor(x), min=low, max=high), want, dtype)
    limit = fl.tensor(x[..., :1]) if x.ndim else fl.tensor(x)
    if x.size:
        want = reference(lambda: np.minimum(x, x[..., :1] if x.ndim else x))
        same("clip", xp.clip(fl.tensor(x), max=limit), want, dtype)


# --- special cases that the standard spells out ---------------------------------------------------

CASES: list[tuple[str, float, float, float]] = [
    ("floor_divide", inf, 2.0, inf),
    ("floor_divide", inf, -2.0, -inf),
    ("floor_divide", -inf, 2.0, -inf),
    ("floor_divide", inf, inf, nan),
    ("floor_divide", 1.0, inf, 0.0),
    ("floor_divide", -1.0, inf, -1.0),
    ("floor_divide", 1.0, -inf, -1.0),
    ("floor_divide", -1.0, -inf, 0.0),
    ("floor_divide", 0.0, 0.0, nan),
    ("floor_divide", 0.0, -inf, -0.0),
    ("floor_divide", -2.0, -inf, 0.0),
    ("sign", -0.0, 0.0, 0.0),
    ("floor_divide", 1.0, 0.0, inf),
    ("floor_divide", -1.0, 0.0, -inf),
    ("remainder", 1.0, inf, 1.0),
    ("remainder", -1.0, inf, inf),
    ("remainder", 1.0, -inf, -inf),
    ("remainder", inf, 1.0, nan),
    ("remainder", 1.0, 0.0, nan),
    ("remainder", -0.0, 2.0, 0.0),
    ("remainder", 0.0, -2.0, -0.0),
    ("atan2", 0.0, -0.0, np.pi),
    ("atan2", -0.0, -0.0, -np.pi),
    ("atan2", -0.0, 0.0, -0.0),
    ("atan2", 0.0, 0.0, 0.0),
    ("atan2", -0.0, -1.0, -np.pi),
    ("atan2", inf, inf, np.pi / 4),
    ("atan2", -inf, -inf, -3 * np.pi / 4),
    ("hypot", inf, nan, inf),
    ("hypot", nan, -inf, inf),
    ("hypot", nan, 1.0, nan),
    ("logaddexp", -inf, -inf, -inf),
    ("logaddexp", inf, inf, inf),
    ("logaddexp", inf, -inf, inf),
    ("logaddexp", nan, inf, nan),
    ("pow", nan, 0.0, 1.0),
    ("pow", 1.0, nan, 1.0),
    ("pow", -1.0, inf, 1.0),
    ("pow", -1.0, -inf, 1.0),
    ("pow", -0.0, 3.0, -0.0),
    ("pow", -0.0, -3.0, -inf),
    ("pow", -0.0, 2.0, 0.0),
    ("pow", -0.0, -2.5, inf),
    ("pow", -inf, 3.0, -inf),
    ("pow", -inf, 2.5, inf),
    ("pow", -inf, -3.0, -0.0),
    ("pow", -inf, -2.5, 0.0),
    ("pow", -2.0, 0.5, nan),
    ("pow", 0.5, -inf, inf),
    ("copysign", 3.0, -0.0, -3.0),
    ("nextafter", 0.0, 1.0, 2.0**-149),
    ("nextafter", inf, 0.0, float(np.finfo(np.float32).max)),
    ("nextafter", float(np.finfo(np.float32).max), inf, inf),
    ("maximum", nan, inf, nan),
    ("minimum", -inf, nan, nan),
    ("divide", -1.0, 0.0, -inf),
    ("divide", 0.0, 0.0, nan),
]


@pytest.mark.parametrize(("name", "a", "b", "want"), CASES)
def test_special_cases(name: str, a: float, b: float, want: float) -> None:
    inputs = [fl.tensor([a]), fl.tensor([b])][: 1 if name in UNARY else 2]
    same(name, getattr(xp, name)(*inputs), np.float32([want]), "float32", zeros=True)
    compiled = fl.jit(getattr(xp, name))(*inputs)
    same(f"jit {name}", compiled, np.float32([want]), "float32", zeros=True)


@pytest.mark.parametrize("name", [n for n in BINARY if n not in ("logical_and", "logical_or")])
def test_all_pairs_of_special_values(name: str) -> None:
    """With Python's own and NumPy's meaning; the standard's where they differ, see CASES."""
    if ("float32",) not in KINDS[name] and FLOATS not in KINDS[name]:
        return
    values = np.float32(SPECIAL)
    a, b = np.meshgrid(values, values)
    if name in ("copysign",):
        b = np.where(np.isnan(b), np.float32(1), b)
    if name == "floor_divide":
        a = np.where(np.isinf(a), np.float32(5), a)
    want = reference(lambda: getattr(np, name)(a, b))
    got = getattr(xp, name)(fl.tensor(a), fl.tensor(b))
    loose = name in ("maximum", "minimum", "add", "subtract", "hypot", "logaddexp")
    same(name, got, want, zeros=not loose and name not in COMPARISONS, rtol=2e-5)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in TRUTH and n != "bitwise_invert"])
def test_special_values_of_one_input(name: str) -> None:
    x = np.float32([*SPECIAL, 1e-30, -1e-30, 88.0, -104.0, 3e38, 1.5, 2.5, -0.5])
    if name in ("sin", "cos", "tan"):
        x = np.where(np.abs(x) > 1e4, np.float32(4), x)
    if name in ("cosh", "sinh"):
        x = np.where(np.abs(x) > 1e30, np.float32(4), x)
    want = reference(lambda: getattr(np, name)(x))
    same(
        name, getattr(xp, name)(fl.tensor(x)), want, rtol=2e-5, atol=0 if name == "log1p" else 1e-7
    )


@quick
@given(a=arrays("float32"), towards=st.sampled_from([inf, -inf, 0.0, 1.0]))
def test_nextafter_is_the_next_number(a: np.ndarray, towards: float) -> None:
    bits = np.random.default_rng(a.size).integers(0, 2**32, 200, np.uint32).view(np.float32)
    for x in (a, bits):
        want = reference(lambda x=x: np.nextafter(x, np.float32(towards)))
        same("nextafter", xp.nextafter(fl.tensor(x), towards), want, rtol=0, atol=0)


@quick
@given(data=st.data())
def test_powers_of_complex_numbers(data: st.DataObject) -> None:
    a, b = data.draw(together(("complex64",), special=False, low=-4, high=4))
    a = np.where(np.abs(a) < 0.1, np.complex64(1 + 1j), a)
    want = reference(lambda: np.pow(a.astype(complex), b.astype(complex)))
    same("pow", xp.pow(fl.tensor(a), fl.tensor(b)), want, rtol=1e-3, atol=1e-3)


def test_whole_powers() -> None:
    a, b = np.int32([2, -3, 7, 10, 0]), np.int32([30, 3, 11, 9, 0])
    same("pow", xp.pow(fl.tensor(a), fl.tensor(b)), reference(lambda: a**b), "int32")
    same("pow", xp.pow(fl.tensor(a), 3), reference(lambda: a**3), "int32")
    traced = fl.jit(lambda a, b: xp.pow(a, b))(fl.tensor(a), fl.tensor(b))
    same("pow", traced, reference(lambda: a**b), "int32")
    with pytest.raises(FanlightError, match="E-OP-005"):
        xp.pow(fl.tensor(a), -1)


# --- operators ------------------------------------------------------------------------------------

OPERATORS: dict[str, tuple[Callable[..., Any], str]] = {
    "__add__": (operator.add, "add"),
    "__sub__": (operator.sub, "subtract"),
    "__mul__": (operator.mul, "multiply"),
    "__truediv__": (operator.truediv, "divide"),
    "__floordiv__": (operator.floordiv, "floor_divide"),
    "__mod__": (operator.mod, "remainder"),
    "__lt__": (operator.lt, "less"),
    "__le__": (operator.le, "less_equal"),
    "__gt__": (operator.gt, "greater"),
    "__ge__": (operator.ge, "greater_equal"),
    "__eq__": (operator.eq, "equal"),
    "__ne__": (operator.ne, "not_equal"),
    "__and__": (operator.and_, "bitwise_and"),
    "__or__": (operator.or_, "bitwise_or"),
    "__xor__": (operator.xor, "bitwise_xor"),
    "__lshift__": (operator.lshift, "bitwise_left_shift"),
    "__rshift__": (operator.rshift, "bitwise_right_shift"),
}


@pytest.mark.parametrize("symbol", OPERATORS)
@quick
@given(data=st.data())
def test_operators_reflected_and_in_place(symbol: str, data: st.DataObject) -> None:
    """Of uint8 they give int32, which is why uint8 is not drawn here."""
    apply, name = OPERATORS[symbol]
    kinds = [d for kind in KINDS[name] for d in kind if d not in ("uint8", "bool")]
    if name == "divide":
        kinds = ["float32"]
    dtype = data.draw(st.sampled_from(kinds))
    x = data.draw(arrays(dtype, special=False, low=1, high=6))
    number: Any = 3 if dtype in INTEGERS else 2.5
    function, scalar = getattr(xp, name), np.dtype(dtype).type(number)
    y = fl.tensor(x)
    COUNTS[symbol] += 3
    for got, want in (
        (apply(y, y), function(y, y)),
        (apply(y, number), function(y, number)),
        (apply(number, y), function(number, y)),
    ):
        same(symbol, got, want.numpy(), want.dtype)
    in_place = getattr(operator, f"i{symbol.strip('_')}", None)
    if in_place is not None and symbol not in ("__lt__", "__le__"):
        z = in_place(y, y)
        same(symbol, z, reference(lambda: getattr(np, name)(x, x)), dtype)
        same(symbol, y, x)  # tensors do not change: the name stands for another one
    assert scalar is not None


def test_operators_of_one_input() -> None:
    x = fl.tensor([1.5, -2.0])
    same("__neg__", -x, np.float32([-1.5, 2]))
    same("__pos__", +x, np.float32([1.5, -2]))
    same("__abs__", abs(x), np.float32([1.5, 2]))
    same("__invert__", ~fl.tensor([1, -1]), np.int32([-2, 0]))
    same("__pow__", x**2, np.float32([2.25, 4]))
    same("__rpow__", 2.0**x, np.float32([2**1.5, 0.25]))
    same("__matmul__", x @ x, np.float32(6.25))


def test_wrong_dtypes_are_coded_errors() -> None:
    truth, whole, z = fl.tensor([True]), fl.tensor([1]), fl.tensor([1j])
    for call in (
        lambda: xp.add(truth, truth),
        lambda: xp.negative(truth),
        lambda: xp.bitwise_and(fl.tensor([1.0]), fl.tensor([1.0])),
        lambda: xp.less(z, z),
        lambda: xp.floor(z),
        lambda: xp.bitwise_invert(fl.tensor([1.0])),
        lambda: xp.maximum(z, z),
    ):
        with pytest.raises(FanlightError, match="E-OP-003"):
            call()
    with pytest.raises(FanlightError, match="E-OP-004"):
        xp.add(fl.tensor([1, 2]), fl.tensor([1, 2, 3]))
    for wrong in ([1.0], 2.0, "x", None):
        with pytest.raises(FanlightError, match="E-TENSOR-001"):
            xp.sin(wrong)
    with pytest.raises(FanlightError, match="E-TENSOR-001"):
        xp.abs(fl.tensor([1], "int8"))
    assert whole.dtype == xp.int32
