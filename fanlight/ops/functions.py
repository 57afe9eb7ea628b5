"""Functions composed of scalar instructions: branch-free and accurate in float32.

The coefficients of `tanh`, `erf` and `atan` are minimax fits of x * P(x^2) / Q(x^2), made for
float32 by tools/fit_functions.py; all are positive, so nothing cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan, pi

from fanlight.ops import scalar as sc
from fanlight.ops.scalar import Expr

_TANH_LIMIT = 9.0  # tanh(9) rounds to 1
_TANH_P = (1.0, 0.13381013, 0.003495574, 2.0608852e-05, 1.3354352e-08)
_TANH_Q = (1.0, 0.4671433, 0.025876928, 0.00032856117, 7.776429e-07)
_ERF_LIMIT = 4.0  # erf(4) rounds to 1
_ERF_P = (1.1283791, 0.19354466, 0.05310164, 0.00388331, 0.00028456261, 1.986755e-06)
_ERF_Q = (1.0, 0.50485706, 0.115349784, 0.015207187, 0.0011855579, 3.741971e-05)
_ATAN_P = (1.0, 1.1290554, 0.28615266, 0.008896023)
_ATAN_Q = (1.0, 1.4623886, 0.57361823, 0.05045833)
_LN_2 = 0.6931471805599453
_LARGE = 1e10  # from here on x^2 + 1 is x^2 in float32, whose square root must not overflow
# exp(x) - 1 = x + x^2 / 2! + ... ; the first term left out is below 1e-9 of the sum at 1/2.
_EXPM1 = (1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040, 1 / 40320)


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """c0 + c1 x + c2 x^2 + ... by Horner's rule."""
    total = sc.lift(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _rational(x: Expr, limit: float, p: Sequence[float], q: Sequence[float]) -> Expr:
    """An odd function that reaches +-1 at +-limit. NaN propagates through the clips."""
    x = sc.clip(x, -limit, limit)
    t = x * x
    return sc.clip(x * polynomial(t, p) / polynomial(t, q), -1, 1)


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent, relative error < 4e-7 everywhere, never beyond +-1."""
    return _rational(x, _TANH_LIMIT, _TANH_P, _TANH_Q)


def erf(x: Expr) -> Expr:
    """Error function, relative error < 4e-7 everywhere, never beyond +-1."""
    return _rational(x, _ERF_LIMIT, _ERF_P, _ERF_Q)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x)); small results keep their relative accuracy."""
    return 1 / (1 + sc.exp(-x))


def expm1(x: Expr) -> Expr:
    """exp(x) - 1 without cancellation near 0."""
    small = x * polynomial(x, _EXPM1)
    return sc.where(sc.absolute(x) < 0.5, small, sc.exp(x) - 1)


def log1p(x: Expr) -> Expr:
    """log(1 + x) without cancellation near 0 (Kahan: the rounding of 1 + x is divided out).

    HP-15C Advanced Functions Handbook, appendix; D. Goldberg 1991, theorem 4.
    """
    u = 1 + x
    corrected = sc.log(u) * (x / (u - 1))
    # Where 1 + x is 1, x itself is the answer; and inf / inf must not become NaN.
    return sc.where(sc.logical_or(sc.equal(u, 1), sc.equal(x, inf)), x, corrected)


def softplus(x: Expr) -> Expr:
    """log(1 + exp(x)) that neither overflows nor loses small results."""
    return sc.maximum(x, 0) + log1p(sc.exp(-sc.absolute(x)))


def mish(x: Expr) -> Expr:
    """x * tanh(softplus(x)) = x * n / (n + 2) with n = e^x (e^x + 2); from 20 on it is x."""
    e = sc.exp(sc.minimum(x, 20))
    n = e * (e + 2)
    return x * (n / (n + 2))


def signed(size: Expr, x: Expr) -> Expr:
    """`size` with the sign of x."""
    return sc.where(x < 0, -size, size)


def atan(x: Expr) -> Expr:
    """Arc tangent in radians; beyond 1 by atan(x) = pi / 2 - atan(1 / x)."""
    size = sc.absolute(x)
    inner = sc.minimum(size, 1 / size)
    t = inner * inner
    angle = inner * (polynomial(t, _ATAN_P) / polynomial(t, _ATAN_Q))
    return signed(sc.where(1 < size, pi / 2 - angle, angle), x)


def atan2(y: Expr, x: Expr) -> Expr:
    """The angle of the point (x, y), from -pi to pi; all zeros count as +0."""
    x = sc.where(sc.equal(x, 0.0), 0.0, x)  # y / -0 would be infinite with the wrong sign
    infinite = sc.logical_and(sc.equal(sc.absolute(x), inf), sc.equal(sc.absolute(y), inf))
    ratio = sc.where(infinite, sc.where(sc.equal(x, y), 1.0, -1.0), y / x)
    angle = atan(ratio)
    angle = sc.where(x < 0, angle + sc.where(y < 0, -pi, pi), angle)
    return sc.where(sc.logical_and(sc.equal(x, 0.0), sc.equal(y, 0.0)), 0.0, angle)


def hypot(a: Expr, b: Expr) -> Expr:
    """sqrt(a^2 + b^2) as the larger size times sqrt(1 + ratio^2)."""
    a, b = sc.absolute(a), sc.absolute(b)
    large, small = sc.maximum(a, b), sc.minimum(a, b)
    plain = sc.logical_or(sc.equal(large, 0.0), sc.equal(large, inf))
    ratio = small / sc.where(plain, 1.0, large)
    return sc.where(plain, large, large * sc.sqrt(1 + ratio * ratio))


def sinh(x: Expr) -> Expr:
    """Hyperbolic sine; large ones as (e^(x / 2))^2 / 2, which overflows no earlier than they do."""
    size = sc.absolute(x)
    e = expm1(sc.minimum(size, 20))
    half = sc.exp(0.5 * size)
    return signed(sc.where(size < 20, 0.5 * (e + e / (e + 1)), 0.5 * half * half), x)


def cosh(x: Expr) -> Expr:
    """Hyperbolic cosine, likewise."""
    half = sc.exp(0.5 * sc.absolute(x))
    return 0.5 * half * half + 0.5 / (half * half)


def asinh(x: Expr) -> Expr:
    """Inverse of sinh: log(|x| + sqrt(x^2 + 1)), by log1p so that small results keep digits."""
    size = sc.absolute(x)
    small = log1p(size + size * size / (1 + sc.sqrt(size * size + 1)))
    return signed(sc.where(size < _LARGE, small, sc.log(size) + _LN_2), x)


def acosh(x: Expr) -> Expr:
    """Inverse of cosh for x >= 1, else NaN."""
    t = x - 1
    large = sc.where(x < _LARGE, log1p(t + sc.sqrt(t * t + 2 * t)), sc.log(x) + _LN_2)
    return sc.where(x < 1, nan, large)


def atanh(x: Expr) -> Expr:
    """Inverse of tanh; infinite at -1 and 1, NaN beyond."""
    size = sc.absolute(x)
    return signed(0.5 * log1p(2 * size / (1 - size)), x)


def power(a: Expr, b: Expr) -> Expr:
    """a to the power b in float32, with NumPy's special cases.

    |a|^b = exp(b log|a|), so the relative error grows as |b log a| * 1.2e-7; b = 1, 2, 1/2 and -1
    are exact. A negative base needs an integer exponent, else the result is NaN.
    """
    size = sc.absolute(a)
    is_whole = sc.equal(sc.floor(b), b)
    half = b * 0.5
    is_odd = sc.logical_and(is_whole, sc.logical_not(sc.equal(sc.floor(half), half)))
    # log(1) * inf must be 0, since (+-1)^inf is 1.
    scaled = sc.where(sc.equal(size, 1), 0.0, b * sc.log(size))
    plain = sc.exp(scaled)
    plain = sc.where(sc.equal(b, 1), size, plain)
    plain = sc.where(sc.equal(b, 2), size * size, plain)
    plain = sc.where(sc.equal(b, 0.5), sc.sqrt(size), plain)
    plain = sc.where(sc.equal(b, -1), 1 / size, plain)
    negative = sc.where(is_odd, -plain, sc.where(is_whole, plain, nan))
    signed = sc.where(a < 0, negative, plain)
    return sc.where(sc.logical_or(sc.equal(b, 0), sc.equal(a, 1)), 1.0, signed)


def floor_mod(a: Expr, b: Expr) -> Expr:
    """The remainder with the sign of b; int32 remainder by 0 is 0, float remainder by 0 NaN."""
    quotient = a / b
    rest = a - sc.make("trunc", quotient) * b
    # Exact where |a| < |b|, infinite b included; b = 0 gives 0 * 0 (int32) or NaN (float).
    # Of an int32, -|x| has room for the least number, |x| has none.
    rest = sc.where(-sc.absolute(b) < -sc.absolute(a), a, rest)
    rest = sc.where(sc.equal(b, 0), quotient * b, rest)
    return sc.where(_signs_differ(rest, b), rest + b, rest)


def floor_div(a: Expr, b: Expr) -> Expr:
    """The quotient rounded down; by 0 it is 0 (int32), or infinite or NaN (float)."""
    quotient = sc.floor(a / b)
    rest = a - quotient * b
    # Of an infinite divisor all of a remains; 0 times infinity would say nothing.
    rest = sc.where(sc.equal(rest, rest), rest, a)
    # int32 division rounds towards zero, and a float quotient may have been rounded up to a whole
    # number: in both cases the remainder has the wrong sign.
    wrong = _signs_differ(rest, b)
    wrong = sc.logical_and(wrong, sc.logical_not(sc.equal(b, 0)))
    return sc.where(wrong, quotient - 1, quotient)


def _signs_differ(rest: Expr, b: Expr) -> Expr:
    """rest is not 0, and one of rest and b is negative."""
    differ = sc.logical_not(sc.equal(rest < 0, b < 0))
    return sc.logical_and(sc.logical_not(sc.equal(rest, 0)), differ)
