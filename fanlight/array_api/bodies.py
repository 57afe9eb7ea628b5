"""Scalar bodies of what the standard says otherwise, or more exactly, than an op of the table.

Each is one `fused` op: computed in one pass, compiled, and derived like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import inf, log, nan, pi

import numpy as np

from fanlight.ops import functions
from fanlight.ops import scalar as sc
from fanlight.ops.scalar import Expr
from fanlight.tensor.core import Tensor, apply

Body = Callable[..., Expr]


@lru_cache
def _text(body: Body, count: int) -> str:
    return sc.to_text(body(*map(sc.arg, range(count))))


def fused(body: Body, *inputs: Tensor) -> Tensor:
    """A body applied to float32 tensors, which broadcast."""
    result: Tensor = apply("fused", *inputs, body=_text(body, len(inputs)))
    return result


def signbit(x: Expr) -> Expr:
    """Whether the sign is set: of negative numbers, and of -0, by which 1 is -infinity."""
    return sc.where(sc.equal(x, 0.0), 1.0 / x < 0.0, x < 0.0)


def sign(x: Expr) -> Expr:
    return sc.where(0.0 < x, 1.0, sc.where(x < 0.0, -1.0, sc.where(sc.equal(x, 0.0), 0.0, x)))


def trunc(x: Expr) -> Expr:
    return sc.make("trunc", x)


def copysign(x: Expr, y: Expr) -> Expr:
    size = sc.absolute(x)
    return sc.where(signbit(y), -size, size)


def remainder_signed(rest: Expr, b: Expr) -> Expr:
    """A remainder of 0 with the sign of b, and the slope that any other one has."""
    zero = sc.where(b < 0.0, -((1.0 - rest) - 1.0), (rest + 1.0) - 1.0)
    return sc.where(sc.equal(rest, 0.0), zero, rest)


def atan2_signed(angle: Expr, y: Expr, x: Expr) -> Expr:
    """The angle where it is 0 or pi: the op takes all zeros for +0, and small angles for none."""
    flat = sc.where(signbit(x), sc.where(signbit(y), -pi, pi), y)
    found = sc.where(sc.logical_and(sc.equal(y, 0.0), x <= 0.0), flat, angle)
    return sc.where(sc.logical_and(sc.equal(angle, 0.0), 0.0 < x), y / x, found)


def hypot_infinite(size: Expr, a: Expr, b: Expr) -> Expr:
    """An infinite side makes the size infinite, even beside NaN."""
    return sc.where(sc.equal(sc.maximum(_infinite(a), _infinite(b)), 1.0), inf, size)


def _infinite(x: Expr) -> Expr:
    return sc.where(sc.equal(sc.absolute(x), inf), 1.0, 0.0)


def logaddexp(a: Expr, b: Expr) -> Expr:
    """Of equal ones, infinite ones too, half of each and log 2: there is no difference to take."""
    same = sc.equal(a, b)
    apart = sc.where(same, 0.0, sc.absolute(a - b))
    larger = sc.maximum(a, b) + functions.log1p(sc.exp(-apart))
    return sc.where(same, 0.5 * a + 0.5 * b + log(2), larger)


def power_signed(power: Expr, a: Expr, b: Expr) -> Expr:
    """a^b where a is -0 or -infinity, which the op takes for +0, or for any negative number."""
    whole, half = sc.equal(sc.floor(b), b), b * 0.5
    odd = sc.logical_and(whole, sc.logical_not(sc.equal(sc.floor(half), half)))
    broken = sc.where(0.0 < b, inf, sc.where(b < 0.0, 0.0, nan))
    below = sc.logical_and(sc.equal(a, -inf), sc.logical_not(whole))
    minus_zero = sc.logical_and(sc.equal(a, 0.0), signbit(a))
    return sc.where(below, broken, sc.where(sc.logical_and(minus_zero, odd), -power, power))


_UNIT = 2.0**-24  # half the distance from 1 to the next number
_LEAST = 2.0**-149  # the least number
_LARGEST = float(np.finfo(np.float32).max)


def nextafter(a: Expr, b: Expr) -> Expr:
    """A little more than half a step added, which rounds to the next number.

    Rump, Zimmermann, Boldo & Melquiond, Computing predecessor and successor in rounding to nearest,
    BIT 49 (2009), algorithm 2: tiny numbers are scaled, and the least ones have equal steps.
    """
    part = _UNIT * (1 + 2 * _UNIT)
    up = sc.where(a < b, 1.0, -1.0)
    size = sc.absolute(a)
    large = a * (1 / _UNIT)
    between = (large + up * (sc.absolute(large) * part)) * _UNIT
    small = sc.where(size < 2.0**-125, a + up * _LEAST, between)
    found = sc.where(size < 2.0**-101, small, a + up * (size * part))
    found = sc.where(sc.equal(size, inf), sc.where(a < 0.0, -_LARGEST, _LARGEST), found)
    known = sc.logical_and(sc.equal(a, a), sc.equal(b, b))
    return sc.where(sc.equal(a, b), b, sc.where(known, found, nan))
