"""Functions element by element: those of Fanlight under the standard's names and rules.

Where TensorFlow.js has another meaning than the standard, these follow the standard: whole numbers
stay whole (`pow`, uint8), zeros keep their signs (`atan2`, `pow`), and infinity wins over NaN in
`hypot`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from fanlight.array_api import bodies
from fanlight.array_api.dtypes import array, complex64, float32, int32, together, wrapped
from fanlight.errors import FanlightError
from fanlight.tensor import arithmetic, bitwise
from fanlight.tensor import complex as complexes
from fanlight.tensor import functions as fn
from fanlight.tensor.core import Tensor, apply, caller, cast

One = Callable[[Tensor], Tensor]
Two = Callable[[Any, Any], Tensor]


def _one(name: str, run: One, doc: str) -> Callable[[Any], Tensor]:
    def function(x: Any, /) -> Tensor:
        return run(array(name, x))

    return _named(function, name, doc)


def _two(name: str, run: Two, doc: str) -> Callable[[Any, Any], Tensor]:
    def function(x1: Any, x2: Any, /) -> Tensor:
        return run(x1, x2)

    return _named(function, name, doc)


def _named(function: Any, name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _kept(run: One) -> One:
    """A function of numbers that gives their dtype, also of uint8."""
    return lambda x: wrapped(run(x), x.dtype)


def _odd(run: One) -> One:
    """A function that is as its argument near 0, signs of zeros included."""

    def function(x: Tensor) -> Tensor:
        x = fn.floating(x)
        y = run(x)
        return bodies.fused(bodies.through_zero, y, x) if x.dtype == float32 else y

    return function


def _promoted(op: str, least: str = "bool") -> Two:
    def run(x1: Any, x2: Any) -> Tensor:
        both, name = together(x1, x2, least=least)
        return wrapped(apply(op, *both), name)

    return run


def _bits(function: Callable[[Any, Any], Tensor]) -> Two:
    def run(x1: Any, x2: Any) -> Tensor:
        both, name = together(x1, x2)
        return wrapped(function(*both), name)

    return run


def _logical(op: str) -> Two:
    def run(x1: Any, x2: Any) -> Tensor:
        result: Tensor = apply(op, cast(x1, "bool"), cast(x2, "bool"))
        return result

    return run


def _sign(x: Tensor) -> Tensor:
    # fl.sign keeps the sign of a zero.
    return bodies.fused(bodies.sign, x) if x.dtype == float32 else fn.sign(x)


# --- one input ------------------------------------------------------------------------------------

abs = _one("abs", _kept(fn.abs), "|x|; the size of complex numbers.")
acos = _one("acos", fn.acos, "Arc cosine, 0 to pi; NaN for real numbers beyond -1 to 1.")
acosh = _one("acosh", fn.acosh, "Inverse of cosh, 0 or more; NaN for real numbers below 1.")
asin = _one("asin", _odd(fn.asin), "Arc sine, -pi/2 to pi/2; NaN for real numbers beyond -1 to 1.")
asinh = _one("asinh", _odd(fn.asinh), "Inverse of sinh.")
atan = _one("atan", _odd(fn.atan), "Arc tangent, -pi/2 to pi/2.")
atanh = _one("atanh", _odd(fn.atanh), "Inverse of tanh; NaN for real numbers beyond -1 to 1.")
bitwise_invert = _one(
    "bitwise_invert", _kept(bitwise.bitwise_not), "Every bit turned; of truth values: not x."
)
ceil = _one("ceil", _kept(fn.ceil), "Rounded up.")
conj = _one("conj", complexes.conj, "The complex conjugate; real numbers as they are.")
cos = _one("cos", fn.cos, "Cosine of radians.")
cosh = _one("cosh", fn.cosh, "Hyperbolic cosine.")
exp = _one("exp", fn.exp, "e to the power x.")
expm1 = _one("expm1", fn.expm1, "exp(x) - 1, exact also near 0.")
floor = _one("floor", _kept(fn.floor), "Rounded down.")
isfinite = _one(
    "isfinite",
    lambda x: fn.is_finite(fn.floating(x)),
    "Whether x is neither infinite nor NaN; of complex numbers both parts.",
)
isinf = _one(
    "isinf",
    lambda x: fn.is_inf(fn.floating(x)),
    "Whether x is infinite; of complex numbers either part.",
)
isnan = _one(
    "isnan",
    lambda x: fn.is_nan(fn.floating(x)),
    "Whether x is NaN; of complex numbers either part.",
)
log = _one("log", fn.log, "Natural logarithm.")
log1p = _one("log1p", fn.log1p, "log(1 + x), exact also near 0.")
log2 = _one("log2", arithmetic.log2, "Logarithm to base 2.")
log10 = _one("log10", arithmetic.log10, "Logarithm to base 10.")
logical_not = _one("logical_not", lambda x: fn.logical_not(cast(x, "bool")), "Not x.")
negative = _one("negative", _kept(fn.neg), "-x; uint8 wraps around.")
positive = _one("positive", lambda x: x, "x as it is.")
reciprocal = _one("reciprocal", fn.reciprocal, "1 / x.")
round = _one("round", _kept(fn.round), "The nearest whole number, halves to the even one.")
sin = _one("sin", _odd(fn.sin), "Sine of radians.")
sinh = _one("sinh", _odd(fn.sinh), "Hyperbolic sine.")
sign = _one("sign", _kept(_sign), "-1, 0 or 1; of complex numbers x / |x|.")
sqrt = _one("sqrt", fn.sqrt, "Square root; NaN for real numbers below 0.")
square = _one("square", _kept(fn.square), "x * x.")
tan = _one("tan", _odd(fn.tan), "Tangent of radians.")
tanh = _one("tanh", fn.tanh, "Hyperbolic tangent.")


def _trunc(x: Tensor) -> Tensor:
    return bodies.fused(bodies.trunc, x) if x.dtype == float32 else x


trunc = _one("trunc", _trunc, "Rounded towards zero.")


def real(x: Any, /) -> Tensor:
    """The real part; real numbers as they are."""
    x = array("real", x)
    return complexes.real(x) if x.dtype == complex64 else x


def imag(x: Any, /) -> Tensor:
    """The imaginary part, float32; zeros of real numbers."""
    return complexes.imag(array("imag", x))


def _signbit(x: Tensor) -> Tensor:
    return bodies.fused(bodies.signbit, x) if x.dtype == float32 else fn.less(x, 0)


signbit = _one(
    "signbit",
    _signbit,
    "Whether the sign is set: of negative numbers and -0.0. NaN counts as positive.",
)


# --- two inputs -----------------------------------------------------------------------------------

add = _two("add", _promoted("add"), "x1 + x2.")
bitwise_and = _two("bitwise_and", _bits(bitwise.bitwise_and), "The bits that both have.")
bitwise_left_shift = _two(
    "bitwise_left_shift", _bits(bitwise.left_shift), "x1 * 2^x2, in the bits of the dtype."
)
bitwise_or = _two("bitwise_or", _bits(bitwise.bitwise_or), "The bits that one of them has.")
bitwise_right_shift = _two(
    "bitwise_right_shift", _bits(bitwise.right_shift), "x1 / 2^x2, rounded down."
)
bitwise_xor = _two("bitwise_xor", _bits(bitwise.bitwise_xor), "The bits that only one of them has.")
divide = _two("divide", _promoted("div", "float32"), "x1 / x2; whole numbers give float32.")
equal = _two("equal", _promoted("equal"), "Whether x1 = x2.")
floor_divide = _two("floor_divide", _promoted("floor_div"), "x1 / x2, rounded down.")
greater = _two("greater", _promoted("greater"), "Whether x1 > x2.")
greater_equal = _two("greater_equal", _promoted("greater_equal"), "Whether x1 >= x2.")
less = _two("less", _promoted("less"), "Whether x1 < x2.")
less_equal = _two("less_equal", _promoted("less_equal"), "Whether x1 <= x2.")
logical_and = _two("logical_and", _logical("logical_and"), "x1 and x2.")
logical_or = _two("logical_or", _logical("logical_or"), "x1 or x2.")
logical_xor = _two("logical_xor", _logical("not_equal"), "x1 or x2, but not both.")
maximum = _two("maximum", _promoted("maximum"), "The greater one; NaN if either is.")
minimum = _two("minimum", _promoted("minimum"), "The smaller one; NaN if either is.")
multiply = _two("multiply", _promoted("mul"), "x1 * x2.")
not_equal = _two("not_equal", _promoted("not_equal"), "Whether x1 differs from x2.")
subtract = _two("subtract", _promoted("sub"), "x1 - x2.")


def remainder(x1: Any, x2: Any, /) -> Tensor:
    """What x1 / x2 leaves, with the sign of x2; exact for |x1| < |x2|, else but for rounding."""
    (a, b), name = together(x1, x2)
    found = wrapped(apply("floor_mod", a, b), name)
    return bodies.fused(bodies.remainder_signed, found, b) if name == float32 else found


def copysign(x1: Any, x2: Any, /) -> Tensor:
    """|x1| with the sign of x2, zeros included. A NaN in x2 counts as positive."""
    return bodies.fused(bodies.copysign, *together(x1, x2, least="float32")[0])


def atan2(x1: Any, x2: Any, /) -> Tensor:
    """The angle of the points (x2, x1), -pi to pi."""
    (y, x), _ = together(x1, x2, least="float32")
    return bodies.fused(bodies.atan2_signed, fn.atan2(y, x), y, x)


def hypot(x1: Any, x2: Any, /) -> Tensor:
    """sqrt(x1^2 + x2^2) without overflow; infinite if either is, even beside NaN."""
    (a, b), _ = together(x1, x2, least="float32")
    return bodies.fused(bodies.hypot_infinite, fn.hypot(a, b), a, b)


def logaddexp(x1: Any, x2: Any, /) -> Tensor:
    """log(exp(x1) + exp(x2)) without overflow."""
    return bodies.fused(bodies.logaddexp, *together(x1, x2, least="float32")[0])


def nextafter(x1: Any, x2: Any, /) -> Tensor:
    """The next number after x1 on the way to x2; x2 if they are equal."""
    return bodies.fused(bodies.nextafter, *together(x1, x2, least="float32")[0])


def pow(x1: Any, x2: Any, /) -> Tensor:
    """x1 to the power x2; of whole numbers a whole one, which wraps around.

    Raises:
        FanlightError: E-OP-005 a whole number to a negative whole power, where it is known.
    """
    if isinstance(x2, int | float) and not isinstance(x1, int | float):
        base = array("pow", x1)
        if base.dtype == float32 and x2 in (0.5, 1, 2, 3, -1):
            return fn.pow(base, x2)
    (a, b), name = together(x1, x2)
    if name == complex64:
        result: Tensor = apply("pow", a, b)
        return result
    if name != float32:
        return wrapped(_whole_power(a, b), name)
    return bodies.fused(bodies.power_signed, fn.pow(a, b), a, b)


def _whole_power(a: Tensor, b: Tensor) -> Tensor:
    """fl.pow of whole numbers; E-OP-005 where an exponent is known to be negative."""
    b = cast(b, int32)
    known = None if b.traced else b.numpy()
    if known is not None and known.size and known.min() < 0:
        raise FanlightError(
            "E-OP-005",
            "a whole number to a negative power is none.",
            where=f"pow, {caller()}",
            expected="exponents from 0 on",
            received=f"{known.min()}",
            next="make x1 or x2 float32.",
        )
    return fn.pow(cast(a, int32), b)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """x, but at least min and at most max, in the dtype of x.

    Args:
        min, max: numbers, tensors that broadcast with x, or None for no limit.
    """
    x = array("clip", x)
    found = x
    for limit, op in ((min, "maximum"), (max, "minimum")):
        if limit is None:
            continue
        if isinstance(limit, int) and x.dtype in (int32, "uint8"):
            # A limit that no number of the dtype reaches may still be given.
            limit = builtins.min(builtins.max(limit, -(2**31)), 2**31 - 1)
        found = apply(op, *together(found, limit)[0])
    return wrapped(found, x.dtype) if x.dtype == "uint8" else cast(found, x.dtype)
