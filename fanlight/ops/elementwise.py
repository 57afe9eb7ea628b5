"""Arithmetic, comparison and logic, element by element. Inputs broadcast by NumPy's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, pi, sqrt
from typing import Any

import numpy as np

from fanlight.errors import FanlightError
from fanlight.ops import check, functions
from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step
from fanlight.ops.check import ANY, BOOLS, NUMBERS
from fanlight.ops.pointwise import EXACT, ROUNDED, compute, pointwise, prepared, result_type
from fanlight.ops.row import REQUIRED, Attr, Row, register
from fanlight.ops.types import TensorType

NUMPY = "Source: NumPy's function of this meaning."


def unary(name: str, scalar: Any, doc: str, **options: Any) -> Row:
    """y = f(x)."""
    return pointwise(name, 1, scalar, family="elementwise", doc=doc, **options)


def binary(name: str, scalar: Any, doc: str, **options: Any) -> Row:
    """y = f(a, b) over broadcast inputs."""
    return pointwise(name, 2, scalar, family="elementwise", doc=doc, **options)


def exact(value: float) -> float | int:
    """A constant that fits float32 and int32 inputs alike where it is a whole number."""
    whole = abs(value) < 2**31 and float(value).is_integer()
    return int(value) if whole else float(value)


# --- one input ------------------------------------------------------------------------------------

unary("abs", sc.absolute, "|x|. Source: numpy.abs.", dtypes=NUMBERS, tol=EXACT)
unary("neg", lambda x: -x, "-x. Source: numpy.negative.", dtypes=NUMBERS, tol=EXACT)
unary(
    "sign",
    lambda x: sc.where(x > 0, 1, sc.where(x < 0, -1, x)),
    "-1, 0 or 1 by the sign of x; a zero keeps its own sign. Source: numpy.sign.",
    partials=lambda x, y: [None],
    dtypes=NUMBERS,
    tol=EXACT,
)
unary("square", lambda x: x * x, "x * x. int32 wraps around. Source: numpy.square.", dtypes=NUMBERS)
unary(
    "sqrt",
    sc.sqrt,
    "Square root; NaN for x < 0. Source: numpy.sqrt.",
    partials=lambda x, y: [0.5 / y],
)
unary(
    "rsqrt",
    lambda x: 1 / sc.sqrt(x),
    "1 / sqrt(x); infinite at 0, NaN for x < 0. Source: tf.math.rsqrt.",
    partials=lambda x, y: [-0.5 * (y * y * y)],
)
unary(
    "reciprocal",
    lambda x: 1 / x,
    "1 / x; infinite at 0. Source: numpy.reciprocal.",
    partials=lambda x, y: [-(y * y)],
)
unary(
    "exp",
    sc.exp,
    "e to the power x; infinite from 88.73 on. Source: numpy.exp.",
    partials=lambda x, y: [y],
)
unary(
    "expm1",
    functions.expm1,
    "exp(x) - 1 without cancellation near 0. Source: numpy.expm1.",
    partials=lambda x, y: [y + 1],
    tol={"float32": 2e-6},
)
unary("log", sc.log, "Natural logarithm; -infinity at 0, NaN for x < 0. Source: numpy.log.")
unary(
    "log1p",
    functions.log1p,
    "log(1 + x) without cancellation near 0; -infinity at -1, NaN below. "
    "Source: Goldberg 1991, theorem 4.",
    partials=lambda x, y: [1.0 / (1 + x)],
    tol={"float32": 2e-6},
)
unary(
    "sin",
    lambda x: sc.make("sin", x),
    "Sine of radians. Source: numpy.sin.",
)
unary(
    "cos",
    lambda x: sc.make("cos", x),
    "Cosine of radians. Source: numpy.cos.",
)
unary(
    "erf",
    functions.erf,
    "Error function, 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x; in [-1, 1]. "
    "Source: scipy.special.erf.",
    partials=lambda x, y: [(2 / sqrt(pi)) * sc.exp(-(x * x))],
)
unary("floor", sc.floor, "Rounds down. Source: numpy.floor.", dtypes=NUMBERS, tol=EXACT)
unary(
    "ceil",
    lambda x: sc.make("ceil", x),
    "Rounds up. Source: numpy.ceil.",
    dtypes=NUMBERS,
    tol=EXACT,
)
unary(
    "round",
    lambda x: sc.make("round", x),
    "Rounds to the nearest whole number, halves to the even one (IEEE 754 roundTiesToEven). "
    "Source: numpy.rint.",
    dtypes=NUMBERS,
    tol=EXACT,
)
unary(
    "logical_not",
    sc.logical_not,
    "Not x. Source: numpy.logical_not.",
    dtypes=BOOLS,
    tol=EXACT,
    nan="cannot occur",
)
unary(
    "is_nan",
    lambda x: sc.logical_not(sc.equal(x, x)),
    "Whether x is NaN. Source: numpy.isnan.",
    dtypes=NUMBERS,
    tol=EXACT,
    nan="gives true",
)


unary(
    "is_inf",
    lambda x: sc.equal(sc.absolute(x), inf),
    "Whether x is infinite. Source: numpy.isinf.",
    tol=EXACT,
    nan="gives false",
)
unary(
    "is_finite",
    lambda x: sc.absolute(x) < inf,
    "Whether x is a number that is not infinite. Source: numpy.isfinite.",
    tol=EXACT,
    nan="gives false",
)
unary(
    "step",
    lambda x, *, alpha: sc.where(0 < x, 1.0, sc.where(x <= 0, float(alpha), x)),
    "1 for x > 0, else alpha. Source: tf.step of TensorFlow.js.",
    attrs={"alpha": Attr(0.0, "value for x <= 0")},
    check_attrs=lambda op, attrs: check.number(op, attrs, "alpha"),
    tol=EXACT,
    partials=lambda x, y, alpha: [None],
)


def _check_clip(op: str, attrs: Mapping[str, Any]) -> None:
    low = check.number(op, attrs, "lo", finite=False)
    high = check.number(op, attrs, "hi", finite=False)
    if low > high:
        raise check.attr_error(op, "hi", f"a number >= lo, which is {low}", high)


def _clip(x: sc.Expr, *, lo: float, hi: float) -> sc.Expr:
    if lo != -inf:
        x = sc.maximum(x, exact(lo))
    return x if hi == inf else sc.minimum(x, exact(hi))


unary(
    "clip",
    _clip,
    "min(max(x, lo), hi). int32 needs whole limits. Source: numpy.clip.",
    dtypes=NUMBERS,
    attrs={
        "lo": Attr(REQUIRED, "least value, may be -inf"),
        "hi": Attr(REQUIRED, "greatest value, may be inf"),
    },
    check_attrs=_check_clip,
    tol=EXACT,
)
unary(
    "cast",
    lambda x, dtype: sc.cast(x, dtype),
    "x in another dtype. Float to integer rounds towards zero and saturates; to bool is x != 0; "
    "bool to number is 0 or 1. Source: WebAssembly specification, trunc_sat.",
    dtypes=ANY,
    attrs={"dtype": Attr(REQUIRED, "float32, int32, uint8 or bool")},
    check_attrs=lambda op, attrs: check.choice(op, attrs, "dtype", sc.CASTS),
    tol=EXACT,
    nan="becomes 0 (integers) or true (bool)",
)

# --- two inputs -----------------------------------------------------------------------------------

binary("add", lambda a, b: a + b, "a + b. int32 wraps around. Source: numpy.add.", dtypes=NUMBERS)
binary(
    "sub", lambda a, b: a - b, "a - b. int32 wraps around. Source: numpy.subtract.", dtypes=NUMBERS
)
binary(
    "mul", lambda a, b: a * b, "a * b. int32 wraps around. Source: numpy.multiply.", dtypes=NUMBERS
)
binary(
    "div",
    lambda a, b: a / b,
    "a / b. int32: rounded towards zero, and 0 where b is 0. Source: numpy.divide; of int32 C.",
    dtypes=NUMBERS,
)
binary(
    "div_no_nan",
    lambda a, b: sc.where(sc.equal(b, 0.0), 0.0, a / b),
    "a / b, and 0 where b is 0. Source: tf.math.divide_no_nan.",
    nan="propagates, except that NaN over 0 is 0",
    partials=lambda a, b, y: [
        sc.where(sc.equal(b, 0.0), 0.0, 1 / b),
        sc.where(sc.equal(b, 0.0), 0.0, -y / b),
    ],
)
binary(
    "floor_div",
    functions.floor_div,
    f"a / b rounded down. int32: 0 where b is 0 (NumPy warns and gives 0, too). {NUMPY}",
    dtypes=NUMBERS,
    nan="propagates",
    partials=lambda a, b, y: [None, None],
)
binary(
    "floor_mod",
    functions.floor_mod,
    "a - b * floor(a / b): the remainder, with the sign of b. int32: 0 where b is 0. Float: exact "
    f"for |a| < |b|; beyond, the quotient is rounded, an error of up to |a| * 2^-23. {NUMPY}",
    dtypes=NUMBERS,
    nan="propagates",
    partials=lambda a, b, y: [1.0, -sc.floor(a / b)],
)


def _power_backward(step: Step) -> list[Any]:
    """b a^(b - 1), by the op itself: where its body takes short cuts (1^b), they have no slope."""
    (a, b), (y,), g = step.inputs, step.outputs, step.g
    of_a = of_b = None
    if step.wanted[0]:
        lower = step.apply("pow", a, step.fused(lambda b: b - 1.0, b))
        of_a = step.fused(lambda b, p, g: g * sc.where(sc.equal(b, 0.0), 0.0, b * p), b, lower, g)
        of_a = step.sum_to(of_a, a.shape)
    if step.wanted[1]:
        of_b = step.fused(lambda a, y, g: g * y * sc.where(0 < a, sc.log(a), 0.0), a, y, g)
        of_b = step.sum_to(of_b, b.shape)
    return [of_a, of_b]


binary(
    "pow",
    functions.power,
    "a to the power b, as exp(b log|a|) with the sign put back: a negative base needs a whole "
    "exponent, else NaN; a^0 and 1^b are 1. Powers 1, 2, 1/2 and -1 are exact, the relative error "
    f"of others is |b log a| * 1.2e-7. {NUMPY}",
    tol={"float32": 2e-5},
    nan="propagates, except that NaN^0 and 1^NaN are 1",
    vjp=_power_backward,
)
binary(
    "maximum",
    sc.maximum,
    "The greater of a and b. Source: numpy.maximum.",
    dtypes=NUMBERS,
    tol=EXACT,
)
binary(
    "minimum",
    sc.minimum,
    "The smaller of a and b. Source: numpy.minimum.",
    dtypes=NUMBERS,
    tol=EXACT,
)
binary(
    "squared_difference",
    lambda a, b: (a - b) * (a - b),
    "(a - b)^2. int32 wraps around. Source: tf.math.squared_difference.",
    dtypes=NUMBERS,
)

_FALSE = {"tol": EXACT, "nan": "gives false"}
_ALL = ("float32", "int32", "bool", "uint8")
binary(
    "equal",
    sc.equal,
    "Whether a = b. Source: numpy.equal.",
    dtypes=_ALL,
    strings=np.equal,
    **_FALSE,
)
binary(
    "not_equal",
    lambda a, b: sc.logical_not(sc.equal(a, b)),
    "Whether a differs from b. Source: numpy.not_equal.",
    dtypes=_ALL,
    strings=np.not_equal,
    tol=EXACT,
    nan="gives true",
)
binary(
    "less",
    lambda a, b: a < b,
    "Whether a < b. Source: numpy.less.",
    dtypes=NUMBERS,
    strings=np.less,
    **_FALSE,
)
binary(
    "less_equal",
    lambda a, b: a <= b,
    "Whether a <= b. Source: numpy.less_equal.",
    dtypes=NUMBERS,
    strings=np.less_equal,
    **_FALSE,
)
binary(
    "greater",
    lambda a, b: a > b,
    "Whether a > b. Source: numpy.greater.",
    dtypes=NUMBERS,
    strings=np.greater,
    **_FALSE,
)
binary(
    "greater_equal",
    lambda a, b: a >= b,
    "Whether a >= b. Source: numpy.greater_equal.",
    dtypes=NUMBERS,
    strings=np.greater_equal,
    **_FALSE,
)
_LOGIC = {"dtypes": BOOLS, "tol": EXACT, "nan": "cannot occur"}
binary("logical_and", sc.logical_and, "a and b. Source: numpy.logical_and.", **_LOGIC)
binary("logical_or", sc.logical_or, "a or b. Source: numpy.logical_or.", **_LOGIC)

# --- three inputs, or as many as there are --------------------------------------------------------

pointwise(
    "select",
    3,
    sc.where,
    family="elementwise",
    doc="a where c holds, else b, for inputs (c, a, b) that all broadcast (TensorFlow SelectV2). "
    "Source: numpy.where.",
    dtypes=("float32", "int32", "bool"),
    first=BOOLS,
    tol=EXACT,
    nan="of the element that is not taken is ignored",
)


def fused_body(inputs: Sequence[Any], attrs: Mapping[str, Any]) -> sc.Expr:
    """The body of a call of a fused op, which may read its inputs only."""
    text = attrs["body"]
    if not isinstance(text, str):
        raise check.attr_error("fused", "body", "the text of a scalar expression", text)
    expr = sc.parse(text)
    needed = sc.count_args(expr)
    if needed > len(inputs):
        raise FanlightError(
            "E-OP-001",
            f"the body of fused reads a{needed - 1}, but there is no such input.",
            where=f"fused {text[:200]}",
            expected=f"at least {needed} inputs",
            received=len(inputs),
        )
    return expr


def _infer_fused(types: Sequence[TensorType], attrs: Mapping[str, Any]) -> list[TensorType]:
    check.static("fused", types)
    return [result_type("fused", fused_body(types, attrs), types)]


def _fused_scalar(*inputs: sc.Expr, body: str) -> sc.Expr:
    return sc.substitute(sc.parse(body), dict(enumerate(inputs)))


register(
    Row(
        name="fused",
        family="elementwise",
        arity=(1, None),
        attrs={
            "body": Attr(REQUIRED, "the scalar expression, as text: a0, a1, ... are the inputs")
        },
        infer=_infer_fused,
        eval=lambda arrays, attrs: [compute(fused_body(arrays, attrs), arrays)],
        prepare=lambda types, attrs: prepared(fused_body(types, attrs), types),
        scalar=_fused_scalar,
        doc="Any scalar expression over broadcast inputs; fusion passes make these. "
        "Its dtype follows from the body. Source: the instructions of fanlight/ops/scalar.py.",
        wasm="loops",
        tol={**ROUNDED, "float32": 2e-5},
        nan="as the body's instructions treat it",
    )
)
