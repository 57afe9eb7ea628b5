"""Scalar expressions: text, types, meaning, substitution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlight.errors import FanlightError
from fanlight.ops import scalar as sc


@st.composite
def expressions(draw: st.DrawFn, dtype: str = "float32", depth: int = 4) -> sc.Expr:
    """A well-typed expression over a0 (float32), a1 (int32) and a2 (bool)."""
    leaves = {"float32": 0, "int32": 1, "bool": 2}
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        if draw(st.booleans()):
            return sc.arg(leaves[dtype])
        constants = {
            "float32": st.floats(-100, 100, width=32),
            "int32": st.integers(-100, 100),
            "bool": st.booleans(),
        }
        return sc.const(draw(constants[dtype]))

    def part(kind: str) -> sc.Expr:
        return draw(expressions(kind, depth - 1))

    if dtype == "bool":
        op = draw(st.sampled_from(["lt", "le", "eq", "and", "or", "not", "bool"]))
        if op in ("and", "or"):
            return sc.make(op, part("bool"), part("bool"))
        if op == "not":
            return sc.make(op, part("bool"))
        kind = draw(st.sampled_from(["float32", "int32"]))
        if op == "bool":
            return sc.make(op, part(kind))
        return sc.make(op, part(kind), part(kind))
    both = ["add", "sub", "mul", "div", "min", "max", "neg", "abs"]
    only = ["sqrt", "floor", "ceil", "round", "trunc", "exp", "log", "sin", "cos"]
    bits = [*sc.BITWISE] if dtype == "int32" else []
    op = draw(
        st.sampled_from([*both, *bits, "select", "cast", *(only if dtype == "float32" else [])])
    )
    if op == "select":
        return sc.where(part("bool"), part(dtype), part(dtype))
    if op == "cast":
        return sc.cast(part(draw(st.sampled_from(["float32", "int32", "bool"]))), dtype)
    return sc.make(op, *(part(dtype) for _ in range(sc.INSTRUCTIONS[op][0])))


DTYPES = ["float32", "int32", "bool"]
ARRAYS = [
    np.float32([0.0, -1.5, 3.25, 1e30, -0.0, np.inf, np.nan]),
    np.int32([0, 1, -7, 2**31 - 1, -(2**31), 3, 100]),
    np.array([0, 1, 1, 0, 1, 0, 1], bool),
]


@given(expr=expressions() | expressions("int32") | expressions("bool"))
def test_text_gives_the_same_object_back(expr: sc.Expr) -> None:
    assert sc.parse(str(expr)) is expr


@given(kind=st.sampled_from(DTYPES), data=st.data())
def test_inferred_dtype_is_the_computed_one(kind: str, data: st.DataObject) -> None:
    expr = data.draw(expressions(kind))
    dtype = sc.infer(expr, DTYPES)
    # An int constant alone adapts to what it meets, so it may stand for a float.
    assert dtype == kind
    assert sc.evaluate(expr, ARRAYS).dtype == np.dtype(dtype)


@given(outer=expressions(depth=3), inner=expressions(depth=3))
def test_substitution_is_composition(outer: sc.Expr, inner: sc.Expr) -> None:
    middle = sc.evaluate(inner, ARRAYS)
    middle = np.broadcast_to(middle, ARRAYS[0].shape)
    expected = sc.evaluate(outer, [middle, *ARRAYS[1:]])
    received = sc.evaluate(sc.substitute(outer, {0: inner}), ARRAYS)
    np.testing.assert_array_equal(*np.broadcast_arrays(received, expected))


def test_equal_expressions_are_one_object() -> None:
    x = sc.arg(0)
    assert x * 2 + 1 is x * 2 + 1
    assert sc.const(0.0) is not sc.const(-0.0)
    assert sc.const(1) is not sc.const(1.0)
    assert sc.const(True) is not sc.const(1)
    assert str((x + 1) * (x + 1)) == "t0 = add(a0, 1); mul(t0, t0)"
    assert sc.cost((x + 1) * (x + 1)) == 2
    assert sc.count_args(sc.arg(4) + x) == 5


def test_small_numbers_and_specials_survive_the_text() -> None:
    for value in (1e-45, 3.4e38, float("inf"), float("-inf"), -0.0, 16777217, True):
        expr = sc.arg(0) * sc.const(value) if value is not True else sc.const(True)
        assert sc.parse(str(expr)) is expr
    assert sc.parse("max(a0, nan)").args[1].value != sc.parse("max(a0, nan)").args[1].value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a0;",
        "t0",
        "t0 = a0 a0",
        "add(a0)",
        "add(a0, a1",
        "add(a0, a1))",
        "add(a0 a1)",
        "sum(a0, a1)",
        "1.2.3",
        "exp(" * 300 + "a0" + ")" * 300,
    ],
)
def test_what_does_not_parse(text: str) -> None:
    with pytest.raises(FanlightError) as caught:
        sc.parse(text)
    assert caught.value.code == "E-GRAPH-004"


@given(text=st.text(alphabet="adexpminsel01., ()=;t-", max_size=40))
def test_any_text_parses_or_has_a_coded_error(text: str) -> None:
    try:
        expr = sc.parse(text)
    except FanlightError as error:
        assert error.code == "E-GRAPH-004"
    else:
        assert sc.parse(str(expr)) is expr


@pytest.mark.parametrize(
    "text",
    [
        "add(a0, a1)",
        "and(a0, a2)",
        "exp(a1)",
        "select(a0, a0, a0)",
        "select(a2, a0, a1)",
        "not(a0)",
        "lt(a2, a2)",
        "eq(a0, a2)",
        "min(a2, a2)",
        "bit_and(a0, 1)",
        "shl(a2, 1)",
    ],
)
def test_dtypes_that_clash(text: str) -> None:
    with pytest.raises(FanlightError) as caught:
        sc.infer(sc.parse(text), DTYPES)
    assert caught.value.code == "E-OP-003"
